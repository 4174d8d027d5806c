"""What ingestion is held against: the same rows by COPY alone."""

import time
from io import BytesIO

import asyncpg

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
