"""Tiers: prices that change with quantity."""

from decimal import Decimal

import strawberry

from ledger.domain import tiers
from ledger.domain.values import ZERO
from ledger.graphql.structs import StructInput, StructShown

_UP_TO = "Where the tier ends, inclusive; null: nowhere. It begins just above the end of the one before it."
_FLAT = "Due once the tier is entered."
_START = (
    "Where the tier begins, for platforms that write ranges: the end of the tier before it or one unit more. "
    "It is checked and has no other effect."
)


@strawberry.type(description="Units up to an end at an amount each.")
class Tier(StructShown):
    """As `ledger.domain.tiers.Tier`."""

    STRUCT = tiers.Tier

    up_to: Decimal | None = strawberry.field(description=_UP_TO)
    unit_amount: Decimal
    flat_amount: Decimal = strawberry.field(description=_FLAT)
    start: Decimal | None = strawberry.field(description=_START)


@strawberry.type(description="Money moved up to an end at a percentage.")
class PercentTier(StructShown):
    """As `ledger.domain.tiers.PercentTier`."""

    STRUCT = tiers.PercentTier

    up_to: Decimal | None = strawberry.field(description=_UP_TO)
    rate_percent: Decimal
    flat_amount: Decimal = strawberry.field(description=_FLAT)
    start: Decimal | None = strawberry.field(description=_START)


@strawberry.input(description="Units up to an end at an amount each.")
class TierInput(StructInput):
    """As `ledger.domain.tiers.Tier`."""

    STRUCT = tiers.Tier

    up_to: Decimal | None = strawberry.field(default=None, description=_UP_TO)
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = strawberry.field(default=ZERO, description=_FLAT)
    start: Decimal | None = strawberry.field(default=None, description=_START)


@strawberry.input(description="Money moved up to an end at a percentage.")
class PercentTierInput(StructInput):
    """As `ledger.domain.tiers.PercentTier`."""

    STRUCT = tiers.PercentTier

    rate_percent: Decimal
    up_to: Decimal | None = strawberry.field(default=None, description=_UP_TO)
    flat_amount: Decimal = strawberry.field(default=ZERO, description=_FLAT)
    start: Decimal | None = strawberry.field(default=None, description=_START)
