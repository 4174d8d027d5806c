"""How long after its acknowledgement an event is visible in usage, with the API and the projector under load."""

import asyncio
import time
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from benchmarks.figures import Figure, Side, quantile
from benchmarks.load import Load, Outcome
from benchmarks.opened import Opened, opened
from benchmarks.processes import ProcessFailed, running_api, running_projector, send
from benchmarks.server import Server
from benchmarks.workload import METER, account_key
from ledger.projections.usage import usage

SHARE = 0.8
GOAL_MILLISECONDS = 250
WATCH_INTERVAL_SECONDS = 0.01
WATCH_SECONDS_MAX = 120


class Sight(NamedTuple):
    """A usage query that was answered `at` some moment of the monotonic clock with this watermark."""

    at: float
    position: int


async def freshness(server: Server, *, is_quick: bool) -> list[Figure]:
    """At 80 % of what API and projector together sustain, in batches of a hundred and one event a request."""
    figures: list[Figure] = []
    for name, batch_size, connections in (("freshness_100", 100, 8), ("freshness_1", 1, 64)):
        events, seconds = (800, 1.0) if is_quick else (100_000 if batch_size > 1 else 30_000, 8.0)
        figures += await _at_share(
            server, name, batch_size=batch_size, connections=connections, events=events, seconds=seconds
        )
    return figures


async def _at_share(
    server: Server, name: str, *, batch_size: int, connections: int, events: int, seconds: float
) -> list[Figure]:
    async with server.database() as url, running_api(url) as port, running_projector(url) as projector:
        load = Load(port=port, key=server.key, connections=connections, batch_size=batch_size, events=events)
        # Both are up and warm once this is visible.
        await _watched(url, replace(load, run="warm", events=connections * batch_size), projector)
        outcome, sights = await _watched(url, load, projector)
        ingested = events / outcome.seconds
        # From the first event sent to the last one visible: what the two can keep up with.
        began = outcome.answered_at[-1] - outcome.seconds
        sustained = events / (sights[-1].at - began)
        rate = SHARE * sustained
        # So many connections that a slow answer does not hold up the next request.
        many = 4 * connections
        offered = max(int(rate * seconds), many * batch_size) // batch_size * batch_size
        paced = replace(load, run="paced", connections=many, events=offered, rate=rate)
        outcome, sights = await _watched(url, paced, projector)
    waits = _waits_milliseconds(outcome, sights)
    sides = [
        Side("offered", [offered / outcome.seconds]),
        Side("visible at full load", [sustained]),
        Side("acknowledged at full load", [ingested]),
    ]
    return [
        Figure(name=f"{name}_p50", value=quantile(waits, 0.5), unit="ms"),
        Figure(
            name=f"{name}_p99",
            value=quantile(waits, 0.99),
            unit="ms",
            goal=GOAL_MILLISECONDS,
            direction="at most",
            sides=sides,
            side_unit="events/s",
            note=f"{batch_size} events a request; offered is {SHARE:.0%} of what becomes visible at full load",
        ),
    ]


async def _watched(database_url: str, load: Load, projector: asyncio.subprocess.Process) -> tuple[Outcome, list[Sight]]:
    """What came of a load, and the usage queries answered from its start until all of it was visible."""
    sights: list[Sight] = []
    deadline = time.monotonic() + WATCH_SECONDS_MAX
    async with opened(database_url) as ledger:
        sending = asyncio.create_task(send(load))
        while not (sending.done() and sights[-1].position >= max(sending.result().positions)):
            sights.append(await _look(ledger))
            if sights[-1].at > deadline or projector.returncode is not None:
                raise ProcessFailed(f"usage stays at position {sights[-1].position}")
            await asyncio.sleep(WATCH_INTERVAL_SECONDS)
    return sending.result(), sights


async def _look(ledger: Opened) -> Sight:
    today = datetime.now(UTC).date()
    answer = await usage(
        ledger.pool,
        ledger.log,
        ledger.follower.catalogue,
        account=account_key(0),
        meter=METER,
        start=today - timedelta(days=1),
        end=today + timedelta(days=1),
        window="TOTAL",
    )
    return Sight(time.monotonic(), answer.watermark.position)


def _waits_milliseconds(outcome: Outcome, sights: list[Sight]) -> list[float]:
    """For each request, from its answer to the end of the first usage query that includes all its events."""
    positions = [sight.position for sight in sights]
    waits = []
    for answered_at, position in zip(outcome.answered_at, outcome.positions, strict=True):
        first = sights[bisect_left(positions, position)]
        waits.append(max(0.0, 1_000 * (first.at - answered_at)))
    return waits
