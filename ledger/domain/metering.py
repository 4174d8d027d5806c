"""What counts in a meter: its definition, and the reading that it takes from one usage event."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from ledger.domain.values import exact_number, number_of, plain, quantity_of

Aggregation = Literal["count", "sum", "unique_count", "max", "latest", "time_weighted_sum", "min", "avg"]
AGGREGATIONS: tuple[str, ...] = get_args(Aggregation)
TEXT_LENGTH_MAX = 256
"""The longest text that can be a dimension's value or one of a unique count's values."""

REMOVE = "remove"
"""The value of `MeterDefinition.operation_property` that takes a value out of a unique count."""


class Filter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A property that must have one of `values`; None among them is met by a missing property.

    Values are text, whole numbers, decimals, booleans or None, and match only their own kind: 200 is not "200".
    """

    property: str
    values: tuple[Any, ...]

    def matches(self, properties: dict[str, Any]) -> bool:
        """Whether an event with these properties meets the filter."""
        actual = properties.get(self.property)
        return any(_is_same(actual, value) for value in self.values)


def _is_same(actual: object, wanted: object) -> bool:
    if isinstance(actual, bool) or isinstance(wanted, bool):
        return actual is wanted
    return actual == wanted


class MeterDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How usage becomes a quantity.

    Events of `event_type` that meet every filter and no exclusion (a group of filters that all match) count.
    `property` holds the value to put together (none for `count`), `dimensions` name the properties that usage can be
    grouped by. `operation_property` set to "remove" takes a value out of a unique count. With `carries_over` a
    period begins with what earlier periods left (seats, stored bytes); without it, at zero.
    """

    name: str
    event_type: str
    aggregation: Aggregation
    property: str | None = None
    filters: tuple[Filter, ...] = ()
    exclusions: tuple[tuple[Filter, ...], ...] = ()
    dimensions: tuple[str, ...] = ()
    unit: str = ""
    operation_property: str = "operation_type"
    carries_over: bool = False
    retired_at: datetime | None = None

    def admits(self, properties: dict[str, Any]) -> bool:
        """Whether an event with these properties passes the filters and no exclusion."""
        if self.filters and not all(wanted.matches(properties) for wanted in self.filters):
            return False
        return not (self.exclusions and any(_is_met(group, properties) for group in self.exclusions))


def _is_met(group: tuple[Filter, ...], properties: dict[str, Any]) -> bool:
    """Whether a group of filters all match; one without filters matches nothing."""
    return bool(group) and all(unwanted.matches(properties) for unwanted in group)


_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(MeterDefinition, float_hook=exact_number)


def encode_definition(definition: MeterDefinition) -> str:
    """The definition as JSON, exact inverse of `decode_definition`."""
    return _encoder.encode(definition).decode()


def decode_definition(text: str) -> MeterDefinition:
    """The definition that `encode_definition` wrote."""
    return _decoder.decode(text)


class Reading(NamedTuple):
    """What one event adds to one meter.

    `value` is the number to put together (1 for `count`), `text` the value of a unique count; `is_removal` takes it
    out. `dimensions` are the values of the declared dimensions in order, None where the property is missing.
    """

    value: Decimal
    text: str | None
    is_removal: bool
    dimensions: tuple[str | None, ...]


class Unreadable(NamedTuple):
    """Why a meter holds an event: a code and a sentence for people."""

    code: str
    message: str


ONE = Decimal(1)
SMALL = 10**15
"""Whole numbers below it are quantities without a closer look."""


def read(definition: MeterDefinition, properties: dict[str, Any]) -> Reading | Unreadable:
    """The reading of an event that `definition` admits, or why it is held."""
    values: list[str | None] = []
    for dimension in definition.dimensions:
        value = properties.get(dimension)
        text = value if type(value) is str else _text_of(value)
        if text is None:
            if value is not None:
                return Unreadable(
                    "dimension_not_scalar", f'the dimension "{dimension}" is neither text, number nor boolean'
                )
        elif len(text) > TEXT_LENGTH_MAX or "\0" in text:
            return Unreadable(
                "dimension_unusable",
                f'the dimension "{dimension}" is longer than {TEXT_LENGTH_MAX} characters or holds a NUL',
            )
        values.append(text)
    dimensions = tuple(values)
    if definition.property is None:
        return Reading(ONE, None, False, dimensions)
    value = properties.get(definition.property)
    if value is None:
        return Unreadable("property_missing", f'the property "{definition.property}" is missing')
    if definition.aggregation == "unique_count":
        return _read_text(definition, value, properties, dimensions)
    return _read_number(definition.property, value, dimensions)


def reads_plainly(definition: MeterDefinition, properties: dict[str, Any]) -> bool:
    """Whether the reading is surely one: text in every dimension, a small whole number for a value, no filter.

    False says nothing: ask `admits` and `read`.
    """
    if definition.filters or definition.exclusions or definition.aggregation == "unique_count":
        return False
    for dimension in definition.dimensions:
        value = properties.get(dimension)
        if type(value) is not str or len(value) > TEXT_LENGTH_MAX or "\0" in value:
            return False
    if definition.property is None:
        return True
    value = properties.get(definition.property)
    return type(value) is int and -SMALL < value < SMALL


def _read_number(name: str, value: object, dimensions: tuple[str | None, ...]) -> Reading | Unreadable:
    if type(value) is int and -SMALL < value < SMALL:
        return Reading(Decimal(value), None, False, dimensions)
    number = number_of(value)
    if number is None:
        return Unreadable("property_not_numeric", f'the property "{name}" is not a number')
    quantity = quantity_of(number)
    if quantity is None:
        return Unreadable(
            "number_out_of_range",
            f'the property "{name}" has more than 20 digits before the point or 18 after it',
        )
    return Reading(quantity, None, False, dimensions)


def _read_text(
    definition: MeterDefinition,
    value: object,
    properties: dict[str, Any],
    dimensions: tuple[str | None, ...],
) -> Reading | Unreadable:
    text = _text_of(value)
    if text is None or len(text) > TEXT_LENGTH_MAX or "\0" in text:
        return Unreadable(
            "property_not_countable",
            f'the property "{definition.property}" is no scalar of at most {TEXT_LENGTH_MAX} characters without NUL',
        )
    is_removal = properties.get(definition.operation_property) == REMOVE
    return Reading(ONE, text, is_removal, dimensions)


def _text_of(value: object) -> str | None:
    """The canonical text of a scalar: 1.0 and 1 are the same "1", true is "true". None for what is no scalar."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    number = number_of(value, numeric_text=False)
    if number is None:
        return None
    quantity = quantity_of(number)
    return str(number) if quantity is None else plain(quantity)
