"""Bisection finds the minutes in which two sums part, by few reads of the platform."""

from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.reconciliation.bisection import DAY, HOUR, MINUTE, Bisected, LastRead, Read, bisect, last_reading
from ledger.domain.reconciliation.comparing import Sums, Tolerance

D = Decimal
START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
EXACTLY = Tolerance()
Usage = Mapping[datetime, Decimal]
"""By minute."""


def total(usage: Usage, start: datetime, end: datetime) -> Decimal:
    return sum((value for minute, value in usage.items() if start <= minute < end), D(0))


def answered(read: Read, ours: Usage, theirs: Usage) -> list[Sums]:
    """As a platform answers: by whole steps of UTC, those without usage on either side left out."""
    step = {"day": DAY, "hour": HOUR, None: read.end - read.start}[read.by]
    assert read.start < read.end
    for bound in (read.start, read.end):
        assert not (bound - datetime.min.replace(tzinfo=UTC)) % (MINUTE if read.by is None else step)
    starts = [read.start + number * step for number in range((read.end - read.start) // step)]
    sums = [Sums(at, at + step, total(ours, at, at + step), total(theirs, at, at + step)) for at in starts]
    return [one for one in sums if one.ours or one.theirs or read.by is None]


def run(plan: Generator[Read, Sequence[Sums], Any], ours: Usage, theirs: Usage) -> Any:
    try:
        read = next(plan)
        while True:
            read = plan.send(answered(read, ours, theirs))
    except StopIteration as stopped:
        return stopped.value


def parted(ours: Usage, theirs: Usage, start: datetime = START, end: datetime = END, **bounds: int) -> Bisected:
    whole = Sums(start, end, total(ours, start, end), total(theirs, start, end))
    found: Bisected = run(bisect(whole, EXACTLY, **bounds), ours, theirs)
    return found


def month(seed: int = 1, every: int = 7) -> dict[datetime, Decimal]:
    chance = Random(seed)
    minutes = (END - START) // MINUTE
    return {START + number * MINUTE: D(chance.randint(1, 9)) for number in range(0, minutes, every)}


def test_sums_that_agree_are_not_looked_into() -> None:
    usage = month()
    assert parted(usage, usage) == Bisected((), (), 0, is_exhausted=False)


def test_one_lost_event_of_a_month_is_found_by_eight_reads() -> None:
    """One for the days, one for the hours, six for the minute."""
    ours = month()
    lost = START + timedelta(days=17, hours=5, minutes=21)
    ours[lost] = D(4)
    theirs = {minute: value for minute, value in ours.items() if minute != lost}

    found = parted(ours, theirs)

    assert [(one.start, one.end, one.gap) for one in found.minutes] == [(lost, lost + MINUTE, D(4))]
    assert found.calls <= 8
    assert not found.unresolved


@pytest.mark.parametrize("minutes_in", [0, 1, 44_638])
def test_the_first_and_the_last_minute_of_a_period_off_the_hours_are_found(minutes_in: int) -> None:
    start, end = START + timedelta(hours=9, minutes=34), END + timedelta(hours=9, minutes=34)
    lost = min(start + minutes_in * MINUTE, end - MINUTE)
    ours = {**month(), lost: D(3)}

    found = parted(ours, {**ours, lost: D(0)}, start, end)

    assert [one.start for one in found.minutes] == [lost]
    assert found.calls <= 20


def test_usage_that_moved_to_another_day_is_found_in_both_minutes() -> None:
    """The sums of the period agree but for something else; each day and hour is held against its own."""
    ours = month()
    left, reached = START + timedelta(days=3, minutes=5), START + timedelta(days=9, minutes=50)
    theirs = {**ours, left: ours.get(left, D(0)) - 2, reached: ours.get(reached, D(0)) + 3}

    found = parted(ours, theirs)

    assert [(one.start, one.gap) for one in found.minutes] == [(left, D(2)), (reached, D(-3))]


def test_no_more_reads_are_made_than_allowed_and_what_is_left_is_told() -> None:
    ours = month()
    theirs = dict.fromkeys(ours, D(0))

    found = parted(ours, theirs, calls_max=30)

    assert found.calls <= 30
    assert found.is_exhausted
    assert sum(one.gap for one in (*found.minutes, *found.unresolved)) == total(ours, START, END)


def test_no_more_minutes_are_told_than_allowed() -> None:
    ours = month()
    found = parted(ours, {}, calls_max=10_000, minutes_max=5)
    assert len(found.minutes) == 5
    assert found.unresolved
    assert not found.is_exhausted


def test_what_the_tolerance_lets_pass_is_not_looked_into() -> None:
    whole = Sums(START, END, D("100.00000000000001"), D("100"))
    assert run(bisect(whole, EXACTLY), {}, {}).calls == 0
    assert run(bisect(whole, Tolerance(relative=D(0)), calls_max=1), {}, {}).is_exhausted


@given(
    st.lists(st.integers(0, 2_999), min_size=1, max_size=4, unique=True),
    st.integers(0, 5_000),
    st.sampled_from([D(1), D("-2.5")]),
)
def test_every_parting_minute_is_found_and_the_gaps_add_up(places: list[int], shift: int, step: Decimal) -> None:
    """Whatever the bounds of the period: all gaps have one sign, so that none hides another."""
    start = START + shift * MINUTE
    end = start + 3_000 * MINUTE
    ours = {start + number * MINUTE: D(1) for number in range(0, 3_000, 11)}
    theirs = dict(ours)
    for number, place in enumerate(places, start=1):
        minute = start + place * MINUTE
        theirs[minute] = theirs.get(minute, D(0)) - step * number

    found = parted(ours, theirs, start, end)

    assert [one.start for one in found.minutes] == sorted(start + place * MINUTE for place in places)
    assert sum(one.gap for one in found.minutes) == total(ours, start, end) - total(theirs, start, end)
    assert found.calls <= 60


@given(st.lists(st.integers(0, 2_999), max_size=4, unique=True), st.integers(0, 5_000))
def test_the_minute_of_the_last_reading_is_found(places: list[int], shift: int) -> None:
    start = START + shift * MINUTE
    end = start + 3_000 * MINUTE
    theirs = {start + place * MINUTE: D(1) for place in places}

    def heard(read: Read) -> list[Sums]:
        return [one for one in answered(read, {}, theirs) if one.theirs]

    plan = last_reading(start, end)
    found: LastRead | None = None
    try:
        read = next(plan)
        while True:
            read = plan.send(heard(read))
    except StopIteration as stopped:
        found = stopped.value

    assert found is not None
    assert found.minute == max(theirs, default=None)
    assert found.calls <= 30
