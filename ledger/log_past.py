"""Reads of the log that tell one account's past: what was decided on it, and what it used in a stretch of time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

import asyncpg

from ledger.database import Connection

PAGE_EVENTS: Final = 10_000
SAMPLE_EVENTS: Final = 5

# Both halves go along the index of decisions by account; as one, they would go through an account's usage.
SELECT_DECISIONS = """
(
    select position, topic, recorded_at, state, account from events
    where account = $1 and position > $2 and position <= $3 and topic <> 'UsageRecorded' and topic = any($4::text[])
) union all (
    select position, topic, recorded_at, state, account from events
    where account is null and position > $2 and position <= $3 and topic <> 'UsageRecorded' and topic = any($4::text[])
)
order by position limit $5
"""
# What was mended stands in the log at the time of its mending: when its content occurred, its state tells.
SELECT_USAGE = """
select position, topic, recorded_at, state, account from events
where account = any($1::text[]) and position > $2 and position <= $3
    and ((topic = 'UsageRecorded' and occurred_at >= $4 and occurred_at < $5) or topic = 'UsageMended')
order by position limit $6
"""
COUNT_USAGE = """
select count(*) as count, min(position) as first, max(position) as last,
    (array_agg(position order by position))[:$6::integer] as sample
from events
where account = any($1::text[]) and position > $2 and position <= $3
    and topic = 'UsageRecorded' and occurred_at >= $4 and occurred_at < $5
"""
SELECT_RECORDED_AT = """
select recorded_at from events where position = $1
"""
# Of some events those that were told under some names.
SELECT_POSITIONS_OF = """
select position from events where position = any($1::bigint[]) and account = any($2::text[])
order by position limit 100000
"""


async def decisions_about(
    connection: Connection, account: str, topics: Sequence[str], *, after: int, up_to: int
) -> list[asyncpg.Record]:
    """The next decisions of some topics on an account, and those on no account, in order of position.

    As the other reads here: rows (position, topic, recorded_at, state, account), at most 10,000.
    """
    return await connection.fetch(SELECT_DECISIONS, account, after, up_to, topics, PAGE_EVENTS)


async def usage_between(
    connection: Connection, names: Sequence[str], *, start: datetime, end: datetime, after: int, up_to: int
) -> list[asyncpg.Record]:
    """The next usage events told under some names that may count in `[start, end)`: occurred then, or were mended."""
    return await connection.fetch(SELECT_USAGE, names, after, up_to, start, end, PAGE_EVENTS)


async def recorded_at(connection: Connection, position: int) -> datetime | None:
    """When the event at a position was recorded; None where there is none."""
    found: datetime | None = await connection.fetchval(SELECT_RECORDED_AT, position)
    return found


async def positions_of(connection: Connection, positions: Sequence[int], names: Sequence[str]) -> list[int]:
    """Those of some positions whose events were told under one of the names, at most 100,000."""
    return [row["position"] for row in await connection.fetch(SELECT_POSITIONS_OF, positions, names)]


async def usage_counted(
    connection: Connection, names: Sequence[str], *, start: datetime, end: datetime, after: int, up_to: int
) -> asyncpg.Record:
    """Of the usage as first told that `usage_between` would read: (count, first, last, some of its positions)."""
    [row] = await connection.fetch(COUNT_USAGE, names, after, up_to, start, end, SAMPLE_EVENTS)
    return cast("asyncpg.Record", row)
