"""How long after its acknowledgement an event is visible, with the API and the projector under load."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable
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


Look = Callable[[Opened], Awaitable[int]]
"""Asks the read model for what shows events, and returns the watermark of the answer."""


class Sight(NamedTuple):
    """A query that was answered `at` some moment of the monotonic clock with this watermark."""

    at: float
    position: int


async def freshness(server: Server, *, is_quick: bool) -> list[Figure]:
    """At 80 % of what API and projector together sustain, in batches of a hundred and one event a request."""
    figures: list[Figure] = []
    for name, batch_size, connections in (("freshness_100", 100, 8), ("freshness_1", 1, 64)):
        events, seconds = (800, 1.0) if is_quick else (100_000 if batch_size > 1 else 30_000, 8.0)
        async with server.database() as url, running_api(url) as port:
            load = Load(port=port, key=server.key, connections=connections, batch_size=batch_size, events=events)
            figures += await at_share(url, name, load, _look_at_usage, seconds=seconds, goal=GOAL_MILLISECONDS)
    return figures


async def at_share(
    database_url: str, name: str, load: Load, look: Look, *, seconds: float, goal: float
) -> list[Figure]:
    """Milliseconds from an acknowledgement until a look includes the event, p50 and p99.

    First finds out what API and projector keep up with together, then offers 80 % of that for so many seconds.
    """
    async with running_projector(database_url) as projector:
        # Both processes are up and warm once this is visible.
        warm = replace(load, run="warm", events=load.connections * load.batch_size)
        await _watched(database_url, warm, look, projector)
        outcome, sights = await _watched(database_url, load, look, projector)
        acknowledged = load.events / outcome.seconds
        # From the first event sent to the last one visible.
        visible = load.events / (sights[-1].at - _began(outcome))
        # At the end of that the projector had the machine for itself: what both keep up with is less.
        before = sights[-1].position
        outcome, sights = await _watched(database_url, _paced(load, "both", visible, seconds / 2), look, projector)
        ended = bisect_left([sight.at for sight in sights], outcome.answered_at[-1])
        reached = sights[ended - 1].position if ended else before
        sustained = min(visible, max(reached - before, load.batch_size) / outcome.seconds)
        paced = _paced(load, "paced", SHARE * sustained, seconds)
        outcome, sights = await _watched(database_url, paced, look, projector)
    waits = _waits_milliseconds(outcome, sights)
    sides = [
        Side("offered", [paced.events / outcome.seconds]),
        Side("visible while acknowledged", [sustained]),
        Side("visible at full load", [visible]),
        Side("acknowledged at full load", [acknowledged]),
    ]
    return [
        Figure(name=f"{name}_p50", value=quantile(waits, 0.5), unit="ms"),
        Figure(
            name=f"{name}_p99",
            value=quantile(waits, 0.99),
            unit="ms",
            goal=goal,
            direction="at most",
            sides=sides,
            side_unit="events/s",
            note=f"{load.batch_size} events a request; offered is {SHARE:.0%} of what API and projector keep up with",
        ),
    ]


def _paced(load: Load, run: str, rate: float, seconds: float) -> Load:
    # So many connections that a slow answer does not hold up the next request.
    connections = 4 * load.connections
    events = max(int(rate * seconds), connections * load.batch_size) // load.batch_size * load.batch_size
    return replace(load, run=run, connections=connections, events=events, rate=rate)


def _began(outcome: Outcome) -> float:
    return outcome.answered_at[-1] - outcome.seconds


async def _watched(
    database_url: str, load: Load, look: Look, projector: asyncio.subprocess.Process
) -> tuple[Outcome, list[Sight]]:
    """What came of a load, and the looks answered from its start until all of it was visible."""
    sights: list[Sight] = []
    deadline = time.monotonic() + WATCH_SECONDS_MAX
    async with opened(database_url) as ledger:
        sending = asyncio.create_task(send(load))
        while not (sending.done() and sights[-1].position >= max(sending.result().positions)):
            position = await look(ledger)
            sights.append(Sight(time.monotonic(), position))
            if sights[-1].at > deadline or projector.returncode is not None:
                raise ProcessFailed(f"what is visible stays at position {sights[-1].position}")
            await asyncio.sleep(WATCH_INTERVAL_SECONDS)
    return sending.result(), sights


async def _look_at_usage(ledger: Opened) -> int:
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
    return answer.watermark.position


def _waits_milliseconds(outcome: Outcome, sights: list[Sight]) -> list[float]:
    """For each request, from its answer to the end of the first look that includes all its events."""
    positions = [sight.position for sight in sights]
    waits = []
    for answered_at, position in zip(outcome.answered_at, outcome.positions, strict=True):
        first = sights[bisect_left(positions, position)]
        waits.append(max(0.0, 1_000 * (first.at - answered_at)))
    return waits
