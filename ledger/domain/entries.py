"""The bytes of an event that are sealed: the whole stored row, so written that no two rows can give the same bytes.

The form is PostgreSQL's own for a row of a binary COPY (its documentation, COPY, "Binary Format", "Tuples"): a count of
fields, then each field's length and bytes. docs/security.md tells it field by field, for who writes a verifier.
"""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

FIELDS: Final = 9

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class EntryUnreadable(ValueError):
    """The bytes are no entry of an event."""


class Entry(NamedTuple):
    """A stored row. `state` and `metadata` are its JSON exactly as stored; times are in whole microseconds."""

    position: int
    originator_id: UUID
    originator_version: int
    topic: str
    account: str | None
    occurred_at: datetime
    recorded_at: datetime
    state: str
    metadata: str


def encode(entry: Entry) -> bytes:
    """The entry's bytes: int16 9, then for each field an int32 length (-1 for null) and so many bytes, all big-endian.

    Times are int64 microseconds since 2000-01-01T00:00:00Z, texts UTF-8.
    """
    return b"".join(
        (
            struct.pack(">h", FIELDS),
            _field(struct.pack(">q", entry.position)),
            _field(entry.originator_id.bytes),
            _field(struct.pack(">i", entry.originator_version)),
            _field(entry.topic.encode()),
            _field(None if entry.account is None else entry.account.encode()),
            _field(_moment(entry.occurred_at)),
            _field(_moment(entry.recorded_at)),
            _field(entry.state.encode()),
            _field(entry.metadata.encode()),
        )
    )


def decode(written: bytes) -> Entry:
    """The entry that these bytes are; raises `EntryUnreadable`. `encode` of it gives the same bytes again."""
    try:
        position, stream, version, topic, account, occurred, recorded, state, metadata = _fields(written)
        if not (position and stream and version and occurred and recorded):
            raise EntryUnreadable("a field is missing")
        if topic is None or state is None or metadata is None:
            raise EntryUnreadable("a field is null")
        return Entry(
            struct.unpack(">q", position)[0],
            UUID(bytes=stream),
            struct.unpack(">i", version)[0],
            topic.decode(),
            None if account is None else account.decode(),
            _EPOCH + struct.unpack(">q", occurred)[0] * _MICROSECOND,
            _EPOCH + struct.unpack(">q", recorded)[0] * _MICROSECOND,
            state.decode(),
            metadata.decode(),
        )
    except (struct.error, ValueError, OverflowError) as fault:
        raise EntryUnreadable(str(fault)) from None


def at_position(written: bytes, position: int) -> bytes:
    """The entry as it would be at another position: what finds a row again that was moved."""
    return written[:6] + struct.pack(">q", position) + written[14:]


def _field(content: bytes | None) -> bytes:
    return struct.pack(">i", -1) if content is None else struct.pack(">i", len(content)) + content


def _moment(instant: datetime) -> bytes:
    return struct.pack(">q", (instant - _EPOCH) // _MICROSECOND)


def _fields(written: bytes) -> Sequence[bytes | None]:
    if written[:2] != struct.pack(">h", FIELDS):
        raise EntryUnreadable(f"it does not begin with the number of its fields, {FIELDS}")
    found: list[bytes | None] = []
    at = 2
    for _ in range(FIELDS):
        (length,) = struct.unpack_from(">i", written, at)
        at += 4
        found.append(None if length == -1 else written[at : at + length])
        if length < -1 or at + max(length, 0) > len(written):
            raise EntryUnreadable("a field is longer than what is left")
        at += max(length, 0)
    if at != len(written):
        raise EntryUnreadable("bytes are left over")
    return found
