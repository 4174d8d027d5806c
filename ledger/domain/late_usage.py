"""Late usage: what a period that was billed already still owes, or is owed, once its totals changed.

The whole total is rated anew and what was billed is taken off: f(total) - f(already billed), never f(new), because
one more unit may cross a tier, fill a package or fall under a maximum.
"""

from collections.abc import Sequence

from ledger.domain.charges import Charge
from ledger.domain.money import Money, minus
from ledger.domain.rating import Metered, rate_so_far
from ledger.domain.steps import Line, Step, extended, rounded_line


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
