"""Reads of the log for its seal: the whole stored rows, as the bytes that `domain.entries` tells."""

from typing import Final, NamedTuple

import asyncpg

from ledger.database import Connection, Pool

# What `entries.encode` makes of the row, byte for byte; made where the rows are, it takes a third of the time.
ENTRY: Final = """(
    int2send(9::int2) || int4send(8) || int8send(position) || int4send(16) || uuid_send(originator_id)
    || int4send(4) || int4send(originator_version) || int4send(octet_length(topic)) || textsend(topic)
    || coalesce(int4send(octet_length(account)) || textsend(account), int4send(-1))
    || int4send(8) || timestamptz_send(occurred_at) || int4send(8) || timestamptz_send(recorded_at)
    || int4send(octet_length(state::text)) || json_send(state)
    || int4send(octet_length(metadata::text)) || json_send(metadata)
)"""
SELECT_LEAVES = f"""
select string_agg(sha256('\\x00'::bytea || {ENTRY}), '' order by position) as hashes, max(position) as position
from events where position > $1 and position <= $1 + $2
"""
SELECT_ENTRIES = f"""
select position, {ENTRY} as entry from events where position > $1 and position <= $2 order by position limit 100000
"""
SELECT_BEFORE_FIRST = """
select position from events where position <= 0 order by position limit 100
"""
SELECT_AFTER = """
select count(*) as events, min(position) as lowest, max(position) as highest from events where position > $1
"""


class After(NamedTuple):
    """How many events there are after a position, and the first and last of them."""

    events: int
    lowest: int | None
    highest: int | None


async def leaf_hashes(connection: Connection, *, after: int, limit: int) -> tuple[bytes, int]:
    """The hashes of the next events after a position, 32 bytes each, and the last one's position.

    It is not after the same number of events where the log has a hole.
    """
    row = await connection.fetchrow(SELECT_LEAVES, after, limit)
    assert row is not None, "an aggregate has a row"
    return row["hashes"] or b"", row["position"] or after


async def entries(connection: Connection | Pool, *, after: int, up_to: int) -> list[asyncpg.Record]:
    """The entries of the events in a range of at most 100,000 positions: rows (position, entry)."""
    return await connection.fetch(SELECT_ENTRIES, after, up_to)


async def positions_before_first(connection: Connection) -> list[int]:
    """Positions that no event may have; at most 100."""
    return [row["position"] for row in await connection.fetch(SELECT_BEFORE_FIRST)]


async def events_after(connection: Connection | Pool, position: int) -> After:
    """What there is after a position."""
    row = await connection.fetchrow(SELECT_AFTER, position)
    assert row is not None, "an aggregate has a row"
    return After(*row)
