"""Numbers and instants as the ledger counts them: exact decimals and aware UTC times.

A quantity has at most 20 digits before the point and 18 after it (38 in all), the range in which every sum that a
ledger can hold is exact under `EXACT`.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Clamped, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Final

INTEGER_DIGITS_MAX: Final = 20
FRACTION_DIGITS_MAX: Final = 18

EXACT: Final = Context(prec=160, Emin=-999_999, Emax=999_999, traps=[InvalidOperation, Overflow, Inexact, Clamped])
"""The context for sums and products of quantities: it raises rather than rounds.

160 digits hold the sum of 10^18 products of two quantities, so an exception here means a bug, not large usage.
"""

DIVISION: Final = Context(prec=60, traps=[InvalidOperation, Overflow])
"""The context for the one division a result may need; 60 significant digits, half even."""

ZERO: Final = Decimal(0)
_SMALL: Final = Decimal(10) ** 15
_WIDE: Final = Context(prec=INTEGER_DIGITS_MAX + FRACTION_DIGITS_MAX, traps=[InvalidOperation, Inexact])
_NUMERIC_TEXT: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def number_of(value: object, *, numeric_text: bool = True) -> Decimal | None:
    """The number that `value` stands for, or None where it is none.

    Integers and decimals are numbers; so is numeric text unless `numeric_text` is false. Booleans, NaN, infinities
    and everything else are not (DESIGN section 12).
    """
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if numeric_text and isinstance(value, str) and _NUMERIC_TEXT.fullmatch(value):
        return Decimal(value)
    return None


def exact_number(literal: str) -> Decimal:
    """The decimal that a JSON number literal with point or exponent stands for.

    >>> exact_number("1.10")
    Decimal('1.10')
    """
    try:
        return Decimal(literal)
    except ArithmeticError:
        raise ValueError(f"the number {literal[:40]} is out of range") from None


def quantity_of(number: Decimal) -> Decimal | None:
    """The finite number as the ledger adds it up, None where it is out of range or too precise.

    Looks at exponents first, so that 1E+999999 costs nothing to refuse. Equal numbers come back alike: 1.50 as 1.5.
    """
    if -_SMALL < number < _SMALL and number == (whole := number.to_integral_value()):
        return whole or ZERO
    if number.adjusted() >= INTEGER_DIGITS_MAX:
        return None
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "a finite number has an integer exponent"
    kept = len(digits) + exponent + FRACTION_DIGITS_MAX
    if exponent < -FRACTION_DIGITS_MAX and (kept <= 0 or any(digits[kept:])):
        return None
    return number.normalize(_WIDE)


def plain(number: Decimal) -> str:
    """A quantity as text without exponent or trailing zeros: `1.5`, `100`, `0`."""
    if number.is_zero():
        return "0"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def microseconds(instant: datetime) -> int:
    """The whole microseconds from the epoch to an aware instant."""
    return (instant - EPOCH) // _MICROSECOND
