"""Usage in over HTTP, from the first byte sent to the last commit acknowledged."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.figures import Figure, Side, ratio
from benchmarks.load import Load
from benchmarks.peers import copy_in, copy_out, count_usage
from benchmarks.processes import running_api, send
from benchmarks.server import Server

WARM_UP_EVENTS = 2_000
CONNECTIONS = 16
SINGLE_CONNECTIONS = 64


async def ingest_1000(server: Server, *, is_quick: bool) -> list[Figure]:
    """A thousand events a request, against COPY of the same rows."""
    events, pairs = (4_000, 1) if is_quick else (200_000, 5)
    return [await _against_copy(server, "ingest_1000", batch_size=1_000, events=events, pairs=pairs, goal=0.55)]


async def ingest_100(server: Server, *, is_quick: bool) -> list[Figure]:
    """A hundred events a request, against COPY of the same rows."""
    events, pairs = (4_000, 1) if is_quick else (150_000, 3)
    return [await _against_copy(server, "ingest_100", batch_size=100, events=events, pairs=pairs, goal=0.5)]


async def ingest_1(server: Server, *, is_quick: bool) -> list[Figure]:
    """One event a request from 64 connections, against the same server with one commit for each event."""
    events, events_alone, pairs = (640, 64, 1) if is_quick else (40_000, 3_000, 3)
    shared, alone = [], []
    for _ in range(pairs):
        async with _api(server) as (port, _url):
            shared.append(
                await _events_per_second(server, port, connections=SINGLE_CONNECTIONS, batch=1, events=events)
            )
        async with _api(server, module="benchmarks.alone") as (port, _url):
            alone.append(
                await _events_per_second(server, port, connections=SINGLE_CONNECTIONS, batch=1, events=events_alone)
            )
    return [
        ratio(
            "ingest_1",
            Side("commits shared", shared),
            Side("one commit for each event", alone),
            side_unit="events/s",
            goal=10,
        )
    ]


async def _against_copy(server: Server, name: str, *, batch_size: int, events: int, pairs: int, goal: float) -> Figure:
    over_http, by_copy = [], []
    for _ in range(pairs):
        async with _api(server) as (port, url):
            rate = await _events_per_second(server, port, connections=CONNECTIONS, batch=batch_size, events=events)
            over_http.append(rate)
            pieces = await copy_out(url)
        async with server.database() as url:
            by_copy.append((events + WARM_UP_EVENTS) / await copy_in(url, pieces))
            assert await count_usage(url) == events + WARM_UP_EVENTS, "both sides write the same rows"
    return ratio(
        name,
        Side(f"{batch_size} events a request, HTTP", over_http),
        Side("COPY of the same rows", by_copy),
        side_unit="events/s",
        goal=goal,
    )


@asynccontextmanager
async def _api(server: Server, *, module: str = "ledger") -> AsyncIterator[tuple[int, str]]:
    """The port of an API on a fresh database, warm, and the database's address."""
    async with server.database() as url, running_api(url, module=module) as port:
        await send(Load(port=port, key=server.key, connections=2, batch_size=100, events=WARM_UP_EVENTS, run="warm"))
        yield port, url


async def _events_per_second(server: Server, port: int, *, connections: int, batch: int, events: int) -> float:
    load = Load(port=port, key=server.key, connections=connections, batch_size=batch, events=events)
    return events / (await send(load)).seconds
