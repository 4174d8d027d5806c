"""What a plan holds: charges on meters, fixed fees, discounts and bounds, in one currency and for one interval.

Amounts are in major units. Charges, fees and discounts share one space of keys, by which invoices name their lines.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Literal

import msgspec

from ledger.domain import charges
from ledger.domain.charges import Charge, Dimensional, Graduated
from ledger.domain.durations import IntervalUnit, interval
from ledger.domain.money import HUNDRED, minor_digits
from ledger.domain.names import require_name
from ledger.domain.pricing_refusals import ChargeRepeated, NumberTooLong, PlanInvalid, PriceNegative
from ledger.domain.values import ZERO, quantity_of

PARTS_MAX: Final = 500
"""The most charges, fees and discounts that a plan may have together."""
NOT_METERED: Final = "weighs units by their share of the period, which the ledger does not meter yet"
VALUES_MAX: Final = 256
"""The most values that a charge's filter on one dimension may allow."""

Convention = Literal["days", "elapsed_time", "none"]
"""How an amount for a period is prorated in a part of it: by whole local days (Lago), by elapsed time (Stripe,
Polar), or not at all: then it is due whole, with the first part if in advance, else with the last.
"""

Term = Literal["in_advance", "in_arrears"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a plan: immutable, closed."""


class PlanCharge(_Part, frozen=True):
    """A price on the usage of a meter, shown on invoices as `label`.

    Only usage whose dimensions have one of the values that `filters` allow counts; None is met by a missing one.
    `group_by` names dimensions: each combination of their values is priced alone, on a line of its own, except that a
    dimensional price puts all of them on one line. Where the plan ran for a part of a period, the amounts per period
    of the price (flat, standing, minimum, maximum, discount) weigh by its share, unless `prorates_amounts` is false;
    included units stay whole, unless `prorates_included` is true.
    """

    key: str
    label: str
    meter: str
    price: Charge
    filters: dict[str, tuple[str | None, ...]] = {}
    group_by: tuple[str, ...] = ()
    prorates_amounts: bool = True
    prorates_included: bool = False


class FixedFee(_Part, frozen=True):
    """An amount per period, used or not. `proration` is the contract's convention if None."""

    key: str
    label: str
    amount: Decimal
    term: Term = "in_arrears"
    proration: Convention | None = None


class PlanDiscount(_Part, frozen=True):
    """A percentage or an amount per period off the lines of the plan, never more than they come to."""

    key: str
    label: str
    percent: Decimal = ZERO
    amount: Decimal = ZERO


class PlanTerms(_Part, frozen=True):
    """One version of a plan. `amount_min` and `amount_max` bound what it comes to in a period, after discounts."""

    name: str
    currency: str
    interval: IntervalUnit = "month"
    interval_count: int = 1
    charges: tuple[PlanCharge, ...] = ()
    fees: tuple[FixedFee, ...] = ()
    discounts: tuple[PlanDiscount, ...] = ()
    amount_min: Decimal | None = None
    amount_max: Decimal | None = None

    @property
    def rhythm(self) -> str:
        """How often it is billed, for people: "month", "2 weeks"."""
        return self.interval if self.interval_count == 1 else f"{self.interval_count} {self.interval}s"


def check_terms(plan: str, terms: PlanTerms) -> None:
    """Refuse terms that could not be invoiced, or whose figures make no sense.

    Raises `PlanInvalid`, `ChargeRepeated`, `CurrencyUnknown`, `DurationInvalid`, `NameInvalid`, `NumberTooLong`,
    `PriceNegative` and what `charges.check` raises.
    """
    require_name(terms.name, "a plan")
    minor_digits(terms.currency)
    interval(terms.interval, terms.interval_count)
    parts: tuple[PlanCharge | FixedFee | PlanDiscount, ...] = (*terms.charges, *terms.fees, *terms.discounts)
    if len(parts) > PARTS_MAX:
        raise PlanInvalid(plan=plan, why=f"it has more than {PARTS_MAX} charges, fees and discounts")
    _check_names(plan, parts)
    for charge in terms.charges:
        charges.check(charge.price)
        _check_dimensions(plan, charge)
        if not is_metered(charge.price):
            raise PlanInvalid(plan=plan, why=f'the charge "{charge.key}" {NOT_METERED}')
    for fee in terms.fees:
        require_amount(f"fee {fee.key}", fee.amount)
    for discount in terms.discounts:
        _check_discount(plan, discount)
    for field, bound in (("amount_min", terms.amount_min), ("amount_max", terms.amount_max)):
        require_amount(field, bound or ZERO)
    if terms.amount_max is not None and (terms.amount_min or ZERO) > terms.amount_max:
        raise PlanInvalid(plan=plan, why="its minimum is above its maximum")


def is_metered(price: Charge) -> bool:
    """Whether the ledger can tell what the price is worked out from: not yet the units' shares of the period."""
    return not (isinstance(price.model, Graduated) and price.model.is_prorated)


def require_amount(field: str, amount: Decimal) -> None:
    """Raise `NumberTooLong` beyond 38 digits, `PriceNegative` below zero."""
    if not amount.is_finite() or quantity_of(amount) is None:
        raise NumberTooLong(field=field)
    if amount < 0:
        raise PriceNegative(field=field, price=amount)


def _check_names(plan: str, parts: Iterable[PlanCharge | FixedFee | PlanDiscount]) -> None:
    seen = set()
    for part in parts:
        require_name(part.key, "a charge, fee or discount")
        require_name(part.label, "a line of an invoice")
        if part.key in seen:
            raise ChargeRepeated(plan=plan, charge=part.key)
        seen.add(part.key)


def _check_dimensions(plan: str, charge: PlanCharge) -> None:
    for dimension, values in charge.filters.items():
        if not 0 < len(values) <= VALUES_MAX:
            why = f'the filter of the charge "{charge.key}" on "{dimension}" needs 1 to {VALUES_MAX} values'
            raise PlanInvalid(plan=plan, why=why)
    if len(set(charge.group_by)) < len(charge.group_by):
        raise PlanInvalid(plan=plan, why=f'the charge "{charge.key}" groups by a dimension twice')
    if isinstance(charge.price.model, Dimensional):
        matched = {dimension for cell in charge.price.model.cells for dimension in cell.match}
        if missing := sorted(matched - set(charge.group_by)):
            why = f'the charge "{charge.key}" has prices by "{missing[0]}" and must group by it'
            raise PlanInvalid(plan=plan, why=why)


def _check_discount(plan: str, discount: PlanDiscount) -> None:
    require_amount(f"discount {discount.key}", discount.percent)
    require_amount(f"discount {discount.key}", discount.amount)
    if bool(discount.percent) == bool(discount.amount):
        raise PlanInvalid(plan=plan, why=f'the discount "{discount.key}" needs either a percentage or an amount')
    if discount.percent > HUNDRED:
        raise PlanInvalid(plan=plan, why=f'the discount "{discount.key}" is more than 100 percent')
