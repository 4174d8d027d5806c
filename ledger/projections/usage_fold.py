"""Folds usage events into mergeable cells: pure, in memory, any batch at a time."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, NamedTuple, cast

import asyncpg

from ledger.domain.aggregation import Cell, Presence, empty_cell
from ledger.domain.calendar import zone
from ledger.domain.catalogue import Account, Catalogue, Counted, Held
from ledger.domain.topics import decode
from ledger.domain.usage import UsageEvent

CONTENT_TOPICS: Final = frozenset({"UsageRecorded", "UsageConflicted", "UsageMended"})

DayKey = tuple[int, str, date, datetime, tuple[str | None, ...]]
"""Series, account, local day, start of the part of the billing period, values of the declared dimensions."""
HourKey = tuple[int, str, datetime]
"""Series, account, instant at which the local hour begins."""
ValueKey = tuple[int, str, date, datetime, tuple[str | None, ...], str]
"""As `DayKey`, with a distinct value of a unique count."""


class HeldEvent(NamedTuple):
    """A row of `held_usage`."""

    series: int
    position: int
    code: str
    message: str
    subject: str
    account: str | None
    event_type: str
    source: str
    event_id: str
    occurred_at: datetime
    recorded_at: datetime


@dataclass(slots=True)
class Fold:
    """What a batch of events adds to the read model."""

    days: dict[DayKey, Cell] = field(default_factory=dict)
    hours: dict[HourKey, Cell] = field(default_factory=dict)
    values: defaultdict[ValueKey, Presence] = field(default_factory=lambda: defaultdict(Presence))
    held: list[HeldEvent] = field(default_factory=list)


def fold_usage(rows: Iterable[asyncpg.Record], catalogue: Catalogue, series_of: Mapping[str | None, int]) -> Fold:
    """The cells of usage events: rows of (position, topic, recorded_at, state, account).

    `series_of` names the series to compute by meter (None: the one of events that no meter can take); what counts in
    other meters is passed over, and so is what a person mended or dismissed.
    """
    fold = Fold()
    superseded = catalogue.superseded
    for position, topic, recorded_at, state, _ in rows:
        if position in superseded or topic not in CONTENT_TOPICS:
            continue
        usage = cast("UsageEvent", decode(topic, state))
        account, counted, held = catalogue.assess(usage, recorded_at)
        if account is not None and counted:
            part = catalogue.part_at(account, usage.time).start
            _count(fold, usage.time, position, account, part, counted, series_of)
        for reason in held:
            series = series_of.get(reason.meter)
            if series is not None:
                key = account.key if account else None
                fold.held.append(_held_event(series, position, usage, reason, key, recorded_at))
    return fold


def _count(
    fold: Fold,
    at: datetime,
    position: int,
    account: Account,
    part: datetime,
    counted: list[Counted],
    series_of: Mapping[str | None, int],
) -> None:
    local = zone(account.zone)
    day, hour = local.day_of(at), local.hour_of(at)
    for meter, definition, reading in counted:
        series = series_of.get(meter)
        if series is None:
            continue
        day_key = (series, account.key, day, part, reading.dimensions)
        cell = fold.days.get(day_key)
        if cell is None:
            cell = fold.days[day_key] = empty_cell(definition.aggregation)
        cell.add(reading.value, at, position)
        hour_key = (series, account.key, hour)
        cell = fold.hours.get(hour_key)
        if cell is None:
            cell = fold.hours[hour_key] = empty_cell(definition.aggregation)
        cell.add(reading.value, at, position)
        if reading.text is not None:
            presence = fold.values[(*day_key, reading.text)]
            presence.add(at, position, is_present=not reading.is_removal)


def _held_event(
    series: int, position: int, usage: UsageEvent, held: Held, account: str | None, recorded_at: datetime
) -> HeldEvent:
    return HeldEvent(
        series,
        position,
        held.code,
        held.message,
        usage.subject,
        account,
        usage.type,
        usage.source,
        usage.id,
        usage.time,
        recorded_at,
    )
