"""Tiers: prices that change with quantity, and how a quantity spreads over them.

A tier ends at `up_to`, inclusive, and begins just above the end of the one before it: with the bound 5, 5.001 units
reach into the next tier.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from ledger.domain.money import ONE, add, divide, minus, multiply, percent_of, subtract
from ledger.domain.pricing_refusals import (
    LastTierBounded,
    LastTierExceeded,
    TiersGapped,
    TiersMissing,
    TiersOverlap,
    TiersUnsorted,
)
from ledger.domain.steps import Step
from ledger.domain.values import ZERO

PastLastTier = Literal["forbidden", "error", "bill_covered"]
"""What becomes of units past a last tier that has an end: `forbidden` refuses such tiers when the charge is defined,
`error` refuses the quantity when it is rated, `bill_covered` bills the covered units only.
"""


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units up to `up_to` (None: without end) at an amount each, and an amount for entering the tier.

    `start` may repeat where the tier begins, as platforms that write ranges do: the end of the tier before it, or
    one unit more (0-10, 11-20). It is checked and has no other effect: tiers have no gaps.
    """

    up_to: Decimal | None
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO
    start: Decimal | None = None


class PercentTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money moved up to `up_to` (None: without end) at a percentage, and an amount for entering the tier."""

    up_to: Decimal | None
    rate_percent: Decimal
    flat_amount: Decimal = ZERO
    start: Decimal | None = None


class Portion(msgspec.Struct, frozen=True):
    """Units that came (or, below zero, went) and counted for `numerator / denominator` of the period."""

    units: Decimal
    numerator: Decimal
    denominator: Decimal


AnyTier = Tier | PercentTier


def check_tiers(tiers: Sequence[AnyTier], past_last_tier: PastLastTier) -> None:
    """Refuse tiers that leave a quantity without a price, or with two.

    Raises `TiersMissing`, `TiersUnsorted`, `TiersOverlap`, `TiersGapped`, `LastTierBounded`.
    """
    if not tiers:
        raise TiersMissing
    end: Decimal | None = ZERO
    for number, tier in enumerate(tiers, start=1):
        if end is None or (tier.up_to == end and number > 1):
            raise TiersOverlap(tier=number, previous_up_to=end)
        if tier.up_to is not None and tier.up_to < end:
            raise TiersUnsorted(tier=number, up_to=tier.up_to)
        if tier.start is not None:
            _check_start(tier.start, end, number)
        end = tier.up_to
    if end is not None and past_last_tier == "forbidden":
        raise LastTierBounded(up_to=end)


def _check_start(start: Decimal, end: Decimal, number: int) -> None:
    if start < end:
        raise TiersOverlap(tier=number, previous_up_to=end)
    if start != end and (start != add(end, ONE) or number == 1):
        raise TiersGapped(tier=number, start=start, previous_up_to=end)


def covered(tiers: Sequence[AnyTier], quantity: Decimal, past_last_tier: PastLastTier) -> Decimal:
    """The part of the quantity that tiers price: all of it, unless the last one ends below it."""
    end = tiers[-1].up_to
    if end is None or quantity <= end:
        return quantity
    if past_last_tier == "bill_covered":
        return end
    raise LastTierExceeded(quantity=quantity, up_to=end)


def tier_at(tiers: Sequence[AnyTier], quantity: Decimal) -> int:
    """The index of the tier that the quantity reaches; the first for zero and below."""
    for index, tier in enumerate(tiers):
        if tier.up_to is None or quantity <= tier.up_to:
            return index
    return len(tiers) - 1


def spread(tiers: Sequence[AnyTier], low: Decimal, high: Decimal) -> Iterator[tuple[int, Decimal]]:
    """Which tiers the units from `low` to `high` lie in, and how many in each; below zero they lie in the first."""
    floor: Decimal | None = None
    for index, tier in enumerate(tiers):
        start = low if floor is None else max(low, floor)
        end = high if tier.up_to is None else min(high, tier.up_to)
        if end > start:
            yield index, subtract(end, start)
        floor = tier.up_to


def graduated_steps(tiers: Sequence[AnyTier], quantity: Decimal, *, flat_at_zero: bool) -> Iterator[Step]:
    """Each tier's units at its own price, and the flat amount of each tier entered.

    A negative quantity is priced by the first tier, below zero.
    """
    parts = dict(spread(tiers, min(quantity, ZERO), max(quantity, ZERO)))
    sign = ONE if quantity > 0 else -ONE
    reached = tier_at(tiers, quantity)
    for index, tier in enumerate(tiers[: reached + 1]):
        if index in parts:
            yield priced(tier, multiply(sign, parts[index]), index + 1)
        if tier.flat_amount and (quantity > 0 or flat_at_zero):
            yield flat_step(tier, index + 1)


def volume_steps(
    tiers: Sequence[Tier], quantity: Decimal, *, tier_quantity: Decimal, flat_at_zero: bool
) -> Iterator[Step]:
    """The whole quantity at the price of the one tier that `tier_quantity` reaches, and that tier's flat amount."""
    index = tier_at(tiers, tier_quantity)
    tier = tiers[index]
    if quantity:
        yield priced(tier, quantity, index + 1)
    if tier.flat_amount and (tier_quantity > 0 or flat_at_zero):
        yield flat_step(tier, index + 1)


