"""The words of plans and contracts: what a platform's convention may be, as enums."""

from enum import Enum

import strawberry


@strawberry.enum(description="A stretch of the calendar.")
class IntervalUnit(Enum):
    """As `ledger.domain.durations.IntervalUnit`."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    HALF_YEAR = "half_year"
    YEAR = "year"


@strawberry.enum(
    description="How an amount for a period is prorated in a part of it: by whole local days, by elapsed time, or not."
)
class Proration(Enum):
    """As `ledger.domain.pricing.Convention`."""

    DAYS = "days"
    ELAPSED_TIME = "elapsed_time"
    NONE = "none"


@strawberry.enum(description="When an amount for a period is due: when the period begins, or when it closes.")
class BillingTerm(Enum):
    """As `ledger.domain.pricing.Term`."""

    IN_ADVANCE = "in_advance"
    IN_ARREARS = "in_arrears"


@strawberry.enum(
    description="What becomes of units past a last tier that has an end: FORBIDDEN refuses such tiers at definition, "
    "ERROR refuses the quantity, BILL_COVERED bills the covered units only."
)
class PastLastTier(Enum):
    """As `ledger.domain.tiers.PastLastTier`."""

    FORBIDDEN = "forbidden"
    ERROR = "error"
    BILL_COVERED = "bill_covered"


@strawberry.enum(description="What a period's total below zero is: rated as zero, refused, or rated as it is.")
class NegativeTotal(Enum):
    """As `ledger.domain.charges.Charge.negative`."""

    CLAMP = "clamp"
    ERROR = "error"
    SIGNED = "signed"


@strawberry.enum(description="The direction of rounding; HALF_UP rounds a half away from zero.")
class RoundingMode(Enum):
    """As `ledger.domain.rounding.RoundingMode`, each direction once."""

    CEIL = "ceil"
    FLOOR = "floor"
    UP = "up"
    DOWN = "down"
    HALF_AWAY_FROM_ZERO = "half_away_from_zero"
    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    HALF_DOWN = "half_down"


@strawberry.enum(description="How a quantity becomes one in another unit.")
class ConversionOperation(Enum):
    """As `ledger.domain.charges.Conversion.operation`."""

    MULTIPLY = "multiply"
    DIVIDE = "divide"


@strawberry.enum(description="Where periods begin: with the calendar's, or on anniversaries of the anchor.")
class Alignment(Enum):
    """As `ledger.domain.agreements.ContractTerms.alignment`."""

    ANNIVERSARY = "anniversary"
    CALENDAR = "calendar"


@strawberry.enum(description="When on its first day a period begins: at local midnight, or at the anchor's time.")
class PeriodStart(Enum):
    """As `ledger.domain.periods.Starts`."""

    MIDNIGHT = "midnight"
    INSTANT = "instant"


@strawberry.enum(description="SOFT may be passed and is told, HARD says that the product should stop.")
class LimitKind(Enum):
    """As `ledger.domain.agreements.Entitlement.limit`."""

    SOFT = "soft"
    HARD = "hard"


@strawberry.enum(description="What a commitment is for: each period, or all of them together.")
class CommitmentSpan(Enum):
    """As `ledger.domain.agreements.Commitment.per`."""

    PERIOD = "period"
    TOTAL = "total"


@strawberry.enum(description="What becomes of the difference that late usage makes to a closed period.")
class LateAction(Enum):
    """As `ledger.domain.agreements.LateAction`."""

    CARRY_FORWARD = "carry_forward"
    CREDIT = "credit"
    BILL_NOW = "bill_now"
    ABSORB = "absorb"
