"""A world whose account is billed, closed and adjusted, for tests of closed periods."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ledger.commands.adjustments import change_adjustment
from ledger.commands.closings import (
    Assessed,
    AssessLateUsage,
    ClosedPeriods,
    ClosePeriods,
    assess_late_usage,
    close_periods,
)
from ledger.commands.contracts import change_contract
from ledger.commands.plans import change_plan
from ledger.domain.accounts import OpenAccount
from ledger.domain.adjusting import ApproveAdjustment
from ledger.domain.adjustment_events import Adjustment, AdjustmentApproved, AdjustmentProposed
from ledger.domain.agreements import ContractTerms, PlanChoice
from ledger.domain.charges import Charge, Graduated
from ledger.domain.closings import Closed
from ledger.domain.contracting import ContractCommand, StartContract
from ledger.domain.events import UsageRecorded
from ledger.domain.invoices import Invoice
from ledger.domain.money import Money
from ledger.domain.names import adjustment_stream
from ledger.domain.plans import DefinePlan
from ledger.domain.pricing import PlanCharge, PlanTerms
from ledger.domain.tiers import Tier
from ledger.domain.topics import encode
from ledger.log_rows import NewEvent
from ledger.projections.invoices import Asked, projected_invoice
from ledger.projections.ratings import Ratings
from tests.log.ledgers import METADATA, usage
from tests.projections.worlds import World

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
TODAY = datetime(2026, 11, 22, tzinfo=UTC)
TIERS = (Tier(up_to=Decimal(100), unit_amount=Decimal("0.10")), Tier(up_to=None, unit_amount=Decimal("0.05")))
GRADUATED = Charge(model=Graduated(tiers=TIERS))


def used(number: int, time: datetime, tokens: int) -> UsageRecorded:
    """Usage of `acme`; the same number is the same event."""
    return usage(number, event_type="call", time=time, tokens=tokens)


async def bill(
    world: World,
    *,
    zone: str = "UTC",
    price: Charge = GRADUATED,
    plan: Any = None,
    started_at: datetime = LONG_AGO,
    **terms: Any,
) -> None:
    """The account `acme` with a contract since 2026, by the calendar, unless told otherwise."""
    await world.account(OpenAccount("acme", "Acme", zone, LONG_AGO))
    await world.define("tokens", event_type="call", aggregation="sum", property="tokens")
    await world.follower.refresh()
    charges = (PlanCharge(key="tokens", label="Tokens", meter="tokens", price=price),)
    offered = PlanTerms(name="Pro", currency="EUR", charges=charges, **(plan or {}))
    log, catalogue = world.ledger.log, world.follower.catalogue
    await change_plan(log, catalogue, DefinePlan("pro", offered), now=LONG_AGO, metadata=METADATA)
    await world.follower.refresh()
    agreed = ContractTerms(**{"currency": "EUR", "alignment": "calendar"} | terms)
    await agree(world, StartContract("acme", started_at, PlanChoice(plan="pro"), agreed))


async def agree(world: World, command: ContractCommand, *, now: datetime = LONG_AGO) -> None:
    """Carry out a command on the contract."""
    await world.follower.refresh()
    await change_contract(world.ledger.log, world.follower.catalogue, command, now=now, metadata=METADATA)
    await world.project()
    await world.follower.refresh()


async def tell(world: World, *told: UsageRecorded) -> Sequence[int]:
    """Record usage and let it be projected."""
    positions = await world.tell(*told)
    await world.project()
    return positions


async def close(world: World, until: datetime = TODAY, *, now: datetime = TODAY) -> ClosedPeriods:
    """Close what has ended by a moment."""
    await world.project()
    await world.follower.refresh()
    rate = Ratings(world.ledger.pool, world.ledger.log, now=now).rate
    command = ClosePeriods("acme", until, "test")
    done = await close_periods(world.ledger.log, world.follower.catalogue, rate, command, now=now, metadata=METADATA)
    await world.project()
    await world.follower.refresh()
    return done


async def assess(world: World, start: datetime) -> Assessed:
    """Settle what came late for a closed period."""
    await world.project()
    await world.follower.refresh()
    # Postgres lets nobody approve what has expired by its own clock, so what is proposed must not be of a fixed day.
    now = datetime.now(UTC)
    rate = Ratings(world.ledger.pool, world.ledger.log, now=now).rate
    found = await assess_late_usage(
        world.ledger.log, world.follower.catalogue, rate, AssessLateUsage("acme", start), now=now, metadata=METADATA
    )
    await world.project()
    await world.follower.refresh()
    return found


async def approve(world: World, key: str) -> None:
    """Let what the ledger proposed hold."""
    await world.follower.refresh()
    command = ApproveAdjustment("acme", key, "Pat")
    await change_adjustment(world.ledger.log, world.follower.catalogue, command, now=TODAY, metadata=METADATA)
    await world.project()
    await world.follower.refresh()


async def adjust(world: World, adjustment: Adjustment) -> None:
    """An adjustment that one person proposed and another approved."""
    stream = adjustment_stream("acme")
    proposed = AdjustmentProposed(
        account="acme",
        adjustment=adjustment,
        proposed_by="Olivia",
        role="ops",
        proposed_at=TODAY,
        expires_at=datetime(2099, 1, 1, tzinfo=UTC),
        effect=adjustment.amount or Money(0, "EUR"),
    )
    approved = AdjustmentApproved(
        account="acme", adjustment=adjustment.adjustment, approved_by="Pat", is_automatic=False
    )
    version = len(await world.ledger.log.stream(stream))
    await world.ledger.log.append(
        [
            NewEvent(stream, number, event.TOPIC, "acme", TODAY, encode(event), METADATA.encode())
            for number, event in enumerate((proposed, approved), version + 1)
        ]
    )
    await world.project()
    await world.follower.refresh()


async def rated_now(world: World, at: datetime) -> Invoice:
    """What the period of a moment comes to as it is rated now."""
    await world.follower.refresh()
    asked = Asked("acme", at)
    found = await projected_invoice(world.ledger.pool, world.ledger.log, world.follower.catalogue, asked, now=TODAY)
    return found.invoice


def closings(world: World) -> list[Closed]:
    """The closed periods of `acme`, in order."""
    return [closed for _, closed in sorted(world.follower.catalogue.closings.get("acme", {}).items())]


async def closed_bytes(world: World) -> dict[int, str]:
    """What the log holds of closed periods and their invoices, byte by byte, by position."""
    query = "select position, state::text as state from events where topic in ('PeriodClosed', 'InvoiceClosed')"
    return {row["position"]: row["state"] for row in await world.ledger.pool.fetch(query)}
