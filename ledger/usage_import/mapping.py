"""How a row of a file becomes a usage event: which columns make its attributes and properties."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from ledger.domain.events import UsageRecorded
from ledger.domain.names import require_zone
from ledger.domain.refusals import Refusal, UsageUnreadable
from ledger.domain.usage import parse
from ledger.domain.values import number_of

Row = Mapping[str, object]
"""Column -> value: text, numbers without floats, booleans, None, aware or naive datetimes, lists and dicts."""

LINE: Final = "line"
"""The placeholder that stands for the row's number in its file: where no column identifies a row, this does."""

PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
CANONICAL_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,18})?", re.ASCII)
"""What is taken for a number where the mapping does not say: not "007" or "1e5", which may well be names."""
UNIX_UNITS: Final = {"unix": 1, "unix_milliseconds": 1_000, "unix_microseconds": 1_000_000}

LIKELY: Final[dict[str, tuple[str, ...]]] = {
    "id": ("id", "event_id", "request_id", "idempotency_key", "transaction_id", "uuid"),
    "subject": ("subject", "account", "account_id", "account_key", "customer", "customer_id", "tenant", "tenant_id"),
    "time": ("time", "timestamp", "occurred_at", "event_time", "created_at", "datetime", "date"),
    "type": ("type", "event_type", "event", "event_name"),
    "source": ("source",),
}
"""Columns that are taken for an attribute where no mapping says so, the likeliest first, whatever their case."""


class MappingInvalid(Exception):
    """The mapping cannot be used; the message says why and what to give."""


class TimeColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an event's time comes from.

    `format` is "iso" (RFC 3339 and its relatives), "unix", "unix_milliseconds", "unix_microseconds", or a pattern
    of `strptime`. `zone` is that of times which name none; without it those are refused.
    """

    column: str
    format: str = "iso"
    zone: str | None = None


class PropertyColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a property comes from: a column, or the same `value` for all rows.

    `type` "auto" takes canonical numbers, true and false for what they look like, and all else for text.
    """

    column: str | None = None
    value: str | int | bool | None = None
    type: Literal["auto", "text", "number", "boolean"] = "auto"


class UsageMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row's event. `id`, `source`, `type` and `subject` are texts in which `{column}` stands for the row's value.

    An empty cell makes no property.
    """

    id: str = "{line}"
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time: TimeColumn | None = None
    properties: dict[str, PropertyColumn] = {}

    def usage(self, line: int, row: Row) -> UsageRecorded:
        """The event of a row; raises `UsageUnreadable`."""
        assert self.time is not None, "`completed` makes sure"
        event: dict[str, object] = {"specversion": "1.0", "time": _instant(self.time, row)}
        for name in ("id", "source", "type", "subject"):
            event[name] = _filled(getattr(self, name), line, row)
        properties = {name: _property(one, row) for name, one in self.properties.items()}
        event["data"] = {name: value for name, value in properties.items() if value is not None}
        try:
            return parse(_encoder.encode(event))
        except (TypeError, UnicodeEncodeError, OverflowError) as fault:
            raise UsageUnreadable(why=str(fault)) from None


def read_mapping(path: Path) -> UsageMapping:
    """The mapping in a TOML or JSON file; raises `MappingInvalid`, OSError."""
    text = path.read_bytes()
    try:
        if path.suffix == ".json":
            return msgspec.json.decode(text, type=UsageMapping)
        return msgspec.convert(tomllib.loads(text.decode()), UsageMapping)
    except (msgspec.MsgspecError, ValueError) as fault:
        raise MappingInvalid(f"The mapping {path} cannot be used: {fault}.") from None


class Given(NamedTuple):
    """What the command line says of a mapping's attributes; None where it says nothing."""

    id: str | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    zone: str | None = None


def completed(mapping: UsageMapping | None, columns: Sequence[str], *, given: Given, file: str) -> UsageMapping:
    """The mapping with what the command line gives; without one, what the names of the columns suggest.

    The source is the file's name unless something says else. Raises `MappingInvalid` where something is missing or a
    column is not there.
    """
    whole = mapping or _suggested(columns)
    time = whole.time
    if time is not None and given.zone is not None:
        time = msgspec.structs.replace(time, zone=given.zone)
    whole = msgspec.structs.replace(
        whole,
        id=given.id or whole.id,
        source=given.source or whole.source or f"file:{file}",
        type=given.type or whole.type,
        subject=given.subject or whole.subject,
        time=time,
    )
    _check(whole, columns)
    return whole


