"""Segments: the parts of a period with one plan version each, and the share of the period that falls on each."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.agreements import ContractTerms, PlanChoice
from ledger.domain.contracts import ContractEvent
from ledger.domain.events import ContractEnded, ContractPaused, ContractPlanChanged, ContractResumed
from ledger.domain.periods import Period
from ledger.domain.plans import Plan
from ledger.domain.pricing import Convention
from ledger.domain.proration import WHOLE, Share
from ledger.domain.segments import NOTHING, Segment, period_of, segments, shares
from tests.domain.agreed import IN_EUR, JANUARY, MAX, ON_MAX, ON_PRO, PLANS, PRO, contract, plan, started, utc


def moved(at: str, choice: PlanChoice = ON_MAX) -> ContractPlanChanged:
    return ContractPlanChanged(account="acme", effective_at=utc(at), choice=choice)


def paused(at: str) -> ContractPaused:
    return ContractPaused(account="acme", effective_at=utc(at))


def resumed(at: str) -> ContractResumed:
    return ContractResumed(account="acme", effective_at=utc(at))


def ended(at: str) -> ContractEnded:
    return ContractEnded(account="acme", effective_at=utc(at))


def found(*past: ContractEvent, zone: str = "UTC", plans: dict[str, Plan] = PLANS) -> list[Segment]:
    return segments(contract(*past), plans, JANUARY, zone)


def told(*past: ContractEvent) -> list[tuple[str, str, str]]:
    """Plan, beginning and end of each span of January's segments, as days and hours."""
    return [
        (segment.plan, f"{span.start:%dT%H}", f"{span.end:%dT%H}") for segment in found(*past) for span in segment.spans
    ]


@pytest.mark.parametrize(
    ("past", "then"),
    [
        ([started()], [("pro", "01T00", "01T00")]),
        ([started("2025-12-24")], [("pro", "01T00", "01T00")]),
        ([started("2026-01-10T06:00")], [("pro", "10T06", "01T00")]),
        ([started("2026-02-01")], []),
        ([started(), ended("2026-01-10")], [("pro", "01T00", "10T00")]),
        ([started("2025-12-24"), ended("2026-01-01")], []),
        ([started(), ended("2026-02-01")], [("pro", "01T00", "01T00")]),
        ([started(), moved("2026-01-10")], [("pro", "01T00", "10T00"), ("max", "10T00", "01T00")]),
        ([started("2025-12-24"), moved("2026-01-01")], [("max", "01T00", "01T00")]),
        ([started(), moved("2026-02-01")], [("pro", "01T00", "01T00")]),
        ([started(), moved("2026-01-10"), ended("2026-01-10")], [("pro", "01T00", "10T00")]),
        (
            [started(), moved("2026-01-10"), ended("2026-01-20")],
            [("pro", "01T00", "10T00"), ("max", "10T00", "20T00")],
        ),
        ([started(), paused("2026-01-01"), resumed("2026-01-12")], [("pro", "12T00", "01T00")]),
        ([started(), paused("2026-01-10")], [("pro", "01T00", "10T00")]),
        (
            [started(), paused("2026-01-10"), resumed("2026-01-12")],
            [("pro", "01T00", "10T00"), ("pro", "12T00", "01T00")],
        ),
        ([started("2025-12-24"), paused("2025-12-25"), resumed("2026-01-12")], [("pro", "12T00", "01T00")]),
        ([started("2025-12-24"), paused("2025-12-25"), resumed("2025-12-26")], [("pro", "01T00", "01T00")]),
        ([started("2025-12-24"), paused("2025-12-25")], []),
        ([started(), paused("2026-01-10"), resumed("2026-02-01")], [("pro", "01T00", "10T00")]),
        ([started(), paused("2026-02-01")], [("pro", "01T00", "01T00")]),
        (
            [started(), paused("2026-01-10"), moved("2026-01-11"), resumed("2026-01-12"), paused("2026-01-20")],
            [("pro", "01T00", "10T00"), ("max", "12T00", "20T00")],
        ),
    ],
)
def test_a_period_falls_into_segments_by_start_change_pause_and_end(
    past: list[ContractEvent], then: list[tuple[str, str, str]]
) -> None:
    assert told(*past) == then


def test_a_pause_does_not_split_a_segment() -> None:
    [segment] = found(started(), paused("2026-01-10"), resumed("2026-01-12"))
    assert (segment.start, segment.end, len(segment.spans)) == (JANUARY.start, JANUARY.end, 2)


def test_a_contract_follows_its_plan_from_the_next_period_on_unless_its_version_is_pinned() -> None:
    plans = {"pro": plan("pro", PRO, MAX, valid_from=(utc("2026-01-10"),))}
    past = started(choice=PlanChoice(plan="pro"))
    february = Period(JANUARY.end, utc("2026-03-01"))
    versions = [segments(contract(past), plans, period, "UTC")[0].version for period in (JANUARY, february)]
    assert versions == [1, 2]
    pinned = contract(started(choice=PlanChoice(plan="pro", version=1)))
    [segment] = segments(pinned, plans, february, "UTC")
    assert (segment.version, segment.terms) == (1, PRO)


