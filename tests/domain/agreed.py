"""Plans and contracts that the tests of billing agree on."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ledger.domain.agreements import ContractTerms, CreditGrant, PlanChoice
from ledger.domain.charges import Charge, Model, PerUnit
from ledger.domain.contracts import Contract, ContractEvent, Contracts, evolve
from ledger.domain.events import ContractStarted
from ledger.domain.metering import MeterDefinition
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.plans import Plan, PlanVersion
from ledger.domain.pricing import FixedFee, PlanCharge, PlanTerms
from ledger.domain.rating import Metered

D = Decimal
METERS = {
    "calls": MeterDefinition(name="Calls", event_type="call", aggregation="count", dimensions=("region", "tier")),
    "tokens": MeterDefinition(name="Tokens", event_type="call", aggregation="sum", property="tokens"),
}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def eur(amount: object) -> Money:
    return Money(int(D(str(amount)) * 100), "EUR")


def charge(key: str, model: Model | None = None, **more: Any) -> PlanCharge:
    """A charge on the calls, at 1 each unless another model is given; what is not of a plan's charge is its price's."""
    own: dict[str, Any] = {"key": key, "label": key.title(), "meter": "calls"}
    own |= {name: more.pop(name) for name in tuple(more) if name in PlanCharge.__struct_fields__}
    return PlanCharge(price=Charge(model=model or PerUnit(unit_amount=D(1)), **more), **own)


def fee(key: str, amount: object, **more: Any) -> FixedFee:
    return FixedFee(key=key, label=key.title(), amount=D(str(amount)), **more)


def terms(*charges: PlanCharge, **more: Any) -> PlanTerms:
    agreed: dict[str, Any] = {"name": "Plan", "currency": "EUR"}
    return PlanTerms(charges=charges, **(agreed | more))


def plan(key: str, *versions: PlanTerms, valid_from: tuple[datetime, ...] = ()) -> Plan:
    return Plan(key, tuple(PlanVersion(*one) for one in zip((None, *valid_from), versions, strict=True)))


JANUARY = Period(utc("2026-01-01"), utc("2026-02-01"))
PRO = terms(charge("calls"), fees=(fee("base", 31),), name="Pro")
MAX = terms(charge("calls", PerUnit(unit_amount=D(2))), fees=(fee("base", 62),), name="Max")
PLANS = {
    "pro": plan("pro", PRO),
    "max": plan("max", MAX),
    "dollar": plan("dollar", terms(currency="USD")),
    "weekly": plan("weekly", terms(interval="week", interval_count=2)),
    "old": plan("old", PRO)._replace(retired_at=utc("2026-01-01")),
}
ON_PRO = PlanChoice(plan="pro")
ON_MAX = PlanChoice(plan="max")
IN_EUR = ContractTerms(currency="EUR", alignment="calendar")


def started(at: str = "2026-01-01", choice: PlanChoice = ON_PRO, agreed: ContractTerms = IN_EUR) -> ContractStarted:
    return ContractStarted(account="acme", started_at=utc(at), choice=choice, terms=agreed)


def folded(*past: ContractEvent) -> Contracts:
    state: Contracts = ()
    for event in past:
        state = evolve(state, event)
    return state


def contract(*past: ContractEvent) -> Contract:
    return folded(*(past or (started(),)))[-1]


def grant(key: str, amount: object, **more: Any) -> CreditGrant:
    agreed: dict[str, Any] = {"grant": key, "label": key, "effective_at": utc("2026-01-01")}
    return CreditGrant(amount=eur(amount), **(agreed | more))


def units(quantity: object) -> Metered:
    return Metered(quantity=D(str(quantity)))
