"""Durations move on the wall clock: months clamp, days may have 23 hours, hours elapse."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.durations import Duration, after, date_after, interval, parse_duration
from ledger.domain.pricing_refusals import DurationInvalid, YearOutOfRange

NEW_YORK = "America/New_York"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("P1Y", Duration(months=12)),
        ("P-3M", Duration(months=-3)),
        ("-P1Y2M3W4DT5H6M7.5S", Duration(months=-14, days=-25, microseconds=-18_367_500_000)),
        ("PT-1.25S", Duration(microseconds=-1_250_000)),
        ("PT0S", Duration()),
        ("P2W", Duration(days=14)),
        ("PT36H", Duration(microseconds=36 * 3_600_000_000)),
    ],
)
def test_iso_8601_durations_are_read(text: str, duration: Duration) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "P", "PT", "P1", "1D", "P1.5D", "P1DT", "PT1.1234567S", "p1d", "P1S"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(DurationInvalid):
        parse_duration(text)


def test_intervals_have_whole_months_or_days() -> None:
    assert interval("half_year", 3) == Duration(months=18)
    assert interval("week", 2) == Duration(days=14)
    for count in (0, -1, 1201):
        with pytest.raises(DurationInvalid):
            interval("month", count)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(min_value=-240, max_value=240))
def test_months_keep_the_day_or_take_the_last_one(day: date, months: int) -> None:
    moved = date_after(day, Duration(months=months))
    assert (moved.year - day.year) * 12 + moved.month - day.month == months
    assert moved.day == day.day or (moved.day < day.day and date_after(moved, Duration(days=1)).day == 1)


def test_an_anchor_day_takes_the_place_of_the_dates_own() -> None:
    assert date_after(date(2026, 2, 28), Duration(months=1), anchor_day=31) == date(2026, 3, 31)
    assert date_after(date(2026, 4, 10), Duration(), anchor_day=31) == date(2026, 4, 30)


@pytest.mark.parametrize(
    ("start", "duration", "expected"),
    [
        ("2024-03-09T05:00:00", Duration(days=1), "2024-03-10T05:00:00"),
        ("2024-03-10T05:00:00", Duration(days=1), "2024-03-11T04:00:00"),
        ("2024-03-10T05:00:00", Duration(microseconds=86_400_000_000), "2024-03-11T05:00:00"),
        ("2024-03-09T07:30:00", Duration(days=1), "2024-03-10T07:30:00"),
        ("2024-11-02T05:30:00", Duration(days=1), "2024-11-03T05:30:00"),
        ("2024-11-03T06:30:00", Duration(), "2024-11-03T06:30:00"),
        ("2024-11-03T06:30:00", Duration(days=1), "2024-11-04T06:30:00"),
    ],
)
def test_the_time_of_day_stays_through_changes_of_clocks(start: str, duration: Duration, expected: str) -> None:
    assert after(utc(start), duration, NEW_YORK) == utc(expected)


@pytest.mark.parametrize(
    "duration",
    [Duration(months=12 * 8000), Duration(months=-12 * 300), Duration(days=300_001), Duration(days=-300_001)],
)
def test_the_end_of_the_calendar_is_refused(duration: Duration) -> None:
    with pytest.raises(YearOutOfRange):
        after(utc("2024-01-01T00:00:00"), duration, "UTC")
