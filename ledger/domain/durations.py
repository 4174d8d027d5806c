"""Durations in calendar time: months and days on the wall clock of a zone, and elapsed microseconds."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from ledger.domain.pricing_refusals import DurationInvalid, YearOutOfRange

IntervalUnit = Literal["day", "week", "month", "quarter", "half_year", "year"]
COUNT_MAX: Final = 1_200
"""The most of a unit that an interval may span: a century of months."""

_YEAR_MIN: Final = 1800
_YEAR_MAX: Final = 9000
_DAYS_MAX: Final = 300_000
_MONTHS: Final = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}
_DAYS: Final = {"day": 1, "week": 7}
_MONTH_MICROSECONDS: Final = 2_629_746_000_000  # 146,097 days in 4,800 months of the Gregorian calendar
_DAY_MICROSECONDS: Final = 86_400_000_000
_ISO_8601: Final = re.compile(
    r"(?P<sign>[+-]?)P(?=[-+\dT])(?:(?P<years>[+-]?\d{1,5})Y)?(?:(?P<months>[+-]?\d{1,6})M)?"
    r"(?:(?P<weeks>[+-]?\d{1,6})W)?(?:(?P<days>[+-]?\d{1,7})D)?"
    r"(?:T(?=[-+\d])(?:(?P<hours>[+-]?\d{1,8})H)?(?:(?P<minutes>[+-]?\d{1,9})M)?"
    r"(?:(?P<seconds>[+-]?\d{1,11})(?:[.,](?P<fraction>\d{1,6}))?S)?)?",
    re.ASCII,
)


class Duration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Months, then days, on the wall clock; then microseconds that elapse. Any of them may be below zero."""

    months: int = 0
    days: int = 0
    microseconds: int = 0

    def times(self, count: int) -> "Duration":
        """The duration so many times over; months stay months, so 12 x 1 month is exactly a year."""
        return Duration(months=self.months * count, days=self.days * count, microseconds=self.microseconds * count)

    @property
    def microseconds_mean(self) -> int:
        """Its length on average, for estimates only."""
        return self.months * _MONTH_MICROSECONDS + self.days * _DAY_MICROSECONDS + self.microseconds


def interval(unit: IntervalUnit, count: int = 1) -> Duration:
    """The duration of so many units, such as 2 weeks. Raises `DurationInvalid` below 1 and above 1,200."""
    if not 1 <= count <= COUNT_MAX:
        raise DurationInvalid(duration=f"{count} {unit}", why=f"the count is not within 1 to {COUNT_MAX}")
    if unit in _MONTHS:
        return Duration(months=_MONTHS[unit] * count)
    return Duration(days=_DAYS[unit] * count)


def parse_duration(text: str) -> Duration:
    """The duration that ISO 8601 text names: P1M, P-3M, P1DT12H, PT0S. Weeks may stand beside other units.

    Whole numbers only, but for a fraction of a second down to the microsecond. Raises `DurationInvalid`.
    """
    found = _ISO_8601.fullmatch(text)
    if found is None:
        raise DurationInvalid(duration=text[:64], why="it is not of the form P1Y2M3W4DT5H6M7.8S")
    whole = {name: int(found[name] or 0) for name in ("years", "months", "weeks", "days", "hours", "minutes")}
    seconds = int(found["seconds"] or 0) * 1_000_000
    fraction = int((found["fraction"] or "").ljust(6, "0"))
    seconds += -fraction if (found["seconds"] or "").startswith("-") else fraction
    duration = Duration(
        months=whole["years"] * 12 + whole["months"],
        days=whole["weeks"] * 7 + whole["days"],
        microseconds=(whole["hours"] * 60 + whole["minutes"]) * 60_000_000 + seconds,
    )
    return duration.times(-1) if found["sign"] == "-" else duration


def date_after(day: date, duration: Duration, *, anchor_day: int | None = None) -> date:
    """The date that the duration's months, then its days, lead to.

    Months keep the day of the month (`anchor_day`, else the date's own), or take the month's last one where it has
    none: 31 January and a month is 28 or 29 February. Raises `YearOutOfRange` beyond the years 1800 to 9000.
    """
    month_index = day.year * 12 + day.month - 1 + duration.months
    year, month = month_index // 12, month_index % 12 + 1
    if not (_YEAR_MIN <= day.year <= _YEAR_MAX and _YEAR_MIN <= year <= _YEAR_MAX):
        raise YearOutOfRange(year=year)
    wanted = day.day if anchor_day is None else anchor_day
    moved = day.replace(year=year, month=month, day=min(wanted, monthrange(year, month)[1]))
    if not -_DAYS_MAX <= duration.days <= _DAYS_MAX:
        raise YearOutOfRange(year=year)
    return moved + timedelta(days=duration.days)


def after(instant: datetime, duration: Duration, zone: str, *, anchor_day: int | None = None) -> datetime:
    """The instant (UTC) that lies the duration after an aware one, on the wall clock of the zone.

    The time of day stays; where a change of clocks skips it, the offset before the change holds, and where it comes
    twice, the first counts. Dates are moved as by `date_after`.
    """
    local = instant.astimezone(ZoneInfo(zone))
    day = date_after(local.date(), duration, anchor_day=anchor_day)
    if day != local.date():
        local = local.replace(year=day.year, month=day.month, day=day.day, fold=0)
    return local.astimezone(UTC) + timedelta(microseconds=duration.microseconds)
