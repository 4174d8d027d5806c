"""The read model of what billing platforms hold: one row for each object as it was last seen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple, cast, get_args

import asyncpg

from ledger.database import Connection, Pool
from ledger.domain.platform_events import PlatformNotified, SyncEvent
from ledger.domain.platform_objects import (
    CreditNote,
    Customer,
    Inexpressible,
    ObjectKind,
    PlatformInvoice,
    PlatformMeter,
    PlatformObject,
    Price,
    Subscription,
)
from ledger.domain.platform_sync import kind_of, object_of
from ledger.domain.topics import decode
from ledger.projections.decided import DecidedModel

NAME: Final = "platform objects"
TOPICS: Final = frozenset(event.TOPIC for event in (PlatformNotified, *get_args(SyncEvent)))
ROWS_MAX: Final = 10_000

UPSERT = """
insert into platform_objects
    (platform, kind, id, customer, subscription, status, starts_at, ends_at, obstacle, topic, state, position)
select * from unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[],
    $9::text[], $10::text[], $11::json[], $12::bigint[]
)
on conflict (platform, kind, id) do update set
    customer = excluded.customer, subscription = excluded.subscription, status = excluded.status,
    starts_at = excluded.starts_at, ends_at = excluded.ends_at, obstacle = excluded.obstacle,
    topic = excluded.topic, state = excluded.state, position = excluded.position
"""
UPSERT_NEWS = """
insert into platform_news
    (platform, notifications, last_event_id, last_kind, last_created_at, last_recorded_at, position)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (platform) do update set
    notifications = platform_news.notifications + excluded.notifications, last_event_id = excluded.last_event_id,
    last_kind = excluded.last_kind, last_created_at = excluded.last_created_at,
    last_recorded_at = excluded.last_recorded_at, position = excluded.position
"""
SELECT_PAGE = """
select platform, topic, state, position from platform_objects
where platform = $1 and kind = $2 and ($3::text[] is null or customer = any($3)) and ($4::text is null or id > $4)
order by id limit $5
"""
SELECT_BY_ID = """
select platform, topic, state, position from platform_objects
where platform = $1 and kind = $2 and id = any($3::text[]) order by id limit 10000
"""
SELECT_OVERLAPPING = """
select platform, topic, state, position from platform_objects
where platform = $1 and kind = $2 and customer = any($3::text[])
  and starts_at < $5 and coalesce(ends_at, 'infinity') > $4
order by customer, starts_at, id limit 10000
"""
SELECT_OF_CUSTOMERS = """
select platform, topic, state, position from platform_objects
where kind = $1 and customer = any($2::text[]) order by starts_at desc nulls last, platform, id limit $3
"""
SELECT_OBSTACLES = """
select platform, topic, state, position from platform_objects
where platform = $1 and obstacle is not null order by kind, id limit 10000
"""
SELECT_NEWS = """
select platform, notifications, last_event_id, last_kind, last_created_at, last_recorded_at, position
from platform_news order by platform limit 100
"""


class Seen(NamedTuple):
    """An object as it was last seen, and the position of the event that says so."""

    one: PlatformObject
    position: int
    platform: str


class News(NamedTuple):
    """What a platform told last, in the ledger's order, and how much it told in all."""

    platform: str
    notifications: int
    last_event_id: str
    last_kind: str
    last_created_at: datetime
    last_recorded_at: datetime
    position: int


class _Columns(NamedTuple):
    customer: str | None = None
    subscription: str | None = None
    status: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    obstacle: str | None = None


