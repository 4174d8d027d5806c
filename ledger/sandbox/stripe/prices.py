"""Prices: licensed and metered, per unit, by packages, by tiers. docs.stripe.com/api/prices"""

from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec

from ledger.sandbox.stripe import products
from ledger.sandbox.stripe.arguments import Arguments, CreatedPageArguments, Metadata, Part, is_within, merged, told
from ledger.sandbox.stripe.errors import unacceptable
from ledger.sandbox.stripe.operations import AnyOperation, get, post
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State

DECIMAL_PLACES_MAX: Final = 12


class Recurring(Part, kw_only=True, frozen=True):
    """How often a price is due, and whether usage decides how much."""

    interval: Literal["day", "week", "month", "year"]
    interval_count: int = 1
    usage_type: Literal["licensed", "metered"] = "licensed"
    meter: str | None = None


class TierArguments(Part, kw_only=True, frozen=True):
    """One tier; its bound belongs to it. docs.stripe.com/api/prices/create (`tiers`)"""

    up_to: Annotated[str, msgspec.Meta(pattern=r"^(\d+|inf)$")]
    unit_amount: int | None = None
    unit_amount_decimal: Decimal | None = None
    flat_amount: int | None = None
    flat_amount_decimal: Decimal | None = None


class TransformQuantity(Part, kw_only=True, frozen=True):
    """Packages: the quantity is divided and rounded before it is priced."""

    divide_by: int
    round: Literal["up", "down"]


class ProductName(Part, kw_only=True, frozen=True):
    """A product made together with its price."""

    name: str


class NewPriceArguments(Arguments, kw_only=True, frozen=True):
    """What makes a price. docs.stripe.com/api/prices/create"""

    currency: str
    product: str | None = None
    product_data: ProductName | None = None
    active: bool = True
    billing_scheme: Literal["per_unit", "tiered"] = "per_unit"
    unit_amount: int | None = None
    unit_amount_decimal: Decimal | None = None
    recurring: Recurring | None = None
    tiers: list[TierArguments] | None = None
    tiers_mode: Literal["graduated", "volume"] | None = None
    transform_quantity: TransformQuantity | None = None
    nickname: str | None = None
    lookup_key: str | None = None
    metadata: Metadata | None = None


class PriceArguments(Arguments, kw_only=True, frozen=True):
    """What of a price may change: never its amounts. docs.stripe.com/api/prices/update"""

    active: bool | None = None
    nickname: str | None = None
    lookup_key: str | None = None
    metadata: Metadata | None = None


class RecurringFilter(Part, kw_only=True, frozen=True):
    """Which recurring prices to list."""

    interval: Literal["day", "week", "month", "year"] | None = None
    usage_type: Literal["licensed", "metered"] | None = None
    meter: str | None = None


class PricesArguments(CreatedPageArguments, kw_only=True, frozen=True):
    """Which prices to list. docs.stripe.com/api/prices/list"""

    active: bool | None = None
    currency: str | None = None
    product: str | None = None
    lookup_keys: list[str] | None = None
    type: Literal["one_time", "recurring"] | None = None
    recurring: RecurringFilter = RecurringFilter()


def create(state: State, arguments: NewPriceArguments) -> Json:
    """Make a price. docs.stripe.com/api/prices/create"""
    _check(state, arguments)
    if arguments.product is not None:
        product = state.products.get(arguments.product, "product")["id"]
    elif arguments.product_data is not None:
        product = products.create(state, products.NewProductArguments(name=arguments.product_data.name))["id"]
    else:
        raise unacceptable("You must give either product or product_data.", "product", "parameter_missing")
    amount = _amount(arguments.unit_amount, arguments.unit_amount_decimal)
    recurring, packages = arguments.recurring, arguments.transform_quantity
    price = state.prices.add(
        {
            "id": state.ids.next("price"),
            "object": "price",
            "active": arguments.active,
            "billing_scheme": arguments.billing_scheme,
            "created": state.now,
            "currency": arguments.currency,
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": arguments.lookup_key,
            "metadata": told(arguments.metadata),
            "nickname": arguments.nickname,
            "product": product,
            "recurring": None if recurring is None else _recurring(recurring),
            "tax_behavior": "unspecified",
            "tiers_mode": arguments.tiers_mode,
            "transform_quantity": packages and {"divide_by": packages.divide_by, "round": packages.round},
            "type": "one_time" if recurring is None else "recurring",
            "unit_amount": _whole(amount),
            "unit_amount_decimal": _text(amount),
        }
    )
    if arguments.tiers is not None:
        state.tiers[price["id"]] = [_tier(one) for one in arguments.tiers]
    state.announce("price.created", price)
    return price


def _recurring(recurring: Recurring) -> Json:
    return {
        "interval": recurring.interval,
        "interval_count": recurring.interval_count,
        "meter": recurring.meter,
        "trial_period_days": None,
        "usage_type": recurring.usage_type,
    }


