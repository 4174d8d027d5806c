"""Closed periods: in order, once, never changed; and what becomes of usage that comes later."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from ledger.commands.closings import AssessLateUsage, ClosePeriods, assess_late_usage, close_periods
from ledger.domain.adjustment_events import Adjustment, AdjustmentProposed
from ledger.domain.agreements import Commitment, CreditGrant, LatePolicy, PlanChoice
from ledger.domain.charges import Charge, PerUnit
from ledger.domain.closing import Asked, ClosePeriod, Rating, rated, require_due
from ledger.domain.closing_events import LateUsageAssessed
from ledger.domain.closing_refusals import PeriodNotClosed, PeriodOutOfOrder, PeriodsAllClosed
from ledger.domain.closings import balance
from ledger.domain.contracting import (
    EndContract,
    GrantCredit,
    PauseContract,
    ResumeContract,
    StartContract,
)
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.refusals import LedgerBusy
from ledger.projections import ratings
from ledger.projections.credit_balances import credit_balances
from ledger.projections.invoices import Projected, projected_invoice
from ledger.projections.late_usage import late_events
from ledger.projections.ratings import Ratings
from tests.log.ledgers import METADATA
from tests.projections.closing_worlds import (
    LONG_AGO,
    TODAY,
    adjust,
    agree,
    approve,
    assess,
    bill,
    close,
    closed_bytes,
    closings,
    rated_now,
    tell,
    used,
)
from tests.projections.worlds import World

EURO = Charge(model=PerUnit(unit_amount=Decimal(1)))


def day(month: int, day: int = 1, hour: int = 0) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def euros(amount: int) -> Money:
    return Money(amount * 100, "EUR")


async def test_periods_close_in_order_without_gap_or_overlap(world: World) -> None:
    await bill(world, zone="Europe/Paris")
    done = await close(world, day(6, 2))
    periods = [closed.period for closed in closings(world)]
    assert done.starts == [period.start for period in periods]
    assert periods[0].start == LONG_AGO
    assert all(one.end == other.start for one, other in pairwise(periods))
    assert periods[-1].end == datetime(2026, 5, 31, 22, tzinfo=UTC)


def test_only_the_next_period_can_be_closed(world: World) -> None:
    due = Period(day(2), day(3))
    command = ClosePeriod("acme", day(3), "test")
    with pytest.raises(PeriodOutOfOrder) as refused:
        require_due(command, (object(),), due, until=TODAY)  # type: ignore[arg-type]
    assert refused.value.next_start == day(2)


@pytest.mark.parametrize(
    ("start", "hours"), [(datetime(2026, 3, 28, 23, tzinfo=UTC), 23), (datetime(2026, 10, 24, 22, tzinfo=UTC), 25)]
)
async def test_days_of_23_and_25_hours_are_closed_whole(world: World, start: datetime, hours: int) -> None:
    await bill(world, zone="Europe/Paris", plan={"interval": "day"}, price=EURO, started_at=start)
    await tell(world, *(used(hour, start + timedelta(hours=hour), 1) for hour in range(-2, 30)))
    await close(world, start + timedelta(hours=hours))
    [closed] = closings(world)
    assert (closed.event.end - closed.event.start, closed.event.rated) == (timedelta(hours=hours), euros(hours))


async def test_a_contract_that_ends_in_mid_period_closes_with_it_and_the_next_one_goes_on(world: World) -> None:
    await bill(world, price=EURO)
    await agree(world, EndContract("acme", day(2, 10)))
    await tell(world, used(1, day(2, 9), 5), used(2, day(2, 12), 7), used(3, day(2, 20), 11))
    with_gap = await close(world, day(3))
    assert with_gap.starts == [LONG_AGO, day(2)]
    last = closings(world)[-1]
    assert (last.event.end, last.event.rated) == (day(2, 10), euros(5))
    with pytest.raises(PeriodsAllClosed):
        require_due(ClosePeriod("acme", day(3), "x"), world.follower.catalogue.contracts["acme"], None, until=TODAY)
    terms = world.follower.catalogue.contracts["acme"][0].terms
    await agree(world, StartContract("acme", day(2, 15), PlanChoice(plan="pro"), terms))
    await close(world, day(3))
    last = closings(world)[-1]
    assert (last.period, last.event.rated) == (Period(day(2, 15), day(3)), euros(11)), "in the same calendar month"


async def test_paused_time_is_closed_and_bills_nothing(world: World) -> None:
    await bill(world, price=EURO)
    await agree(world, PauseContract("acme", day(2)))
    await agree(world, ResumeContract("acme", day(3, 10)))
    await tell(world, used(1, day(2, 5), 5), used(2, day(3, 5), 7), used(3, day(3, 15), 11))
    await close(world, day(4))
    assert [closed.event.rated for closed in closings(world)] == [euros(0), euros(0), euros(11)]


async def test_racers_close_a_period_once(world: World) -> None:
    """Fails where the second of two racers does not look at what the first wrote."""
    await bill(world)
    await tell(world, used(1, day(1, 5), 10))
    await world.follower.refresh()
    log, catalogue = world.ledger.log, world.follower.catalogue
    gate = asyncio.Barrier(4)

    async def rate(asked: Asked) -> Rating:
        found = await Ratings(world.ledger.pool, log, now=TODAY).rate(asked)
        if asked.start == LONG_AGO:
            await gate.wait()
        return found

    command = ClosePeriods("acme", day(2), "test")
    nows = [TODAY + timedelta(seconds=number) for number in range(4)]
    done = await asyncio.gather(
        *(close_periods(log, catalogue, rate, command, now=now, metadata=METADATA) for now in nows)
    )
    assert len({one.position for one in done}) == 1
    assert len(await closed_bytes(world)) == 2


async def test_usage_after_the_watermark_is_late_even_before_the_append(world: World) -> None:
    await bill(world, price=EURO)
    await tell(world, used(1, day(1, 5), 10))
    log, catalogue = world.ledger.log, world.follower.catalogue
    await world.follower.refresh()

    async def rate(asked: Asked) -> Rating:
        found = await Ratings(world.ledger.pool, log, now=TODAY).rate(asked)
        await tell(world, used(2, day(1, 6), 3))
        return found

    command = ClosePeriods("acme", day(2), "test")
    await close_periods(log, catalogue, rate, command, now=TODAY, metadata=METADATA)
    found = await assess(world, LONG_AGO)
    [closed] = closings(world)
    assert closed.event.rated == euros(10)
    assert found.assessment is not None
    assert found.assessment.difference == euros(3)


async def decide_during_rating(world: World, monkeypatch: pytest.MonkeyPatch, *, times: int) -> list[int]:
    """Let a grant of a euro be decided, and seen by the read model, between catalogue and invoice of a rating."""
    project, calls = projected_invoice, list[int]()

    async def meanwhile(*asked: Any, **how: Any) -> Projected:
        calls.append(len(calls))
        if len(calls) <= times:
            await agree(world, GrantCredit("acme", grant(f"late{len(calls)}", 1)))
        return await project(*asked, **how)

    monkeypatch.setattr(ratings, "projected_invoice", meanwhile)
    return calls


async def test_a_decision_during_the_rating_makes_it_look_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where the catalogue is not caught up after the rating: it would say to have seen the grant, and has not."""
    await bill(world, price=EURO)
    await tell(world, used(1, day(1, 5), 10))
    calls = await decide_during_rating(world, monkeypatch, times=2)
    found = await Ratings(world.ledger.pool, world.ledger.log, now=TODAY).rate(Asked("acme", LONG_AGO, {}))
    assert found.position == (await world.ledger.log.head()).position
    assert (found.invoice.credited, len(calls)) == (euros(2), 3)


