"""Which of some values add up to an amount: a bounded search, whose answer is a candidate and no proof."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import combinations
from typing import Final, NamedTuple

from ledger.domain.money import total
from ledger.domain.values import EXACT

VALUES_MAX: Final = 2_000
"""Beyond so many values only one of them, or all, is looked for."""
SUMS_MAX: Final = 50_000
"""How many partial sums are looked at before the search gives up."""


class Subset(NamedTuple):
    """Indices of values that add up to the amount, and whether others were seen that do, too."""

    indices: tuple[int, ...]
    is_only: bool


def subset_of(values: Sequence[Decimal], amount: Decimal) -> Subset | None:
    """A set of values, rather a small one, that was found to add up exactly to the amount; None where none was.

    One, all, two or all but one are always found; of more, what `SUMS_MAX` partial sums show.
    """
    if not values or not amount:
        return None
    single = [index for index, value in enumerate(values) if value == amount]
    if single:
        return Subset((single[0],), len(single) == 1)
    everything = total(values)
    if everything == amount:
        return Subset(tuple(range(len(values))), is_only=True)
    if len(values) > VALUES_MAX:
        return None
    return _pair(values, amount) or _all_but_one(values, EXACT.subtract(everything, amount)) or _some(values, amount)


def _pair(values: Sequence[Decimal], amount: Decimal) -> Subset | None:
    seen: dict[Decimal, int] = {}
    found: list[tuple[int, int]] = []
    for index, value in enumerate(values):
        other = seen.get(EXACT.subtract(amount, value))
        if other is not None:
            found.append((other, index))
            if len(found) == 2:
                break
        seen.setdefault(value, index)
    return Subset(found[0], len(found) == 1) if found else None


def _all_but_one(values: Sequence[Decimal], over: Decimal) -> Subset | None:
    left_out = [index for index, value in enumerate(values) if value == over]
    if not left_out:
        return None
    return Subset(tuple(index for index in range(len(values)) if index != left_out[0]), len(left_out) == 1)


def _some(values: Sequence[Decimal], amount: Decimal) -> Subset | None:
    """Three or more, smaller sets first, as far as the bound allows."""
    looked = 0
    for size in range(3, len(values) - 1):
        for chosen in combinations(range(len(values)), size):
            looked += 1
            if looked > SUMS_MAX:
                return None
            if total(values[index] for index in chosen) == amount:
                return Subset(chosen, is_only=False)
    return None
