"""What the planted accounts are billed by: a meter and plans here, a meter and prices there."""

from datetime import timedelta
from decimal import Decimal

from ledger.commands.meters import change_meter
from ledger.commands.plans import change_plan
from ledger.domain.charges import Charge, PerUnit
from ledger.domain.metering import MeterDefinition
from ledger.domain.meters import DefineMeter
from ledger.domain.plans import DefinePlan, RevisePlan
from ledger.domain.pricing import FixedFee, PlanCharge, PlanTerms
from ledger.sandbox.mismatch_hands import METADATA, METER, Hands

D = Decimal


async def prepare(hands: Hands) -> None:
    """The meter and the plans here, the meter and the prices there."""
    now, log = hands.sandbox.clock.moment, hands.log
    definition = MeterDefinition(name="Tokens", event_type=METER, aggregation="sum", property="tokens")
    await change_meter(log, DefineMeter(METER, definition), now=now, metadata=METADATA)
    await hands.refreshed()
    old, new = _price("0.08"), _price("0.10")
    signed = Charge(model=PerUnit(unit_amount=D("0.10")), negative="signed")
    fee = FixedFee(key="support", label="Support", amount=D(15))
    revised = RevisePlan("pro", _terms("Pro", new), hands.begun - timedelta(days=1))
    plans = (
        DefinePlan("pro", _terms("Pro", old)),
        DefinePlan("signed", _terms("Signed", signed)),
        DefinePlan("with a fee", _terms("With a fee", new, fee)),
        revised,
    )
    for command in plans:
        at = hands.begun - timedelta(days=2)
        await change_plan(log, hands.follower.catalogue, command, now=at, metadata=METADATA)
        await hands.refreshed()
    formula = {"default_aggregation[formula]": "sum"}
    meter = await hands.ask("/v1/billing/meters", display_name="Tokens", event_name=METER, **formula)
    for name, cents, currency in (
        ("tokens", 10, "eur"),
        ("dear tokens", 12, "eur"),
        ("old tokens", 8, "eur"),
        ("dollar tokens", 10, "usd"),
    ):
        metered = {"recurring[interval]": "month", "recurring[usage_type]": "metered", "recurring[meter]": meter["id"]}
        product = {"product_data[name]": name.capitalize()}
        price = await hands.ask("/v1/prices", currency=currency, unit_amount=cents, **metered, **product)
        hands.products[name] = price["id"]
    licensed = {"recurring[interval]": "month", "product_data[name]": "Seats"}
    chosen = await hands.ask("/v1/prices", currency="eur", unit_amount=100, **licensed)
    # As a later version of the API may hold one; the sandbox itself takes no subscription to such a price.
    hands.sandbox.state.prices.get(chosen["id"])["custom_unit_amount"] = {
        "maximum": None,
        "minimum": 50,
        "preset": None,
    }
    hands.products["donation"] = chosen["id"]
    hands.products["seats"] = (await hands.ask("/v1/prices", currency="eur", unit_amount=2500, **licensed))["id"]


def _price(unit_amount: str) -> Charge:
    return Charge(model=PerUnit(unit_amount=D(unit_amount)))


def _terms(name: str, price: Charge, *fees: FixedFee) -> PlanTerms:
    charge = PlanCharge(key="tokens", label="Tokens", meter=METER, price=price)
    return PlanTerms(name=name, currency="EUR", charges=(charge,), fees=fees)