def prorated_steps(
    tiers: Sequence[Tier], portions: Sequence[Portion], *, flat_at_zero: bool, past_last_tier: PastLastTier
) -> Iterator[Step]:
    """Units at the price of the tier they fill, each weighed by the share of the period it was there.

    Full units, in order of occurrence, fill and leave the tiers; a portion that crosses a bound weighs the same on
    both sides. A tier once entered keeps its flat amount. Units without any weight that come, or that go without
    having come, fill nothing. The units' amounts together do not go below zero; below zero units nothing is due.
    Source: Lago's prorated graduated charges.
    """
    level = highest = ZERO
    weighed: dict[int, Decimal] = {}
    amounts: dict[int, Decimal] = {}
    for portion in portions:
        after = add(level, portion.units)
        if not portion.numerator and (portion.units > 0 or after < 0):
            continue
        low, high = sorted(covered(tiers, end, past_last_tier) for end in (level, after))
        weight = portion.numerator if portion.units > 0 else minus(portion.numerator)
        for index, part in spread(tiers, low, high):
            share = multiply(part, weight)
            price = multiply(share, tiers[index].unit_amount)
            weighed[index] = add(weighed.get(index, ZERO), divide(share, portion.denominator))
            amounts[index] = add(amounts.get(index, ZERO), divide(price, portion.denominator))
        level, highest = after, max(highest, after)
    if level < 0:
        return
    sum_of_units = ZERO
    for index, tier in enumerate(tiers[: tier_at(tiers, highest) + 1]):
        if index in weighed:
            amount = amounts[index]
            sum_of_units = add(sum_of_units, amount)
            yield Step(kind="units", tier=index + 1, quantity=weighed[index], rate=tier.unit_amount, amount=amount)
        if tier.flat_amount and (highest > 0 or flat_at_zero):
            yield flat_step(tier, index + 1)
    if sum_of_units < 0:
        yield Step(kind="clamped", amount=minus(sum_of_units))


def priced(tier: AnyTier, quantity: Decimal, number: int) -> Step:
    """The step of a quantity within a tier."""
    if isinstance(tier, PercentTier):
        return Step(
            kind="rate",
            tier=number,
            quantity=quantity,
            rate=tier.rate_percent,
            amount=percent_of(quantity, tier.rate_percent),
        )
    return Step(
        kind="units",
        tier=number,
        quantity=quantity,
        rate=tier.unit_amount,
        amount=multiply(quantity, tier.unit_amount),
    )


def flat_step(tier: AnyTier, number: int) -> Step:
    """The step of a tier's flat amount."""
    return Step(kind="tier_flat", tier=number, quantity=ONE, rate=tier.flat_amount, amount=tier.flat_amount)
