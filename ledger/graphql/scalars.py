"""The scalars: exact numbers, aware times, whole numbers beyond 32 bits, JSON as it was written."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, NewType, cast

import msgspec
import strawberry
from graphql import (
    BooleanValueNode,
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    print_ast,
)
from strawberry.types.scalar import ScalarDefinition

from ledger.domain.values import exact_number, number_of, plain

Position = NewType("Position", int)
"""A place in the log, from 1 on; 0 is before the first event."""
BigInt = NewType("BigInt", int)
"""A whole number that may not fit in 32 bits."""
JSON = NewType("JSON", object)
"""Any JSON; on its way out it may be the log's own bytes (`msgspec.Raw`)."""
PropertyValue = NewType("PropertyValue", object)
"""A value that an event's property may have: text, number, boolean or null."""

SAFE_INTEGER_MAX: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps exact (RFC 8259 section 6)."""
INTEGER_DIGITS_MAX: Final = 18
TEXT_LENGTH_MAX: Final = 64


def exact_json(node: ValueNode, variables: Mapping[str, Any] | None = None) -> object:
    """The JSON that a GraphQL literal stands for; its numbers are read from their text, so none is rounded."""
    match node:
        case IntValueNode():
            return int(node.value) if len(node.value) <= INTEGER_DIGITS_MAX else exact_number(node.value)
        case FloatValueNode():
            return exact_number(node.value)
        case StringValueNode() | BooleanValueNode():
            return node.value
        case NullValueNode():
            return None
        case ListValueNode():
            return [exact_json(one, variables) for one in node.values]
        case ObjectValueNode():
            return {field.name.value: exact_json(field.value, variables) for field in node.fields}
        case VariableNode():
            return (variables or {}).get(node.name.value)
        case _:
            raise GraphQLError(f"{print_ast(node)} is not JSON", node)


def _whole_number(value: object) -> int:
    text = value if isinstance(value, str) else None
    if text is not None and text.isascii() and text.isdigit() and len(text) <= INTEGER_DIGITS_MAX:
        value = int(text)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= SAFE_INTEGER_MAX:
        raise GraphQLError(f"expected a whole number from 0 to {SAFE_INTEGER_MAX}")
    return value


def _decimal(value: object) -> Decimal:
    number = number_of(value) if not isinstance(value, str) or len(value) <= TEXT_LENGTH_MAX else None
    if number is None:
        raise GraphQLError("expected a decimal number as a string")
    return number


def _instant(value: object) -> datetime:
    try:
        instant = msgspec.convert(value, datetime)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        pass
    raise GraphQLError("expected a time with its zone, such as 2026-01-31T12:00:00Z")


def _instant_text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _day(value: object) -> date:
    try:
        return msgspec.convert(value, date)
    except msgspec.ValidationError:
        raise GraphQLError("expected a day such as 2026-01-31") from None


def _property_value(value: object) -> object:
    if isinstance(value, list | dict):
        raise GraphQLError("expected text, a number, a boolean or null")
    return value


def _as_is(value: object) -> object:
    return value


def _literal_of_property(node: ValueNode, variables: Mapping[str, Any] | None = None) -> object:
    return _property_value(exact_json(node, variables))


SCALARS: Final = cast(
    "Mapping[object, ScalarDefinition]",
    {
        Position: strawberry.scalar(
            name="Position",
            description="A place in the log: a whole number from 1 to 2^53 - 1, 0 before the first event. "
            "Written as a number; taken as a number or a string of digits.",
            serialize=int,
            parse_value=_whole_number,
        ),
        BigInt: strawberry.scalar(
            name="BigInt",
            description="A whole number from 0 to 2^53 - 1, written as a number.",
            serialize=int,
            parse_value=_whole_number,
        ),
        Decimal: strawberry.scalar(
            name="Decimal",
            description='An exact decimal number, written as a string without exponent: "1.5".',
            serialize=plain,
            parse_value=_decimal,
        ),
        datetime: strawberry.scalar(
            name="DateTime",
            description="An instant (RFC 3339), written in UTC. A time without zone is refused.",
            specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
            serialize=_instant_text,
            parse_value=_instant,
        ),
        date: strawberry.scalar(
            name="Date",
            description="A day of the calendar (ISO 8601), in the zone that its field tells.",
            serialize=date.isoformat,
            parse_value=_day,
        ),
        JSON: strawberry.scalar(
            name="JSON",
            description="Any JSON. Its numbers are exact: read and written digit by digit.",
            serialize=_as_is,
            parse_value=_as_is,
            parse_literal=cast("Any", exact_json),
        ),
        PropertyValue: strawberry.scalar(
            name="PropertyValue",
            description="Text, an exact number, a boolean or null: what a property of a usage event may be. "
            'Each matches only its own kind: 200 is not "200".',
            serialize=_as_is,
            parse_value=_property_value,
            parse_literal=cast("Any", _literal_of_property),
        ),
    },
)
"""Python type -> GraphQL scalar, for the schema's configuration."""
