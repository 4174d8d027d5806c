"""The read model of accounts: one row per account, for lists and search."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

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
from ledger.projections.decided import DecidedModel
from ledger.projections.watermark import Watermark, watermark

NAME: Final = "accounts"
TOPICS: Final = frozenset(
    event.TOPIC for event in (AccountOpened, AccountRenamed, AccountZoneChanged, AccountAliased, AccountAliasRemoved)
)

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


async def _fold(connection: Connection, rows: Sequence[asyncpg.Record]) -> None:
    for position, topic, recorded_at, state, _ in rows:
        await _take_in(connection, decode(topic, state), position, recorded_at)


async def _take_in(connection: Connection, event: Event, position: int, recorded_at: datetime) -> None:
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


MODEL: Final = DecidedModel(NAME, TOPICS, _fold)


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
