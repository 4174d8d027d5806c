"""Two sums of the same window side by side, and how far apart they may be."""

from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from ledger.domain.money import Money
from ledger.domain.values import EXACT, ZERO

FLOAT_PRECISION: Final = Decimal("1e-14")
"""Platforms add up in binary floating point: what a sum of theirs may be off by without meaning anything."""


class Tolerance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run lets pass: quantities apart by `quantity` or by the share `relative` of the larger, money by `money`.

    `money` is in minor units of whatever currency.
    """

    quantity: Decimal = ZERO
    relative: Decimal = FLOAT_PRECISION
    money: int = 0

    def lets_pass(self, ours: Decimal, theirs: Decimal) -> bool:
        """Whether two quantities count as the same."""
        apart = abs(EXACT.subtract(ours, theirs))
        return apart <= max(self.quantity, EXACT.multiply(self.relative, max(abs(ours), abs(theirs))))

    def lets_money_pass(self, ours: Money, theirs: Money) -> bool:
        """Whether two amounts count as the same; of two currencies only nothing is."""
        if ours.currency != theirs.currency:
            return not ours.minor_units and not theirs.minor_units
        return abs(ours.minor_units - theirs.minor_units) <= self.money


class Sums(NamedTuple):
    """What both sides counted in `[start, end)`."""

    start: datetime
    end: datetime
    ours: Decimal
    theirs: Decimal

    @property
    def gap(self) -> Decimal:
        """Ours less theirs."""
        return EXACT.subtract(self.ours, self.theirs)
