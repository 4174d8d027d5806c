"""Columns of rows as a statement's parameters: text that PostgreSQL takes apart in a fraction of the driver's time."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import TypeVar

import msgspec

_Time = TypeVar("_Time", bound=date)


def of_numbers(numbers: Iterable[int | Decimal]) -> str:
    """Whole or decimal numbers, for `$n::text::numeric[]` and the like."""
    return "{" + ",".join(map(str, numbers)) + "}"


def of_keys(keys: Iterable[bytes]) -> str:
    """Bytes, for `$n::text::bytea[]`."""
    return "{" + ",".join(["\\\\x" + key.hex() for key in keys]) + "}"


def of_texts(texts: Iterable[str]) -> str:
    """Texts, for `array(select json_array_elements_text($n::text::json))`: JSON takes any of them."""
    return msgspec.json.encode(list(texts)).decode()


def of_json(documents: Iterable[str]) -> str:
    """JSON documents, for `array(select jsonb_array_elements($n::text::jsonb))`."""
    return "[" + ",".join(documents) + "]"


def of_times(times: Iterable[_Time]) -> tuple[list[_Time], str]:
    """The distinct days or instants, and for each row the subscript of its own: `($m::timestamptz[])[n]`."""
    subscripts: dict[_Time, int] = {}
    places = [subscripts.setdefault(time, len(subscripts) + 1) for time in times]
    return list(subscripts), of_numbers(places)
