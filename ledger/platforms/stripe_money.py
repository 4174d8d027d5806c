"""Stripe's amounts: whole numbers, or decimals, of what it takes for a currency's smallest unit.

docs.stripe.com/currencies#zero-decimal and #special-cases. Its units are those of ISO 4217 but for three currencies.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from ledger.domain.money import CURRENCIES, Money, exactly
from ledger.domain.values import ZERO
from ledger.platforms.port import PlatformRefused

DIGITS_OF_STRIPE: Final = {"ISK": 2, "UGX": 2, "MGA": 0}
"""ISK and UGX have no smaller unit and are written with two places for the sake of older programs; the fifths of an
ariary are not written at all.
"""


class CurrencyNotKnown(Exception):
    """A currency that is not one of ISO 4217: amounts in it cannot be told."""

    def __init__(self, currency: str) -> None:
        super().__init__(f'the currency "{currency[:16]}" is not one of ISO 4217')


def currency_of(code: str) -> str:
    """Our code of a currency; raises `CurrencyNotKnown`."""
    currency = code.upper()
    if currency not in CURRENCIES:
        raise CurrencyNotKnown(code)
    return currency


def amount_of(units: Decimal | int | None, code: str) -> Decimal:
    """An amount in major units, exact; none is zero. Raises `CurrencyNotKnown`."""
    currency = currency_of(code)
    amount = Decimal(units or 0)
    return amount.scaleb(-DIGITS_OF_STRIPE.get(currency, CURRENCIES[currency])) if amount else ZERO


def money_of(units: int, code: str) -> Money:
    """The money of an amount. Raises `CurrencyNotKnown`, and `AmountUnrounded` for a hundredth of a krona."""
    return exactly(amount_of(units, code), currency_of(code))


def units_of(money: Money) -> int:
    """The amount as Stripe writes it; raises `PlatformRefused` for what it has no unit for."""
    units = money.amount.scaleb(DIGITS_OF_STRIPE.get(money.currency, CURRENCIES[money.currency]))
    if units != units.to_integral_value():
        raise PlatformRefused(
            f"{money.amount} {money.currency} has more places than Stripe writes", code="unit_missing"
        )
    return int(units)


def moment_of(seconds: int) -> datetime:
    """The moment at a second since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)
