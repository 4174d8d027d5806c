"""Takes in what a platform accepted first and rejected later: reports with a count and a sample."""

import contextlib
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final, cast

import structlog

from ledger.commands.sends import settled_rows
from ledger.domain.metadata import Metadata
from ledger.domain.platform_events import PlatformNotified
from ledger.domain.refusals import VersionTaken
from ledger.domain.send_events import Settlement
from ledger.domain.sends import SUSPECT, standing
from ledger.domain.topics import decode
from ledger.platforms.port import PlatformRefused, Rejections
from ledger.projections.sends import SendRow, acknowledged_between, by_identifier
from ledger.projections.sends_fold import catch_up
from ledger.projections.watermark import CursorMoved, cursor, move
from ledger.workers.sending import Desk

CURSOR: Final = "rejections of sends"
NOTIFICATIONS_MAX: Final = 500
REPORTED_WITHIN: Final = timedelta(hours=2)
"""How long before a report what it does not name may have been sent."""
ATTEMPTS_MAX: Final = 5
METADATA: Final = Metadata(actor="worker", source="worker", operation="take_rejections")

_log = structlog.get_logger("worker")


async def take_rejections(desk: Desk) -> int:
    """Look into all reports since the last time; returns how many sends they name. Raises what the platform raises."""
    named = 0
    while True:
        seen = await cursor(desk.pool, CURSOR)
        head = (await desk.log.head()).position
        if head == seen.position:
            return named
        topics = [PlatformNotified.TOPIC]
        rows = await desk.log.of_topics(topics, after=seen.position, up_to=head, limit=NOTIFICATIONS_MAX)
        end = rows[-1]["position"] if len(rows) == NOTIFICATIONS_MAX else head
        for row in rows:
            named += await _take(desk, cast("PlatformNotified", decode(row["topic"], row["state"])))
        with contextlib.suppress(CursorMoved):
            async with desk.pool.acquire() as connection, connection.transaction():
                await move(connection, CURSOR, seen, position=end, recorded_at=None)


async def _take(desk: Desk, notified: PlatformNotified) -> int:
    if notified.platform != desk.platform.name:
        return 0
    try:
        found = await desk.platform.rejections(notified)
    except PlatformRefused as refused:
        _log.error("the platform does not show a report", report=notified.event_id, code=refused.code)
        return 0
    if found is None:
        return 0
    for _ in range(ATTEMPTS_MAX):
        await catch_up(desk.pool, desk.log)
        settlements = await _settlements(desk, found, notified)
        rows = await settled_rows(desk.pool, desk.platform.name, settlements, now=desk.clock(), metadata=METADATA)
        try:
            await desk.log.append(rows)
        except VersionTaken:
            continue  # something was settled meanwhile
        return len(found.sample)
    raise VersionTaken


async def _settlements(desk: Desk, found: Rejections, notified: PlatformNotified) -> dict[str, list[Settlement]]:
    """What a report says of sends, by batch: of those that it names, and of those that it may mean besides."""
    named = {one.identifier: one for one in found.sample}
    by_batch: dict[str, list[Settlement]] = defaultdict(list)
    for row in await by_identifier(desk.pool, desk.platform.name, list(named)):
        if row.told.state != "rejected":
            by_batch[row.told.batch].append(named[row.told.send.identifier])
    if found.rejected > len(found.sample):
        for row in await _others(desk, notified.object_id, notified.created_at):
            one = row.told
            if one.send.identifier not in named:
                message = f"The report {notified.event_id} counts more than it names."
                by_batch[one.batch].append(standing(one, SUSPECT, message))
    return by_batch


async def _others(desk: Desk, meter: str, reported_at: datetime) -> list[SendRow]:
    """The acknowledged sends that a report on a meter, or on meters that are not there, may mean."""
    state = await desk.memory.state_at(desk.log, (await desk.log.head()).position)
    known = state.meters.get(meter)
    if known is None:
        return []
    start = reported_at - REPORTED_WITHIN
    return await acknowledged_between(desk.pool, desk.platform.name, known.event_type, start, reported_at)
