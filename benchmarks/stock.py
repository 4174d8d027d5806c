"""Our append against the `eventsourcing` library's own Postgres recorder, on the same server."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from benchmarks.figures import Figure, Side, ratio
from benchmarks.opened import opened
from benchmarks.server import Server
from benchmarks.workload import METADATA, usage_events
from ledger.commands.usage import new_usage
from ledger.domain.usage import parse
from ledger.log_rows import NewEvent

CALLERS = 64
SEVERAL = 8


async def stock(server: Server, *, is_quick: bool) -> list[Figure]:
    """Batches of a thousand, from one caller and from several at once, and single events from 64 callers at once."""
    batches, singles, pairs = (8, 128, 1) if is_quick else (60, 6_400, 3)
    thousands = _cut(batches, batch_size=1_000)
    alone = await _compare(server, "stock_1000", thousands, thousands, callers=1, pairs=pairs, goal=3)
    several = await _compare(server, "stock_1000_shared", thousands, thousands, callers=SEVERAL, pairs=pairs)
    ones = _cut(singles, batch_size=1)
    # The recorder commits each alone: a fifth of the events is enough to measure it.
    fewer = ones[: max(singles // 5, CALLERS)]
    return [alone, several, await _compare(server, "stock_1", ones, fewer, callers=CALLERS, pairs=pairs, goal=8)]


def _cut(batches: int, *, batch_size: int) -> list[list[NewEvent]]:
    events = [new_usage(parse(body), METADATA.encode()) for body in usage_events(batches * batch_size, run="stock")]
    return [events[start : start + batch_size] for start in range(0, len(events), batch_size)]


async def _compare(
    server: Server,
    name: str,
    ours: list[list[NewEvent]],
    theirs: list[list[NewEvent]],
    *,
    callers: int,
    pairs: int,
    goal: float | None = None,
) -> Figure:
    """Both sides write their batches into fresh tables, as many callers at once."""
    batch_size = len(ours[0])
    stored = [[_stored(event) for event in batch] for batch in theirs]
    ours_rate, stock_rate = [], []
    for _ in range(pairs):
        async with server.database() as url:
            ours_rate.append(len(ours) * batch_size / await _append_ours(url, ours, callers))
        async with server.database(is_empty=True) as url:
            seconds = await asyncio.to_thread(_append_stock, url, stored, callers)
            stock_rate.append(len(stored) * batch_size / seconds)
    return ratio(
        name,
        Side("our log", ours_rate),
        Side("eventsourcing's recorder", stock_rate),
        side_unit="events/s",
        goal=goal,
        note=f"{batch_size:,} events an append; callers: {callers}",
    )


async def _append_ours(database_url: str, batches: list[list[NewEvent]], callers: int) -> float:
    waiting = iter(batches)
    async with opened(database_url) as (_, log, _):

        async def append() -> None:
            for batch in waiting:
                await log.append_new(batch, _never)

        await log.append_new([_warm()], _never)
        start = time.perf_counter()
        await asyncio.gather(*(append() for _ in range(callers)))
        return time.perf_counter() - start


def _append_stock(database_url: str, batches: list[list[StoredEvent]], callers: int) -> float:
    waiting = iter(batches)
    with _recorder(database_url, callers) as recorder, ThreadPoolExecutor(callers) as threads:

        def append() -> None:
            # One at a time out of the iterator: `islice` is a single step under the interpreter's lock.
            while batch := next(islice(waiting, 1), None):
                recorder.insert_events(batch)

        recorder.max_notification_id()
        start = time.perf_counter()
        for done in [threads.submit(append) for _ in range(callers)]:
            done.result()
        return time.perf_counter() - start


@contextmanager
def _recorder(database_url: str, connections: int) -> Iterator[PostgresApplicationRecorder]:
    """The library's recorder on a table of its own, with a connection open for each caller."""
    address = urlsplit(database_url)
    options = parse_qs(address.query)
    datastore = PostgresDatastore(
        dbname=address.path.lstrip("/"),
        host=options["host"][0],
        port=options["port"][0],
        user=address.username or "",
        password="",
        pool_size=connections,
    )
    with datastore:
        datastore.pool.wait()
        recorder = PostgresApplicationRecorder(datastore)
        recorder.create_table()
        yield recorder


def _stored(event: NewEvent) -> StoredEvent:
    return StoredEvent(UUID(bytes=event.originator_id), event.originator_version, event.topic, event.state)


def _warm() -> NewEvent:
    return new_usage(parse(next(usage_events(1, run="warm"))), METADATA.encode())


def _never(first_position: int, first_state: bytes, repeat: NewEvent) -> None:
    """No event is told twice here."""
