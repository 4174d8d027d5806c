"""The scalars, without a server: what goes in comes out exact or is refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from graphql import GraphQLError, parse_value
from hypothesis import given
from hypothesis import strategies as st

from ledger.graphql.scalars import JSON, SCALARS, BigInt, Position, PropertyValue, exact_json


def parse(kind: Any, value: object) -> Any:
    read = SCALARS[kind].parse_value
    assert read is not None
    return read(value)


def show(kind: Any, value: object) -> Any:
    write = SCALARS[kind].serialize
    assert write is not None
    return write(value)


@pytest.mark.parametrize("kind", [Position, BigInt])
def test_a_position_is_a_number_or_digits_up_to_what_json_keeps_exact(kind: Any) -> None:
    assert [parse(kind, value) for value in (0, 7, "7", 2**53 - 1)] == [0, 7, 7, 2**53 - 1]
    wrong: list[object] = [-1, 2**53, "-1", "1e3", "٣", "", True, None, 1.0, Decimal(1), [1], "9" * 5_000]
    for value in wrong:
        with pytest.raises(GraphQLError):
            parse(kind, value)


def test_a_decimal_is_text_without_exponent() -> None:
    assert show(Decimal, Decimal("1E+3")) == "1000"
    assert show(Decimal, Decimal("1.50")) == "1.5"
    assert [parse(Decimal, value) for value in ("1.50", 2, Decimal("0.1"))] == [Decimal("1.50"), 2, Decimal("0.1")]
    wrong: list[object] = ["NaN", "Infinity", "", "1,5", True, None, [], "1" * 65]
    for value in wrong:
        with pytest.raises(GraphQLError):
            parse(Decimal, value)


def test_an_instant_is_aware_and_shown_in_utc() -> None:
    paris = timezone(timedelta(hours=1))
    assert show(datetime, datetime(2026, 1, 1, tzinfo=paris)) == "2025-12-31T23:00:00Z"
    assert parse(datetime, "2026-01-01T00:00:00+01:00") == datetime(2025, 12, 31, 23, tzinfo=UTC)
    for value in ("2026-01-01T00:00:00", "2026-01-01", "", 7, None, "0001-01-01T00:00:00+01:00"):
        with pytest.raises(GraphQLError, match="with its zone"):
            parse(datetime, value)


def test_a_day_is_a_date() -> None:
    assert show(date, date(2026, 1, 31)) == "2026-01-31"
    assert parse(date, "2026-01-31") == date(2026, 1, 31)
    for value in ("2026-02-30", "2026-1-1", "20260131", "", 7, None):
        with pytest.raises(GraphQLError):
            parse(date, value)


def test_a_literal_is_read_from_its_text() -> None:
    literal = 'a: 1.10, b: [1, -2, 1e400, $x, $y], c: null, d: true, e: "t", f: {g: 99999999999999999999}'
    read = exact_json(parse_value(f"{{{literal}}}"), {"x": "given"})
    assert read == {
        "a": Decimal("1.10"),
        "b": [1, -2, Decimal("1e400"), "given", None],
        "c": None,
        "d": True,
        "e": "t",
        "f": {"g": Decimal(99999999999999999999)},
    }
    with pytest.raises(GraphQLError, match="not JSON"):
        exact_json(parse_value("{a: [WORD]}"))


@given(st.one_of(st.integers(), st.decimals(allow_nan=False, allow_infinity=False)))
def test_no_number_literal_is_rounded(number: int | Decimal) -> None:
    assert exact_json(parse_value(str(number).replace("E+", "e"))) == number


def test_a_property_is_a_scalar() -> None:
    for value in ("x", 1, Decimal("0.1"), True, None):
        assert parse(PropertyValue, value) is value
        assert show(JSON, value) is value
    compound: list[object] = [[], {}]
    for one in compound:
        with pytest.raises(GraphQLError, match="expected text"):
            parse(PropertyValue, one)
