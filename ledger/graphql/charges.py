"""Charges: a priced meter of a plan, with every convention of its rating."""

from decimal import Decimal
from typing import Any

import strawberry

from ledger.domain import charges, pricing
from ledger.domain.values import ZERO
from ledger.graphql.charge_model_inputs import ChargeModelInput
from ledger.graphql.charge_models import ChargeModel
from ledger.graphql.conventions import ConversionOperation, NegativeTotal, RoundingMode
from ledger.graphql.structs import (
    DimensionFilter,
    DimensionFilterInput,
    StructInput,
    StructShown,
    values_by_dimension,
)

_ROUNDED = "How the converted quantity is rounded; null: not at all."
_INCLUDED = "Units that are free of charge, taken off before rating."
_STANDING = "Due for the period, used or not."
_LINE_ROUNDING = "How the line is rounded to minor units, once."
_FILTERS = "Only usage whose dimensions have one of these values counts."
_GROUPS = "Each combination of their values is priced on a line of its own; a dimensional price has one line."
_PRORATES = "Amounts per period weigh by the share of the period that the plan ran for."
_PRORATES_INCLUDED = "Included units weigh by that share, too."


@strawberry.type(description="A change of unit before rating.")
class Conversion(StructShown):
    """As `ledger.domain.charges.Conversion`."""

    STRUCT = charges.Conversion

    operation: ConversionOperation
    factor: Decimal
    rounding: RoundingMode | None = strawberry.field(description=_ROUNDED)
    places: int


@strawberry.type(
    description="A price. Order: convert, round units, take off included units, rate by the model, add the standing "
    "amount, percentage discount, amount discount, maximum, minimum; then the line is rounded once."
)
class Price(StructShown):
    """As `ledger.domain.charges.Charge`."""

    STRUCT = charges.Charge

    model: ChargeModel
    conversion: Conversion | None
    included_quantity: Decimal = strawberry.field(description=_INCLUDED)
    standing_amount: Decimal = strawberry.field(description=_STANDING)
    discount_percent: Decimal
    discount_amount: Decimal
    amount_max: Decimal | None
    amount_min: Decimal | None
    negative: NegativeTotal
    rounding: RoundingMode = strawberry.field(description=_LINE_ROUNDING)


@strawberry.type(description="A price on the usage of a meter, shown on invoices as `label`.")
class PlanCharge(StructShown):
    """As `ledger.domain.pricing.PlanCharge`."""

    STRUCT = pricing.PlanCharge

    key: str
    label: str
    meter: str = strawberry.field(name="meterKey")
    price: Price
    filters: list[DimensionFilter] = strawberry.field(description=_FILTERS)
    group_by: list[str] = strawberry.field(description=_GROUPS)
    prorates_amounts: bool = strawberry.field(description=_PRORATES)
    prorates_included: bool = strawberry.field(description=_PRORATES_INCLUDED)


@strawberry.input(description="A change of unit before rating: the quantity times or by `factor`.")
class ConversionInput(StructInput):
    """As `ledger.domain.charges.Conversion`."""

    STRUCT = charges.Conversion

    operation: ConversionOperation
    factor: Decimal
    rounding: RoundingMode | None = strawberry.field(default=None, description=_ROUNDED)
    places: int = 0


@strawberry.input(
    description="A price. Order: convert, round units, take off included units, rate by the model, add the standing "
    "amount, percentage discount, amount discount, maximum, minimum; then the line is rounded once."
)
class PriceInput(StructInput):
    """As `ledger.domain.charges.Charge`."""

    STRUCT = charges.Charge

    model: ChargeModelInput
    conversion: ConversionInput | None = None
    included_quantity: Decimal = strawberry.field(default=ZERO, description=_INCLUDED)
    standing_amount: Decimal = strawberry.field(default=ZERO, description=_STANDING)
    discount_percent: Decimal = ZERO
    discount_amount: Decimal = ZERO
    amount_max: Decimal | None = None
    amount_min: Decimal | None = None
    negative: NegativeTotal = NegativeTotal.CLAMP
    rounding: RoundingMode = strawberry.field(default=RoundingMode.HALF_UP, description=_LINE_ROUNDING)


@strawberry.input(description="A price on the usage of a meter, shown on invoices as `label`.")
class PlanChargeInput(StructInput):
    """As `ledger.domain.pricing.PlanCharge`."""

    STRUCT = pricing.PlanCharge

    key: str
    label: str
    meter: str
    price: PriceInput
    filters: list[DimensionFilterInput] = strawberry.field(default_factory=list, description=_FILTERS)
    group_by: list[str] = strawberry.field(default_factory=list, description=_GROUPS)
    prorates_amounts: bool = strawberry.field(default=True, description=_PRORATES)
    prorates_included: bool = strawberry.field(default=False, description=_PRORATES_INCLUDED)

    def facts(self) -> dict[str, Any]:
        """The charge's fields; its filters by dimension."""
        return super().facts() | {"filters": values_by_dimension(self.filters)}
