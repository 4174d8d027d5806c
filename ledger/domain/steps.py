"""Steps: how a line came to its amount, each a quantity at a rate, adding up exactly to the line."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from ledger.domain.money import Money, add, payable, subtract, total
from ledger.domain.rounding import RoundingMode
from ledger.domain.values import ZERO

StepKind = Literal[
    "standing",  # the charge's own amount, used or not
    "converted",  # no amount: the quantity after the change of unit
    "included",  # no amount: the quantity, below zero, that is free of charge
    "units",  # quantity x amount per unit
    "packages",  # packages x amount per package
    "tier_flat",  # the flat amount of a tier that was entered
    "rate",  # quantity (money moved) x percent
    "fixed_fee",  # paid events x fixed amount
    "event_minimum",  # what lifted events to the least amount of an event
    "event_maximum",  # what was taken off events above the most of an event
    "events",  # the amounts that events carried x multiplier
    "flat",  # the amount of a flat charge
    "clamped",  # what keeps the sum of prorated units from going below zero
    "discount_percent",
    "discount_amount",
    "maximum",  # what the cap takes off
    "minimum",  # what the minimum commitment adds
    "adjustment",  # what a person put right by hand
    "already_billed",  # what earlier lines of the period came to
    "rounding",  # from the exact amount to whole minor units
]
Group = tuple[tuple[str, str | None], ...]
"""Dimensions and their values, as a dimensional charge names them; () is everything unnamed."""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One addend of a line. `amount` is in major units, `rate` an amount per unit, or a percentage of a "rate"."""

    kind: StepKind
    amount: Decimal
    quantity: Decimal | None = None
    rate: Decimal | None = None
    tier: int | None = None
    group: Group | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a charge comes to: `quantity` was billed and `amount` (major units) is exactly the sum of the steps."""

    quantity: Decimal
    steps: tuple[Step, ...]
    amount: Decimal


def line_of(quantity: Decimal, steps: Iterable[Step]) -> Line:
    """The line of the steps, in their order."""
    steps = tuple(steps)
    return Line(quantity=quantity, steps=steps, amount=total(step.amount for step in steps))


def extended(line: Line, step: Step) -> Line:
    """The line with one more step."""
    return Line(quantity=line.quantity, steps=(*line.steps, step), amount=add(line.amount, step.amount))


def rounded_line(line: Line, currency: str, rounding: RoundingMode) -> tuple[Line, Money]:
    """The line with its rounding as the last step, where that is not nothing, and the money it comes to."""
    money = payable(line.amount, currency, rounding)
    difference = subtract(money.amount, line.amount)
    if difference:
        line = extended(line, Step(kind="rounding", amount=difference))
    return line, money


def grouped(steps: Iterable[Step], group: Group) -> list[Step]:
    """The steps, said to be of the group."""
    return [msgspec.structs.replace(step, group=group) for step in steps]


_Key = tuple[StepKind, int | None, Group | None]


def difference(until: Iterable[Step], before: Iterable[Step]) -> list[Step]:
    """The steps that lead from `before` to `until`: each pair's difference, without those that did not change."""
    later, earlier = _keyed(until), _keyed(before)
    steps = []
    for key in [*later, *(key for key in earlier if key not in later)]:
        new, old = later.get(key), earlier.get(key)
        known = new or old
        assert known is not None, "a key comes from one of the two"
        step = msgspec.structs.replace(
            known,
            amount=subtract(_amount(new), _amount(old)),
            quantity=None if known.quantity is None else subtract(_quantity(new), _quantity(old)),
        )
        if step.amount or step.quantity:
            steps.append(step)
    return steps


def _keyed(steps: Iterable[Step]) -> Mapping[_Key, Step]:
    return {(step.kind, step.tier, step.group): step for step in steps}


def _amount(step: Step | None) -> Decimal:
    return ZERO if step is None else step.amount


def _quantity(step: Step | None) -> Decimal:
    return ZERO if step is None or step.quantity is None else step.quantity