async def _fold(connection: Connection, rows: Sequence[asyncpg.Record]) -> None:
    newest: dict[tuple[str, str, str], tuple[object, ...]] = {}
    news: dict[str, News] = {}
    for row in rows:
        event = decode(row["topic"], row["state"])
        if isinstance(event, PlatformNotified):
            before = news.get(event.platform)
            news[event.platform] = News(
                event.platform,
                1 if before is None else before.notifications + 1,
                event.event_id,
                event.kind,
                event.created_at,
                row["recorded_at"],
                row["position"],
            )
        elif isinstance(event, SyncEvent):
            one = object_of(event)
            key = (event.platform, kind_of(one), one.id)
            newest[key] = (*key, *_columns(one), row["topic"], row["state"], row["position"])
    if newest:
        await connection.execute(UPSERT, *map(list, zip(*newest.values(), strict=True)))
    for told in news.values():
        await connection.execute(UPSERT_NEWS, *told)


def _columns(one: PlatformObject) -> _Columns:
    match one:
        case Customer():
            return _Columns(customer=one.id, status="deleted" if one.is_deleted else "active")
        case PlatformMeter():
            return _Columns(status="active" if one.is_active else "inactive")
        case Price():
            return _Columns(status="active" if one.is_active else "inactive", obstacle=one.obstacle)
        case Subscription():
            obstacle = next((item.obstacle for item in one.items if item.obstacle is not None), None)
            return _Columns(one.customer, one.id, one.status, one.started_at, one.ended_at, obstacle)
        case PlatformInvoice():
            starts_at = min((one.start, *(line.start for line in one.lines)))
            ends_at = max((one.end, *(line.end for line in one.lines)))
            return _Columns(one.customer, one.subscription, one.status, starts_at, ends_at)
        case CreditNote():
            status = "void" if one.is_void else "issued"
            return _Columns(one.customer, None, status, one.created_at, one.created_at)
        case Inexpressible():
            return _Columns(customer=one.customer, obstacle=one.obstacle)


MODEL: Final = DecidedModel(NAME, TOPICS, _fold)


async def objects(
    pool: Pool,
    platform: str,
    kind: ObjectKind,
    *,
    customers: Sequence[str] | None = None,
    after: str | None = None,
    limit: int = ROWS_MAX,
) -> list[Seen]:
    """Objects of a kind in order of id, after one of them; of some customers where they are given."""
    names = None if customers is None else list(customers)
    return _read(await pool.fetch(SELECT_PAGE, platform, kind, names, after, min(limit, ROWS_MAX)))


async def objects_by_id(pool: Pool, platform: str, kind: ObjectKind, ids: Sequence[str]) -> list[Seen]:
    """The objects of a kind with these ids, in order of id; at most 10,000."""
    return _read(await pool.fetch(SELECT_BY_ID, platform, kind, list(ids)))


async def objects_overlapping(
    pool: Pool, platform: str, kind: ObjectKind, customers: Sequence[str], start: datetime, end: datetime
) -> list[Seen]:
    """What of some customers has to do with `[start, end)`, by customer and start; at most 10,000.

    Subscriptions from start to end; invoices by their period and those of their lines.
    """
    return _read(await pool.fetch(SELECT_OVERLAPPING, platform, kind, list(customers), start, end))


async def objects_of_customers(pool: Pool, kind: ObjectKind, customers: Sequence[str], *, limit: int) -> list[Seen]:
    """What some customers have at any platform, the latest first."""
    return _read(await pool.fetch(SELECT_OF_CUSTOMERS, kind, list(customers), min(limit, ROWS_MAX)))


async def obstacles(pool: Pool, platform: str) -> list[Seen]:
    """What cannot be told or rated in the ledger's words, in order of kind and id; at most 10,000."""
    return _read(await pool.fetch(SELECT_OBSTACLES, platform))


async def news(pool: Pool) -> list[News]:
    """What each platform told last, in order of platform."""
    return [News(**row) for row in await pool.fetch(SELECT_NEWS)]


def _read(rows: Sequence[asyncpg.Record]) -> list[Seen]:
    return [
        Seen(object_of(cast("SyncEvent", decode(row["topic"], row["state"]))), row["position"], row["platform"])
        for row in rows
    ]
