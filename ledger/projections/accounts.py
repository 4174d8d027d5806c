"""The read model of accounts: one row per account, for lists and search."""

from datetime import datetime
from typing import Final, NamedTuple

from ledger.database import Connection, Pool
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountRenamed,
    AccountZoneChanged,
    Event,
)
from ledger.domain.topics import decode
from ledger.event_log import PAGE_EVENTS_MAX, EventLog, Head
from ledger.projections.watermark import Watermark, cursor, move, watermark

NAME: Final = "accounts"

INSERT = """
insert into accounts (key, name, zone, opened_at, position) values ($1, $2, $3, $4, $5)
"""
RENAME = """
update accounts set name = $2, position = $3 where key = $1
"""
CHANGE_ZONE = """
update accounts set zone = $2, position = $3 where key = $1
"""
ADD_ALIAS = """
update accounts set aliases = array_append(aliases, $2), position = $3 where key = $1
"""
REMOVE_ALIAS = """
update accounts set aliases = array_remove(aliases, $2), position = $3 where key = $1
"""
MATCHES = """
($1::text is null or key = $1)
and ($2::text is null or key ilike $2 or name ilike $2 or exists (select from unnest(aliases) a where a ilike $2))
"""
SELECT_PAGE = f"""
select key, name, zone, aliases, opened_at, position from accounts
where {MATCHES} and ($3::text is null or key > $3) and ($4::text is null or key < $4)
order by key limit $5
"""
SELECT_PAGE_BACKWARDS = SELECT_PAGE.replace("order by key", "order by key desc")
COUNT = f"""
select count(*) from accounts where {MATCHES}
"""


class AccountRow(NamedTuple):
    """An account as the read model shows it; `position` is of its last change."""

    key: str
    name: str
    zone: str
    aliases: tuple[str, ...]
    opened_at: datetime
    position: int


async def step(pool: Pool, log: EventLog, *, up_to: int | None = None) -> bool:
    """Fold the next decisions, at or before a position where one is given; true where more may wait."""
    head = await log.head() if up_to is None else Head(up_to, None)
    seen = await cursor(pool, NAME)
    if head.position == seen.position:
        return False
    rows = [row for row in await log.decisions_since(seen.position) if row["position"] <= head.position]
    is_more = len(rows) == PAGE_EVENTS_MAX
    position, recorded_at = (rows[-1][0], rows[-1][2]) if is_more else head
    async with pool.acquire() as connection, connection.transaction():
        await move(connection, NAME, seen, position=position, recorded_at=recorded_at)
        for at, topic, when, state, _ in rows:
            await _fold(connection, decode(topic, state), at, when)
    return is_more


async def _fold(connection: Connection, event: Event, position: int, recorded_at: datetime) -> None:
    match event:
        case AccountOpened():
            opened_at = event.opened_at or recorded_at
            await connection.execute(INSERT, event.account, event.name, event.zone, opened_at, position)
        case AccountRenamed():
            await connection.execute(RENAME, event.account, event.name, position)
        case AccountZoneChanged():
            await connection.execute(CHANGE_ZONE, event.account, event.zone, position)
        case AccountAliased():
            await connection.execute(ADD_ALIAS, event.account, event.alias, position)
        case AccountAliasRemoved():
            await connection.execute(REMOVE_ALIAS, event.account, event.alias, position)
        case _:
            pass


async def accounts(
    pool: Pool,
    *,
    search: str | None,
    after: str | None,
    before: str | None,
    limit: int,
    is_backwards: bool,
    only: str | None,
) -> tuple[Watermark, list[AccountRow], int]:
    """A page of accounts in order of key (or its reverse), and how many match in all.

    `search` is looked for anywhere in key, name and aliases, whatever the case; `only` is the one account that the
    caller may see.
    """
    pattern = None if not search else f"%{search.translate(_LITERALLY)}%"
    query = SELECT_PAGE_BACKWARDS if is_backwards else SELECT_PAGE
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, NAME)
        rows = await connection.fetch(query, only, pattern, after, before, limit)
        total = await connection.fetchval(COUNT, only, pattern)
    return mark, [AccountRow(**{**row, "aliases": tuple(row["aliases"])}) for row in rows], total


_LITERALLY: Final = str.maketrans({"%": r"\%", "_": r"\_", "\\": r"\\"})
