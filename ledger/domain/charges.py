"""Charges: how a quantity becomes an amount. Each convention in which platforms differ is a field here.

Defaults are those of DESIGN section 12, which Stripe, OpenMeter and Polar share. Amounts are in major units.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal, assert_never

import msgspec

from ledger.domain.money import HUNDRED, ONE
from ledger.domain.percentage import Percentage
from ledger.domain.pricing_refusals import ChargeInvalid, NumberTooLong, PriceNegative
from ledger.domain.rounding import RoundingMode
from ledger.domain.tiers import PastLastTier, PercentTier, Tier, check_tiers
from ledger.domain.values import ZERO, quantity_of

CELLS_MAX = 1_000


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a charge: immutable, closed."""


class PerUnit(_Part, frozen=True, tag_field="model", tag="per_unit"):
    """Each unit at one amount."""

    unit_amount: Decimal


class Graduated(_Part, frozen=True, tag_field="model", tag="graduated"):
    """Each unit at the price of the tier it lies in.

    A tier's flat amount is due once the quantity exceeds the end of the tier before it; the first tier's at zero
    already, unless `flat_at_zero` is false. With `is_prorated` units weigh by their share of the period, and the
    metered portions are rated in place of the quantity.
    """

    tiers: tuple[Tier, ...]
    flat_at_zero: bool = True
    past_last_tier: PastLastTier = "forbidden"
    is_prorated: bool = False


class Volume(_Part, frozen=True, tag_field="model", tag="volume"):
    """All units at the price of the one tier that the whole quantity reaches; more units may cost less.

    A period billed in parts bills them all with its last part.
    """

    tiers: tuple[Tier, ...]
    flat_at_zero: bool = True
    past_last_tier: PastLastTier = "forbidden"


class GraduatedPercentage(_Part, frozen=True, tag_field="model", tag="graduated_percentage"):
    """A percentage of the money moved, by the tier it lies in; flat amounts as in `Graduated`."""

    tiers: tuple[PercentTier, ...]
    flat_at_zero: bool = True
    past_last_tier: PastLastTier = "forbidden"


class Package(_Part, frozen=True, tag_field="model", tag="package"):
    """Whole packages of `package_size` units each, begun ones too, of the units left after the free ones."""

    package_amount: Decimal
    package_size: Decimal
    free_units: Decimal = ZERO


class Flat(_Part, frozen=True, tag_field="model", tag="flat"):
    """One amount for the period, used or not; below zero it is a standing credit.

    A period billed in parts bills it with its first part (`in_advance`) or its last (`in_arrears`).
    """

    amount: Decimal
    term: Literal["in_advance", "in_arrears"] = "in_arrears"


class Dynamic(_Part, frozen=True, tag_field="model", tag="dynamic"):
    """The amounts that the events carry, summed before anything is rounded, times a multiplier.

    Nothing is due where the units that the events tell add up to zero.
    """

    multiplier: Decimal = ONE


QuantityModel = PerUnit | Graduated | Volume | Package | GraduatedPercentage


class Cell(_Part, frozen=True):
    """Prices for usage whose dimensions have, for each key, one of the values; a None is met by a missing one."""

    match: dict[str, tuple[str | None, ...]]
    price: QuantityModel


class Dimensional(_Part, frozen=True, tag_field="model", tag="dimensional"):
    """A price by dimensions: usage goes to the matching cell with the most keys, the first among equals.

    Usage that no cell matches has the price `otherwise`; without one it is free.
    """

    cells: tuple[Cell, ...]
    otherwise: QuantityModel | None = None


Model = QuantityModel | Percentage | Flat | Dynamic | Dimensional


class Conversion(_Part, frozen=True):
    """A change of unit before rating: the quantity times or by `factor`, then rounded to `places` (None: never).

    A period billed in parts converts and rounds the total at each end, and bills the difference.
    """

    operation: Literal["multiply", "divide"]
    factor: Decimal
    rounding: RoundingMode | None = None
    places: int = 0


