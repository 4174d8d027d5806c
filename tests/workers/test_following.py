"""The worker follows a billing platform by itself; Redis may forget everything in the middle."""

import asyncio
import threading

from ledger.commands.platforms import keep_notifications
from ledger.platforms.stripe_notifications import notified_of
from ledger.projections import platform_objects
from ledger.projections.decided import step
from ledger.projections.platform_objects import objects
from ledger.sandbox.stripe.outbox import ENCODER
from ledger.settings import Settings
from ledger.workers.actors import declare_actors
from ledger.workers.broker import dead_letters, open_broker
from ledger.workers.worker import work
from tests.log.ledgers import METADATA, NOW, Ledger, open_ledger
from tests.platforms.conftest import subscribe
from tests.sandbox.stripe.conftest import SDK_WARNING, World, open_world

pytestmark = SDK_WARNING


async def tell_of_all(ledger: Ledger, world: World) -> None:
    """Keep all that the sandbox announced so far."""
    told = [notified_of(ENCODER.encode(event)) for event in world.sandbox.state.events]
    await keep_notifications(ledger.log, told, now=NOW, metadata=METADATA)


async def known(ledger: Ledger, count: int) -> list[str]:
    """The names of the customers, as soon as there are so many; what there is after 20 seconds."""
    names: list[str] = []
    for _ in range(200):
        while await step(ledger.pool, ledger.log, [platform_objects.MODEL]):
            pass
        names = [seen.one.name for seen in await objects(ledger.pool, "stripe", "customer")]  # type: ignore[union-attr]
        if len(names) == count:
            break
        await asyncio.sleep(0.1)
    return sorted(names)


async def test_what_is_told_is_looked_into_though_redis_forgets_everything(database_url: str, redis_url: str) -> None:
    async with open_ledger(database_url) as ledger, open_world() as world:
        await subscribe(world)
        await tell_of_all(ledger, world)
        broker = open_broker(redis_url)
        declare_actors(broker, database_url, settings=Settings(stripe_url=world.address))
        stop = threading.Event()
        worker = threading.Thread(target=work, args=(broker, stop))
        worker.start()
        try:
            first = await known(ledger, 1)
            await world.customer("Other")
            await tell_of_all(ledger, world)
            open_broker(redis_url).client.flushall()
            second = await known(ledger, 2)
        finally:
            stop.set()
            await asyncio.to_thread(worker.join, 20)
        assert (first, second) == (["Acme"], ["Acme", "Other"])
        assert dead_letters(open_broker(redis_url).client) == []
