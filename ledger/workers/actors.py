"""The jobs: each may run twice, at once or again, without harm."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker

from ledger.commands.replays import record_replay
from ledger.database import Pool, open_pool
from ledger.domain.metadata import Metadata
from ledger.domain.replay_events import ReplayFinished
from ledger.domain.topics import decode
from ledger.event_log import EventLog
from ledger.projections.replay import replay
from ledger.projections.replay_shadow import ReplayUnderWay
from ledger.projections.usage_tables import sweep
from ledger.settings import Settings
from ledger.workers.broker import QUEUE
from ledger.workers.closings import assess_closed, close_due
from ledger.workers.following import declare_following
from ledger.workers.sending_jobs import declare_sending

SWEEP_TURNS_MAX: Final = 1_000
"""A sweep that finds more leaves the rest to the next one."""
CHECK_TIME_MAX: Final = timedelta(hours=4)
REPLAY_TIME_MAX: Final = timedelta(hours=8)
"""A replay that takes longer goes on where it was when it is tried again."""
CLOSING_TIME_MAX: Final = timedelta(hours=1)
METADATA: Final = Metadata(actor="worker", source="worker", operation="replay")

_log = structlog.get_logger("worker")


class LogUnsound(Exception):
    """The log breaks one of its own rules: the message says where. Somebody has to look at the database."""


def declare_actors(
    broker: RedisBroker, database_url: str, *, close_after: timedelta | None = None, settings: Settings | None = None
) -> None:
    """Make the jobs known to the broker, by name: `sweep_retired_series`, `check_log`, `replay`, `close_due_periods`,
    `assess_late_usage`, and those of `following` and `sending_jobs`.

    Periods are closed when they ended longer than `close_after` ago, never where that is None. `settings` name the
    billing platform.
    """
    declare_following(broker, database_url, settings or Settings())
    declare_sending(broker, database_url, settings or Settings())

    async def sweep_retired_series() -> None:
        pool = await open_pool(database_url, application="worker", size=1)
        async with pool:
            for _ in range(SWEEP_TURNS_MAX):
                if not await sweep(pool):
                    return

    async def check_log() -> None:
        pool = await open_pool(database_url, application="worker", size=1)
        async with pool:
            log = await EventLog.open(pool, database_url)
            try:
                checked = await check_whole_log(log)
            finally:
                await log.close()
        _log.info("the log is sound", events=checked)

    async def replay_log() -> None:
        pool = await open_pool(database_url, application="worker", size=2)
        async with pool:
            log = await EventLog.open(pool, database_url)
            try:
                outcome = await replay(pool, log, database_url, clock=_now)
                await record_replay(log, outcome, now=_now(), metadata=METADATA)
            except ReplayUnderWay:
                _log.info("a replay is running already")
                return
            finally:
                await log.close()
        _tell(outcome)

    async def close_due_periods() -> None:
        if close_after is not None:
            async with _opened(database_url) as (pool, log):
                await close_due(pool, log, after=close_after, now=_now())

    async def assess_late_usage() -> None:
        async with _opened(database_url) as (pool, log):
            await assess_closed(pool, log, now=_now())

    check_time_milliseconds = CHECK_TIME_MAX // timedelta(milliseconds=1)
    replay_time_milliseconds = REPLAY_TIME_MAX // timedelta(milliseconds=1)
    dramatiq.actor(broker=broker, queue_name=QUEUE)(sweep_retired_series)
    dramatiq.actor(broker=broker, queue_name=QUEUE, time_limit=check_time_milliseconds)(check_log)
    dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="replay", time_limit=replay_time_milliseconds)(
        replay_log
    )
    for closing in (close_due_periods, assess_late_usage):
        dramatiq.actor(broker=broker, queue_name=QUEUE, time_limit=CLOSING_TIME_MAX // timedelta(milliseconds=1))(
            closing
        )


@asynccontextmanager
async def _opened(database_url: str) -> AsyncIterator[tuple[Pool, EventLog]]:
    """A pool and a log of the job's own."""
    async with await open_pool(database_url, application="worker", size=2) as pool:
        log = await EventLog.open(pool, database_url)
        try:
            yield pool, log
        finally:
            await log.close()


def _now() -> datetime:
    return datetime.now(UTC)


def _tell(outcome: ReplayFinished) -> None:
    if outcome.is_equal:
        _log.info("a replay found the read models equal to the log", position=outcome.position)
    else:
        unreadable = None if outcome.unreadable is None else outcome.unreadable.position
        first = min((one.first_position for one in outcome.divergences), default=unreadable)
        _log.error("a replay found a difference", first_position=first, differences=outcome.divergences_found)


async def check_whole_log(log: EventLog) -> int:
    """Read the log from end to end, in bounded pages, and return how many events it holds.

    Raises `LogHasHole` where positions are missing, `LogUnsound` where the time of recording steps back or an event
    cannot be read.
    """
    position, recorded_at = 0, None
    while rows := await log.since(position):
        for row in rows:
            position = row["position"]
            if recorded_at is not None and row["recorded_at"] < recorded_at:
                raise LogUnsound(f"at position {position} the time of recording steps back")
            recorded_at = row["recorded_at"]
            try:
                decode(row["topic"], row["state"])
            except (KeyError, ValueError) as fault:
                raise LogUnsound(f"the event at position {position} cannot be read: {fault!r}") from fault
    return position
