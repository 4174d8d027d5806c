"""The jobs that tell a billing platform what it bills, as the queue knows them; without a platform they do nothing.

Each goes on where the log says that the last one ended, so a turn may run twice, late or never.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from ledger.database import Pool
from ledger.event_log import EventLog
from ledger.platforms.port import Platform
from ledger.settings import Settings
from ledger.workers.broker import QUEUE
from ledger.workers.cancelling import cancel_sends
from ledger.workers.crediting import send_credits
from ledger.workers.following import follow
from ledger.workers.rejecting import take_rejections
from ledger.workers.sending import Desk, Memory, new_memory, send_usage
from ledger.workers.settling import settle_sends

TIME_MAX: Final = timedelta(minutes=30)
"""A turn that takes longer is stopped: the next one settles what it left."""

TURNS: Final[tuple[Callable[[Desk], Awaitable[int]], ...]] = (
    send_usage,
    take_rejections,
    cancel_sends,
    send_credits,
    settle_sends,
)


def declare_sending(broker: RedisBroker, database_url: str, settings: Settings) -> None:
    """Make the jobs known by name: `send_usage`, `take_rejections`, `cancel_sends`, `send_credits`, `settle_sends`."""
    memories: dict[str, Memory] = {}

    def job(turn: Callable[[Desk], Awaitable[int]]) -> Callable[[], Awaitable[None]]:
        async def work(pool: Pool, log: EventLog, platform: Platform) -> None:
            # Each turn has a state of its own: turns run side by side. What they learn of the platform they share.
            shared = memories.setdefault(platform.name, new_memory(platform.name))
            memory = memories.setdefault(f"{platform.name} {turn.__name__}", new_memory(platform.name))
            if memory.is_in_use:
                return
            memory.circuit, memory.is_in_use = shared.circuit, True
            try:
                await turn(Desk(pool, log, platform, memory, _now))
            finally:
                memory.is_in_use = False

        async def run() -> None:
            await follow(database_url, settings, work)

        return run

    for turn in TURNS:
        dramatiq.actor(
            broker=broker,
            queue_name=QUEUE,
            actor_name=turn.__name__,
            time_limit=TIME_MAX // timedelta(milliseconds=1),
        )(job(turn))


def _now() -> datetime:
    return datetime.now(UTC)
