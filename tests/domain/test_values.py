"""Numbers and instants as the ledger counts them."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.values import EXACT, exact_number, microseconds, number_of, plain, quantity_of


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, "1"),
        (-(10**30), "-1" + "0" * 30),
        (Decimal("1.50"), "1.50"),
        ("2.5", "2.5"),
        ("+.5", "0.5"),
        ("7.", "7"),
        ("1e3", "1E+3"),
    ],
)
def test_integers_decimals_and_numeric_text_are_numbers(value: object, number: str) -> None:
    assert str(number_of(value)) == number


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        None,
        "",
        " 1",
        "1 ",
        "1,5",
        "0x10",
        "1_000",
        "NaN",
        "Infinity",
        "١",
        "1e1234567",
        [],
        {},
        b"1",
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
    ],
)
def test_everything_else_is_none(value: object) -> None:
    assert number_of(value) is None


def test_numeric_text_is_no_number_where_it_is_not_asked_for() -> None:
    assert number_of("1", numeric_text=False) is None
    assert number_of(1, numeric_text=False) == 1


def test_a_literal_is_read_exactly_or_not_at_all() -> None:
    assert str(exact_number("1.10")) == "1.10"
    with pytest.raises(ValueError, match="out of range"):
        exact_number("1e9999999999999999999")


@pytest.mark.parametrize(
    ("number", "quantity"),
    [
        ("0", "0"),
        ("-0.0", "0"),
        ("0E+400", "0"),
        ("1.50", "1.5"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("-0.0000000000000000010000", "-0.000000000000000001"),
        ("12345678901234567890", "12345678901234567890"),
    ],
)
def test_a_quantity_is_the_number_in_its_plain_form(number: str, quantity: str) -> None:
    found = quantity_of(Decimal(number))
    assert found is not None
    assert plain(found) == quantity


@pytest.mark.parametrize(
    "number",
    ["1E+20", "-100000000000000000000", "1E+999999", "1E-19", "1.0000000000000000001", "1E-999999", "5E-1000000"],
)
def test_what_is_too_large_or_too_precise_is_no_quantity(number: str) -> None:
    assert quantity_of(Decimal(number)) is None


quantities = st.decimals(min_value=-(10**20) + 1, max_value=10**20 - 1, allow_nan=False, places=18)


@given(quantities)
def test_every_number_within_the_bounds_is_a_quantity_of_the_same_value(number: Decimal) -> None:
    assert quantity_of(number) == number


@given(quantities)
def test_plain_text_is_read_back_to_the_same_number(number: Decimal) -> None:
    assert Decimal(plain(number)) == number
    assert "E" not in plain(number)


@given(st.lists(quantities))
def test_sums_of_quantities_are_exact_in_any_order(numbers: list[Decimal]) -> None:
    def total(of: list[Decimal]) -> Decimal:
        whole = Decimal(0)
        for number in of:
            whole = EXACT.add(whole, number)
        return whole

    assert total(numbers) == total(numbers[::-1]) == total(sorted(numbers))


def test_instants_count_in_whole_microseconds() -> None:
    assert microseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert microseconds(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005
    assert microseconds(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)) == 253402300799999999
