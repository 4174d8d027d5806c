"""Finds where two sides part: the rows that differ, the first event that can be behind it, and who explains it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from ledger.database import Connection
from ledger.domain.catalogue import Catalogue
from ledger.domain.replay_events import Divergence
from ledger.domain.replaying import Evidence, Pair, Suspect, Texts, candidate, paired, parted_at
from ledger.domain.values import ZERO
from ledger.event_log import PAGE_EVENTS_MAX, EventLog
from ledger.projections.catalogue import catch_up
from ledger.projections.replay_models import Model, evidence, stored_rows
from ledger.projections.replay_shadow import Standing
from ledger.projections.usage_fold import fold_usage
from ledger.projections.usage_lane import MAIN

ROWS_PAIRED_MAX: Final = 10_000
"""Of an account and table; those with the earliest evidence."""
ROWS_KEPT: Final = 3
EVENTS_EXAMINED_MAX: Final = 20_000
"""Of an account, from the earliest event on that can be behind a difference."""

Place = tuple[Any, ...]
"""What identifies a row of cells."""
Places = dict[str, dict[Place, Pair]]
"""By table of cells, the rows that differ."""
Suspects = dict[str, dict[Place, list[Suspect]]]
"""By table of cells and row, the events that its difference can be blamed on."""


class Sides(NamedTuple):
    """A connection in a snapshot of the living tables, and one in a snapshot of those of the replay."""

    living: Connection
    replayed: Connection


async def catalogue_at(log: EventLog, at: Standing) -> Catalogue:
    """The catalogue by which the read model counts at its position."""
    catalogue = Catalogue()
    await catch_up(catalogue, log, up_to=at.positions[MAIN])
    catalogue.meters.clear()
    catalogue.meters_by_type.clear()
    for meter, definition in at.definitions.items():
        catalogue.define(meter, definition)
    catalogue.position = at.positions[MAIN]
    return catalogue


async def divergences_of(
    sides: Sides, log: EventLog, catalogue: Catalogue, at: Standing, *, account: str, models: Sequence[Model]
) -> list[Divergence]:
    """What is to be told of an account whose rows differ in some tables, one for each."""
    pairs = {model.table: await _pairs(sides, model, account) for model in models}
    if "usage_series" in pairs:
        pairs["usage_series"] = [_decided(pair, at) for pair in pairs["usage_series"]]
    places: Places = {
        table: {_place(pair.key): pair for pair in pairs[table]}
        for table in ("usage_days", "usage_hours", "usage_values")
        if pairs.get(table)
    }
    suspects = await _suspects(log, catalogue, account, places) if places else {}
    return [_divergence(model.table, account, pairs[model.table], suspects.get(model.table, {})) for model in models]


async def _pairs(sides: Sides, model: Model, account: str) -> list[Pair]:
    living = await evidence(sides.living, model, account)
    replayed = await evidence(sides.replayed, model, account)
    parted = sorted((living.get(hash_) or replayed[hash_], hash_) for hash_ in living.keys() ^ replayed.keys())
    hashes = [hash_ for _, hash_ in parted[:ROWS_PAIRED_MAX]]
    return paired(
        await stored_rows(sides.living, model, account, hashes),
        await stored_rows(sides.replayed, model, account, hashes),
    )


def _decided(pair: Pair, at: Standing) -> Pair:
    """The row of a definition with the last decision on its meter as evidence, which its table does not have."""
    position = at.decided_at.get(pair.key["meter"] or "", 0)
    sides = (side and side._replace(evidence=Evidence(position, position)) for side in (pair.living, pair.replayed))
    return Pair(pair.key, *sides)


def _divergence(table: str, account: str, pairs: Sequence[Pair], suspects: Mapping[Place, list[Suspect]]) -> Divergence:
    told = [(pair, suspects.get(_place(pair.key), [])) for pair in pairs]
    candidates = {found for pair, own in told if (found := candidate(pair, own)) is not None}
    return Divergence(
        projection=table,
        account=account or None,
        first_position=min(parted_at(pair, own) for pair, own in told),
        last_position=min(pair.evidence.last for pair in pairs),
        candidate=min(candidates, default=None),
        rows_differing=len(pairs),
        rows=tuple(pair.difference for pair in pairs[:ROWS_KEPT]),
    )


async def _suspects(log: EventLog, catalogue: Catalogue, account: str, places: Places) -> Suspects:
    """By table and row the events that are in a differing row of each table of cells in which their meter differs.

    An event that was altered, or is folded otherwise now, shows in all tables that it adds to. A row without such an
    event was itself altered.
    """
    suspects: Suspects = {table: {} for table in places}
    parted: dict[str, set[str]] = {}
    for table, differing in places.items():
        for meter, *_ in differing:
            parted.setdefault(meter, set()).add(table)
    known = catalogue.accounts.get(account)
    names = (account,) if known is None else (account, *known.aliases)
    behind = [pair.evidence for rows in places.values() for pair in rows.values()]
    after, seen = min(one.first for one in behind) - 1, 0
    last = min(max(one.last for one in behind), catalogue.position)
    while rows := await log.usage_of(names, after=after, up_to=last, limit=PAGE_EVENTS_MAX):
        for row in rows:
            for table, place, total in _blamed(_touched(row, catalogue), places, parted):
                suspects[table].setdefault(place, []).append(Suspect(row["position"], total))
        after, seen = rows[-1]["position"], seen + len(rows)
        if seen >= EVENTS_EXAMINED_MAX:
            break
    return suspects


def _touched(row: asyncpg.Record, catalogue: Catalogue) -> dict[str, dict[Place, Decimal]]:
    """By table the rows that an event adds to, with what it adds to their total."""
    meters = list(catalogue.meters)
    fold = fold_usage([row], catalogue, {meter: number for number, meter in enumerate(meters)})
    return {
        "usage_days": {(meters[number], *rest[1:]): cell.total for (number, *rest), cell in fold.days.items()},
        "usage_hours": {(meters[number], *rest[1:]): cell.total for (number, *rest), cell in fold.hours.items()},
        "usage_values": {(meters[number], *rest[1:]): ZERO for number, *rest in fold.values},
    }


def _blamed(
    touched: Mapping[str, Mapping[Place, Decimal]], places: Places, parted: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, Place, Decimal]]:
    """The differing rows that an event is to blame for: of a meter all or, if it is not in each table, none."""
    for meter in {place[0] for rows in touched.values() for place in rows}:
        own = [
            (table, place, total)
            for table in parted.get(meter, ())
            for place, total in touched[table].items()
            if place[0] == meter and place in places[table]
        ]
        if len({table for table, _, _ in own}) == len(parted.get(meter, ())):
            yield from own


def _place(key: Texts) -> Place:
    """What identifies a row of cells, as a fold tells it; of other tables nothing that one would tell."""
    parts: list[Any] = [key.get("meter")]
    for name, read in _PARTS.items():
        text = key.get(name)
        if text is not None:
            parts.append(read(text))
    return tuple(parts)


def _dimensions(text: str) -> tuple[str | None, ...]:
    return msgspec.json.decode(text, type=tuple[str | None, ...])


_PARTS: Final[dict[str, Callable[[str], Any]]] = {
    "day": date.fromisoformat,
    "hour": datetime.fromisoformat,
    "part": datetime.fromisoformat,
    "dimensions": _dimensions,
    "value": str,
}
