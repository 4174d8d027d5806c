"""Folds usage events into mergeable cells: pure, in memory, any batch at a time."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, NamedTuple, cast

import asyncpg

from ledger.domain.aggregation import Cell, Presence, empty_cell
from ledger.domain.calendar import zone
from ledger.domain.catalogue import Catalogue, Held
from ledger.domain.metering import Aggregation, Reading
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
    """The cells of usage events, as `add_usage` takes them."""
    fold = Fold()
    add_usage(fold, rows, catalogue, series_of)
    return fold


def add_usage(
    fold: Fold, rows: Iterable[asyncpg.Record], catalogue: Catalogue, series_of: Mapping[str | None, int]
) -> None:
    """Put usage events into cells: rows of (position, topic, recorded_at, state, account).

    `series_of` names the series to compute by meter (None: the one of events that no meter can take); what counts in
    other meters is passed over, and so is what a person mended or dismissed.
    """
    superseded = catalogue.superseded
    places: dict[str, _Place] = {}
    for position, topic, recorded_at, state, _ in rows:
        if position in superseded or topic not in CONTENT_TOPICS:
            continue
        usage = cast("UsageEvent", decode(topic, state))
        account, counted, held = catalogue.assess(usage, recorded_at)
        if account is not None and counted:
            at = usage.time
            place = places.get(account.zone)
            if place is None or not place.start <= at < place.end:
                place = places[account.zone] = _place_of(account.zone, at)
            part = catalogue.part_at(account, at).start
            for meter, definition, reading in counted:
                series = series_of.get(meter)
                if series is not None:
                    keys = (
                        (series, account.key, place.day, part, reading.dimensions),
                        (series, account.key, place.start),
                    )
                    _count(fold, keys, definition.aggregation, reading, at, position)
        for reason in held:
            series = series_of.get(reason.meter)
            if series is not None:
                key = account.key if account else None
                fold.held.append(_held_event(series, position, usage, reason, key, recorded_at))


class _Place(NamedTuple):
    """A local hour and the day that it is of."""

    start: datetime
    end: datetime
    day: date


def _place_of(zone_name: str, at: datetime) -> _Place:
    local = zone(zone_name)
    return _Place(*local.window_of(at, "HOUR"), local.day_of(at))


def _count(
    fold: Fold,
    keys: tuple[DayKey, HourKey],
    aggregation: Aggregation,
    reading: Reading,
    at: datetime,
    position: int,
) -> None:
    day_key, hour_key = keys
    value = reading.value
    cell = fold.days.get(day_key)
    if cell is None:
        cell = fold.days[day_key] = empty_cell(aggregation)
    cell.add(value, at, position)
    cell = fold.hours.get(hour_key)
    if cell is None:
        cell = fold.hours[hour_key] = empty_cell(aggregation)
    cell.add(value, at, position)
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
