"""Parts: the stretches that the usage read model is cut into. Segments are made of whole ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.contracts import Contracts, contract_at
from ledger.domain.events import ContractEnded, ContractPaused, ContractPlanChanged, ContractResumed
from ledger.domain.periods import Period
from ledger.domain.segments import part_at, period_of, segments
from tests.domain.agreed import ON_MAX, PLANS, folded, started, utc

ZONE = "Europe/Paris"
BUSY = folded(
    started("2026-01-05T10:30:00"),
    ContractPaused(account="acme", effective_at=utc("2026-01-10")),
    ContractResumed(account="acme", effective_at=utc("2026-01-12T06:00:00")),
    ContractPlanChanged(account="acme", effective_at=utc("2026-02-20"), choice=ON_MAX),
    ContractPaused(account="acme", effective_at=utc("2026-03-20")),
    ContractEnded(account="acme", effective_at=utc("2026-03-25T00:00:01")),
)
instants = st.datetimes(
    min_value=utc("2025-12-20").replace(tzinfo=None), max_value=utc("2026-05-01").replace(tzinfo=None)
)


@pytest.mark.parametrize(
    ("instant", "start", "end"),
    [
        ("2025-12-25", "2025-11-30T23:00", "2025-12-31T23:00"),
        ("2026-01-02", "2025-12-31T23:00", "2026-01-05T10:30"),
        ("2026-01-05T10:30", "2026-01-05T10:30", "2026-01-10"),
        ("2026-01-11", "2026-01-10", "2026-01-12T06:00"),
        ("2026-02-19T23:59:59", "2026-01-31T23:00", "2026-02-20"),
        ("2026-03-24", "2026-03-20", "2026-03-25T00:00:01"),
        ("2026-03-26", "2026-03-25T00:00:01", "2026-03-31T22:00"),
    ],
)
def test_a_part_begins_and_ends_where_something_changes(instant: str, start: str, end: str) -> None:
    assert part_at(BUSY, PLANS, utc(instant), ZONE) == Period(utc(start), utc(end))


def test_a_contract_that_goes_on_has_whole_periods_for_parts() -> None:
    running = folded(started("2026-01-05T10:30:00"))
    february = Period(utc("2026-01-31T23:00"), utc("2026-02-28T23:00"))
    assert part_at(running, PLANS, utc("2026-02-10"), ZONE) == february


def test_without_a_contract_parts_are_the_calendar_s_months() -> None:
    state: Contracts = ()
    assert part_at(state, PLANS, utc("2026-03-31T21:59:59"), ZONE) == Period(
        utc("2026-02-28T23:00"), utc("2026-03-31T22:00")
    )


@given(instants)
def test_parts_tile_time_and_no_segment_cuts_one(instant_without_zone: object) -> None:
    instant = utc(str(instant_without_zone))
    part = part_at(BUSY, PLANS, instant, ZONE)
    assert instant in part
    assert part_at(BUSY, PLANS, part.end, ZONE).start == part.end
    contract = contract_at(BUSY, instant)
    if contract is not None:
        period = period_of(contract, PLANS, instant, ZONE)
        spans = [span for segment in segments(contract, PLANS, period, ZONE) for span in segment.spans]
        assert all(
            (span.start <= part.start and part.end <= span.end) or part.end <= span.start or span.end <= part.start
            for span in spans
        )
