"""Rows of the log in PostgreSQL's binary COPY format (PostgreSQL documentation, COPY, "Binary Format")."""

import struct
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

COLUMNS: Final = (
    "position",
    "recorded_at",
    "originator_id",
    "originator_version",
    "occurred_at",
    "topic",
    "account",
    "state",
    "metadata",
)
CHUNK_EVENTS: Final = 80

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_FIXED: Final = struct.Struct(">hiqiqi16siiiq").pack
_LENGTH: Final = struct.Struct(">i").pack
_NULL: Final = _LENGTH(-1)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY_MICROSECONDS: Final = 86_400_000_000


class NewEvent(NamedTuple):
    """An event on its way into the log. `state` and `metadata` are JSON; `account` as in the table."""

    originator_id: bytes
    originator_version: int
    topic: str
    account: str | None
    occurred_at: datetime
    state: bytes
    metadata: bytes

    @property
    def key(self) -> tuple[bytes, int]:
        """What no two events of the log share."""
        return self.originator_id, self.originator_version


async def copy_rows(events: Sequence[NewEvent], *, head: int, recorded_at: datetime) -> AsyncIterator[bytes]:
    """The events as COPY input, numbered from `head` + 1 on, in chunks: Postgres reads one while we make the next."""
    recorded = (recorded_at - _EPOCH) // _MICROSECOND
    yield _HEADER
    for start in range(0, len(events), CHUNK_EVENTS):
        yield _encode(events[start : start + CHUNK_EVENTS], head + start, recorded)
    yield _TRAILER


def _encode(events: Sequence[NewEvent], head: int, recorded: int) -> bytes:
    parts: list[bytes] = []
    add = parts.extend
    # What many events of a flush share is encoded once.
    fields: dict[str | bytes | None, bytes] = {None: _NULL}
    for position, (originator_id, version, topic, account, occurred_at, state, metadata) in enumerate(events, head + 1):
        since = occurred_at - _EPOCH
        occurred = since.days * _DAY_MICROSECONDS + since.seconds * 1_000_000 + since.microseconds
        add(
            (
                _FIXED(9, 8, position, 8, recorded, 16, originator_id, 4, version, 8, occurred),
                fields.get(topic) or _shared(fields, topic),
                fields.get(account) or _shared(fields, account or ""),
                _LENGTH(len(state)),
                state,
                fields.get(metadata) or _shared(fields, metadata),
            )
        )
    return b"".join(parts)


def _shared(fields: dict[str | bytes | None, bytes], value: str | bytes) -> bytes:
    octets = value.encode() if isinstance(value, str) else value
    field = fields[value] = _LENGTH(len(octets)) + octets
    return field
