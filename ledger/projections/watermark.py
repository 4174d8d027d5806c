"""Cursors: how far each read model has come, which answer carries that, and how to wait for it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from ledger.database import Connection, Pool
from ledger.domain.refusals import PositionNotReached

POLL_SECONDS: Final = 0.015

SELECT_CURSOR = """
select position, epoch from cursors where name = $1
"""
# Compare-and-set: of two runners that folded the same events, one moves the cursor and the other rolls back.
MOVE_CURSOR = """
update cursors set position = $4, recorded_at = coalesce($5, recorded_at), moved_at = clock_timestamp()
where name = $1 and position = $2 and epoch = $3
returning true
"""
# It waits for no disk: who is behind the log folds again what a crash takes back, together with the cursor.
MOVE_CURSORS = """
with moved as (
    update cursors set position = $4, recorded_at = coalesce($5, recorded_at), moved_at = clock_timestamp()
    from unnest($1::text[], $2::bigint[], $3::integer[]) as seen (name, position, epoch)
    where cursors.name = seen.name and cursors.position = seen.position and cursors.epoch = seen.epoch
    returning true
)
select count(*), set_config('synchronous_commit', 'off', true) from moved
"""
SELECT_CURSORS = """
select name, position, epoch from cursors where name = any($1::text[]) order by name limit 100
"""
SELECT_WATERMARK = """
select position, recorded_at, recorded_at_after(position) as waiting_since, clock_timestamp() as now
from cursors where name = $1
"""
SELECT_ALL = """
select name, position, recorded_at, recorded_at_after(position) as waiting_since, clock_timestamp() as now
from cursors order by name limit 100
"""
LOCK = """
select position from cursors where name = $1 for update
"""
RESTART = """
update cursors set position = 0, epoch = epoch + 1, recorded_at = null where name = $1
"""
BEGIN_EPOCH = """
update cursors set epoch = epoch + 1 where name = any($1::text[])
"""
SELECT_POSITION = """
select position from cursors where name = $1
"""


class Cursor(NamedTuple):
    """Where a follower stands; both fields must be unchanged when it moves on."""

    position: int
    epoch: int


class CursorMoved(Exception):
    """Another runner moved the cursor, or what it computes changed. Nothing was written; look again and go on."""


class Watermark(NamedTuple):
    """Up to which event an answer is complete.

    `recorded_at` is that event's; `lag_milliseconds` is how long the oldest event not yet included has waited, 0
    where nothing waits.
    """

    position: int
    recorded_at: datetime | None
    lag_milliseconds: int


async def cursor(connection: Connection | Pool, name: str) -> Cursor:
    """Where the named follower stands."""
    row = await connection.fetchrow(SELECT_CURSOR, name)
    assert row is not None, "migrations make every cursor"
    return Cursor(*row)


async def move(connection: Connection, name: str, seen: Cursor, *, position: int, recorded_at: datetime | None) -> None:
    """Move a cursor on within the caller's transaction; raises `CursorMoved` unless it still is where it was seen."""
    if not await connection.fetchval(MOVE_CURSOR, name, seen.position, seen.epoch, position, recorded_at):
        raise CursorMoved(name)


async def cursors(connection: Connection | Pool, names: Sequence[str]) -> dict[str, Cursor]:
    """Where each of the named followers stands."""
    return {row["name"]: Cursor(row["position"], row["epoch"]) for row in await connection.fetch(SELECT_CURSORS, names)}


async def move_all(
    connection: Connection, seen: Mapping[str, Cursor], *, position: int, recorded_at: datetime | None
) -> None:
    """Move cursors on to one position, in the caller's transaction; raises `CursorMoved` unless all are where seen."""
    positions, epochs = zip(*seen.values(), strict=True)
    moved = await connection.fetchval(MOVE_CURSORS, list(seen), positions, epochs, position, recorded_at)
    if moved != len(seen):
        raise CursorMoved(", ".join(seen))


async def lock(connection: Connection, name: str) -> int:
    """The cursor's position, which nobody moves before the caller's transaction ends."""
    position: int = await connection.fetchval(LOCK, name)
    return position


async def restart(connection: Connection, name: str) -> None:
    """Send a follower back to the first event; whoever was moving its cursor fails."""
    await connection.execute(RESTART, name)


async def begin_epoch(connection: Connection, names: Sequence[str]) -> None:
    """Make followers look again at what they compute: their next move fails."""
    await connection.execute(BEGIN_EPOCH, names)


async def watermark(connection: Connection | Pool, name: str) -> Watermark:
    """The watermark of a read model, in the snapshot of the caller's transaction where it has one."""
    row = await connection.fetchrow(SELECT_WATERMARK, name)
    assert row is not None, "migrations make every cursor"
    return _watermark(row)


async def watermarks(connection: Connection | Pool) -> dict[str, Watermark]:
    """The watermark of every read model by name."""
    return {row["name"]: _watermark(row) for row in await connection.fetch(SELECT_ALL)}


def _watermark(row: asyncpg.Record) -> Watermark:
    waiting_since = row["waiting_since"]
    lag = 0 if waiting_since is None else int((row["now"] - waiting_since).total_seconds() * 1000)
    return Watermark(row["position"], row["recorded_at"], max(lag, 0))


async def reach(pool: Pool, name: str, position: int, *, timeout_seconds: float) -> None:
    """Return once the read model includes `position`; raises `PositionNotReached` after the time given."""
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    while (reached := await pool.fetchval(SELECT_POSITION, name)) < position:
        if asyncio.get_running_loop().time() >= deadline:
            raise PositionNotReached(wanted=position, reached=reached)
        await asyncio.sleep(POLL_SECONDS)
