"""Billing periods tile time, come back to their anchor's day, and begin with local days."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.calendar import zone as zone_of
from ledger.domain.durations import Duration, IntervalUnit, interval, parse_duration
from ledger.domain.periods import (
    Cycle,
    Period,
    Starts,
    boundary_after,
    boundary_before,
    calendar_cycle,
    clipped,
    days_between,
    index_at,
    local_days,
    midnight_before,
    period,
    period_at,
    start_of,
)
from ledger.domain.pricing_refusals import DurationInvalid

ZONES = (
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)
UNITS: tuple[IntervalUnit, ...] = ("day", "week", "month", "quarter", "half_year", "year")
instants = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@st.composite
def cycles(draw: st.DrawFn) -> Cycle:
    unit, count, zone = (
        draw(st.sampled_from(UNITS)),
        draw(st.integers(min_value=1, max_value=13)),
        draw(st.sampled_from(ZONES)),
    )
    if draw(st.booleans()):
        return calendar_cycle(unit, count, zone)
    starts: Starts = draw(st.sampled_from(("midnight", "instant")))
    day = draw(st.none() | st.integers(min_value=28, max_value=31))
    return Cycle(anchor=draw(instants), step=interval(unit, count), zone=zone, starts=starts, anchor_day=day)


@given(cycles(), st.integers(min_value=-12, max_value=12))
def test_periods_tile_time_without_gap_or_overlap(cycle: Cycle, index: int) -> None:
    this, following = period(cycle, index), period(cycle, index + 1)
    assert this.start <= this.end == following.start


@given(cycles(), instants)
def test_an_instant_lies_in_exactly_the_period_found_for_it(cycle: Cycle, at: datetime) -> None:
    found = period_at(cycle, at)
    assert at in found
    index = index_at(cycle, at)
    assert at not in period(cycle, index - 1)
    assert at not in period(cycle, index + 1)
    assert index_at(cycle, found.start) == index
    assert index_at(cycle, found.end - timedelta.resolution) == index


@given(cycles(), instants, st.booleans())
def test_boundaries_lie_on_their_side_of_the_instant(cycle: Cycle, at: datetime, inclusive: bool) -> None:
    after, before = boundary_after(cycle, at, inclusive=inclusive), boundary_before(cycle, at, inclusive=inclusive)
    assert before <= at <= after
    if not inclusive:
        assert before < at < after
    for boundary in (before, after):
        assert boundary == boundary_after(cycle, boundary, inclusive=True)
        assert boundary == boundary_before(cycle, boundary, inclusive=True)


@given(cycles(), st.integers(min_value=-12, max_value=12))
def test_a_period_that_starts_at_midnight_starts_with_its_local_day(cycle: Cycle, index: int) -> None:
    if cycle.starts == "midnight":
        start = start_of(cycle, index)
        assert start == midnight_before(start, cycle.zone)


@given(st.integers(min_value=1, max_value=31), st.sampled_from(ZONES), st.integers(min_value=-60, max_value=60))
def test_a_monthly_anchor_comes_back_to_its_day(day: int, zone: str, index: int) -> None:
    anchor = zone_of(zone).day_bounds(date(2024, 1, day)).start
    cycle = Cycle(anchor=anchor, step=interval("month"), zone=zone, starts="midnight")
    start, following = (zone_of(zone).day_of(start_of(cycle, k)) for k in (index, index + 1))
    assert start.day == day or (start + timedelta(days=1)).day == 1
    assert (following.year - start.year) * 12 + following.month - start.month == 1


def starts(cycle: Cycle, count: int) -> list[str]:
    return [f"{start_of(cycle, index):%Y-%m-%d}" for index in range(1, count + 1)]


def test_the_31st_and_the_leap_day_do_not_drift() -> None:
    monthly = Cycle(anchor=utc("2024-01-31T10:00:00"), step=interval("month"), zone="UTC")
    assert starts(monthly, 3) == ["2024-02-29", "2024-03-31", "2024-04-30"]
    yearly = Cycle(anchor=utc("2024-02-29T00:00:00"), step=interval("year"), zone="UTC")
    assert starts(yearly, 4) == ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]
    imported = Cycle(anchor=utc("2026-02-28T00:00:00"), step=interval("month"), zone="UTC", anchor_day=31)
    assert starts(imported, 2) == ["2026-03-31", "2026-04-30"]


def test_a_first_period_may_be_shorter_than_to_its_anchor_day() -> None:
    cycle = Cycle(anchor=utc("2024-04-15T00:00:00"), step=interval("month"), zone="UTC", anchor_day=31)
    assert boundary_after(cycle, cycle.anchor, inclusive=False) == utc("2024-04-30T00:00:00")
    weekly = Cycle(anchor=utc("2024-04-15T00:00:00"), step=interval("week"), zone="UTC", anchor_day=31)
    assert start_of(weekly, 0) == weekly.anchor


def test_periods_keep_the_second_of_their_anchor() -> None:
    cycle = Cycle(anchor=utc("2024-01-31T10:20:30"), step=interval("month"), zone="Europe/Paris")
    assert period(cycle, 2) == Period(utc("2024-03-31T09:20:30"), utc("2024-04-30T09:20:30"))


def test_days_of_23_and_25_hours_are_days() -> None:
    daily = calendar_cycle("day", 1, "America/New_York")
    spring = period_at(daily, utc("2024-03-10T12:00:00"))
    autumn = period_at(daily, utc("2024-11-03T12:00:00"))
    assert (spring.end - spring.start, autumn.end - autumn.start) == (timedelta(hours=23), timedelta(hours=25))
    assert local_days(spring, "America/New_York") == local_days(autumn, "America/New_York") == 1


def test_a_skipped_midnight_does_not_move_later_periods() -> None:
    cycle = Cycle(
        anchor=utc("2017-10-15T12:00:00"), step=interval("month"), zone="America/Sao_Paulo", starts="midnight"
    )
    assert start_of(cycle, 0) == utc("2017-10-15T03:00:00")
    assert start_of(cycle, 1) == utc("2017-11-15T02:00:00")


def test_calendar_periods_begin_with_the_calendars_own() -> None:
    at = utc("2022-05-18T12:00:00")
    begun = {unit: f"{period_at(calendar_cycle(unit, 1, 'UTC'), at).start:%m-%d}" for unit in UNITS}
    assert begun == {
        "day": "05-18",
        "week": "05-16",
        "month": "05-01",
        "quarter": "04-01",
        "half_year": "01-01",
        "year": "01-01",
    }
    assert f"{period_at(calendar_cycle('month', 2, 'UTC'), at).start:%m-%d}" == "05-01"


def test_hours_elapse() -> None:
    cycle = Cycle(anchor=utc("2024-03-10T00:00:00"), step=parse_duration("PT36H"), zone="America/New_York")
    assert start_of(cycle, 1) == utc("2024-03-11T12:00:00")


def test_the_left_out_day_of_samoa_has_no_length() -> None:
    daily = calendar_cycle("day", 1, "Pacific/Apia")
    found = period_at(daily, utc("2011-12-30T10:00:00"))
    assert found.end - found.start == timedelta(days=1)
    empty = period(daily, index_at(daily, found.start) - 1)
    assert empty.start == empty.end
    assert boundary_before(daily, found.start, inclusive=False) == found.start - timedelta(days=1)


@pytest.mark.parametrize(
    ("step", "begins"),
    [(Duration(), "instant"), (Duration(months=-1), "instant"), (Duration(microseconds=1), "midnight")],
)
def test_periods_without_a_usable_length_are_refused(step: Duration, begins: Starts) -> None:
    with pytest.raises(DurationInvalid):
        Cycle(anchor=utc("2024-01-01T00:00:00"), step=step, zone="UTC", starts=begins)


def test_first_and_last_periods_are_cut_where_the_contract_starts_and_ends() -> None:
    march = Period(utc("2024-03-01T00:00:00"), utc("2024-04-01T00:00:00"))
    started, ended = utc("2024-03-05T00:00:00"), utc("2024-03-20T00:00:00")
    assert clipped(march, started_at=started, ended_at=ended) == Period(started, ended)
    assert clipped(march, started_at=utc("2024-02-01T00:00:00"), ended_at=march.end) == march
    assert clipped(march, started_at=None, ended_at=None) == march


def test_wall_clock_days_count_begun_ones_whole() -> None:
    zone = "Europe/Paris"
    assert days_between(utc("2023-08-31T23:10:00"), utc("2023-09-30T22:59:59"), zone) == 30
    assert days_between(utc("2023-02-28T23:10:00"), utc("2023-03-31T21:59:59"), zone) == 31
    assert days_between(utc("2023-08-31T22:00:00"), utc("2023-09-30T22:00:00"), zone) == 31
