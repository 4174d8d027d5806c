"""The jobs themselves, against a real database and a real queue."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from ledger.commands.meters import change_meter
from ledger.commands.usage import record_usage
from ledger.database import open_pool
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import UsageRecorded
from ledger.domain.metadata import Metadata
from ledger.domain.metering import MeterDefinition
from ledger.domain.meters import ChangeMeter, DefineMeter
from ledger.event_log import EventLog, LogHasHole
from ledger.projections.replay_outcomes import Outcome, outcomes
from ledger.projections.runner import Projector
from ledger.workers.actors import LogUnsound, check_whole_log, declare_actors
from ledger.workers.broker import dead_letters, open_broker
from ledger.workers.worker import work

NOW = datetime(2026, 11, 22, tzinfo=UTC)
METADATA = Metadata(actor="test")


async def record(log: EventLog, count: int) -> None:
    told = [
        UsageRecorded(source="test", id=str(number), type="call", subject="acme", time=NOW) for number in range(count)
    ]
    await record_usage(log, Catalogue(), told, now=NOW, metadata=METADATA.encode())


async def breach(database_url: str, statement: str) -> None:
    """Change history as only the owner of the database can: with the trigger off."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("alter table events disable trigger user")
    await connection.execute(statement)
    await connection.close()


async def check(database_url: str) -> int:
    async with await open_pool(database_url, application="test", size=2) as pool:
        log = await EventLog.open(pool, database_url)
        try:
            return await check_whole_log(log)
        finally:
            await log.close()


async def filled(database_url: str, count: int) -> None:
    async with await open_pool(database_url, application="test", size=2) as pool:
        log = await EventLog.open(pool, database_url)
        await record(log, count)
        await log.close()


async def test_a_sound_log_passes_its_check(database_url: str) -> None:
    await filled(database_url, 25)
    assert await check(database_url) == 25


async def test_a_removed_event_is_found(database_url: str) -> None:
    await filled(database_url, 25)
    await breach(database_url, "delete from events where position = 12")
    with pytest.raises(LogHasHole):
        await check(database_url)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("update events set recorded_at = recorded_at - interval '1 hour' where position = 12", "steps back"),
        ("update events set state = '{\"nonsense\":1}' where position = 12", "cannot be read"),
    ],
)
async def test_a_changed_event_is_found(database_url: str, statement: str, found: str) -> None:
    await filled(database_url, 25)
    await breach(database_url, statement)
    with pytest.raises(LogUnsound, match=found):
        await check(database_url)


async def retire_a_series(database_url: str) -> None:
    definition = MeterDefinition(name="Calls", event_type="call", aggregation="count")
    async with await open_pool(database_url, application="test", size=3) as pool:
        log = await EventLog.open(pool, database_url)
        await change_meter(log, DefineMeter("calls", definition), now=NOW, metadata=METADATA)
        await record(log, 5)
        await Projector(pool, log).catch_up()
        changed = MeterDefinition(name="Calls", event_type="call", aggregation="count", dimensions=("region",))
        await change_meter(log, ChangeMeter("calls", changed), now=NOW, metadata=METADATA)
        await Projector(pool, log).catch_up()
        await log.close()


async def retired_series(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval("select count(*) from usage_series where state = 'retired'"))
    finally:
        await connection.close()


async def test_the_worker_sweeps_retired_series_on_its_own_and_stops_when_told(
    database_url: str, redis_url: str
) -> None:
    await retire_a_series(database_url)
    assert await retired_series(database_url) > 0
    broker = open_broker(redis_url)
    declare_actors(broker, database_url)
    stop = threading.Event()
    worker = threading.Thread(target=work, args=(broker, stop))
    worker.start()
    try:
        deadline = time.monotonic() + 20
        while await retired_series(database_url) and time.monotonic() < deadline:
            time.sleep(0.05)  # noqa: ASYNC251 - nothing else runs on this loop
        assert await retired_series(database_url) == 0
    finally:
        stop.set()
        began = time.monotonic()
        worker.join(20)
    assert not worker.is_alive()
    assert timedelta(seconds=time.monotonic() - began) < timedelta(seconds=10)
    assert dead_letters(open_broker(redis_url).client) == []


async def first_outcome(database_url: str) -> Outcome | None:
    """What the first replay found, as soon as it is in the log; None where there is none after 20 seconds."""
    async with await open_pool(database_url, application="test", size=2) as pool:
        log = await EventLog.open(pool, database_url)
        try:
            for _ in range(200):
                if found := await outcomes(log, limit=1):
                    return found[0]
                await asyncio.sleep(0.1)
        finally:
            await log.close()
    return None


async def test_the_worker_replays_the_log_each_day_and_keeps_what_it_found(database_url: str, redis_url: str) -> None:
    await retire_a_series(database_url)
    await breach(database_url, "update held_usage set message = 'nothing'")
    broker = open_broker(redis_url)
    declare_actors(broker, database_url)
    stop = threading.Event()
    worker = threading.Thread(target=work, args=(broker, stop))
    worker.start()
    try:
        outcome = await first_outcome(database_url)
    finally:
        stop.set()
        await asyncio.to_thread(worker.join, 20)
    assert outcome is not None
    assert not outcome.found.is_equal
    assert {one.projection for one in outcome.found.divergences} == {"held_usage"}
    assert dead_letters(open_broker(redis_url).client) == []
