"""What lines of invoices and their steps may be, as enums."""

from enum import Enum

import strawberry


@strawberry.enum(description="What a line of an invoice is about.")
class LineKind(Enum):
    """As `ledger.domain.lines.LineKind`."""

    USAGE = "usage"
    FEE = "fee"
    DISCOUNT = "discount"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    COMMITMENT = "commitment"
    ADJUSTMENT = "adjustment"
    CREDIT = "credit"


@strawberry.enum(description="What a step adds to its line; INCLUDED and CONVERTED change the quantity alone.")
class StepKind(Enum):
    """As `ledger.domain.steps.StepKind`, which tells what each is."""

    STANDING = "standing"
    CONVERTED = "converted"
    INCLUDED = "included"
    UNITS = "units"
    PACKAGES = "packages"
    TIER_FLAT = "tier_flat"
    RATE = "rate"
    FIXED_FEE = "fixed_fee"
    EVENT_MINIMUM = "event_minimum"
    EVENT_MAXIMUM = "event_maximum"
    EVENTS = "events"
    FLAT = "flat"
    CLAMPED = "clamped"
    DISCOUNT_PERCENT = "discount_percent"
    DISCOUNT_AMOUNT = "discount_amount"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    ADJUSTMENT = "adjustment"
    ALREADY_BILLED = "already_billed"
    ROUNDING = "rounding"


@strawberry.enum(
    description="Why an event decides a line: the highest (or lowest), the next, the last, a value's first."
)
class DecidingRole(Enum):
    """As `ledger.projections.evidence_deciders.Role`."""

    WINNER = "winner"
    RUNNER_UP = "runner_up"
    LAST = "last"
    FIRST_OF_VALUE = "first_of_value"