def _suggested(columns: Sequence[str]) -> UsageMapping:
    found = {attribute: _likely(attribute, columns) for attribute in LIKELY}
    return UsageMapping(
        id=_placeholder(found["id"]) or "{line}",
        source=_placeholder(found["source"]),
        type=_placeholder(found["type"]),
        subject=_placeholder(found["subject"]),
        time=TimeColumn(found["time"]) if found["time"] else None,
        properties={name: PropertyColumn(column=name) for name in columns if name not in found.values()},
    )


def _check(mapping: UsageMapping, columns: Sequence[str]) -> None:
    shown = ", ".join(columns) or "none"
    for name, option in (("type", "--type or"), ("subject", "--account or"), ("time", "")):
        if getattr(mapping, name) is None:
            what = "account" if name == "subject" else name
            raise MappingInvalid(
                f"Nothing says what an event's {what} is: give {option} a --mapping. The columns are: {shown}."
            )
    assert mapping.time is not None, "checked above"
    wanted = [mapping.time.column, *(one.column for one in mapping.properties.values() if one.column is not None)]
    for text in (mapping.id, mapping.source, mapping.type, mapping.subject):
        wanted += [name for name in PLACEHOLDER.findall(text or "") if name != LINE]
    for column in wanted:
        if column not in columns:
            raise MappingInvalid(f'The mapping names the column "{column}", but the columns are: {shown}.')
    if mapping.time.zone is not None:
        try:
            require_zone(mapping.time.zone)
        except Refusal as refusal:
            raise MappingInvalid(refusal.message) from None


def _likely(attribute: str, columns: Sequence[str]) -> str | None:
    by_name = {column.lower(): column for column in reversed(columns)}
    return next((by_name[name] for name in LIKELY[attribute] if name in by_name), None)


def _placeholder(column: str | None) -> str | None:
    return f"{{{column}}}" if column else None


def _filled(template: str, line: int, row: Row) -> str:
    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        value = line if name == LINE and name not in row else row.get(name)
        if value is None or value == "":
            raise UsageUnreadable(why=f'the column "{name}" is empty')
        return str(value)

    return PLACEHOLDER.sub(value_of, template) if "{" in template else template


def _instant(time: TimeColumn, row: Row) -> datetime:
    told = row.get(time.column)
    if told is None or told == "":
        raise UsageUnreadable(why=f'the column "{time.column}" is empty')
    try:
        instant = told if isinstance(told, datetime) else _parsed(time.format, str(told).strip())
    except (ValueError, ArithmeticError):
        shown = str(told)[:40]
        raise UsageUnreadable(why=f'"{shown}" in "{time.column}" is no time in the format {time.format}') from None
    if instant.tzinfo is None:
        if time.zone is None:
            raise UsageUnreadable(why=f'the times in "{time.column}" name no zone: give --zone, say UTC')
        instant = instant.replace(tzinfo=ZoneInfo(time.zone))
    try:
        return instant.astimezone(UTC)
    except (OverflowError, ValueError):
        raise UsageUnreadable(why="`time` is outside the years 1970 to 9999") from None


def _parsed(pattern: str, text: str) -> datetime:
    if pattern == "iso":
        return datetime.fromisoformat(text)
    if pattern in UNIX_UNITS:
        microseconds = Decimal(text) * 1_000_000 / UNIX_UNITS[pattern]
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(microseconds))
    return datetime.strptime(text, pattern)  # noqa: DTZ007 - the caller puts in the mapping's zone


def _property(one: PropertyColumn, row: Row) -> object:
    told = one.value if one.column is None else row.get(one.column)
    if told is None or told == "":
        return None
    match one.type:
        case "text":
            return told if isinstance(told, str) else str(told)
        case "number":
            number = number_of(told.strip() if isinstance(told, str) else told)
            if number is None:
                raise UsageUnreadable(why=f'"{str(told)[:40]}" in "{one.column}" is no number')
            return number
        case "boolean":
            return _boolean(told, one)
        case _:
            return _guessed(told) if isinstance(told, str) else told


def _boolean(told: object, one: PropertyColumn) -> bool:
    value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(str(told).lower())
    if value is None:
        raise UsageUnreadable(why=f'"{str(told)[:40]}" in "{one.column}" is neither true nor false')
    return value


def _guessed(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    return Decimal(text) if CANONICAL_NUMBER.fullmatch(text) else text


_encoder = msgspec.json.Encoder(decimal_format="number")
