"""The jobs that send, on a real queue: whatever Redis forgets, the log still has."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import redis
from dramatiq import Worker

from ledger.settings import Settings
from ledger.workers.broker import open_broker
from ledger.workers.schedule import Job, enqueue_due
from ledger.workers.sending_jobs import TURNS, declare_sending
from tests.sandbox.stripe.conftest import SDK_WARNING
from tests.workers.sent import open_sent

pytestmark = SDK_WARNING


async def test_flushing_redis_in_the_middle_loses_nothing_and_sends_nothing_twice(
    database_url: str, redis_url: str
) -> None:
    async with open_sent(database_url) as sent:
        settings = Settings(stripe_url=sent.followed.world.address)
        broker = open_broker(redis_url)
        declare_sending(broker, database_url, settings)
        jobs = tuple(Job(turn.__name__, timedelta(seconds=1)) for turn in TURNS)
        worker = Worker(broker, worker_threads=2)
        worker.start()
        now = sent.now()
        try:
            for number in range(6):
                for _ in range(20):
                    await sent.use("2")
                now += timedelta(seconds=1)
                await asyncio.to_thread(enqueue_due, broker, now, jobs)
                if number % 2:
                    with redis.Redis.from_url(redis_url) as client:
                        client.flushall()
            for _ in range(100):
                now += timedelta(seconds=1)
                await asyncio.to_thread(enqueue_due, broker, now, jobs)
                if await sent.acknowledged() == 240:
                    break
                await asyncio.sleep(0.1)
        finally:
            await asyncio.to_thread(worker.stop)
            broker.close()

        assert await sent.states() == ["accepted"] * 120
        assert await sent.there() == Decimal(240)
