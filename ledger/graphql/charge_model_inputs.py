"""Charge models as they are told: exactly one of each choice."""

from decimal import Decimal
from typing import Any

import strawberry

from ledger.domain import charges, percentage
from ledger.domain.money import ONE
from ledger.domain.values import ZERO
from ledger.graphql.charge_models import FIXED_AT_ZERO, FLAT_AT_ZERO, FREE_EVENTS, FREE_TOTAL, PRORATED
from ledger.graphql.conventions import BillingTerm, PastLastTier
from ledger.graphql.structs import DimensionFilterInput, OneOfInput, StructInput, values_by_dimension
from ledger.graphql.tiers import PercentTierInput, TierInput


@strawberry.input(description="Each unit at one amount.")
class PerUnitInput(StructInput):
    """As `ledger.domain.charges.PerUnit`."""

    STRUCT = charges.PerUnit

    unit_amount: Decimal


@strawberry.input(description="Each unit at the price of the tier it lies in.")
class GraduatedInput(StructInput):
    """As `ledger.domain.charges.Graduated`."""

    STRUCT = charges.Graduated

    tiers: list[TierInput]
    flat_at_zero: bool = strawberry.field(default=True, description=FLAT_AT_ZERO)
    past_last_tier: PastLastTier = PastLastTier.FORBIDDEN
    is_prorated: bool = strawberry.field(default=False, description=PRORATED)


@strawberry.input(description="All units at the price of the one tier that the whole quantity reaches.")
class VolumeInput(StructInput):
    """As `ledger.domain.charges.Volume`."""

    STRUCT = charges.Volume

    tiers: list[TierInput]
    flat_at_zero: bool = strawberry.field(default=True, description=FLAT_AT_ZERO)
    past_last_tier: PastLastTier = PastLastTier.FORBIDDEN


@strawberry.input(description="A percentage of the money moved, by the tier it lies in.")
class GraduatedPercentageInput(StructInput):
    """As `ledger.domain.charges.GraduatedPercentage`."""

    STRUCT = charges.GraduatedPercentage

    tiers: list[PercentTierInput] = strawberry.field(name="percentTiers")
    flat_at_zero: bool = strawberry.field(default=True, description=FLAT_AT_ZERO)
    past_last_tier: PastLastTier = PastLastTier.FORBIDDEN


@strawberry.input(description="Whole packages of units, begun ones too, of the units left after the free ones.")
class PackageInput(StructInput):
    """As `ledger.domain.charges.Package`."""

    STRUCT = charges.Package

    package_amount: Decimal
    package_size: Decimal
    free_units: Decimal = ZERO


@strawberry.input(description="A percentage of each event's amount, and a fixed amount for each event.")
class PercentageInput(StructInput):
    """As `ledger.domain.percentage.Percentage`."""

    STRUCT = percentage.Percentage

    rate_percent: Decimal
    fixed_amount: Decimal = ZERO
    free_events: int | None = strawberry.field(default=None, description=FREE_EVENTS)
    free_total: Decimal | None = strawberry.field(default=None, description=FREE_TOTAL)
    event_amount_min: Decimal | None = None
    event_amount_max: Decimal | None = None
    fixed_at_zero: bool = strawberry.field(default=False, description=FIXED_AT_ZERO)


@strawberry.input(description="One amount for the period, used or not; below zero it is a standing credit.")
class FlatInput(StructInput):
    """As `ledger.domain.charges.Flat`."""

    STRUCT = charges.Flat

    amount: Decimal
    term: BillingTerm = BillingTerm.IN_ARREARS


@strawberry.input(description="The amounts that the events carry, summed, times a multiplier.")
class DynamicInput(StructInput):
    """As `ledger.domain.charges.Dynamic`."""

    STRUCT = charges.Dynamic

    multiplier: Decimal = ONE


@strawberry.input(one_of=True, description="How one total quantity becomes an amount: exactly one of these.")
class QuantityModelInput(OneOfInput):
    """As `ledger.domain.charges.QuantityModel`."""

    per_unit: PerUnitInput | None = strawberry.UNSET
    graduated: GraduatedInput | None = strawberry.UNSET
    volume: VolumeInput | None = strawberry.UNSET
    package: PackageInput | None = strawberry.UNSET
    graduated_percentage: GraduatedPercentageInput | None = strawberry.UNSET


@strawberry.input(description="Prices for usage whose dimensions have, each, one of some values.")
class DimensionalCellInput(StructInput):
    """As `ledger.domain.charges.Cell`."""

    STRUCT = charges.Cell

    match: list[DimensionFilterInput]
    price: QuantityModelInput

    def facts(self) -> dict[str, Any]:
        """The cell's fields; what it matches by dimension."""
        return {"match": values_by_dimension(self.match), "price": self.price.struct()}


@strawberry.input(description="A price by dimensions: usage goes to the matching cell with the most dimensions.")
class DimensionalInput(StructInput):
    """As `ledger.domain.charges.Dimensional`."""

    STRUCT = charges.Dimensional

    cells: list[DimensionalCellInput]
    otherwise: QuantityModelInput | None = strawberry.field(
        default=None, description="For usage that no cell matches; null: it is free."
    )


@strawberry.input(one_of=True, description="How usage becomes an amount: exactly one of these.")
class ChargeModelInput(OneOfInput):
    """As `ledger.domain.charges.Model`."""

    per_unit: PerUnitInput | None = strawberry.UNSET
    graduated: GraduatedInput | None = strawberry.UNSET
    volume: VolumeInput | None = strawberry.UNSET
    package: PackageInput | None = strawberry.UNSET
    percentage: PercentageInput | None = strawberry.UNSET
    graduated_percentage: GraduatedPercentageInput | None = strawberry.UNSET
    dimensional: DimensionalInput | None = strawberry.UNSET
    flat: FlatInput | None = strawberry.UNSET
    dynamic: DynamicInput | None = strawberry.UNSET
