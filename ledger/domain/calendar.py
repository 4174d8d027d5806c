"""Local days, hours and longer windows of an IANA zone, each as half-open instants in UTC.

A local day begins the first time its zone's clock shows midnight, or in the instant the clock is put past it where
it never does; it ends where the next begins. So days tile time: they have 23, 24 or 25 hours in most zones, and none
at all where a zone moved across the date line. An hour begins when the clock shows a full hour and when it is put.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple, assert_never
from zoneinfo import ZoneInfo

DAYS_REMEMBERED_MAX: Final = 1024
"""How many days a zone remembers before it starts anew."""

WindowSize = Literal["MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR"]

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)
_LOCAL_FROM: Final = datetime(1, 1, 4, tzinfo=UTC)
_LOCAL_UNTIL: Final = datetime(9999, 12, 28, tzinfo=UTC)
"""Beyond these the calendar itself ends within a zone's offset; days there are those of UTC."""


class Window(NamedTuple):
    """A stretch of time: `start` belongs to it, `end` does not."""

    start: datetime
    end: datetime


class _Day(NamedTuple):
    """A local day; `hours` are its hours' beginnings where they do not follow each other every 60 minutes."""

    date: date
    start: datetime
    end: datetime
    hours: tuple[datetime, ...]


class Zone:
    """The calendar of one IANA zone. It remembers days, at most `DAYS_REMEMBERED_MAX`, for its answers to be quick.

    Instants are aware and in UTC. Make it by `zone`, which keeps one for each name.
    """

    __slots__ = ("_days", "_info", "_latest", "_starts", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._info = ZoneInfo(name)
        self._starts: list[datetime] = []
        self._days: list[_Day] = []
        self._latest = _Day(date.min, _LOCAL_FROM, _LOCAL_FROM, ())

    def day_of(self, instant: datetime) -> date:
        """The local day that an instant belongs to."""
        return self._day_at(instant).date

    def hour_of(self, instant: datetime) -> datetime:
        """The instant in which an instant's local hour began."""
        return self._hour_at(instant).start

    def day_bounds(self, day: date) -> Window:
        """When a local day begins and ends; both are the same for a day that the zone left out."""
        return self._between(day, day + _DAY)

    def window_of(self, instant: datetime, size: WindowSize) -> Window:
        """The local minute, hour, day, week (from Monday), month or year that an instant belongs to.

        Raises `OverflowError` or `ValueError` where that has no end or beginning within the years 1 to 9999.
        """
        match size:
            case "MINUTE":
                # Every zone's offset is in whole minutes since 1972, so its minutes are those of UTC.
                start = instant.replace(second=0, microsecond=0)
                return Window(start, start + _MINUTE)
            case "HOUR":
                return self._hour_at(instant)
            case "DAY":
                day = self._day_at(instant)
                return Window(day.start, day.end)
            case "WEEK":
                day_within = self.day_of(instant)
                monday = day_within - timedelta(days=day_within.weekday())
                return self._between(monday, monday + timedelta(days=7))
            case "MONTH":
                first = self.day_of(instant).replace(day=1)
                return self._between(first, (first + timedelta(days=31)).replace(day=1))
            case "YEAR":
                first = self.day_of(instant).replace(month=1, day=1)
                return self._between(first, first.replace(year=first.year + 1))
            case _:
                assert_never(size)

    def windows(self, start: datetime, end: datetime, size: WindowSize) -> Iterator[Window]:
        """Whole windows in order, from the one that `start` is in to the last that begins before `end`."""
        at = start
        while at < end:
            window = self.window_of(at, size)
            yield window
            at = window.end

    def days_between(self, start: datetime, end: datetime) -> int:
        """How many local days have a part in [start, end): both the first and the last one count."""
        return (self.day_of(end - timedelta.resolution) - self.day_of(start)).days + 1

    def _day_at(self, instant: datetime) -> _Day:
        day = self._latest
        if day.start <= instant < day.end:
            return day
        index = bisect_right(self._starts, instant) - 1
        if index >= 0 and instant < self._days[index].end:
            self._latest = day = self._days[index]
            return day
        return self._remember(self._make_day(instant))

    def _remember(self, day: _Day) -> _Day:
        if len(self._days) >= DAYS_REMEMBERED_MAX:
            self._starts.clear()
            self._days.clear()
        index = bisect_right(self._starts, day.start)
        self._starts.insert(index, day.start)
        self._days.insert(index, day)
        self._latest = day
        return day

    def _make_day(self, instant: datetime) -> _Day:
        if not _LOCAL_FROM <= instant < _LOCAL_UNTIL:
            return _utc_day(instant)
        local_day = instant.astimezone(self._info).date()
        window = self.day_bounds(local_day)
        if instant >= window.end:
            # The clock was put back across midnight: the day that has begun goes on.
            local_day += _DAY
            window = self.day_bounds(local_day)
        start, end = window
        first = start.astimezone(self._info)
        is_even = self._offset(start) == self._offset(end - _SECOND)
        if is_even and first.minute == first.second == 0:
            return _Day(local_day, start, end, ())
        return _Day(local_day, start, end, tuple(self._hours(start, end)))

    def _hour_at(self, instant: datetime) -> Window:
        day = self._day_at(instant)
        if not day.hours:
            start = instant - (instant - day.start) % _HOUR
            return Window(start, start + _HOUR if day.end - start > _HOUR else day.end)
        index = bisect_right(day.hours, instant)
        end = day.hours[index] if index < len(day.hours) else day.end
        return Window(day.hours[index - 1], end)

    def _hours(self, start: datetime, end: datetime) -> Iterator[datetime]:
        at = start
        while at < end:
            yield at
            local = at.astimezone(self._info)
            full = at + _HOUR - timedelta(minutes=local.minute, seconds=local.second)
            at = full if self._offset(full - _SECOND) == self._offset(at) else self._first_change(at, full)

    def _between(self, first: date, after: date) -> Window:
        return Window(self._start_of(first), self._start_of(after))

    def _start_of(self, day: date) -> datetime:
        """The first instant of a day: midnight by the clock, the earlier one of two."""
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if not _LOCAL_FROM <= midnight < _LOCAL_UNTIL:
            return midnight
        earlier = midnight - _offset_of(midnight.replace(tzinfo=self._info))
        if earlier.astimezone(self._info).replace(tzinfo=UTC) == midnight:
            return earlier
        later_offset = _offset_of(midnight.replace(tzinfo=self._info, fold=1))
        return self._first_change(midnight - later_offset, earlier)

    def _first_change(self, before: datetime, after: datetime) -> datetime:
        """The instant in (before, after] in which the clock was put, to the second."""
        offset = self._offset(before)
        low, high = 0, int((after - before) / _SECOND)
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(before + timedelta(seconds=middle)) == offset:
                low = middle
            else:
                high = middle
        return before + timedelta(seconds=high)

    def _offset(self, instant: datetime) -> timedelta:
        return _offset_of(instant.astimezone(self._info))


@lru_cache(maxsize=256)
def zone(name: str) -> Zone:
    """The calendar of an IANA zone; raises `ZoneInfoNotFoundError` for a name that is none."""
    return Zone(name)


def _offset_of(local: datetime) -> timedelta:
    offset = local.utcoffset()
    assert offset is not None, "a zone always knows its offset"
    return offset


def _utc_day(instant: datetime) -> _Day:
    start = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    last = datetime.max.replace(tzinfo=UTC)
    end = start + _DAY if start.date() < date.max else last
    return _Day(start.date(), start, end, ())
