"""What a quantity costs at a price: as many parts as Stripe makes lines of it.

Written apart from the ledger's own calculator, and from other sources, so that each checks the other.
docs.stripe.com/products-prices/pricing-models and docs.stripe.com/billing/subscriptions/usage-based/pricing-models
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from ledger.sandbox.stripe.shelves import Json


@dataclass(frozen=True, slots=True)
class Part:
    """A quantity at one unit amount. `amount` in minor units; `unit_amount` in minor units, exact, None if flat."""

    quantity: Decimal
    amount: int
    unit_amount: Decimal | None
    label: str


def parts(price: Json, tiers: list[Json], quantity: Decimal) -> list[Part]:
    """The parts, at least one. A quantity below nought costs nothing.

    docs.stripe.com/billing/subscriptions/usage-based/recording-usage (negative usage)
    """
    counted = max(quantity, Decimal())
    if price["billing_scheme"] == "per_unit":
        unit = Decimal(price["unit_amount_decimal"])
        return [Part(counted, rounded(unit * packaged(price["transform_quantity"], counted)), unit, "")]
    return graduated(tiers, counted) if price["tiers_mode"] == "graduated" else volume(tiers, counted)


def packaged(packages: Json | None, quantity: Decimal) -> Decimal:
    """The number of packages that a quantity fills. docs.stripe.com/api/prices/object (`transform_quantity`)"""
    if packages is None:
        return quantity
    rounding = ROUND_CEILING if packages["round"] == "up" else ROUND_FLOOR
    return (quantity / Decimal(packages["divide_by"])).to_integral_value(rounding)


def graduated(tiers: list[Json], quantity: Decimal) -> list[Part]:
    """A part for what lies in each tier, and one for each flat amount of a tier that is reached.

    docs.stripe.com/products-prices/pricing-models#graduated-pricing
    """
    found: list[Part] = []
    below = Decimal()
    for number, tier in enumerate(tiers, start=1):
        if number > 1 and quantity <= below:
            break
        bound = quantity if tier["up_to"] is None else min(quantity, Decimal(tier["up_to"]))
        found += _of_tier(tier, number, bound - below)
        below = bound if tier["up_to"] is None else Decimal(tier["up_to"])
    return found


def volume(tiers: list[Json], quantity: Decimal) -> list[Part]:
    """All of it at the amount of the tier in which the whole lies; a bound belongs to the tier that it ends.

    docs.stripe.com/products-prices/pricing-models#volume-pricing
    """
    for number, tier in enumerate(tiers, start=1):
        if tier["up_to"] is None or quantity <= tier["up_to"]:
            return _of_tier(tier, number, quantity)
    raise AssertionError("the last tier is open")


def _of_tier(tier: Json, number: int, quantity: Decimal) -> list[Part]:
    unit = Decimal(tier["unit_amount_decimal"] or 0)
    found = [Part(quantity, rounded(unit * quantity), unit, f"Tier {number}")]
    if tier["flat_amount_decimal"] is not None:
        found.append(Part(Decimal(), rounded(Decimal(tier["flat_amount_decimal"])), None, f"Tier {number} flat fee"))
    return found


def rounded(amount: Decimal) -> int:
    """An amount in whole minor units, halves away from nought. docs.stripe.com/billing/subscriptions/decimal-amounts"""
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
