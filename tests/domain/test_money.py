"""Money is whole minor units of one currency, and rounding happens once."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.money import CURRENCIES, Money, allocate, divide, exactly, multiply, payable, total
from ledger.domain.pricing_refusals import (
    AllocationInvalid,
    AmountTooLarge,
    AmountUnrounded,
    CurrenciesMixed,
    CurrencyUnknown,
)

cents = st.integers(min_value=-(10**30), max_value=10**30)
currencies = st.sampled_from(sorted(CURRENCIES))


def test_currencies_have_the_minor_digits_of_iso_4217() -> None:
    digits = {code: CURRENCIES[code] for code in ("EUR", "USD", "JPY", "KWD", "CLF", "MRU", "ISK", "HUF")}
    assert digits == {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3, "CLF": 4, "MRU": 2, "ISK": 0, "HUF": 2}


@given(cents, cents, currencies, currencies)
def test_two_currencies_never_add_up(left: int, right: int, one: str, other: str) -> None:
    if one == other:
        assert Money(left, one) + Money(right, one) == Money(left + right, one)
        assert Money(left, one) - Money(right, one) == Money(left - right, one)
        return
    with pytest.raises(CurrenciesMixed):
        _ = Money(left, one) + Money(right, other)
    with pytest.raises(CurrenciesMixed):
        _ = Money(left, one) - Money(right, other)


@given(cents, currencies)
def test_an_amount_in_major_units_is_the_same_money_again(minor_units: int, currency: str) -> None:
    money = Money(minor_units, currency)
    assert exactly(money.amount, currency) == money


@pytest.mark.parametrize(
    ("amount", "currency", "minor_units"),
    [("1.225", "EUR", 123), ("-1.225", "EUR", -123), ("2.5", "JPY", 3), ("0.0005", "KWD", 1), ("0.004", "EUR", 0)],
)
def test_half_up_rounds_away_from_zero_at_the_currencys_precision(amount: str, currency: str, minor_units: int) -> None:
    assert payable(Decimal(amount), currency, "half_up") == Money(minor_units, currency)


def test_half_even_rounds_to_the_even_cent() -> None:
    assert payable(Decimal("1.225"), "EUR", "half_even") == Money(122, "EUR")


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(CurrencyUnknown, match="XYZ"):
        Money(1, "XYZ")


def test_amounts_beyond_38_digits_are_refused() -> None:
    most = 10**38 - 1
    assert Money(most, "EUR").minor_units == most
    with pytest.raises(AmountTooLarge):
        Money(most + 1, "EUR")
    with pytest.raises(AmountTooLarge):
        payable(Decimal("1E+999999"), "EUR", "half_up")
    with pytest.raises(AmountTooLarge):
        Money(most, "EUR") + Money(1, "EUR")


def test_an_amount_with_a_part_of_a_cent_is_not_exactly_money() -> None:
    assert exactly(Decimal("1.500"), "EUR") == Money(150, "EUR")
    with pytest.raises(AmountUnrounded):
        exactly(Decimal("1.501"), "EUR")


def test_arithmetic_is_exact_far_beyond_the_usual_28_digits() -> None:
    tiny, huge = Decimal("1E-18"), Decimal("99999999999999999999.999999999999999999")
    assert total([huge, tiny, huge.copy_negate()]) == tiny
    assert multiply(tiny, Decimal(10) ** 18) == 1
    assert divide(Decimal(1), Decimal(8)) == Decimal("0.125")


@given(
    st.integers(min_value=0, max_value=10**12),
    st.dictionaries(
        st.text("abc", min_size=1, max_size=3),
        st.decimals(min_value=Decimal("0.001"), max_value=10**6, places=3),
        min_size=1,
    ),
)
def test_shares_add_up_to_what_is_shared_and_are_a_unit_off_at_most(units: int, weights: dict[str, Decimal]) -> None:
    shares = allocate(Money(units, "EUR"), list(weights.items()))
    assert sum(share.minor_units for share in shares.values()) == units
    for key, weight in weights.items():
        exact = units * weight / sum(weights.values())
        assert abs(shares.get(key, Money(0, "EUR")).minor_units - exact) < 1


def test_among_equal_remainders_the_lowest_key_gets_the_odd_cent() -> None:
    thirds = [("c", Decimal(1)), ("b", Decimal(1)), ("a", Decimal(1))]
    assert allocate(Money(5, "EUR"), thirds) == {"a": Money(2, "EUR"), "b": Money(2, "EUR"), "c": Money(1, "EUR")}
    assert allocate(Money(1, "EUR"), thirds) == {"a": Money(1, "EUR")}
    assert allocate(Money(0, "EUR"), []) == {}


@pytest.mark.parametrize(
    ("units", "weights"),
    [(-1, [("a", 1)]), (1, []), (1, [("a", 0)]), (1, [("a", -1), ("b", 2)]), (1, [("a", 1), ("a", 1)])],
)
def test_what_cannot_be_shared_is_refused(units: int, weights: list[tuple[str, int]]) -> None:
    with pytest.raises(AllocationInvalid):
        allocate(Money(units, "EUR"), [(key, Decimal(weight)) for key, weight in weights])
