"""Reads of the log that tell who decided what: the trace of a request, an account's history, everybody's decisions."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from ledger.database import Pool

COLUMNS: Final = """
position, originator_id, originator_version, topic, account, occurred_at, recorded_at, state, metadata
"""
# The condition on the topic is that of the index of decisions. A closed invoice is long, and its period tells of it.
SELECT_TRACE = """
select position from events
where position > $1 and topic <> 'UsageRecorded' and metadata::text = $2 order by position limit 1
"""
SELECT_OF_ACCOUNT = f"""
select {COLUMNS} from events
where account = any($1::text[]) and position > $2 and position < $3
  and topic <> 'UsageRecorded' and topic <> 'InvoiceClosed'
order by position limit $4
"""
SELECT_DECISIONS = f"""
select {COLUMNS} from events
where position > $1 and position < $2 and topic <> 'UsageRecorded' and topic <> 'InvoiceClosed'
order by position limit $3
"""


async def trace_after(pool: Pool, position: int, metadata: bytes) -> int | None:
    """The first position after another at which something other than usage was written with exactly this metadata."""
    found: int | None = await pool.fetchval(SELECT_TRACE, position, metadata.decode())
    return found


async def decisions_on(
    pool: Pool, names: Sequence[str], *, after: int, before: int, limit: int, is_backwards: bool
) -> list[asyncpg.Record]:
    """Whole rows of what was decided under some names, strictly between two positions."""
    return await pool.fetch(_ordered(SELECT_OF_ACCOUNT, is_backwards=is_backwards), names, after, before, limit)


async def decisions(pool: Pool, *, after: int, before: int, limit: int, is_backwards: bool) -> list[asyncpg.Record]:
    """As `decisions_on`, of everybody and on no account too."""
    return await pool.fetch(_ordered(SELECT_DECISIONS, is_backwards=is_backwards), after, before, limit)


def _ordered(statement: str, *, is_backwards: bool) -> str:
    return statement.replace("order by position", "order by position desc") if is_backwards else statement
