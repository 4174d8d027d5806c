"""Money: exact arithmetic of unrounded amounts, the one rounding of it, and whole minor units of a currency.

An unrounded amount is a `Decimal` in major units (euros). What is invoiced, credited or paid is `Money`.
"""

from collections.abc import Iterable, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Final

import msgspec

from ledger.domain.pricing_refusals import (
    AllocationInvalid,
    AmountTooLarge,
    AmountUnrounded,
    CurrenciesMixed,
    CurrencyUnknown,
)
from ledger.domain.rounding import Rounding, RoundingMode
from ledger.domain.values import ZERO

ONE: Final = Decimal(1)
HUNDRED: Final = Decimal(100)
DIGITS_MAX: Final = 38
"""The digits that a payable amount in minor units may have: what a `numeric(38)` column holds."""

_EXACT: Final = Context(prec=600, traps=[InvalidOperation, Overflow, Inexact])
"""Raises rather than rounds. 600 digits hold a quotient (120) times a dozen 38-digit prices and percentages."""

_QUOTIENT: Final = Context(prec=120, traps=[InvalidOperation, Overflow])

add: Final = _EXACT.add
subtract: Final = _EXACT.subtract
multiply: Final = _EXACT.multiply
minus: Final = _EXACT.minus
"""The operators of `Decimal`, even the unary minus, round to 28 digits: amounts use these instead."""

_MINOR_DIGITS: Final[dict[int, str]] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF"
    " CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD"
    " HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT"
    " MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR"
    " SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU"
    " UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
CURRENCIES: Final[dict[str, int]] = {code: digits for digits, codes in _MINOR_DIGITS.items() for code in codes.split()}
"""Minor digits by currency code: the active list of ISO 4217, and ANG and BGN, withdrawn in 2025 and 2026, because
their last invoices may be rated again.
"""


def divide(dividend: Decimal, divisor: Decimal) -> Decimal:
    """The quotient to 120 significant digits: exact wherever it ends before that. The divisor is not zero.

    Multiply first and divide last, so that a result that lies exactly between two cents is seen as such.
    """
    return _QUOTIENT.divide(dividend, divisor)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum; zero for none."""
    result = ZERO
    for amount in amounts:
        result = add(result, amount)
    return result


def percent_of(amount: Decimal, percent: Decimal) -> Decimal:
    """That many hundredths of the amount, exactly."""
    return multiply(multiply(amount, percent), Decimal("0.01"))


def minor_digits(currency: str) -> int:
    """The decimal places of the currency's minor unit (ISO 4217); raises `CurrencyUnknown`."""
    digits = CURRENCIES.get(currency)
    if digits is None:
        raise CurrencyUnknown(currency=currency[:16])
    return digits


class Money(msgspec.Struct, frozen=True, order=False):
    """A payable amount: whole minor units (cents) of an ISO 4217 currency; below zero it is owed to the customer.

    Amounts of two currencies never add up (`CurrenciesMixed`), nor do more than 38 digits (`AmountTooLarge`).
    """

    minor_units: int
    currency: str

    def __post_init__(self) -> None:
        minor_digits(self.currency)
        if abs(self.minor_units) >= 10**DIGITS_MAX:
            raise AmountTooLarge(digits=Decimal(self.minor_units).adjusted() + 1, digits_max=DIGITS_MAX)

    @property
    def amount(self) -> Decimal:
        """The amount in major units, with the currency's decimal places: 1.50."""
        return Decimal(self.minor_units).scaleb(-minor_digits(self.currency), context=_EXACT)

    def __add__(self, other: "Money") -> "Money":
        if self.currency != other.currency:
            raise CurrenciesMixed(left=self.currency, right=other.currency)
        return Money(self.minor_units + other.minor_units, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return self + -other

    def __neg__(self) -> "Money":
        return Money(-self.minor_units, self.currency)


def payable(amount: Decimal, currency: str, mode: RoundingMode) -> Money:
    """The money that an unrounded amount comes to: the only place where an amount is rounded."""
    digits = minor_digits(currency)
    if amount.adjusted() + digits >= DIGITS_MAX:
        raise AmountTooLarge(digits=amount.adjusted() + 1 + digits, digits_max=DIGITS_MAX)
    return Money(int(Rounding(digits, mode).apply(amount).scaleb(digits, context=_EXACT)), currency)


def exactly(amount: Decimal, currency: str) -> Money:
    """The money of an amount that is whole in minor units already; raises `AmountUnrounded` otherwise."""
    money = payable(amount, currency, "half_even")
    if money.amount != amount:
        raise AmountUnrounded(amount=amount, currency=currency, places=minor_digits(currency))
    return money


def allocate(money: Money, weights: Sequence[tuple[str, Decimal]]) -> dict[str, Money]:
    """The money shared out by weight, to the last minor unit; keys whose share is nothing are left out.

    Largest remainder: each key gets the whole units of its share, the units left go to the largest remainders, and
    among equal ones to the lowest key. The shares add up to the money. Raises `AllocationInvalid` for money below
    zero, a key given twice, a weight that is not above zero, and money without keys.
    """
    if money.minor_units < 0:
        raise AllocationInvalid(why="the amount is below zero")
    if len({key for key, _ in weights}) != len(weights):
        raise AllocationInvalid(why="a key is given twice")
    if any(weight <= 0 for _, weight in weights):
        raise AllocationInvalid(why="each weight must be above zero")
    if not weights and money.minor_units:
        raise AllocationInvalid(why="there is nobody to share it")
    ratios = [(key, weight.as_integer_ratio()) for key, weight in weights]
    common = 1
    for _, (_, denominator) in ratios:
        common *= denominator
    whole = {key: numerator * (common // denominator) for key, (numerator, denominator) in ratios}
    weight_sum = sum(whole.values())
    shares = {key: divmod(money.minor_units * weight, weight_sum) for key, weight in whole.items()}
    left = money.minor_units - sum(units for units, _ in shares.values())
    lucky = sorted(shares, key=lambda key: (-shares[key][1], key))[:left]
    units = {key: floor + (key in lucky) for key, (floor, _) in shares.items()}
    return {key: Money(share, money.currency) for key, share in units.items() if share}
