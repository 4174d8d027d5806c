"""Proration: parts of fees for parts of periods, by whole local days or by elapsed time.

Each result is rounded once, half away from zero unless said otherwise.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

import msgspec

from ledger.domain.calendar import zone as zone_of
from ledger.domain.money import Money, divide, multiply, payable, percent_of, subtract, total
from ledger.domain.money import allocate as allocate_money
from ledger.domain.periods import Period, local_days
from ledger.domain.pricing_refusals import ChargeInvalid
from ledger.domain.rounding import RoundingMode
from ledger.domain.values import ZERO, microseconds

HALF_UP: Final[RoundingMode] = "half_up"


class Share(msgspec.Struct, frozen=True):
    """`numerator` of `denominator` days or microseconds: kept as two whole numbers, so that it divides last."""

    numerator: int
    denominator: int

    def of(self, amount: Decimal) -> Decimal:
        """That share of the amount, exact to 120 digits."""
        return divide(multiply(amount, Decimal(self.numerator)), Decimal(self.denominator))


WHOLE: Final = Share(1, 1)


def remaining_time(span: Period, at: datetime) -> Share:
    """The share of the period that is left at an instant: all of it before, nothing after. Source: Polar, Stripe."""
    length = microseconds(span.end) - microseconds(span.start)
    if length <= 0:
        raise ChargeInvalid(field="period", why="it has no length")
    left = microseconds(span.end) - microseconds(at)
    return Share(min(max(left, 0), length), length)


def served_time(served: Period, full: Period) -> Share:
    """The share of a full period that was served; everything where either has no length, never more.

    Source: OpenMeter's flat fees.
    """
    length = microseconds(full.end) - microseconds(full.start)
    ran = microseconds(served.end) - microseconds(served.start)
    if length <= 0 or ran <= 0 or ran >= length:
        return WHOLE
    return Share(ran, length)


def billed_days(
    whole: Period,
    zone: str,
    *,
    started_at: datetime | None = None,
    ended_at: datetime | None = None,
    ended_by: Literal["termination", "upgrade"] = "termination",
    trial_days: int = 0,
) -> Share:
    """The whole local days to bill of a period: from the day of the start to the day of the end, both inclusive.

    Trial days, counted from the day of the start, are free. The day of an upgrade belongs to the new plan, that of a
    termination to the plan that ends. Source: Lago.
    """
    day_of = zone_of(zone).day_of
    first, past = day_of(whole.start), day_of(whole.end)
    if started_at is not None:
        first = max(first, day_of(started_at) + timedelta(days=trial_days))
    if ended_at is not None:
        ended_on = day_of(ended_at)
        past = min(past, ended_on if ended_by == "upgrade" else ended_on + timedelta(days=1))
    return Share(max((past - first).days, 0), local_days(whole, zone))


def days_left(at: datetime, last: datetime, zone: str) -> int:
    """The local days from the day of `at` to the day of `last`, both inclusive: what a unit added then runs for."""
    calendar = zone_of(zone)
    return (calendar.day_of(last) - calendar.day_of(at)).days + 1


class Discount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Off a set of lines: a percentage of each, or an amount shared among them in proportion."""

    percent: Decimal = ZERO
    amount: Decimal = ZERO


def discounted(lines: Sequence[Money], discount: Discount | None) -> list[Money]:
    """The lines after the discount, never below zero; an amount is shared to the last minor unit.

    The lines are of one currency and not below zero. Source: Polar.
    """
    if discount is None or not lines:
        return list(lines)
    if discount.percent:
        return [line - payable(percent_of(line.amount, discount.percent), line.currency, HALF_UP) for line in lines]
    whole = sum(lines[1:], start=lines[0])
    off = min(payable(discount.amount, whole.currency, HALF_UP).minor_units, whole.minor_units)
    names = [f"{index:09}" for index in range(len(lines))]
    weights = [(name, Decimal(line.minor_units)) for name, line in zip(names, lines, strict=True) if line.minor_units]
    shares = allocate_money(Money(off, whole.currency), weights)
    nothing = Money(0, whole.currency)
    return [line - shares.get(name, nothing) for name, line in zip(names, lines, strict=True)]


def prorated(lines: Sequence[Money], share: Share) -> list[Money]:
    """That share of each line."""
    return [payable(share.of(line.amount), line.currency, HALF_UP) for line in lines]


def change_for_the_rest(
    old: Money, new: Money, share: Share, *, new_starts_full_period: bool = False
) -> tuple[Money, Money]:
    """What a change of plan credits for the old one and debits for the new one, for the rest of the period.

    A new plan that starts a period of its own is debited whole.
    """
    [credit] = prorated([old], share)
    [debit] = prorated([new], WHOLE if new_starts_full_period else share)
    return credit, debit


def seats_for_the_rest(
    old: Money, new: Money, share: Share, *, other: Sequence[Money] = (), discount: Discount | None = None
) -> Money:
    """What a change of seats comes to for the rest of the period: above zero a debit, below zero a credit.

    The discount is shared with the contract's `other` lines at each number of seats. Source: Polar.
    """
    before = discounted([*other, old], discount)[-1]
    now = discounted([*other, new], discount)[-1]
    [money] = prorated([now - before], share)
    return money


def with_tax(net: Decimal, percent: Decimal, currency: str, *, is_credit: bool) -> tuple[Money, Money]:
    """The net money and the tax on it: for a fee on the rounded net, for a credit on the exact one. Source: Lago."""
    money = payable(net, currency, HALF_UP)
    taxed = net if is_credit else money.amount
    return money, payable(percent_of(taxed, percent), currency, HALF_UP)


def commitment_due(
    minimum: Decimal,
    used: Sequence[Decimal],
    currency: str,
    *,
    share: Share = WHOLE,
    round_first: bool = False,
) -> Money:
    """What is missing to a prorated minimum after what was used; nothing once it is reached.

    With `round_first` the prorated minimum and each part used are rounded before they are subtracted (Lago), else
    only the difference is.
    """
    due = share.of(minimum)
    if round_first:
        parts = [payable(part, currency, HALF_UP) for part in used]
        missing = payable(due, currency, HALF_UP) - sum(parts, start=Money(0, currency))
        return max(missing, Money(0, currency), key=lambda money: money.minor_units)
    return payable(max(subtract(due, total(used)), ZERO), currency, HALF_UP)


def recurring_weight(at: datetime, span: Period, zone: str) -> Share:
    """The weight of units that came at an instant in a period that they recur in: their days of the period's.

    Units of earlier periods weigh whole. Source: Lago's recurring metrics.
    """
    if at < span.start:
        return WHOLE
    last = span.end - timedelta(microseconds=1)
    return Share(days_left(at, last, zone), local_days(span, zone))
