"""How far a full sync has come, so that one that was stopped goes on; and when notifications were swept last."""

from datetime import datetime
from typing import NamedTuple

from ledger.database import Pool

INSERT = """
insert into platform_syncs (platform, what, began_at, listed_after) values ($1, $2, $3, $4)
on conflict (platform, what) do nothing
"""
SELECT = """
select began_at, listed_after, after, is_done from platform_syncs where platform = $1 and what = $2
"""
UPDATE = """
update platform_syncs set after = $3, is_done = $4 where platform = $1 and what = $2
"""
DELETE = """
delete from platform_syncs
where platform = $1 and what <> 'notifications' and ($2::timestamptz is null or began_at < $2)
"""
SELECT_SWEPT = """
select began_at from platform_syncs where platform = $1 and what = 'notifications'
"""
UPSERT_SWEPT = """
insert into platform_syncs (platform, what, began_at) values ($1, 'notifications', $2)
on conflict (platform, what) do update set began_at = greatest(platform_syncs.began_at, excluded.began_at)
"""


class Progress(NamedTuple):
    """`after` is the object after which the listing of a kind goes on, None at its beginning.

    `listed_after` is how far the log went before the first page was asked for.
    """

    began_at: datetime
    listed_after: int
    after: str | None
    is_done: bool


async def begin(pool: Pool, platform: str, what: str, *, head: int, now: datetime) -> Progress:
    """The progress on a kind, from the beginning where there is none."""
    await pool.execute(INSERT, platform, what, now, head)
    row = await pool.fetchrow(SELECT, platform, what)
    return Progress(*row) if row else Progress(now, head, None, is_done=False)


async def advance(pool: Pool, platform: str, what: str, *, after: str | None, is_done: bool = False) -> None:
    """Keep how far the listing of a kind has come."""
    await pool.execute(UPDATE, platform, what, after, is_done)


async def forget(pool: Pool, platform: str, *, begun_before: datetime | None = None) -> None:
    """Let the next sync begin anew; or only where it began before a moment."""
    await pool.execute(DELETE, platform, begun_before)


async def swept_at(pool: Pool, platform: str) -> datetime | None:
    """Up to when notifications were swept; None where they never were."""
    moment: datetime | None = await pool.fetchval(SELECT_SWEPT, platform)
    return moment


async def set_swept_at(pool: Pool, platform: str, moment: datetime) -> None:
    """Keep up to when notifications were swept."""
    await pool.execute(UPSERT_SWEPT, platform, moment)
