"""The arguments of a request: read from a form, a query or JSON, and held against what the operation takes.

Forms nest by brackets, `payload[value]=25` and `tiers[0][up_to]=10`: docs.stripe.com/api/metadata and every example
of a nested parameter. An unknown parameter, one of another type and an absent one that is required are answered
with 400: docs.stripe.com/error-codes#parameter-unknown, #parameter-missing, #parameter-invalid-integer.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec

from ledger.sandbox.stripe.errors import malformed

PARTS: Final = re.compile(r"[^\[\]]+|\[\]")
FAILURE: Final = re.compile(r"^(?P<reason>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
MISSING: Final = re.compile(r"missing required field `(?P<name>[^`]*)`")
UNKNOWN: Final = re.compile(r"contains unknown field `(?P<name>[^`]*)`")
EXPECTED: Final = re.compile(r"^Expected `(?P<type>[^`]*)`")
PAGE_SIZE: Final = 10
PAGE_SIZE_MAX: Final = 100

Metadata = dict[str, str] | Literal[""]
"""Set of keys and values; the empty text unsets them all. docs.stripe.com/api/metadata"""
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment of the second API: RFC 3339 with an offset."""


class Part(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """An object within the arguments: nothing is taken that it does not name."""


class Arguments(Part, kw_only=True, frozen=True):
    """What every operation takes: which references to expand. docs.stripe.com/api/expanding_objects"""

    expand: list[str] = []


class Range(Part, kw_only=True, frozen=True):
    """Seconds since the epoch between bounds that may be absent."""

    gt: int | None = None
    gte: int | None = None
    lt: int | None = None
    lte: int | None = None


class PageArguments(Arguments, kw_only=True, frozen=True):
    """Which page of a list. docs.stripe.com/api/pagination"""

    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_SIZE_MAX)] = PAGE_SIZE
    starting_after: str | None = None
    ending_before: str | None = None


class CreatedPageArguments(PageArguments, kw_only=True, frozen=True):
    """Which page of a list, of the objects that were made in a range of time."""

    created: int | Range | None = None


A = TypeVar("A", bound=Arguments)


def read_form(text: str) -> dict[str, Any]:
    """The tree of a form or a query: names with brackets become objects and lists."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        parts = PARTS.findall(name)
        if not parts:
            raise malformed(f"Invalid parameter name: {name}", name, "parameter_unknown")
        node = tree
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise malformed(f"Invalid object: {name}", name, "parameter_invalid_object")
        last = str(len(node)) if parts[-1] == "[]" else parts[-1]
        node[last] = value
    return {name: _listed(value) for name, value in tree.items()}


def _listed(node: object) -> object:
    """Objects whose names count from nought, as lists."""
    if not isinstance(node, dict):
        return node
    values = [_listed(value) for value in node.values()]
    if list(node) == [str(index) for index in range(len(node))]:
        return values
    return dict(zip(node, values, strict=True))


def read_json(body: bytes) -> dict[str, Any]:
    """The object of a request of the second API."""
    try:
        tree = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError as error:
        raise malformed(f"Invalid JSON: {error}", None, "invalid_json") from error
    if not isinstance(tree, dict):
        raise malformed("The body must be a JSON object.", None, "invalid_json")
    return tree


def convert(tree: dict[str, Any], to: type[A], *, is_form: bool) -> A:
    """The arguments as the operation's type; what a form writes as text is read as what it is."""
    try:
        return msgspec.convert(tree, to, strict=not is_form)
    except msgspec.ValidationError as error:
        found = FAILURE.match(str(error))
        assert found is not None
        raise _explained(found["reason"], _named(found["path"] or "$"), tree) from error


def _named(path: str) -> str:
    """A place as Stripe names it: `$.payload[0].value` is `payload[0][value]`."""
    parts: list[str] = re.findall(r"[^.\[\]$]+", path) or [""]
    first, *rest = parts
    return first + "".join(f"[{part}]" for part in rest)


def _explained(reason: str, place: str, tree: dict[str, Any]) -> Exception:
    if missing := MISSING.search(reason):
        name = _joined(place, missing["name"])
        return malformed(f"Missing required param: {name}.", name, "parameter_missing")
    if unknown := UNKNOWN.search(reason):
        name = _joined(place, unknown["name"])
        return malformed(f"Received unknown parameter: {name}", name, "parameter_unknown")
    expected = EXPECTED.match(reason)
    if expected is not None and expected["type"].startswith("int") and isinstance(tree.get(place), str):
        return malformed(f"Invalid integer: {tree[place]}", place, "parameter_invalid_integer")
    return malformed(f"Invalid {place}: {reason}", place, "parameter_invalid")


def _joined(place: str, name: str) -> str:
    return f"{place}[{name}]" if place else name


def told(metadata: Metadata | None) -> dict[str, str]:
    """Metadata as it is kept."""
    return dict(metadata) if metadata else {}


def merged(known: dict[str, str], changes: Metadata | None) -> dict[str, str]:
    """Metadata after a change: keys are added, those that are set to nothing go. docs.stripe.com/api/metadata"""
    if changes is None:
        return known
    if changes == "":
        return {}
    return {name: value for name, value in (known | dict(changes)).items() if value != ""}


def is_within(seconds: int, wanted: int | Range | None) -> bool:
    """Whether a second lies in a range, or is the second."""
    if wanted is None or isinstance(wanted, int):
        return wanted is None or seconds == wanted
    return (
        (wanted.gt is None or seconds > wanted.gt)
        and (wanted.gte is None or seconds >= wanted.gte)
        and (wanted.lt is None or seconds < wanted.lt)
        and (wanted.lte is None or seconds <= wanted.lte)
    )
