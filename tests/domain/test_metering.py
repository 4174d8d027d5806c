"""What a meter reads from an event, and why it cannot."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.metering import (
    AGGREGATIONS,
    Filter,
    MeterDefinition,
    Reading,
    Unreadable,
    decode_definition,
    encode_definition,
    read,
)


def meter(**changes: Any) -> MeterDefinition:
    described: dict[str, Any] = {"name": "M", "event_type": "t", "aggregation": "sum", "property": "n"} | changes
    return MeterDefinition(**described)


@pytest.mark.parametrize(
    ("wanted", "actual", "is_met"),
    [
        (("a", "b"), "b", True),
        (("a",), "A", False),
        ((200,), 200, True),
        ((200,), Decimal("200.0"), True),
        ((200,), "200", False),
        (("200",), 200, False),
        ((1,), True, False),
        ((True,), 1, False),
        ((True,), True, True),
        ((False,), 0, False),
        ((None,), None, True),
        ((), "a", False),
    ],
)
def test_a_filter_matches_its_own_kind(wanted: tuple[Any, ...], actual: object, is_met: bool) -> None:
    assert Filter(property="p", values=wanted).matches({"p": actual}) is is_met


def test_a_missing_property_meets_only_a_filter_for_none() -> None:
    assert Filter(property="p", values=(None,)).matches({})
    assert not Filter(property="p", values=("a",)).matches({})


def test_all_filters_and_no_exclusion_must_hold() -> None:
    definition = meter(
        filters=(Filter(property="a", values=(1,)), Filter(property="b", values=(1, 2))),
        exclusions=((Filter(property="c", values=(1,)), Filter(property="d", values=(1,))), ()),
    )
    assert definition.admits({"a": 1, "b": 2})
    assert not definition.admits({"a": 1, "b": 3})
    assert definition.admits({"a": 1, "b": 2, "c": 1})
    assert not definition.admits({"a": 1, "b": 2, "c": 1, "d": 1})


def test_a_count_reads_one() -> None:
    assert read(meter(aggregation="count", property=None), {}) == Reading(Decimal(1), None, False, ())


@pytest.mark.parametrize("value", [3, Decimal("3.0"), "3"])
def test_a_number_is_read_however_it_is_written(value: object) -> None:
    assert read(meter(), {"n": value}) == Reading(Decimal(3), None, False, ())


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({}, "property_missing"),
        ({"n": None}, "property_missing"),
        ({"n": "three"}, "property_not_numeric"),
        ({"n": True}, "property_not_numeric"),
        ({"n": [3]}, "property_not_numeric"),
        ({"n": Decimal("1E+20")}, "number_out_of_range"),
        ({"n": 10**400}, "number_out_of_range"),
        ({"n": 1, "d": []}, "dimension_not_scalar"),
        ({"n": 1, "d": "x" * 257}, "dimension_unusable"),
        ({"n": 1, "d": 10**300}, "dimension_unusable"),
        ({"n": 1, "d": "a\0"}, "dimension_unusable"),
    ],
)
def test_what_cannot_be_read_is_told_with_a_code(properties: dict[str, Any], code: str) -> None:
    reading = read(meter(dimensions=("d",)), properties)
    assert isinstance(reading, Unreadable)
    assert reading.code == code
    assert "\0" not in reading.message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("", ""),
        (1, "1"),
        (Decimal("1.0"), "1"),
        (True, "true"),
        (False, "false"),
        (None, None),
        (Decimal("1E+30"), "1E+30"),
    ],
)
def test_a_dimension_is_the_text_of_a_scalar(value: object, text: str | None) -> None:
    reading = read(meter(dimensions=("d",)), {"n": 1, "d": value})
    assert isinstance(reading, Reading)
    assert reading.dimensions == (text,)


def test_dimensions_come_in_declared_order_and_a_missing_one_is_none() -> None:
    reading = read(meter(dimensions=("b", "a", "c")), {"n": 1, "a": "x", "b": "y"})
    assert isinstance(reading, Reading)
    assert reading.dimensions == ("y", "x", None)


@pytest.mark.parametrize(("value", "text"), [("u1", "u1"), (7, "7"), (Decimal("7.00"), "7"), (True, "true")])
def test_a_unique_count_reads_a_text(value: object, text: str) -> None:
    assert read(meter(aggregation="unique_count"), {"n": value}) == Reading(Decimal(1), text, False, ())


def test_a_unique_count_takes_a_value_out() -> None:
    definition = meter(aggregation="unique_count", operation_property="op")
    assert read(definition, {"n": "u1", "op": "remove"}) == Reading(Decimal(1), "u1", True, ())
    assert read(definition, {"n": "u1", "op": "add"}) == Reading(Decimal(1), "u1", False, ())


@pytest.mark.parametrize("value", [[], {}, "x" * 257, "a\0b"])
def test_what_cannot_be_told_apart_is_not_counted(value: object) -> None:
    reading = read(meter(aggregation="unique_count"), {"n": value})
    assert isinstance(reading, Unreadable)
    assert reading.code == "property_not_countable"


scalars = st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text()
filters = st.builds(lambda p, v: Filter(property=p, values=tuple(v)), st.text(), st.lists(scalars, max_size=3))
definitions = st.builds(
    MeterDefinition,
    name=st.text(),
    event_type=st.text(),
    aggregation=st.sampled_from(AGGREGATIONS),
    property=st.none() | st.text(),
    filters=st.lists(filters, max_size=2).map(tuple),
    exclusions=st.lists(st.lists(filters, max_size=2).map(tuple), max_size=2).map(tuple),
    dimensions=st.lists(st.text(), max_size=2).map(tuple),
    carries_over=st.booleans(),
)


@given(definitions)
def test_a_definition_is_read_back_as_it_was_written(definition: MeterDefinition) -> None:
    assert decode_definition(encode_definition(definition)) == definition
