"""Commands on what billing platforms hold: keep what they tell, and how their objects are seen to change."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, cast

import asyncpg

from ledger.database import Pool
from ledger.domain.metadata import Metadata
from ledger.domain.names import notification_stream, platform_stream
from ledger.domain.platform_events import PlatformNotified, SyncEvent
from ledger.domain.platform_objects import ObjectKind, PlatformObject
from ledger.domain.platform_sync import gone, kind_of, object_of, synced
from ledger.domain.refusals import VersionTaken
from ledger.domain.topics import decode, encode
from ledger.event_log import EventLog
from ledger.log_rows import NewEvent
from ledger.log_streams import newest

ATTEMPTS_MAX: Final = 5
"""More than of a decision: who loses asks the platform again, and several may ask about one invoice at once."""

Fetch = Callable[[ObjectKind, str], Awaitable[PlatformObject | None]]
"""(kind, id) -> the object as the platform has it now, None where it has none."""


class Kept(NamedTuple):
    """Positions of notifications in their order, and how many of them were told before."""

    positions: Sequence[int]
    repeats: int


class Subject(NamedTuple):
    """An object of a platform."""

    platform: str
    kind: ObjectKind
    id: str

    @property
    def stream(self) -> bytes:
        """Where its changes are kept."""
        return platform_stream(self.platform, self.kind, self.id)


async def keep_notifications(
    log: EventLog, told: Sequence[PlatformNotified], *, now: datetime, metadata: Metadata
) -> Kept:
    """Store what platforms told; durable when it returns. What has a known id is not stored again, however it reads.

    Raises `LedgerBusy`, `LedgerUnavailable`.
    """
    written = metadata.encode()
    events = [
        NewEvent(notification_stream(one.platform, one.event_id), 1, one.TOPIC, None, now, encode(one), written)
        for one in told
    ]
    appended = await log.append_new(events, lambda *_: None)
    return Kept(appended.positions, len(appended.repeats))


async def sync_object(
    pool: Pool, log: EventLog, subject: Subject, fetch: Fetch, *, now: datetime, metadata: Metadata
) -> int | None:
    """Ask for an object and keep how it is where that is new; the position of the event, None where nothing differs.

    The stream is read before the platform is asked and its version is taken after: so each event was fetched after
    the one before it was kept, and the last one is the newest, in whatever order notifications come. Who loses asks
    again. Raises `VersionTaken` after five attempts, and whatever `fetch` raises.
    """
    for attempt in range(ATTEMPTS_MAX):
        last = (await newest(pool, [subject.stream])).get(subject.stream)
        found = await fetch(subject.kind, subject.id)
        if found is None:
            if last is None:
                return None
            found = gone(_object(last))
        event = _change(subject, found, last, now, metadata)
        if event is None:
            return None
        try:
            return (await log.append([event])).position
        except VersionTaken:
            if attempt == ATTEMPTS_MAX - 1:
                raise
            await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - jitter keeps no secret
    raise AssertionError("the last attempt returns or raises")


async def sync_listed(
    pool: Pool,
    log: EventLog,
    platform: str,
    listed: Sequence[PlatformObject],
    fetch: Fetch,
    *,
    listed_after: int,
    now: datetime,
    metadata: Metadata,
) -> int:
    """Keep how listed objects are and return how many were new or had changed.

    `listed_after` is how far the log went before they were listed: what was kept after it may be newer than the list,
    so that object is asked for by itself. Raises as `sync_object`.
    """
    subjects = {Subject(platform, kind_of(one), one.id): one for one in listed}
    known = await newest(pool, [subject.stream for subject in subjects])
    events: list[NewEvent] = []
    doubtful: list[Subject] = []
    for subject, one in subjects.items():
        last = known.get(subject.stream)
        if last is not None and last["position"] > listed_after:
            doubtful.append(subject)
        elif (event := _change(subject, one, last, now, metadata)) is not None:
            events.append(event)
    try:
        await log.append(events)
        changed = len(events)
    except VersionTaken:
        changed, doubtful = 0, list(subjects)
    for subject in doubtful:
        changed += await sync_object(pool, log, subject, fetch, now=now, metadata=metadata) is not None
    return changed


def _object(row: asyncpg.Record) -> PlatformObject:
    return object_of(cast("SyncEvent", decode(row["topic"], row["state"])))


def _change(
    subject: Subject, found: PlatformObject, last: asyncpg.Record | None, now: datetime, metadata: Metadata
) -> NewEvent | None:
    """The event that an object is like this, None where the last one says so already."""
    if last is not None and _object(last) == found:
        return None
    event = synced(subject.platform, found)
    version = 1 if last is None else last["originator_version"] + 1
    return NewEvent(subject.stream, version, event.TOPIC, None, now, encode(event), metadata.encode())
