"""The jobs: each may run twice, at once or again, without harm."""

from datetime import timedelta
from typing import Final

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker

from ledger.database import open_pool
from ledger.domain.topics import decode
from ledger.event_log import EventLog
from ledger.projections.usage_tables import sweep
from ledger.workers.broker import QUEUE

SWEEP_TURNS_MAX: Final = 1_000
"""A sweep that finds more leaves the rest to the next one."""
CHECK_TIME_MAX: Final = timedelta(hours=4)

_log = structlog.get_logger("worker")


class LogUnsound(Exception):
    """The log breaks one of its own rules: the message says where. Somebody has to look at the database."""


def declare_actors(broker: RedisBroker, database_url: str) -> None:
    """Make the jobs known to the broker, by name: `sweep_retired_series`, `check_log`."""

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

    check_time_milliseconds = CHECK_TIME_MAX // timedelta(milliseconds=1)
    dramatiq.actor(broker=broker, queue_name=QUEUE)(sweep_retired_series)
    dramatiq.actor(broker=broker, queue_name=QUEUE, time_limit=check_time_milliseconds)(check_log)


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
