"""Local days, hours and windows tile time in every zone, whatever is done to its clocks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain import calendar
from ledger.domain.calendar import WindowSize, Zone, zone

HOUR = timedelta(hours=1)
TICK = timedelta.resolution
ZONES = (
    "UTC",
    "America/New_York",
    "America/Havana",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Europe/Paris",
    "Pacific/Apia",
    "Pacific/Kiritimati",
)
INSTANTS = st.datetimes(datetime(1972, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("name", "day", "start", "hours"),
    [
        ("UTC", "2026-11-22", "2026-11-22T00:00Z", 24),
        ("Asia/Kolkata", "2025-01-06", "2025-01-05T18:30Z", 24),
        ("America/New_York", "2024-11-03", "2024-11-03T04:00Z", 25),
        ("America/New_York", "2024-03-10", "2024-03-10T05:00Z", 23),
        ("Europe/Paris", "2024-03-31", "2024-03-30T23:00Z", 23),
        ("Australia/Lord_Howe", "2024-10-06", "2024-10-05T13:30Z", 23.5),
        ("Australia/Lord_Howe", "2024-04-07", "2024-04-06T13:00Z", 24.5),
    ],
)
def test_a_day_has_the_hours_its_zone_gives_it(name: str, day: str, start: str, hours: float) -> None:
    bounds = zone(name).day_bounds(date.fromisoformat(day))
    assert bounds == (at(start), at(start) + hours * HOUR)


@pytest.mark.parametrize(
    ("name", "day", "start"),
    [
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00Z"),
        ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00Z"),
        ("Asia/Beirut", "2024-03-31", "2024-03-30T22:00Z"),
    ],
)
def test_a_day_without_midnight_begins_when_the_clock_is_put_past_it(name: str, day: str, start: str) -> None:
    local = zone(name)
    bounds = local.day_bounds(date.fromisoformat(day))
    assert bounds == (at(start), at(start) + 23 * HOUR)
    assert local.day_of(bounds.start) == date.fromisoformat(day)
    assert local.day_of(bounds.start - TICK) == date.fromisoformat(day) - timedelta(days=1)


def test_a_gap_that_begins_before_midnight_begins_the_day() -> None:
    local = zone("America/Toronto")
    assert local.day_bounds(date(1919, 3, 31)).start == at("1919-03-31T04:30Z"), "23:30 became 00:30"
    assert local.hour_of(at("1919-03-31T04:45Z")) == at("1919-03-31T04:30Z")
    assert local.hour_of(at("1919-03-31T05:10Z")) == at("1919-03-31T05:00Z")


def test_a_day_with_two_midnights_begins_with_the_first() -> None:
    assert zone("America/Havana").day_bounds(date(2024, 11, 3)) == (at("2024-11-03T04:00Z"), at("2024-11-04T05:00Z"))


def test_a_day_that_has_begun_goes_on_when_the_clock_is_put_back_across_midnight() -> None:
    local = zone("America/St_Johns")
    start = at("2010-11-07T02:30Z")
    assert local.day_bounds(date(2010, 11, 7)) == (start, start + 25 * HOUR)
    assert local.day_of(start) == date(2010, 11, 7)
    assert local.day_of(start + timedelta(minutes=30)) == date(2010, 11, 7), "the clock shows 23:30 of the day before"
    assert Zone("America/St_Johns").day_of(start + timedelta(minutes=30)) == date(2010, 11, 7), "asked first"


def test_a_day_that_a_zone_left_out_has_no_length_and_no_window() -> None:
    local = zone("Pacific/Apia")
    moved = at("2011-12-30T10:00Z")
    assert local.day_bounds(date(2011, 12, 30)) == (moved, moved)
    assert local.day_of(moved - TICK) == date(2011, 12, 29)
    assert local.day_of(moved) == date(2011, 12, 31)
    windows = list(local.windows(moved - HOUR, moved + HOUR, "DAY"))
    assert windows == [(moved - 24 * HOUR, moved), (moved, moved + 24 * HOUR)]


@pytest.mark.parametrize(
    ("name", "instant", "hour", "minutes"),
    [
        ("Asia/Kolkata", "2025-01-05T18:45Z", "2025-01-05T18:30Z", 60),
        ("America/New_York", "2024-11-03T06:30Z", "2024-11-03T06:00Z", 60),
        ("Australia/Lord_Howe", "2024-10-05T15:40Z", "2024-10-05T15:30Z", 30),
        ("Australia/Lord_Howe", "2024-04-06T14:10Z", "2024-04-06T14:00Z", 60),
        ("Australia/Lord_Howe", "2024-04-06T15:10Z", "2024-04-06T15:00Z", 30),
        ("Australia/Lord_Howe", "2024-04-06T15:30Z", "2024-04-06T15:30Z", 60),
        ("Australia/Lord_Howe", "2024-04-07T13:29Z", "2024-04-07T12:30Z", 60),
    ],
)
def test_an_hour_begins_when_the_clock_shows_it_or_is_put(name: str, instant: str, hour: str, minutes: int) -> None:
    window = zone(name).window_of(at(instant), "HOUR")
    assert window == (at(hour), at(hour) + timedelta(minutes=minutes))
    assert zone(name).hour_of(at(instant)) == at(hour)


@pytest.mark.parametrize(
    ("size", "start", "end"),
    [
        ("MINUTE", "2024-03-13T12:34Z", "2024-03-13T12:35Z"),
        ("HOUR", "2024-03-13T12:00Z", "2024-03-13T13:00Z"),
        ("DAY", "2024-03-13T04:00Z", "2024-03-14T04:00Z"),
        ("WEEK", "2024-03-11T04:00Z", "2024-03-18T04:00Z"),
        ("MONTH", "2024-03-01T05:00Z", "2024-04-01T04:00Z"),
        ("YEAR", "2024-01-01T05:00Z", "2025-01-01T05:00Z"),
    ],
)
def test_windows_follow_the_local_calendar(size: WindowSize, start: str, end: str) -> None:
    instant = at("2024-03-13T12:34:56.789Z")
    assert zone("America/New_York").window_of(instant, size) == (at(start), at(end))


def test_a_december_ends_with_its_year() -> None:
    window = zone("Europe/Paris").window_of(at("2024-12-31T22:59:59Z"), "MONTH")
    assert window == (at("2024-11-30T23:00Z"), at("2024-12-31T23:00Z"))


def test_windows_are_whole_and_cover_the_period() -> None:
    windows = list(zone("America/New_York").windows(at("2024-11-02T12:00Z"), at("2024-11-04T05:00:01Z"), "DAY"))
    assert [window.start for window in windows] == [
        at("2024-11-02T04:00Z"),
        at("2024-11-03T04:00Z"),
        at("2024-11-04T05:00Z"),
    ]
    assert list(zone("UTC").windows(at("2024-11-02T12:00Z"), at("2024-11-02T12:00Z"), "DAY")) == []


def test_days_between_counts_both_ends() -> None:
    utc = zone("UTC")
    assert utc.days_between(at("2024-05-01T00:00Z"), at("2024-06-01T00:00Z")) == 31
    assert utc.days_between(at("2024-05-01T23:59Z"), at("2024-05-02T00:01Z")) == 2
    assert utc.days_between(at("2024-05-01T00:00Z"), at("2024-05-01T00:00Z") + TICK) == 1


@given(st.sampled_from(ZONES), INSTANTS)
def test_days_and_hours_tile_time_and_agree_with_the_clock(name: str, instant: datetime) -> None:
    local = zone(name)
    day = local.day_of(instant)
    start, end = local.day_bounds(day)
    assert start <= instant < end
    assert day == instant.astimezone(ZoneInfo(name)).date()
    assert local.day_of(start) == day
    assert local.day_of(end) > day
    hour = local.window_of(instant, "HOUR")
    assert start <= hour.start <= instant < hour.end <= end
    assert timedelta(0) < hour.end - hour.start <= HOUR
    assert local.window_of(hour.start, "HOUR") == local.window_of(hour.end - TICK, "HOUR") == hour
    assert local.hour_of(hour.end) == hour.end, "the next hour begins where this one ends"


@given(st.sampled_from(ZONES), st.lists(INSTANTS, min_size=1, max_size=20))
def test_what_a_zone_remembers_does_not_change_its_answers(name: str, instants: list[datetime]) -> None:
    remembering = Zone(name)
    for instant in instants * 2:
        assert remembering.day_of(instant) == Zone(name).day_of(instant)
        assert remembering.hour_of(instant) == Zone(name).hour_of(instant)


def test_a_zone_remembers_a_bounded_number_of_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where the limit is not looked at."""
    monkeypatch.setattr(calendar, "DAYS_REMEMBERED_MAX", 3)
    local, start = Zone("UTC"), at("2026-01-01T00:00Z")
    for number in range(10):
        assert local.day_of(start + timedelta(days=number)) == date(2026, 1, 1 + number)
        assert len(local._days) == len(local._starts) <= 3


@pytest.mark.parametrize("name", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_the_first_and_last_instant_of_the_calendar_have_a_day(name: str) -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    local = zone(name)
    assert local.day_of(first) == date.min
    assert local.hour_of(first) == first
    assert local.day_of(last - TICK) == date.max
    assert local.hour_of(last - TICK) == at("9999-12-31T23:00Z")
    assert local.day_bounds(date(1, 1, 2)).start == at("0001-01-02T00:00Z")


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        zone("Mars/Olympus_Mons")
