"""Rounding of a result: once, at its end, by a named mode."""

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
    InvalidOperation,
)
from typing import Final, Literal, NamedTuple

RoundingMode = Literal["ceil", "floor", "up", "down", "half_away_from_zero", "half_up", "half_even", "half_down"]

_OF_MODE: Final[dict[RoundingMode, str]] = {
    "ceil": ROUND_CEILING,
    "floor": ROUND_FLOOR,
    "up": ROUND_UP,
    "down": ROUND_DOWN,
    "half_away_from_zero": ROUND_HALF_UP,
    "half_up": ROUND_HALF_UP,
    "half_even": ROUND_HALF_EVEN,
    "half_down": ROUND_HALF_DOWN,
}
_WIDE: Final = Context(prec=200, traps=[InvalidOperation])


class Rounding(NamedTuple):
    """How a result is rounded: to `places` after the point (before it if negative), in the direction of `mode`.

    `ceil` and `floor` go towards plus and minus infinity, `up` and `down` away from zero and towards it; `half_up` is
    the common name of `half_away_from_zero`.
    """

    places: int
    mode: RoundingMode

    def apply(self, number: Decimal) -> Decimal:
        """The rounded number."""
        step = Decimal(1).scaleb(-self.places)
        return number.quantize(step, rounding=_OF_MODE[self.mode], context=_WIDE)
