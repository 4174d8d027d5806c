"""Jobs that follow a billing platform: look into what it tells, read back what it told, and list all that it holds.

Each may run twice, at once or again: an event is only written where something differs.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple, cast

import structlog

from ledger.commands.platforms import Subject, keep_notifications, sync_listed, sync_object
from ledger.database import Pool
from ledger.domain.metadata import Metadata
from ledger.domain.platform_events import PlatformNotified
from ledger.domain.platform_objects import ObjectKind, PlatformObject
from ledger.domain.platform_sync import KINDS, gone
from ledger.domain.topics import decode
from ledger.event_log import EventLog
from ledger.platforms.port import Platform, PlatformRefused
from ledger.projections.platform_objects import objects
from ledger.projections.watermark import CursorMoved, cursor, move
from ledger.workers import sync_progress

CURSOR: Final = "platform notifications"
NOTIFICATIONS_MAX: Final = 500
"""How many are looked into before the cursor moves."""
FETCHES_AT_ONCE_MAX: Final = 8
OBJECTS_MAX: Final = 100
"""How many listed objects are kept together."""
KEPT_BY_PLATFORM: Final = timedelta(days=30)
OVERLAP: Final = timedelta(hours=1)
"""How much of what was swept is swept again: a platform may list an event a while after it happened."""
SYNC_AGE_MAX: Final = timedelta(days=1)
"""A full sync that was stopped longer ago begins anew."""
METADATA: Final = Metadata(actor="worker")

Clock = Callable[[], datetime]

_log = structlog.get_logger("worker")


class Synced(NamedTuple):
    """How many objects were looked at and how many of them were new or had changed."""

    seen: int
    changed: int


async def apply_notifications(pool: Pool, log: EventLog, platform: Platform, *, clock: Clock) -> int:
    """Look into all that the platform told since the last time; returns how many objects were new or had changed.

    The cursor moves once what it passes was looked into. Raises `PlatformUnavailable` and `PlatformBusy`; what the
    platform refuses to show is told in the worker's log and left to the next full sync.
    """
    changed = 0
    while True:
        seen = await cursor(pool, CURSOR)
        head = await log.head()
        rows = await log.of_topics(
            [PlatformNotified.TOPIC], after=seen.position, up_to=head.position, limit=NOTIFICATIONS_MAX
        )
        is_more = len(rows) == NOTIFICATIONS_MAX
        position, recorded_at = (rows[-1]["position"], rows[-1]["recorded_at"]) if is_more else head
        if position == seen.position:
            return changed
        told = [cast("PlatformNotified", decode(row["topic"], row["state"])) for row in rows]
        changed += await _look_into(pool, log, platform, told, clock)
        try:
            async with pool.acquire() as connection, connection.transaction():
                await move(connection, CURSOR, seen, position=position, recorded_at=recorded_at)
        except CursorMoved:
            continue  # another worker looked into the same
        if not is_more:
            return changed


async def _look_into(pool: Pool, log: EventLog, platform: Platform, told: list[PlatformNotified], clock: Clock) -> int:
    """Ask once for each object that they are about, a few at a time."""
    subjects = {
        Subject(platform.name, one.object_kind, one.object_id)
        for one in told
        if one.platform == platform.name and one.object_kind in KINDS
    }
    turns = asyncio.Semaphore(FETCHES_AT_ONCE_MAX)

    async def in_turn(subject: Subject) -> bool:
        async with turns:
            return await _sync(pool, log, platform, subject, clock)

    found = await asyncio.gather(*map(in_turn, sorted(subjects)), return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return sum(one is True for one in found)


async def _sync(pool: Pool, log: EventLog, platform: Platform, subject: Subject, clock: Clock) -> bool:
    try:
        position = await sync_object(pool, log, subject, platform.fetch, now=clock(), metadata=METADATA)
    except PlatformRefused as refused:
        _log.error(
            "the platform does not show an object",
            kind=subject.kind,
            object=subject.id,
            code=refused.code,
            request=refused.request_id,
            why=str(refused),
        )
        return False
    return position is not None


async def sweep_notifications(pool: Pool, log: EventLog, platform: Platform, *, clock: Clock) -> int:
    """Keep what the platform told and never arrived here, as far back as it is not sure; returns how many it was."""
    now = clock()
    swept = await sync_progress.swept_at(pool, platform.name)
    since = now - KEPT_BY_PLATFORM if swept is None else max(swept - OVERLAP, now - KEPT_BY_PLATFORM)
    missed = 0
    waiting: list[PlatformNotified] = []
    async for told in platform.notifications(since):
        waiting.append(told)
        if len(waiting) == NOTIFICATIONS_MAX:
            missed += await _keep(log, waiting, now)
            waiting = []
    missed += await _keep(log, waiting, now)
    await sync_progress.set_swept_at(pool, platform.name, now)
    return missed


async def _keep(log: EventLog, told: list[PlatformNotified], now: datetime) -> int:
    kept = await keep_notifications(log, told, now=now, metadata=METADATA)
    return len(told) - kept.repeats


async def sync_all(pool: Pool, log: EventLog, platform: Platform, *, clock: Clock) -> dict[ObjectKind, Synced]:
    """List all that the platform holds and keep what is new or has changed, kind by kind.

    One that was stopped goes on where it was, if that was not long ago.
    """
    await sync_progress.forget(pool, platform.name, begun_before=clock() - SYNC_AGE_MAX)
    found = {kind: await _sync_kind(pool, log, platform, kind, clock) for kind in KINDS}
    await sync_progress.forget(pool, platform.name)
    return found


async def _sync_kind(pool: Pool, log: EventLog, platform: Platform, kind: ObjectKind, clock: Clock) -> Synced:
    head = (await log.head()).position
    progress = await sync_progress.begin(pool, platform.name, kind, head=head, now=clock())
    if progress.is_done:
        return Synced(0, 0)
    listed: set[str] = set()
    waiting: list[PlatformObject] = []
    changed = 0

    async def keep() -> int:
        count = await sync_listed(
            pool,
            log,
            platform.name,
            waiting,
            platform.fetch,
            listed_after=progress.listed_after,
            now=clock(),
            metadata=METADATA,
        )
        await sync_progress.advance(pool, platform.name, kind, after=waiting[-1].id)
        waiting.clear()
        return count

    async for one in platform.objects(kind, after=progress.after):
        listed.add(one.id)
        waiting.append(one)
        if len(waiting) == OBJECTS_MAX:
            changed += await keep()
    if waiting:
        changed += await keep()
    if progress.after is None:
        changed += await _sync_unlisted(pool, log, platform, kind, listed, clock)
    await sync_progress.advance(pool, platform.name, kind, after=None, is_done=True)
    return Synced(len(listed), changed)


async def _sync_unlisted(
    pool: Pool, log: EventLog, platform: Platform, kind: ObjectKind, listed: set[str], clock: Clock
) -> int:
    """Ask for what was seen once and is not listed any more, as deleted customers are not."""
    changed, after = 0, None
    while known := await objects(pool, platform.name, kind, after=after):
        after = known[-1].one.id
        for one, *_ in known:
            if one.id not in listed and gone(one) != one:
                changed += await _sync(pool, log, platform, Subject(platform.name, kind, one.id), clock)
    return changed
