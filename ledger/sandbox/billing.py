"""Made-up plans of the made-up platform, and which customer is on which."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from ledger.domain.agreements import Commitment, ContractTerms, CreditGrant, Entitlement, LatePolicy, PlanChoice
from ledger.domain.charges import Cell, Charge, Dimensional, Graduated, Package, PerUnit, Volume
from ledger.domain.contracting import GrantCredit, StartContract
from ledger.domain.money import Money
from ledger.domain.pricing import FixedFee, PlanCharge, PlanTerms
from ledger.domain.tiers import Tier
from ledger.sandbox.customers import CUSTOMERS

D = Decimal
MILLION: Final = D(1_000_000)
HISTORY: Final = timedelta(days=400)
"""How long before the generated month the made-up accounts exist."""
BILLED_BY_STRIPE: Final = frozenset(
    {"canopy-climate", "glacier-lab", "lotus-wellness", "himalaya-outdoor", "delta-drones", "outback-telecom"}
)
"""Accounts that are customers of a made-up Stripe account too. None of their zones has summer time, so that a period
of theirs begins at the same second here and there."""
BILLED_FOR: Final = timedelta(days=30)
"""How long before the end of the generated month they were subscribed."""

_TOKENS = Graduated(
    tiers=(
        Tier(up_to=MILLION, unit_amount=D("0.000004")),
        Tier(up_to=10 * MILLION, unit_amount=D("0.000003")),
        Tier(up_to=None, unit_amount=D("0.0000025")),
    )
)
_OUTPUT = Dimensional(
    cells=(
        Cell(match={"model": ("large", "reason-2", "vision-1")}, price=PerUnit(unit_amount=D("0.000030"))),
        Cell(match={"model": ("small", "swift-3-mini")}, price=PerUnit(unit_amount=D("0.000004"))),
    ),
    otherwise=PerUnit(unit_amount=D("0.000010")),
)
_SEATS = Volume(tiers=(Tier(up_to=D(10), unit_amount=D(15)), Tier(up_to=None, unit_amount=D(12))))


def _terms(name: str, currency: str, fee: int) -> PlanTerms:
    return PlanTerms(
        name=name,
        currency=currency,
        charges=(
            PlanCharge(key="input", label="Input tokens", meter="llm_input_tokens", price=Charge(model=_TOKENS)),
            PlanCharge(
                key="output",
                label="Output tokens",
                meter="llm_output_tokens",
                group_by=("model",),
                price=Charge(model=_OUTPUT),
            ),
            PlanCharge(
                key="requests",
                label="API requests that succeeded",
                meter="api_requests",
                filters={"status": ("200",)},
                price=Charge(model=Package(package_amount=D("0.50"), package_size=D(1_000), free_units=D(500))),
            ),
            PlanCharge(
                key="storage",
                label="Storage, mean over the period",
                meter="storage",
                price=Charge(model=PerUnit(unit_amount=D("0.02")), included_quantity=D(10)),
            ),
            PlanCharge(key="seats", label="Seats", meter="seats", price=Charge(model=_SEATS)),
        ),
        fees=(FixedFee(key="platform", label="Platform fee", amount=D(fee), term="in_advance"),),
    )


_METERED: Final = PlanTerms(
    name="Metered",
    currency="USD",
    charges=(
        PlanCharge(key="input", label="Input tokens", meter="llm_input_tokens", price=Charge(model=_TOKENS)),
        PlanCharge(
            key="output",
            label="Output tokens",
            meter="llm_output_tokens",
            price=Charge(model=PerUnit(unit_amount=D("0.000010"))),
        ),
        PlanCharge(
            key="requests",
            label="API requests",
            meter="api_requests",
            price=Charge(model=PerUnit(unit_amount=D("0.0005"))),
        ),
    ),
    fees=(FixedFee(key="platform", label="Platform fee", amount=D(29), term="in_advance"),),
)
"""What Stripe can bill just so: `ledger.sandbox.stripe_account` has the same prices there."""


PLANS: Final[dict[str, PlanTerms]] = {
    "team": _terms("Team", "USD", 49),
    "scale": _terms("Scale", "USD", 499),
    "europe": _terms("Europe", "EUR", 149),
    "metered": _METERED,
}


def contracts(opened_at: datetime, month_end: datetime) -> Iterator[StartContract | GrantCredit]:
    """A contract for each customer, from some day of the months before on; prepaid credit for some."""
    for number, customer in enumerate(CUSTOMERS):
        if customer.key in BILLED_BY_STRIPE:
            billed_from = month_end - BILLED_FOR
            metered = ContractTerms(currency="USD", alignment="anniversary")
            yield StartContract(customer.key, billed_from, PlanChoice(plan="metered"), metered)
            continue
        plan = "europe" if customer.zone.startswith("Europe") else "scale" if customer.weight > 20 else "team"
        currency = PLANS[plan].currency
        commitments = (Commitment(key="minimum", label="Minimum spend", amount=D(600)),) if plan == "scale" else ()
        terms = ContractTerms(
            currency=currency,
            alignment="calendar" if number % 2 else "anniversary",
            late_usage=LatePolicy(action="bill_now" if plan == "scale" else "carry_forward", small_amount=D(2)),
            entitlements=(Entitlement(meter="seats", quantity=D(25)),),
            commitments=commitments,
        )
        started_at = opened_at + timedelta(days=17 * number % 61, hours=number % 24, minutes=7 * number % 60)
        yield StartContract(customer.key, started_at, PlanChoice(plan=plan), terms)
        if number % 5 == 0:
            grant = CreditGrant(
                grant="welcome",
                label="Welcome credit",
                amount=Money(20_000, currency),
                effective_at=month_end - timedelta(days=60),
                expires_at=month_end + timedelta(days=120),
            )
            yield GrantCredit(customer.key, grant)
