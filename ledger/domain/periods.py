"""Billing periods: half-open stretches of time that follow each other without gap or overlap.

Each boundary is derived from the anchor, never from the boundary before it, so that an anchor on the 31st comes back
to the 31st after every shorter month.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from ledger.domain.calendar import zone as zone_of
from ledger.domain.durations import Duration, IntervalUnit, after, date_after, interval
from ledger.domain.pricing_refusals import DurationInvalid
from ledger.domain.values import microseconds

_CALENDAR_START: Final = date(2001, 1, 1)
"""A Monday that begins a week, a month, a quarter, a half-year and a year."""

Starts = Literal["midnight", "instant"]
"""When on its first day a period begins: with the local day (Lago), or at the anchor's time of day, to the second
(Stripe, Polar, OpenMeter).
"""


class Period(msgspec.Struct, frozen=True, order=True):
    """The time from `start` up to, and not including, `end`; both are UTC."""

    start: datetime
    end: datetime

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


class Cycle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Billing periods that repeat every `step` from `anchor` on the wall clock of `zone`, before the anchor too.

    Periods of months begin on `anchor_day`, else on the anchor's own day, or on the last day of a month that has no
    such day; with 31, an import that starts on 28 February goes on at 31 March. Only whole days can start at midnight;
    raises `DurationInvalid`.
    """

    anchor: datetime
    step: Duration
    zone: str
    starts: Starts = "instant"
    anchor_day: int | None = None

    def __post_init__(self) -> None:
        lengths = (self.step.months, self.step.days, self.step.microseconds)
        if min(lengths) < 0 or not any(lengths):
            raise DurationInvalid(duration=str(lengths), why="a billing period must have a length")
        if self.starts == "midnight" and self.step.microseconds:
            raise DurationInvalid(duration=str(lengths), why="periods of hours cannot start at midnight")


def calendar_cycle(unit: IntervalUnit, count: int, zone: str) -> Cycle:
    """Periods that begin at local midnight with the calendar's own weeks (Monday), months, quarters or years.

    Counts above one are counted from 2001-01-01, so every 2 months begins in January, March and so on.
    """
    start = zone_of(zone).day_bounds(_CALENDAR_START).start
    return Cycle(anchor=start, step=interval(unit, count), zone=zone, starts="midnight")


def midnight_before(instant: datetime, zone: str) -> datetime:
    """The instant (UTC) at which the instant's local day began."""
    calendar = zone_of(zone)
    return calendar.day_bounds(calendar.day_of(instant)).start


def start_of(cycle: Cycle, index: int) -> datetime:
    """The instant (UTC) at which the period `index` begins; period 0 begins at the anchor, or in its month."""
    step = cycle.step.times(index)
    anchor_day = cycle.anchor_day if cycle.step.months else None
    if cycle.starts == "midnight":
        calendar = zone_of(cycle.zone)
        day = date_after(calendar.day_of(cycle.anchor), step, anchor_day=anchor_day)
        return calendar.day_bounds(day).start
    return after(cycle.anchor, step, cycle.zone, anchor_day=anchor_day)


def period(cycle: Cycle, index: int) -> Period:
    """The period number `index`; those before the anchor are below zero."""
    return Period(start_of(cycle, index), start_of(cycle, index + 1))


def index_at(cycle: Cycle, instant: datetime) -> int:
    """The number of the period that contains the instant."""
    elapsed = microseconds(instant) - microseconds(cycle.anchor)
    index = elapsed // cycle.step.microseconds_mean
    while start_of(cycle, index) > instant:
        index -= 1
    while start_of(cycle, index + 1) <= instant:
        index += 1
    return index


def period_at(cycle: Cycle, instant: datetime) -> Period:
    """The period that contains the instant: its start belongs to it, its end to the next."""
    return period(cycle, index_at(cycle, instant))


def boundary_after(cycle: Cycle, instant: datetime, *, inclusive: bool) -> datetime:
    """The first boundary after the instant; with `inclusive` a boundary at the instant itself counts."""
    index = index_at(cycle, instant)
    start = start_of(cycle, index)
    return start if inclusive and start == instant else start_of(cycle, index + 1)


def boundary_before(cycle: Cycle, instant: datetime, *, inclusive: bool) -> datetime:
    """The last boundary before the instant; with `inclusive` a boundary at the instant itself counts."""
    index = index_at(cycle, instant)
    start = start_of(cycle, index)
    while start == instant and not inclusive:
        index -= 1
        start = start_of(cycle, index)
    return start


def clipped(whole: Period, *, started_at: datetime | None, ended_at: datetime | None) -> Period:
    """The part of a period in which a contract ran: from `started_at`, up to `ended_at`, where they lie within it."""
    start, end = whole.start, whole.end
    if started_at is not None and started_at in whole:
        start = started_at.astimezone(UTC)
    if ended_at is not None and start <= ended_at < end:
        end = ended_at.astimezone(UTC)
    return Period(start, end)


def days_between(start: datetime, end: datetime, zone: str) -> int:
    """The days from start to end on the wall clock of the zone, begun ones counting whole.

    An `end` exactly at local midnight is taken as the first second of that day. A 23-hour day is a day. Source: Lago.
    """
    tz = ZoneInfo(zone)
    local_start, local_end = (at.astimezone(tz).replace(tzinfo=None) for at in (start, end))
    if local_end == local_end.replace(hour=0, minute=0, second=0, microsecond=0):
        local_end += timedelta(seconds=1)
    return -((local_start - local_end) // timedelta(days=1))


def local_days(span: Period, zone: str) -> int:
    """The local days that the span runs over, from its first day to the day its end lies in, without that one."""
    day_of = zone_of(zone).day_of
    return (day_of(span.end) - day_of(span.start)).days
