"""Stripe's prices as charges of our calculator, by Stripe's conventions; what it cannot rate has an obstacle.

docs.stripe.com/api/prices/object. Stripe rounds each tier's part of a line to the cent, our calculator the line: the
two may differ by a cent for each tier.
"""

from decimal import Decimal
from typing import Literal

import msgspec

from ledger.domain.charges import Charge, Conversion, Graduated, Package, PerUnit, Volume, check
from ledger.domain.platform_objects import Price
from ledger.domain.refusals import Refusal
from ledger.domain.tiers import Tier
from ledger.platforms.stripe_money import CurrencyNotKnown, amount_of


class _Recurring(msgspec.Struct, frozen=True):
    interval: Literal["day", "week", "month", "year"]
    interval_count: int = 1
    usage_type: str = "licensed"
    meter: str | None = None


class _Tier(msgspec.Struct, frozen=True):
    up_to: Decimal | None = None
    unit_amount_decimal: Decimal | None = None
    flat_amount_decimal: Decimal | None = None


class _Packages(msgspec.Struct, frozen=True):
    divide_by: int
    round: str


class _Product(msgspec.Struct, frozen=True):
    id: str


class TheirPrice(msgspec.Struct, frozen=True):
    """What we read of a price; its tiers where `expand` asked for them."""

    id: str
    currency: str
    product: str | _Product
    active: bool = True
    billing_scheme: str = "per_unit"
    unit_amount_decimal: Decimal | None = None
    custom_unit_amount: dict[str, object] | None = None
    recurring: _Recurring | None = None
    tiers: list[_Tier] | None = None
    tiers_mode: str | None = None
    transform_quantity: _Packages | None = None


class _NotRated(Exception):
    """Our calculator does not rate such a price; the message says why."""


def price_of(theirs: TheirPrice) -> Price:
    """The price, with the charge that it comes to or the obstacle."""
    charge, obstacle = None, None
    try:
        charge = _charge(theirs)
        check(charge)
    except (_NotRated, CurrencyNotKnown) as why:
        obstacle = str(why)
    except Refusal as refusal:
        charge, obstacle = None, refusal.message
    recurring = theirs.recurring
    return Price(
        id=theirs.id,
        product=theirs.product if isinstance(theirs.product, str) else theirs.product.id,
        currency=theirs.currency.upper(),
        interval=None if recurring is None else recurring.interval,
        interval_count=1 if recurring is None else recurring.interval_count,
        meter=None if recurring is None else recurring.meter,
        charge=charge,
        obstacle=obstacle,
        is_active=theirs.active,
    )


def _charge(theirs: TheirPrice) -> Charge:
    if theirs.custom_unit_amount is not None:
        raise _NotRated("the customer chooses the amount")
    if theirs.recurring is not None and theirs.recurring.usage_type == "metered" and theirs.recurring.meter is None:
        raise _NotRated("its usage is told by usage records, not by a meter")
    if theirs.billing_scheme == "tiered":
        return _tiered(theirs)
    if theirs.billing_scheme != "per_unit":
        raise _NotRated(f'the billing scheme "{theirs.billing_scheme}" is not known')
    if theirs.unit_amount_decimal is None:
        raise _NotRated("it has no amount")
    return _per_unit(amount_of(theirs.unit_amount_decimal, theirs.currency), theirs.transform_quantity)


def _per_unit(amount: Decimal, packages: _Packages | None) -> Charge:
    """docs.stripe.com/products-prices/pricing-models#package-pricing; rounded down, a begun package is free."""
    if packages is None:
        return Charge(model=PerUnit(unit_amount=amount))
    size = Decimal(packages.divide_by)
    if packages.round == "up":
        return Charge(model=Package(package_amount=amount, package_size=size))
    if packages.round == "down":
        conversion = Conversion(operation="divide", factor=size, rounding="floor")
        return Charge(model=PerUnit(unit_amount=amount), conversion=conversion)
    raise _NotRated(f'the rounding "{packages.round}" of packages is not known')


def _tiered(theirs: TheirPrice) -> Charge:
    """Bounds belong to the tier they end; the first tier's flat amount is due without usage too.

    docs.stripe.com/products-prices/pricing-models#tiered-pricing
    """
    if theirs.tiers is None:
        raise _NotRated("its tiers were not told")
    if theirs.transform_quantity is not None:
        raise _NotRated("it has tiers of packages")
    tiers = tuple(
        Tier(
            up_to=one.up_to,
            unit_amount=amount_of(one.unit_amount_decimal, theirs.currency),
            flat_amount=amount_of(one.flat_amount_decimal, theirs.currency),
        )
        for one in theirs.tiers
    )
    if theirs.tiers_mode == "graduated":
        return Charge(model=Graduated(tiers=tiers))
    if theirs.tiers_mode == "volume":
        return Charge(model=Volume(tiers=tiers))
    raise _NotRated(f'the tiers mode "{theirs.tiers_mode}" is not known')
