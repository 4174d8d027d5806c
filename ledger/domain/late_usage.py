"""Late usage: what a period that was billed already still owes, or is owed, once its totals changed.

The whole total is rated anew and what was billed is taken off: f(total) - f(already billed), never f(new), because
one more unit may cross a tier, fill a package or fall under a maximum.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ledger.domain.adjustment_events import LEDGER, Adjustment, AdjustmentProposed, Evidence
from ledger.domain.agreements import LateAction, LatePolicy, late_action
from ledger.domain.charges import Charge
from ledger.domain.closing import Rating, instant_text, rated
from ledger.domain.closing_events import LateUsageAssessed
from ledger.domain.closings import Closed
from ledger.domain.money import Money, minus
from ledger.domain.rating import Metered, rate_so_far
from ledger.domain.steps import Line, Step, extended, rounded_line

REASON: Final = "late_usage"
EXPIRY: Final = timedelta(days=90)


class Settling(NamedTuple):
    """How a contract settles late usage: by its `policy`, and on the period that begins at `next_start`."""

    policy: LatePolicy
    next_start: datetime


def assess(
    closed: Closed, rating: Rating, settling: Settling, *, now: datetime
) -> tuple[LateUsageAssessed, AdjustmentProposed | None] | None:
    """What a closed period comes to now against what it came to before, and what is proposed for it.

    None where that is the same, or where the rating is not newer than the last one. Adjustments in money are left
    out on both sides: they are no usage.
    """
    if rating.position <= closed.assessed_position:
        return None
    money = rated(rating.invoice)
    difference = money - closed.rated
    if not difference.minor_units:
        return None
    action = late_action(settling.policy, difference)
    proposed = None if action == "absorb" else _proposed(closed, rating, settling, action, difference, now)
    assessed = LateUsageAssessed(
        account=closed.event.account,
        start=closed.event.start,
        position=rating.position,
        rated=money,
        difference=difference,
        action=action,
        adjustment=None if proposed is None else proposed.adjustment.adjustment,
    )
    return assessed, proposed


def _proposed(
    closed: Closed, rating: Rating, settling: Settling, action: LateAction, difference: Money, now: datetime
) -> AdjustmentProposed:
    start = closed.event.start
    evidence = [Evidence(kind="event", reference=str(position)) for position in rating.late]
    evidence.append(Evidence(kind="invoice", reference=str(closed.at_position + 1)))
    return AdjustmentProposed(
        account=closed.event.account,
        adjustment=Adjustment(
            adjustment=f"late/{instant_text(start)}/{len(closed.late) + 1}",
            kind="debit" if difference.minor_units > 0 else "credit",
            at=settling.next_start if action == "carry_forward" else start,
            reason=REASON,
            note=f"What the period from {instant_text(start)} comes to since it was closed.",
            amount=difference if difference.minor_units > 0 else -difference,
            evidence=tuple(evidence),
        ),
        proposed_by=LEDGER,  # no person, so that anybody who approves may decide
        role=LEDGER,
        proposed_at=now,
        expires_at=now + EXPIRY,
        effect=difference,
    )


def delta(charge: Charge, metered: Metered, billed: Money, *, is_final: bool) -> tuple[Line, Money]:
    """What is due beyond what was `billed`, below zero for a credit, and its line, ending in what was billed.

    The minimum of the charge is due only once the period `is_final`. The currency is that of `billed`.
    """
    line = rate_so_far(charge, metered, is_final=is_final)
    line, money = rounded_line(line, billed.currency, charge.rounding)
    return extended(line, Step(kind="already_billed", amount=minus(billed.amount))), money - billed


def deltas_by_period(
    charge: Charge, totals: Sequence[Metered], billed: Sequence[Money], currency: str, *, is_final: bool
) -> list[Money]:
    """What is due for each part of a period, so that late usage is booked on the part it belongs to.

    `totals` are what is known now to have been metered up to the end of each part, in order; `billed` is what the
    parts were billed, none for parts not billed yet. A part owes the difference that it makes to the total; the
    minimum falls on the last part, and only once the period `is_final`. Source: OpenMeter's period-preserving mode.
    """
    deltas = []
    before = Money(0, currency)
    for index, metered in enumerate(totals):
        is_last = is_final and index == len(totals) - 1
        line = rate_so_far(charge, metered, is_final=is_last)
        _, until = rounded_line(line, currency, charge.rounding)
        already = billed[index] if index < len(billed) else Money(0, currency)
        deltas.append(until - before - already)
        before = until
    return deltas
