"""What ingestion is held against: the same rows by COPY alone, and one commit for each event."""

import asyncio
import time
from datetime import UTC, datetime
from io import BytesIO
from unittest.mock import patch

import asyncpg

from benchmarks.opened import opened
from benchmarks.workload import METADATA, usage_events
from ledger import event_log
from ledger.commands.usage import record_usage
from ledger.domain.usage import parse

COMMIT_ROWS = 20_000
"""As many as the log writes in one transaction at most."""

COUNT_USAGE = """
select count(*) from events where topic = 'UsageRecorded'
"""
SELECT_USAGE = """
select position, originator_id, originator_version, topic, account, occurred_at, recorded_at, state, metadata
from events where position >= %d and position < %d order by position
"""
SELECT_FIRST_USAGE = """
select min(position) from events where topic = 'UsageRecorded'
"""
COLUMNS = "position originator_id originator_version topic account occurred_at recorded_at state metadata".split()


async def count_usage(database_url: str) -> int:
    """How many usage events a log holds."""
    connection = await asyncpg.connect(database_url)
    count: int = await connection.fetchval(COUNT_USAGE)
    await connection.close()
    return count


async def copy_out(database_url: str) -> list[bytes]:
    """The usage rows of a log in order, as binary COPY input of 20,000 rows a piece."""
    connection = await asyncpg.connect(database_url)
    first = await connection.fetchval(SELECT_FIRST_USAGE)
    pieces = []
    for start in range(first, first + await connection.fetchval(COUNT_USAGE), COMMIT_ROWS):
        piece = BytesIO()
        query = SELECT_USAGE % (start, start + COMMIT_ROWS)
        await connection.copy_from_query(query, output=piece, format="binary")
        pieces.append(piece.getvalue())
    await connection.close()
    return pieces


async def copy_in(database_url: str, pieces: list[bytes]) -> float:
    """The seconds it takes to COPY the pieces into the log's table, with its keys, a commit for each."""
    connection = await asyncpg.connect(database_url)
    start = time.perf_counter()
    for piece in pieces:
        await connection.copy_to_table("events", source=BytesIO(piece), columns=COLUMNS, format="binary")
    seconds = time.perf_counter() - start
    await connection.close()
    return seconds


async def commit_each(database_url: str, count: int, *, callers: int) -> float:
    """The seconds it takes to record events one a commit, as many callers at once, without HTTP between.

    It is our own command and log, told to take one waiting append into a transaction instead of all.
    """
    bodies = usage_events(count, run="alone")
    async with opened(database_url) as (_, log, follower):

        async def record() -> None:
            for body in bodies:
                now = datetime.now(UTC)
                await record_usage(log, follower.catalogue, [parse(body)], now=now, metadata=METADATA.encode())

        with patch.object(event_log, "FLUSH_EVENTS_MAX", 1):
            start = time.perf_counter()
            await asyncio.gather(*(record() for _ in range(callers)))
            return time.perf_counter() - start