async def test_a_rating_gives_up_where_decisions_never_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await bill(world, price=EURO)
    calls = await decide_during_rating(world, monkeypatch, times=1_000)
    with pytest.raises(LedgerBusy):
        await close(world, day(2))
    assert len(calls) == ratings.ATTEMPTS_MAX
    assert await closed_bytes(world) == {}


def grant(key: str, amount: int) -> CreditGrant:
    return CreditGrant(grant=key, label=key.title(), amount=euros(amount), effective_at=LONG_AGO)


async def test_credit_that_a_closed_period_took_is_not_spent_twice(world: World) -> None:
    """Fails where the chain rates closed periods anew: January would take more of the grant, and February less."""
    await bill(world, price=EURO)
    await agree(world, GrantCredit("acme", grant("prepaid", 30)))
    await tell(world, used(1, day(1, 5), 10), used(2, day(2, 5), 50))
    await close(world, day(2))
    await tell(world, used(3, day(1, 6), 15))
    february = await rated_now(world, day(2, 5))
    assert [credit.money for credit in february.credits] == [euros(20)]
    owner = world.follower.catalogue.accounts["acme"]
    _, [balanced] = await credit_balances(
        world.ledger.pool, world.ledger.log, world.follower.catalogue, owner, day(2, 5), now=TODAY
    )
    assert [one.used for one in balanced.periods] == [euros(10), euros(20)]
    assert balanced.left == euros(0)
    await close(world, day(3))
    assert [closed.event.credits["prepaid"] for closed in closings(world)] == [euros(10), euros(20)]


