"""The jobs that follow a billing platform, as the queue knows them; where no platform is set they do nothing."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker

from ledger.database import Pool, open_pool
from ledger.event_log import EventLog
from ledger.platforms.opening import open_platform
from ledger.platforms.port import Platform, PlatformBusy, PlatformUnavailable
from ledger.settings import Settings
from ledger.workers.broker import QUEUE
from ledger.workers.reconciling import Reconcile, reconcile_and_record
from ledger.workers.syncing import apply_notifications, sweep_notifications, sync_all

SYNC_TIME_MAX: Final = timedelta(hours=8)
"""A full sync that takes longer goes on where it was."""
CONNECTIONS: Final = 4

_log = structlog.get_logger("worker")

Work = Callable[[Pool, EventLog, Platform], Coroutine[Any, Any, None]]


def declare_following(broker: RedisBroker, database_url: str, settings: Settings) -> None:
    """Make the jobs known: `look_into_notifications`, `sweep_notifications`, `sync_platform`, `reconcile_platform`."""

    async def look_into_notifications() -> None:
        async def work(pool: Pool, log: EventLog, platform: Platform) -> None:
            await apply_notifications(pool, log, platform, clock=_now)

        await follow(database_url, settings, work)

    async def sweep() -> None:
        async def work(pool: Pool, log: EventLog, platform: Platform) -> None:
            missed = await sweep_notifications(pool, log, platform, clock=_now)
            if missed:
                _log.warning("a sweep found what the platform told and never arrived", notifications=missed)

        await follow(database_url, settings, work)

    async def sync_platform() -> None:
        async def work(pool: Pool, log: EventLog, platform: Platform) -> None:
            found = await sync_all(pool, log, platform, clock=_now)
            changed = {kind: counts.changed for kind, counts in found.items()}
            _log.info("all that the platform holds was listed", **changed)

        await follow(database_url, settings, work)

    async def reconcile_platform(accounts: list[str] | None = None, at: str | None = None) -> None:
        async def work(pool: Pool, log: EventLog, platform: Platform) -> None:
            moment = _now() if at is None else datetime.fromisoformat(at)
            asked = Reconcile(moment, None if accounts is None else tuple(accounts))
            finished = (await reconcile_and_record(pool, log, platform, asked, clock=_now)).finished
            _log.info("a reconciliation is done", compared=finished.compared, differing=finished.differing)

        await follow(database_url, settings, work)

    time_limit = SYNC_TIME_MAX // timedelta(milliseconds=1)
    dramatiq.actor(broker=broker, queue_name=QUEUE)(look_into_notifications)
    dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="sweep_notifications")(sweep)
    dramatiq.actor(broker=broker, queue_name=QUEUE, time_limit=time_limit)(sync_platform)
    dramatiq.actor(broker=broker, queue_name=QUEUE, time_limit=time_limit)(reconcile_platform)


async def follow(database_url: str, settings: Settings, work: Work) -> None:
    """Do the work; a platform that does not answer is told in the worker's log, and the next turn tries again."""
    async with _opened(database_url, settings) as opened:
        if opened is None:
            return
        try:
            await work(*opened)
        except (PlatformUnavailable, PlatformBusy) as fault:
            _log.warning("the platform does not answer", fault=str(fault), code=fault.code, request=fault.request_id)


@asynccontextmanager
async def _opened(database_url: str, settings: Settings) -> AsyncIterator[tuple[Pool, EventLog, Platform] | None]:
    """A pool, a log and a platform of the job's own; None where no platform is set."""
    async with open_platform(settings) as platform:
        if platform is None:
            yield None
            return
        async with await open_pool(database_url, application="worker", size=CONNECTIONS) as pool:
            log = await EventLog.open(pool, database_url)
            try:
                yield pool, log, platform
            finally:
                await log.close()


def _now() -> datetime:
    return datetime.now(UTC)
