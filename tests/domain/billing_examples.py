"""Examples of the events of plans and contracts, for `test_events`: each model once, and the least of each event."""

from datetime import UTC, datetime
from decimal import Decimal

from ledger.domain.agreements import (
    ChargeOverride,
    Commitment,
    ContractTerms,
    CreditGrant,
    Entitlement,
    LatePolicy,
    PlanChoice,
)
from ledger.domain.charges import (
    Cell,
    Charge,
    Conversion,
    Dimensional,
    Dynamic,
    Flat,
    Graduated,
    GraduatedPercentage,
    Model,
    Package,
    PerUnit,
    Volume,
)
from ledger.domain.events import (
    ContractEnded,
    ContractPaused,
    ContractPlanChanged,
    ContractResumed,
    ContractStarted,
    CreditGranted,
    CreditRevoked,
    EntitlementChanged,
    Event,
    PlanDefined,
    PlanRetired,
    PlanRevised,
)
from ledger.domain.money import Money
from ledger.domain.percentage import Percentage
from ledger.domain.pricing import FixedFee, PlanCharge, PlanDiscount, PlanTerms
from ledger.domain.tiers import PercentTier, Tier

D = Decimal
TIME = datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=UTC)
TIERS = (Tier(up_to=D("1000"), unit_amount=D("0.10"), flat_amount=D(5)), Tier(up_to=None, unit_amount=D("0.000001")))
MODELS: dict[str, Model] = {
    "per_unit": PerUnit(unit_amount=D("12345678901234567890.123456789012345678")),
    "graduated": Graduated(tiers=TIERS, flat_at_zero=False),
    "volume": Volume(tiers=TIERS[:1], past_last_tier="bill_covered"),
    "package": Package(package_amount=D("2.50"), package_size=D(100), free_units=D(10)),
    "percentage": Percentage(
        rate_percent=D("2.9"),
        fixed_amount=D("0.30"),
        free_events=3,
        free_total=D(100),
        event_amount_min=D("0.5"),
        event_amount_max=D(20),
    ),
    "graduated_percentage": GraduatedPercentage(tiers=(PercentTier(up_to=None, rate_percent=D("1.5")),)),
    "dimensional": Dimensional(
        cells=(Cell(match={"model": ("opus", None)}, price=PerUnit(unit_amount=D(3))),), otherwise=Volume(tiers=TIERS)
    ),
    "flat": Flat(amount=D(-5), term="in_advance"),
    "dynamic": Dynamic(multiplier=D("1.2")),
}
WHOLE_PRICE = Charge(
    model=MODELS["graduated"],
    conversion=Conversion(operation="divide", factor=D(1000), rounding="ceil", places=2),
    included_quantity=D(10),
    standing_amount=D(1),
    discount_percent=D(5),
    discount_amount=D("0.5"),
    amount_max=D(500),
    amount_min=D(5),
    negative="signed",
    rounding="half_even",
)
WHOLE_CHARGE = PlanCharge(
    key="tokens",
    label="Tokens é🦊",
    meter="tokens",
    price=WHOLE_PRICE,
    filters={"region": ("eu", None)},
    group_by=("model",),
    prorates_amounts=False,
    prorates_included=True,
)
WHOLE_PLAN = PlanTerms(
    name="Pro",
    currency="EUR",
    interval="quarter",
    interval_count=2,
    charges=(
        WHOLE_CHARGE,
        *(
            PlanCharge(key=key, label=key, meter="tokens", price=Charge(model=model), group_by=("model",))
            for key, model in MODELS.items()
        ),
    ),
    fees=(
        FixedFee(key="base", label="Base", amount=D("49.00"), term="in_advance", proration="days"),
        FixedFee(key="support", label="Support", amount=D(100)),
    ),
    discounts=(
        PlanDiscount(key="launch", label="Launch", percent=D(10)),
        PlanDiscount(key="off", label="Off", amount=D("0.50")),
    ),
    amount_min=D(10),
    amount_max=D(100000),
)
LEAST_PLAN = PlanTerms(name="Free", currency="JPY")
WHOLE_TERMS = ContractTerms(
    currency="EUR",
    anchor=TIME,
    anchor_day=31,
    starts="midnight",
    proration="days",
    late_usage=LatePolicy(action="credit", small_amount=D("0.50")),
    entitlements=(Entitlement(meter="tokens", quantity=D("1E+6"), limit="hard"),),
    commitments=(
        Commitment(key="monthly", label="Monthly", amount=D(100)),
        Commitment(key="yearly", label="Yearly", amount=D(5000), per="total", until=TIME),
    ),
)
WHOLE_CHOICE = PlanChoice(plan="pro", version=2, overrides=(ChargeOverride(charge="tokens", price=WHOLE_PRICE),))
WHOLE_GRANT = CreditGrant(
    grant="cg_1",
    label="Welcome",
    amount=Money(10**37, "EUR"),
    effective_at=TIME,
    priority=1,
    expires_at=TIME,
    scope=("tokens",),
)
LEAST_GRANT = CreditGrant(grant="cg_2", label="Gift", amount=Money(500, "JPY"), effective_at=TIME)

BILLING_EXAMPLES: dict[str, Event] = {
    "PlanDefined": PlanDefined(plan="pro", terms=WHOLE_PLAN),
    "PlanDefined.least": PlanDefined(plan="free", terms=LEAST_PLAN),
    "PlanRevised": PlanRevised(plan="pro", terms=LEAST_PLAN, valid_from=TIME),
    "PlanRetired": PlanRetired(plan="pro", retired_at=TIME),
    "ContractStarted": ContractStarted(account="acme", started_at=TIME, choice=WHOLE_CHOICE, terms=WHOLE_TERMS),
    "ContractStarted.least": ContractStarted(
        account="acme", started_at=TIME, choice=PlanChoice(plan="free"), terms=ContractTerms(currency="JPY")
    ),
    "ContractPlanChanged": ContractPlanChanged(account="acme", effective_at=TIME, choice=WHOLE_CHOICE),
    "ContractPaused": ContractPaused(account="acme", effective_at=TIME),
    "ContractResumed": ContractResumed(account="acme", effective_at=TIME),
    "ContractEnded": ContractEnded(account="acme", effective_at=TIME),
    "CreditGranted": CreditGranted(account="acme", grant=WHOLE_GRANT),
    "CreditGranted.least": CreditGranted(account="acme", grant=LEAST_GRANT),
    "CreditRevoked": CreditRevoked(account="acme", grant="cg_1", effective_at=TIME),
    "EntitlementChanged": EntitlementChanged(
        account="acme", effective_at=TIME, entitlement=Entitlement(meter="tokens", quantity=None)
    ),
}
