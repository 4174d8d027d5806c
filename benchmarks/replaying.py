"""The replay proof: every read model computed anew in the shadow and compared, beside a `group by` of the same rows."""

import time

import asyncpg

from benchmarks.figures import Figure, Side, ratio
from benchmarks.processes import run
from benchmarks.project import Projected
from benchmarks.projection import COUNT_GROUPS
from benchmarks.replay_once import Replayed
from benchmarks.server import Server
from benchmarks.workload import ACCOUNTS, fill_log


async def replay(server: Server, *, is_quick: bool) -> list[Figure]:
    """Events a second from the log to a proven read model, all comparison included, against one `group by`."""
    events, pairs = (2_000, 1) if is_quick else (1_000_000, 3)
    replayed, grouped, comparing = [], [], []
    async with server.database() as url:
        await fill_log(url, events)
        await run("benchmarks.project", url, answer=Projected)
        for _ in range(pairs):
            done = await run("benchmarks.replay_once", url, answer=Replayed)
            replayed.append(events / done.seconds)
            comparing.append(done.seconds - done.folding_seconds)
            grouped.append(events / await _group_seconds(url))
    ours = Side("fold in the shadow and compare", replayed)
    note = f"{events:,} events of {ACCOUNTS:,} accounts; of the time {Side('', comparing).median:.1f} s to compare"
    return [
        Figure(name="replay", value=ours.median, unit="events/s", sides=[ours], side_unit="events/s", note=note),
        ratio("replay_group_by", ours, Side("one SQL group by", grouped), side_unit="events/s"),
    ]


async def _group_seconds(database_url: str) -> float:
    """The seconds of the `group by`, its rows counted on the server."""
    connection = await asyncpg.connect(database_url)
    start = time.perf_counter()
    await connection.fetchval(COUNT_GROUPS)
    seconds = time.perf_counter() - start
    await connection.close()
    return seconds
