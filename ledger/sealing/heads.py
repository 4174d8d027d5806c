"""The signed heads of the log's tree and the keys that signed them, as they are kept: only ever added to."""

from typing import NamedTuple

import asyncpg

from ledger.database import Connection, Pool

SELECT_LAST = """
select number, size, note from tree_heads order by number desc limit 1
"""
SELECT_OF_SIZE = """
select number, size, note from tree_heads where size = $1
"""
SELECT_PAGE = """
select number, size, note from tree_heads where number > $1 and number < $2 order by number limit $3
"""
SELECT_PAGE_BACKWARDS = SELECT_PAGE.replace("order by number", "order by number desc")
SELECT_BY_SIZE = """
select number, size, note from tree_heads where size > $1 and size <= $2 order by size, number limit 100000
"""
SELECT_ODD = """
select number, size, note from tree_heads where size <= 0 or size > $1 order by number limit 100
"""
COUNT = """
select count(*) from tree_heads
"""
INSERT_HEAD = """
insert into tree_heads (number, size, note) values ($1, $2, $3)
"""
SELECT_KEYS = """
select number, public_key, note from seal_keys order by number limit 10000
"""
SELECT_LAST_KEY = """
select number, public_key, note from seal_keys order by number desc limit 1
"""
INSERT_KEY = """
insert into seal_keys (number, public_key, note) values ($1, $2, $3)
"""


class Head(NamedTuple):
    """A stored head; `note` is the signed one."""

    number: int
    size: int
    note: str


class SealKey(NamedTuple):
    """A stored public key; `note` is what the key before signed to name it, None for the first."""

    number: int
    public_key: str
    note: str | None


async def last_head(connection: Connection | Pool) -> Head | None:
    """The newest head, None before the first."""
    row = await connection.fetchrow(SELECT_LAST)
    return Head(*row) if row else None


async def head_of_size(connection: Connection | Pool, size: int) -> Head | None:
    """The head over so many events, where that many were sealed together."""
    row = await connection.fetchrow(SELECT_OF_SIZE, size)
    return Head(*row) if row else None


async def head_page(
    connection: Connection | Pool, *, after: int, before: int, limit: int, is_backwards: bool = False
) -> list[Head]:
    """Heads whose numbers are strictly between two."""
    query = SELECT_PAGE_BACKWARDS if is_backwards else SELECT_PAGE
    return [Head(*row) for row in await connection.fetch(query, after, before, limit)]


async def heads_by_size(connection: Connection, *, after: int, up_to: int) -> list[Head]:
    """Heads over more events than `after` and no more than `up_to`."""
    return [Head(*row) for row in await connection.fetch(SELECT_BY_SIZE, after, up_to)]


async def heads_beside(connection: Connection, size: int) -> list[Head]:
    """Heads whose size is none, or beyond one; at most 100."""
    return [Head(*row) for row in await connection.fetch(SELECT_ODD, size)]


async def count_heads(connection: Connection | Pool) -> int:
    """How many heads there are."""
    return int(await connection.fetchval(COUNT))


async def keep_head(connection: Connection, head: Head) -> None:
    """Add a head; raises `UniqueViolationError` where another sealer was first."""
    await connection.execute(INSERT_HEAD, *head)


async def keys(connection: Connection | Pool) -> list[SealKey]:
    """Every public key, in order."""
    rows: list[asyncpg.Record] = await connection.fetch(SELECT_KEYS)
    return [SealKey(*row) for row in rows]


async def last_key(connection: Connection | Pool) -> SealKey | None:
    """The key that signs now, None before the first."""
    row = await connection.fetchrow(SELECT_LAST_KEY)
    return SealKey(*row) if row else None


async def keep_key(connection: Connection, key: SealKey) -> None:
    """Add a key; raises `UniqueViolationError` where another was added first."""
    await connection.execute(INSERT_KEY, *key)