async def test_a_commitment_in_total_counts_what_was_billed(world: World) -> None:
    total = Commitment(key="year", label="Commitment", amount=Decimal(100), per="total", until=day(4))
    await bill(world, price=EURO, commitments=(total,))
    await tell(world, used(1, day(1, 5), 30), used(2, day(2, 5), 20))
    await close(world, day(3))
    assert rated(await rated_now(world, day(3, 5))) == euros(50)
    await tell(world, used(3, day(1, 6), 15))
    assert rated(await rated_now(world, day(3, 5))) == euros(50), "nobody was billed for it yet"
    await assess(world, LONG_AGO)
    assert rated(await rated_now(world, day(3, 5))) == euros(35)


async def test_carried_late_usage_is_due_with_the_first_open_period(world: World) -> None:
    await bill(world)
    await tell(world, used(1, day(1, 5), 90))
    await close(world, day(3))
    before = await closed_bytes(world)
    first, last = await tell(world, used(2, day(1, 6), 15), used(3, day(1, 7), 5))
    found = await assess(world, LONG_AGO)
    assert found.assessment is not None
    assert found.assessment.difference == Money(150, "EUR"), "ten units in each tier"
    key = found.assessment.adjustment
    assert key is not None
    proposed = world.follower.catalogue.adjustments["acme"][key].proposed
    assert (proposed.proposed_by, proposed.adjustment.kind, proposed.adjustment.at) == ("ledger", "debit", day(3))
    assert [one.reference for one in proposed.adjustment.evidence] == [
        str(first),
        str(last),
        str(closings(world)[0].at_position + 1),
    ]
    await approve(world, key)
    assert (await rated_now(world, day(3, 5))).total == Money(150, "EUR")
    assert (await assess(world, LONG_AGO)).assessment is None, "what was adjusted is no late usage"
    assert balance(closings(world)[0], world.follower.catalogue.adjustments["acme"]) == Money(900, "EUR")
    assert await closed_bytes(world) == before


@pytest.mark.parametrize(
    ("action", "told", "expected"),
    [("bill_now", 5, "bill_now"), ("credit", 5, "absorb"), ("absorb", 5, "absorb"), ("carry_forward", 0, None)],
)
async def test_late_usage_is_settled_by_the_contracts_policy(
    world: World, action: str, told: int, expected: str | None
) -> None:
    await bill(world, price=EURO, late_usage=LatePolicy(action=action))  # type: ignore[arg-type]
    await close(world, day(2))
    await tell(world, used(1, day(1, 6), told))
    found = await assess(world, LONG_AGO)
    assert (None if found.assessment is None else found.assessment.action) == expected
    adjustments = world.follower.catalogue.adjustments.get("acme", {})
    assert [one.adjustment.at for one in adjustments.values()] == ([LONG_AGO] if expected == "bill_now" else [])


