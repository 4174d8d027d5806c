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
CHUNK_EVENTS: Final = 2_000

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_FIXED: Final = struct.Struct(">hiqiqi16siiiqi").pack
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
    """The events as COPY input, numbered from `head` + 1 on, in chunks that keep the loop responsive."""
    recorded = (recorded_at - _EPOCH) // _MICROSECOND
    yield _HEADER
    for start in range(0, len(events), CHUNK_EVENTS):
        yield _encode(events[start : start + CHUNK_EVENTS], head + start, recorded)
    yield _TRAILER


def _encode(events: Sequence[NewEvent], head: int, recorded: int) -> bytes:
    parts: list[bytes] = []
    add = parts.append
    for position, event in enumerate(events, head + 1):
        originator_id, version, topic, account, occurred_at, state, metadata = event
        since = occurred_at - _EPOCH
        occurred = since.days * _DAY_MICROSECONDS + since.seconds * 1_000_000 + since.microseconds
        name = topic.encode()
        add(_FIXED(9, 8, position, 8, recorded, 16, originator_id, 4, version, 8, occurred, len(name)))
        add(name)
        if account is None:
            add(_NULL)
        else:
            key = account.encode()
            add(_LENGTH(len(key)))
            add(key)
        add(_LENGTH(len(state)))
        add(state)
        add(_LENGTH(len(metadata)))
        add(metadata)
    return b"".join(parts)
