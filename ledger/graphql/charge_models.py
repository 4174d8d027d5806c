"""Charge models as they are shown: how a quantity becomes an amount."""

from decimal import Decimal
from typing import Annotated

import strawberry

from ledger.domain import charges, percentage
from ledger.graphql.conventions import BillingTerm, PastLastTier
from ledger.graphql.structs import DimensionFilter, StructShown
from ledger.graphql.tiers import PercentTier, Tier

PRORATED = "Units weigh by their share of the period."
FLAT_AT_ZERO = "The first tier's flat amount is due at quantity zero, too."
FREE_EVENTS = "So many events are free, until either allowance is used up."
FREE_TOTAL = "So much money moved is free, until either allowance is used up."
FIXED_AT_ZERO = "Events that add up to exactly zero cost their fixed amount, too."


@strawberry.type(description="Each unit at one amount.")
class PerUnit(StructShown):
    """As `ledger.domain.charges.PerUnit`."""

    STRUCT = charges.PerUnit

    unit_amount: Decimal


@strawberry.type(description="Each unit at the price of the tier it lies in.")
class Graduated(StructShown):
    """As `ledger.domain.charges.Graduated`."""

    STRUCT = charges.Graduated

    tiers: list[Tier]
    flat_at_zero: bool = strawberry.field(description=FLAT_AT_ZERO)
    past_last_tier: PastLastTier
    is_prorated: bool = strawberry.field(description=PRORATED)


@strawberry.type(description="All units at the price of the one tier that the whole quantity reaches.")
class Volume(StructShown):
    """As `ledger.domain.charges.Volume`."""

    STRUCT = charges.Volume

    tiers: list[Tier]
    flat_at_zero: bool = strawberry.field(description=FLAT_AT_ZERO)
    past_last_tier: PastLastTier


@strawberry.type(description="A percentage of the money moved, by the tier it lies in.")
class GraduatedPercentage(StructShown):
    """As `ledger.domain.charges.GraduatedPercentage`; its tiers' name keeps them apart from those of units."""

    STRUCT = charges.GraduatedPercentage

    tiers: list[PercentTier] = strawberry.field(name="percentTiers")
    flat_at_zero: bool = strawberry.field(description=FLAT_AT_ZERO)
    past_last_tier: PastLastTier


@strawberry.type(description="Whole packages of units, begun ones too, of the units left after the free ones.")
class Package(StructShown):
    """As `ledger.domain.charges.Package`."""

    STRUCT = charges.Package

    package_amount: Decimal
    package_size: Decimal
    free_units: Decimal


@strawberry.type(description="A percentage of each event's amount, and a fixed amount for each event.")
class Percentage(StructShown):
    """As `ledger.domain.percentage.Percentage`."""

    STRUCT = percentage.Percentage

    rate_percent: Decimal
    fixed_amount: Decimal
    free_events: int | None = strawberry.field(description=FREE_EVENTS)
    free_total: Decimal | None = strawberry.field(description=FREE_TOTAL)
    event_amount_min: Decimal | None
    event_amount_max: Decimal | None
    fixed_at_zero: bool = strawberry.field(description=FIXED_AT_ZERO)


@strawberry.type(description="One amount for the period, used or not; below zero it is a standing credit.")
class Flat(StructShown):
    """As `ledger.domain.charges.Flat`."""

    STRUCT = charges.Flat

    amount: Decimal
    term: BillingTerm


@strawberry.type(description="The amounts that the events carry, summed, times a multiplier.")
class Dynamic(StructShown):
    """As `ledger.domain.charges.Dynamic`."""

    STRUCT = charges.Dynamic

    multiplier: Decimal


QuantityModel = Annotated[
    PerUnit | Graduated | Volume | Package | GraduatedPercentage, strawberry.union("QuantityModel")
]


@strawberry.type(description="Prices for usage whose dimensions have, each, one of some values.")
class DimensionalCell(StructShown):
    """As `ledger.domain.charges.Cell`."""

    STRUCT = charges.Cell

    match: list[DimensionFilter]
    price: QuantityModel


@strawberry.type(description="A price by dimensions: usage goes to the matching cell with the most dimensions.")
class Dimensional(StructShown):
    """As `ledger.domain.charges.Dimensional`."""

    STRUCT = charges.Dimensional

    cells: list[DimensionalCell]
    otherwise: QuantityModel | None = strawberry.field(description="For usage that no cell matches; null: it is free.")


ChargeModel = Annotated[
    PerUnit | Graduated | Volume | Package | GraduatedPercentage | Percentage | Flat | Dynamic | Dimensional,
    strawberry.union("ChargeModel"),
]
