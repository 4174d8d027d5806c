"""Where the time goes: `python -m benchmarks.profile ingest|projection [--batch N]` runs one of them under cProfile.

Everything but Postgres is in one process then. The profiler makes calls look dearer than they are: take its order,
not its seconds.
"""

import argparse
import cProfile
import pstats
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import islice

import uvloop

from benchmarks.opened import opened
from benchmarks.server import Server, running_server
from benchmarks.workload import METADATA, fill_log, usage_events
from ledger.commands.usage import record_usage
from ledger.domain.usage import parse_batch
from ledger.projections.runner import Projector

EVENTS = 100_000
LINES = 40

Profiled = Callable[[], Awaitable[None]]


async def profile(server: Server, name: str, *, batch_size: int) -> None:
    """Print what took the most time of its own in one of the benchmarks."""
    async with server.database() as url:
        if name == "projection":
            await fill_log(url, EVENTS)
        async with opened(url) as (pool, log, follower):
            if name == "projection":
                await _run(Projector(pool, log).catch_up)
                return
            events = usage_events(EVENTS, run="profile")
            bodies = [b"[" + b",".join(batch) + b"]" for batch in iter(lambda: list(islice(events, batch_size)), [])]

            async def ingest() -> None:
                for body in bodies:
                    told, now = parse_batch(body), datetime.now(UTC)
                    await record_usage(log, follower.catalogue, told, now=now, metadata=METADATA.encode())

            await _run(ingest)


async def _run(profiled: Profiled) -> None:
    profiler = cProfile.Profile(builtins=True)
    start = time.perf_counter()
    profiler.enable()
    await profiled()
    profiler.disable()
    print(f"{EVENTS / (time.perf_counter() - start):,.0f} events/s under the profiler")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(LINES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("name", choices=["ingest", "projection"])
    parser.add_argument("--batch", type=int, default=1_000, help="events a call of ingest")
    options = parser.parse_args()
    with running_server() as server:
        uvloop.run(profile(server, options.name, batch_size=options.batch))