@pytest.mark.parametrize(
    ("convention", "past", "then"),
    [
        ("days", [started()], [WHOLE]),
        ("days", [started("2026-01-10T18:00")], [Share(22, 31)]),
        ("days", [started(), moved("2026-01-10T18:00")], [Share(9, 31), Share(22, 31)]),
        ("days", [started(), ended("2026-01-10T18:00")], [Share(10, 31)]),
        ("days", [started(), ended("2026-01-10T00:00")], [Share(9, 31)]),
        ("days", [started(), paused("2026-01-10T18:00"), resumed("2026-01-10T19:00")], [Share(31, 31)]),
        ("days", [started(), paused("2026-01-10T18:00"), resumed("2026-01-12T06:00")], [Share(30, 31)]),
        (
            "days",
            [started(), moved("2026-01-10T06:00"), moved("2026-01-10T18:00", ON_PRO)],
            [Share(9, 31), Share(0, 31), Share(22, 31)],
        ),
        ("none", [started(), moved("2026-01-10")], [NOTHING, WHOLE]),
        ("none", [started("2026-01-10")], [WHOLE]),
    ],
)
def test_each_segment_has_its_share_of_the_period(convention: Convention, past: list[Any], then: list[Share]) -> None:
    agreed = ContractTerms(currency="EUR", proration=convention)
    first, *more = past
    of_contract = contract(started(f"{first.started_at:%Y-%m-%dT%H:%M}", agreed=agreed), *more)
    assert [segment.share for segment in segments(of_contract, PLANS, JANUARY, "UTC")] == then


def test_without_proration_an_amount_in_advance_falls_on_the_first_part() -> None:
    halves = [[Period(JANUARY.start, utc("2026-01-10"))], [Period(utc("2026-01-10"), JANUARY.end)]]
    assert shares(halves, JANUARY, "UTC", "none", "in_advance") == [WHOLE, NOTHING]


INSTANTS = st.integers(min_value=1, max_value=31 * 24 * 3600 - 1).map(
    lambda seconds: JANUARY.start + timedelta(seconds=seconds)
)


@given(st.lists(INSTANTS, max_size=5, unique=True), st.sampled_from(("elapsed_time", "days")))
def test_the_shares_of_a_period_without_pause_add_up_to_all_of_it(
    changes: list[datetime], convention: Convention
) -> None:
    agreed = ContractTerms(currency="EUR", alignment="calendar", proration=convention)
    switches = [
        ContractPlanChanged(account="acme", effective_at=at, choice=ON_MAX if number % 2 else ON_PRO)
        for number, at in enumerate(sorted(changes))
    ]
    parts = segments(contract(started(agreed=agreed), *switches), PLANS, JANUARY, "UTC")
    assert len(parts) == len(changes) + 1
    assert sum(part.share.numerator for part in parts) == parts[0].share.denominator
    assert [part.index for part in parts] == list(range(len(parts)))
    spans = [span for part in parts for span in part.spans]
    assert all(one.end == other.start for one, other in pairwise(spans))


@given(INSTANTS, INSTANTS)
def test_what_is_paused_is_missing_from_the_share(one: datetime, other: datetime) -> None:
    start, end = sorted((one, other + timedelta(seconds=1)))
    pause = ContractPaused(account="acme", effective_at=start)
    resume = ContractResumed(account="acme", effective_at=end)
    [segment] = found(started(), pause, resume)
    length = JANUARY.end - JANUARY.start
    assert timedelta(microseconds=segment.share.numerator) == length - (end - start)


@pytest.mark.parametrize(
    ("agreed", "start", "end"),
    [
        (IN_EUR, "2026-02-28T23:00", "2026-03-31T22:00"),
        (ContractTerms(currency="EUR"), "2026-02-28T10:30", "2026-03-31T09:30"),
        (ContractTerms(currency="EUR", starts="midnight"), "2026-02-27T23:00", "2026-03-30T22:00"),
        (ContractTerms(currency="EUR", anchor=utc("2025-12-15T10:00")), "2026-03-15T10:00", "2026-04-15T09:00"),
        (ContractTerms(currency="EUR", anchor_day=16), "2026-03-16T10:30", "2026-04-16T09:30"),
    ],
)
def test_periods_begin_with_the_calendar_or_at_the_anchor(agreed: ContractTerms, start: str, end: str) -> None:
    of_contract = contract(started("2025-12-31T10:30", agreed=agreed))
    period = period_of(of_contract, PLANS, utc("2026-03-20"), "Europe/Paris")
    assert period == Period(utc(start), utc(end))


def test_a_period_is_as_long_as_the_plan_says() -> None:
    of_contract = contract(
        started("2026-01-05", choice=PlanChoice(plan="weekly"), agreed=ContractTerms(currency="EUR"))
    )
    assert period_of(of_contract, PLANS, utc("2026-01-20"), "UTC") == Period(utc("2026-01-19"), utc("2026-02-02"))


def test_a_short_day_counts_whole() -> None:
    agreed = ContractTerms(currency="EUR", alignment="calendar", proration="days")
    of_contract = contract(
        started("2026-02-28T23:00", agreed=agreed), ContractEnded(account="acme", effective_at=utc("2026-03-29T12:00"))
    )
    march = period_of(of_contract, PLANS, utc("2026-03-10"), "Europe/Paris")
    [segment] = segments(of_contract, PLANS, march, "Europe/Paris")
    assert segment.share == Share(29, 31)


def test_the_begun_day_at_the_end_of_a_period_is_no_day_of_it() -> None:
    agreed = ContractTerms(currency="EUR", proration="days")
    past = (started("2026-01-15T10:00", agreed=agreed), moved("2026-02-14T18:00"), moved("2026-02-15T09:00", ON_PRO))
    of_contract = contract(*past)
    period = period_of(of_contract, PLANS, utc("2026-01-20"), "UTC")
    assert [part.share for part in segments(of_contract, PLANS, period, "UTC")] == [
        Share(30, 31),
        Share(1, 31),
        Share(0, 31),
    ]