class Charge(_Part, frozen=True):
    """A priced meter of a plan, with every convention of its rating.

    Order: convert units, round units, take off `included_quantity`, rate by `model`, add `standing_amount` (used or
    not), percentage discount, amount discount (never below zero), `amount_max`, `amount_min` (the whole period's, due
    with its last part). `negative` says what a period total below zero is: `clamp` rates it as zero, `error` refuses
    it, `signed` rates it as it is. The line is rounded once, by `rounding`.
    """

    model: Model
    conversion: Conversion | None = None
    included_quantity: Decimal = ZERO
    standing_amount: Decimal = ZERO
    discount_percent: Decimal = ZERO
    discount_amount: Decimal = ZERO
    amount_max: Decimal | None = None
    amount_min: Decimal | None = None
    negative: Literal["clamp", "error", "signed"] = "clamp"
    rounding: RoundingMode = "half_up"


def check(charge: Charge) -> None:
    """Refuse a charge that could not rate every quantity, or whose figures make no sense.

    Raises `NumberTooLong`, `PriceNegative`, `ChargeInvalid` and what `check_tiers` raises.
    """
    for field, number in _numbers(charge, ""):
        if not number.is_finite() or quantity_of(number) is None:
            raise NumberTooLong(field=field)
        if number < 0 and not (isinstance(charge.model, Flat) and field == "model.amount"):
            raise PriceNegative(field=field, price=number)
    if charge.discount_percent > HUNDRED:
        raise ChargeInvalid(field="discount_percent", why="it is more than 100 percent")
    if charge.amount_max is not None and (charge.amount_min or ZERO) > charge.amount_max:
        raise ChargeInvalid(field="amount_min", why="it is above the maximum")
    _check_conversion(charge.conversion)
    if (charge.conversion or charge.included_quantity) and not _rates_one_quantity(charge.model):
        raise ChargeInvalid(
            field="conversion" if charge.conversion else "included_quantity",
            why="the model does not rate one total quantity",
        )
    _check_model(charge.model)


def _rates_one_quantity(model: Model) -> bool:
    is_prorated = isinstance(model, Graduated) and model.is_prorated
    return isinstance(model, QuantityModel) and not is_prorated


def _check_conversion(conversion: Conversion | None) -> None:
    if conversion is None:
        return
    if not conversion.factor:
        raise ChargeInvalid(field="conversion.factor", why="it is zero")
    if not -20 <= conversion.places <= 18:
        raise ChargeInvalid(field="conversion.places", why="it is not within -20 to 18")


def _check_model(model: Model) -> None:
    match model:
        case PerUnit() | Flat() | Dynamic():
            pass
        case Graduated() | Volume() | GraduatedPercentage():
            check_tiers(model.tiers, model.past_last_tier)
        case Package():
            if not model.package_size:
                raise ChargeInvalid(field="model.package_size", why="it is zero")
        case Percentage():
            if (model.free_events or 0) < 0:
                raise ChargeInvalid(field="model.free_events", why="it is below zero")
            low, high = model.event_amount_min, model.event_amount_max
            if low is not None and high is not None and low > high:
                raise ChargeInvalid(field="model.event_amount_min", why="it is above the maximum")
        case Dimensional():
            _check_cells(model)
        case _:
            assert_never(model)


def _check_cells(model: Dimensional) -> None:
    if len(model.cells) > CELLS_MAX:
        raise ChargeInvalid(field="model.cells", why=f"there are more than {CELLS_MAX}")
    for number, cell in enumerate(model.cells, start=1):
        if not cell.match or not all(cell.match.values()):
            raise ChargeInvalid(field=f"model.cells.{number}.match", why="it matches nothing")
    prices = [cell.price for cell in model.cells]
    for price in prices if model.otherwise is None else [*prices, model.otherwise]:
        if not _rates_one_quantity(price):
            raise ChargeInvalid(field="model.cells", why="a cell cannot be prorated")
        _check_model(price)


def _numbers(part: object, path: str) -> Iterator[tuple[str, Decimal]]:
    """Every decimal of a part and of the parts within it, with its path: `model.tiers.1.unit_amount`."""
    if isinstance(part, Decimal):
        yield path, part
    elif isinstance(part, msgspec.Struct):
        for field in part.__struct_fields__:
            yield from _numbers(getattr(part, field), f"{path}.{field}".lstrip("."))
    elif isinstance(part, tuple):
        for number, item in enumerate(part, start=1):
            yield from _numbers(item, f"{path}.{number}")
