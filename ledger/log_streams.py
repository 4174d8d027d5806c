"""Reads of the log by stream: how each of many stands."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from ledger.database import Connection, Pool

STREAMS_MAX: Final = 10_000

SELECT_NEWEST = """
select e.originator_id, e.originator_version, e.position, e.topic, e.state
from unnest($1::uuid[]) as s (id)
cross join lateral (
    select * from events where originator_id = s.id order by originator_version desc limit 1
) as e
order by e.position limit $2
"""


async def newest(connection: Connection | Pool, streams: Sequence[bytes]) -> dict[bytes, asyncpg.Record]:
    """The last event of each of at most 10,000 streams: rows (originator_id, originator_version, position, topic,
    state) by stream.
    """
    if len(streams) > STREAMS_MAX:
        raise ValueError(f"more than {STREAMS_MAX} streams at once")
    rows = await connection.fetch(SELECT_NEWEST, [UUID(bytes=stream) for stream in streams], STREAMS_MAX)
    return {row["originator_id"].bytes: row for row in rows}