def _check(state: State, arguments: NewPriceArguments) -> None:
    """What a price may not be. docs.stripe.com/api/prices/create"""
    if arguments.currency != arguments.currency.lower() or len(arguments.currency) != 3:
        raise unacceptable(f"Invalid currency: {arguments.currency}.", "currency")
    amounts = [arguments.unit_amount, arguments.unit_amount_decimal]
    if arguments.billing_scheme == "tiered":
        _check_tiers(arguments)
    elif amounts.count(None) != 1:
        raise unacceptable("You must give exactly one of unit_amount and unit_amount_decimal.", "unit_amount")
    elif arguments.tiers is not None:
        raise unacceptable("tiers belong to the billing_scheme tiered.", "tiers")
    for one in (arguments, *(arguments.tiers or ())):
        places = 0 if one.unit_amount_decimal is None else -int(one.unit_amount_decimal.as_tuple().exponent)
        if places > DECIMAL_PLACES_MAX:
            raise unacceptable("An amount has at most 12 decimal places.", "unit_amount_decimal")
    recurring = arguments.recurring
    if recurring is None:
        return
    # docs.stripe.com/changelog/basil/2025-03-31/deprecate-legacy-usage-based-billing
    if (recurring.usage_type == "metered") != (recurring.meter is not None):
        raise unacceptable("A metered price must be backed by a meter, a licensed one must not.", "recurring[meter]")
    if recurring.meter is not None and state.meters.get(recurring.meter, "recurring[meter]")["status"] != "active":
        raise unacceptable(f"The meter {recurring.meter} is not active.", "recurring[meter]")


def _check_tiers(arguments: NewPriceArguments) -> None:
    """Tiers rise and the last is open; packages do not go with them. docs.stripe.com/api/prices/create (`tiers`)"""
    if not arguments.tiers or arguments.tiers_mode is None:
        raise unacceptable("The billing_scheme tiered needs tiers and tiers_mode.", "tiers")
    if arguments.transform_quantity is not None:
        raise unacceptable("transform_quantity cannot be combined with tiers.", "transform_quantity")
    if arguments.unit_amount is not None or arguments.unit_amount_decimal is not None:
        raise unacceptable("The amounts of a tiered price belong to its tiers.", "unit_amount")
    *bounds, last = [one.up_to for one in arguments.tiers]
    if last != "inf" or any(bound == "inf" for bound in bounds):
        raise unacceptable("Only the last tier has the bound inf.", "tiers[up_to]")
    if [int(bound) for bound in bounds] != sorted({int(bound) for bound in bounds}):
        raise unacceptable("The bounds of tiers must rise.", "tiers[up_to]")


def _tier(tier: TierArguments) -> Json:
    unit = _amount(tier.unit_amount, tier.unit_amount_decimal)
    flat = _amount(tier.flat_amount, tier.flat_amount_decimal)
    return {
        "flat_amount": _whole(flat),
        "flat_amount_decimal": _text(flat),
        "unit_amount": _whole(unit),
        "unit_amount_decimal": _text(unit),
        "up_to": None if tier.up_to == "inf" else int(tier.up_to),
    }


def _amount(whole: int | None, exact: Decimal | None) -> Decimal | None:
    return exact if whole is None else Decimal(whole)


def _whole(amount: Decimal | None) -> int | None:
    """An amount as an integer, None where it is none. docs.stripe.com/api/prices/object (`unit_amount`)"""
    return int(amount) if amount is not None and amount == amount.to_integral_value() else None


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount.normalize():f}"


def retrieve(state: State, _: Arguments, price: str) -> Json:
    """The price; its tiers where `expand` asks for them. docs.stripe.com/api/prices/retrieve"""
    return state.prices.get(price)


def update(state: State, arguments: PriceArguments, price: str) -> Json:
    """Change what is not the price itself. docs.stripe.com/api/prices/update"""
    known = state.prices.get(price)
    names = ("active", "nickname", "lookup_key")
    changes: Json = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    changes["metadata"] = merged(known["metadata"], arguments.metadata)
    return state.changed("price.updated", known, changes)


def page(state: State, arguments: PricesArguments) -> Json:
    """Prices, newest first. docs.stripe.com/api/prices/list"""
    return state.prices.page(arguments, "/v1/prices", lambda one: _is_wanted(one, arguments))


def _is_wanted(price: Json, arguments: PricesArguments) -> bool:
    wanted, recurring = arguments.recurring, price["recurring"] or {}
    return (
        is_within(price["created"], arguments.created)
        and arguments.active in (None, price["active"])
        and arguments.currency in (None, price["currency"])
        and arguments.product in (None, price["product"])
        and arguments.type in (None, price["type"])
        and (arguments.lookup_keys is None or price["lookup_key"] in arguments.lookup_keys)
        and wanted.interval in (None, recurring.get("interval"))
        and wanted.usage_type in (None, recurring.get("usage_type"))
        and wanted.meter in (None, recurring.get("meter"))
    )


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/prices", NewPriceArguments, create),
    get("/v1/prices", PricesArguments, page),
    get("/v1/prices/{price}", Arguments, retrieve),
    post("/v1/prices/{price}", PriceArguments, update),
)
