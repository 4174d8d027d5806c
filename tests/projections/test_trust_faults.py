"""What holds the numbers together is missed where it is taken away: planted faults, and the history that tells."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from ledger.commands import closings as closing_commands
from ledger.domain import adjusted_usage, adjusting, late_usage
from ledger.domain.accounts import AliasAccount, OpenAccount
from ledger.domain.adjustment_events import Adjustment, AdjustmentApproved
from ledger.domain.adjustments import Adjustments, approved_in
from ledger.domain.agreements import ContractTerms, CreditGrant, LatePolicy, PlanChoice
from ledger.domain.closings import Closed, Settled
from ledger.domain.contracting import ChangePlan, GrantCredit, StartContract
from ledger.domain.events import UsageRecorded
from ledger.domain.late_usage import assess
from ledger.domain.meters import ChangeMeter, DefineMeter
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.plans import DefinePlan
from ledger.projections import adjustments as adjustment_rows
from ledger.projections import as_of, invoices, usage_lane
from tests.projections.histories import ACCOUNTS, Amend, Told, Void
from tests.projections.test_as_of import OPENED, PLANS, STARTED
from tests.projections.test_trust import in_a_database_of_its_own
from tests.projections.trust_histories import REASON, Assess, Close, Decide, Propose, Reverse, Step, Stop
from tests.projections.worlds import metered


def used(number: int, hours: int, value: object, *, event_type: str = "t", subject: str = "a") -> UsageRecorded:
    time = STARTED + timedelta(hours=hours)
    return UsageRecorded(
        source="s", id=str(number), type=event_type, subject=subject, time=time, data={"v": value, "d": "p"}
    )


def adjustment(key: str, kind: Any, hours: int, **what: Any) -> Adjustment:
    at = STARTED + timedelta(hours=hours)
    return Adjustment(adjustment=key, kind=kind, at=at, reason=REASON.code, note="", **what)


def euros(amount: int) -> Money:
    return Money(amount * 100, "EUR")


GRANT = CreditGrant(grant="prepaid", label="Prepaid", amount=euros(60), effective_at=OPENED)
BILLED_NOW = ContractTerms(currency="EUR", alignment="calendar", late_usage=LatePolicy(action="bill_now"))
SUMMED = metered(event_type="t", aggregation="sum", property="v", dimensions=("d",))
EVENTFUL: list[Step] = [
    *[OpenAccount(account, account, "UTC", OPENED) for account in ACCOUNTS],
    DefineMeter("m", SUMMED),
    DefineMeter("n", metered(event_type="u", dimensions=("d",))),
    *[DefinePlan(key, one) for key, one in PLANS.items()],
    StartContract("a", STARTED, PlanChoice(plan="p"), BILLED_NOW),
    StartContract("b", STARTED, PlanChoice(plan="r"), ContractTerms(currency="EUR")),
    GrantCredit("a", GRANT),
    Told([used(1, 2, 10), used(2, 3, 20), used(3, 30, 40), used(4, 4, 1, event_type="u"), used(5, 5, 7, subject="x")]),
    Told([used(6, 26, Decimal("2.50")), used(7, 50, "7"), used(2, 3, 20), used(8, 3, 9, subject="b")]),
    Close("a", 24),
    Stop(),
    Told([used(9, 6, 100)]),
    Assess("a", 0),
    Decide("a", 0, "Pat", "approve"),
    Stop(),
    Void(0),
    Assess("a", 0),
    Decide("a", 1, "Quentin", "approve"),
    Stop(),
    AliasAccount("a", "x"),
    Propose("a", adjustment("gift", "credit", 26, amount=euros(9)), "Olivia"),
    Propose("a", adjustment("more", "usage", 26, meter="m", quantity=Decimal(40)), "Olivia"),
    Decide("a", 3, "Pat", "approve"),
    Propose("a", adjustment("much", "debit", 3, amount=euros(40)), "Pat"),
    Decide("a", 4, "Olivia", "approve"),
    Propose("a", adjustment("no", "write_off", 3, amount=euros(40)), "Pat"),
    Decide("a", 5, "Olivia", "reject"),
    Stop(),
    Reverse("a", 2, "Quentin"),
    Reverse("a", 4, "Quentin"),
    Decide("a", 7, "Pat", "approve"),
    Amend(1, {"subject": "a"}),
    Close("a", 48),
    ChangePlan("a", STARTED + timedelta(hours=60), PlanChoice(plan="q")),
    ChangeMeter("n", metered(event_type="u", aggregation="sum", property="v", dimensions=("d",))),
    Close("b", 24),
    Told([used(10, 28, 3), used(11, 61, 5, event_type="u"), used(12, 28, 4, subject="b")]),
    Assess("a", 1),
    Assess("b", 0),
    Stop(),
]
"""Something of each kind, none of it refused."""


def test_an_eventful_history_holds(database_url: str) -> None:
    asyncio.run(in_a_database_of_its_own(database_url, EVENTFUL, is_refused=False))


def spent_by_nobody(_: object) -> Settled:
    return Settled({}, None)


async def nothing(*_: object, **__: object) -> None:
    """In place of something that the read model does to stay right."""


def without_reversed(state: Adjustments, period: Period) -> list[Adjustment]:
    return [one for one in approved_in(state, period) if state[one.adjustment].reversed_by is None]


def assess_from_the_close(closed: Closed, *more: Any, **how: Any) -> Any:
    return assess(closed._replace(rated=closed.event.rated), *more, **how)


def topics_without(left_out: str) -> Sequence[str]:
    return tuple(topic for topic in as_of.DECIDING_TOPICS if topic != left_out)


@pytest.mark.parametrize(
    ("owner_of_fault", "name", "fault"),
    [
        (invoices, "settled", spent_by_nobody),
        (as_of, "DECIDING_TOPICS", topics_without(AdjustmentApproved.TOPIC)),
        (as_of, "DECIDING_TOPICS", topics_without("LateUsageAssessed")),
        (usage_lane.Lane, "_supersede", nothing),
        (adjusted_usage, "approved_in", without_reversed),
        (adjusting, "OPPOSITE", {**adjusting.OPPOSITE, "credit": "credit"}),
        (closing_commands, "assess", assess_from_the_close),
        (late_usage, "rated", lambda invoice: invoice.subtotal),
        (adjustment_rows, "REVERSE", "select $1::text, $2::text"),
    ],
    ids=[
        *("closings in spent credit", "approvals as of", "assessments as of", "voids refolded", "reversals"),
        *("opposites", "earlier assessments", "money adjustments as late usage", "reversed rows"),
    ],
)
def test_a_planted_fault_is_found(database_url: str, owner_of_fault: Any, name: str, fault: Any) -> None:
    """Shows that the properties would fail: what keeps the numbers together is taken away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner_of_fault, name, fault)
        with pytest.raises((AssertionError, asyncpg.PostgresError, BaseExceptionGroup)):
            asyncio.run(in_a_database_of_its_own(database_url, EVENTFUL))