async def test_what_is_taken_out_of_a_closed_period_is_given_back(world: World) -> None:
    await bill(world, price=EURO, late_usage=LatePolicy(action="credit"))
    await tell(world, used(1, day(1, 6), 8))
    await close(world, day(2))
    minus = Adjustment(
        adjustment="twice", kind="usage", at=day(1, 7), reason="fault", note="", meter="tokens", quantity=Decimal(-3)
    )
    await adjust(world, minus)
    found = await assess(world, LONG_AGO)
    assert found.assessment is not None
    assert (found.assessment.difference, found.assessment.action) == (euros(-3), "credit")
    key = found.assessment.adjustment
    assert key is not None
    await approve(world, key)
    [closed] = closings(world)
    assert balance(closed, world.follower.catalogue.adjustments["acme"]) == euros(5)
    assert closed.event.total == euros(8)


async def test_money_adjusted_after_the_close_is_a_note_and_before_it_a_line(world: World) -> None:
    await bill(world, price=EURO)
    await tell(world, used(1, day(1, 6), 8))
    before = Adjustment(adjustment="a", kind="credit", at=day(1, 7), reason="r", note="", amount=euros(2))
    await adjust(world, before)
    await close(world, day(2))
    after = Adjustment(adjustment="b", kind="write_off", at=day(1, 7), reason="r", note="", amount=euros(1))
    await adjust(world, after)
    [closed] = closings(world)
    event = closed.event
    assert (event.rated, event.adjusted, event.total, event.adjustments) == (euros(8), euros(-2), euros(6), ("a",))
    assert balance(closed, world.follower.catalogue.adjustments["acme"]) == euros(5)
    assert (await assess(world, LONG_AGO)).assessment is None


async def test_racing_assessments_propose_once(world: World) -> None:
    """Fails where an assessment does not take the next version of the period's stream."""
    await bill(world, price=EURO)
    await close(world, day(2))
    await tell(world, used(1, day(1, 6), 5))
    log, catalogue = world.ledger.log, world.follower.catalogue
    await world.follower.refresh()
    gate = asyncio.Barrier(3)
    waited = 0

    async def rate(asked: Asked) -> Rating:
        nonlocal waited
        found = await Ratings(world.ledger.pool, log, now=TODAY).rate(asked)
        waited += 1
        if waited <= 3:
            await gate.wait()
        return found

    async def settle(number: int) -> LateUsageAssessed | None:
        command, now = AssessLateUsage("acme", LONG_AGO), TODAY + timedelta(seconds=number)
        return (await assess_late_usage(log, catalogue, rate, command, now=now, metadata=METADATA)).assessment

    async with asyncio.timeout(20):
        await world.project()
        projecting = asyncio.create_task(world.projector.run())
        found = await asyncio.gather(*map(settle, range(3)))
        projecting.cancel()
    assert sum(one is not None for one in found) == 1
    proposed = [event for _, event in await world.ledger.events() if isinstance(event, AdjustmentProposed)]
    assert len(proposed) == 1


async def test_a_period_that_is_not_closed_is_not_assessed(world: World) -> None:
    await bill(world)
    with pytest.raises(PeriodNotClosed):
        await assess(world, LONG_AGO)


async def test_late_events_are_those_told_or_put_right_after_the_close(world: World) -> None:
    await bill(world, price=EURO)
    [before] = await tell(world, used(1, day(1, 6), 5))
    [held] = await tell(world, used(2, day(1, 6), 5).__class__(**_held()))
    await close(world, day(2))
    [late] = await tell(world, used(3, day(1, 8), 1))
    await tell(world, used(4, day(2, 8), 1))
    dismissed = await world.dismiss(held)
    owner, [closed] = world.follower.catalogue.accounts["acme"], closings(world)
    head = (await world.ledger.log.head()).position
    page = await late_events(world.ledger.log, owner, closed.period, after=closed.event.position, up_to=head, limit=100)
    assert [one.position for one in page.events] == [late, dismissed]
    assert before <= closed.event.position


def _held() -> dict[str, Any]:
    event = used(2, day(1, 6), 5)
    return {
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "subject": event.subject,
        "time": event.time,
        "data": {"tokens": "many"},
    }
