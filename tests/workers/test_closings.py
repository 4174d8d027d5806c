"""The jobs on billing periods: they do what is left, and nothing twice."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta

from ledger.domain.adjustment_events import AdjustmentProposed
from ledger.domain.closing_events import LateUsageAssessed, PeriodClosed
from ledger.workers.actors import declare_actors
from ledger.workers.broker import dead_letters, open_broker
from ledger.workers.closings import assess_closed, close_due
from ledger.workers.worker import work
from tests.projections.closing_worlds import LONG_AGO, TODAY, bill, close, tell, used
from tests.projections.worlds import World, open_world


async def test_what_ended_before_the_grace_is_closed_once_and_late_usage_settled_once(database_url: str) -> None:
    async with open_world(database_url) as world:
        await bill(world)
        pool, log = world.ledger.pool, world.ledger.log
        now = LONG_AGO + timedelta(days=31 + 3)
        assert await close_due(pool, log, after=timedelta(hours=73), now=now) == 0
        assert await close_due(pool, log, after=timedelta(hours=72), now=now) == 1
        await world.project()
        assert await close_due(pool, log, after=timedelta(hours=72), now=now) == 0
        await tell(world, used(1, LONG_AGO, 5))
        assert await assess_closed(pool, log, now=TODAY) == 1
        await world.project()
        assert await assess_closed(pool, log, now=TODAY) == 0


async def in_the_log(world: World, topic: type, *, at_least: int = 1) -> list[object]:
    """The events of a kind as soon as there are some; what there is after 20 seconds."""
    found: list[object] = []
    for _ in range(200):
        await world.project()
        found = [event for _, event in await world.ledger.events() if isinstance(event, topic)]
        if len(found) >= at_least:
            break
        await asyncio.sleep(0.1)
    return found


async def by_a_worker(
    world: World, redis_url: str, look: Callable[[], Awaitable[list[object]]], *, close_after: timedelta | None = None
) -> list[object]:
    """What is seen while a worker follows its schedule, which sends the jobs through the queue."""
    broker = open_broker(redis_url)
    declare_actors(broker, world.ledger.url, close_after=close_after)
    stop = threading.Event()
    worker = threading.Thread(target=work, args=(broker, stop))
    worker.start()
    try:
        found = await look()
    finally:
        stop.set()
        await asyncio.to_thread(worker.join, 20)
    assert not worker.is_alive()
    assert dead_letters(open_broker(redis_url).client) == []
    return found


async def test_the_worker_closes_what_is_due_on_its_own(database_url: str, redis_url: str) -> None:
    async with open_world(database_url) as world:
        await bill(world)
        await tell(world, used(1, LONG_AGO, 5))
        found = await by_a_worker(
            world,
            redis_url,
            lambda: in_the_log(world, PeriodClosed, at_least=3),
            close_after=timedelta(hours=72),
        )
        starts = [one.start for one in found if isinstance(one, PeriodClosed)]
        assert starts == sorted(set(starts))
        assert starts[0] == LONG_AGO
        assert {one.closed_by for one in found if isinstance(one, PeriodClosed)} == {"worker"}


async def test_the_worker_settles_late_usage_on_its_own_once(database_url: str, redis_url: str) -> None:
    async with open_world(database_url) as world:
        await bill(world)
        await close(world, LONG_AGO + timedelta(days=31))
        await tell(world, used(1, LONG_AGO, 5))
        found = await by_a_worker(world, redis_url, lambda: in_the_log(world, LateUsageAssessed))
        assert len(found) == 1
        assert len(await in_the_log(world, AdjustmentProposed)) == 1
