"""From the log to the read model: a meter of three dimensions, a thousand accounts, thirty days in order of time."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import asyncpg

from benchmarks.figures import Figure, Side, quantile, ratio
from benchmarks.opened import Opened, opened
from benchmarks.processes import run
from benchmarks.project import Projected
from benchmarks.server import Server
from benchmarks.workload import ACCOUNTS, DAYS, METER, account_key, fill_log
from ledger.projections.usage import usage

READ_INTERVAL_SECONDS = 0.01
IDLE_READS = 300
MEBIBYTE = 1_048_576

GROUP_BY = """
select account, (occurred_at at time zone 'UTC')::date as day, state->'data'->>'model' as model,
    state->'data'->>'region' as region, state->'data'->>'tier' as tier,
    count(*), sum((state->'data'->>'tokens')::numeric), min(position), max(position)
from events where topic = 'UsageRecorded' group by 1, 2, 3, 4, 5
"""
COUNT_GROUPS = f"""
select count(*) from ({GROUP_BY}) as groups
"""
COUNT_CELLS = """
select (select count(*) from usage_days) as days, (select count(*) from usage_hours) as hours
"""


async def projection(server: Server, *, is_quick: bool) -> list[Figure]:
    """Events a second into the read model, against one `group by` of the same rows; and reads meanwhile."""
    events, pairs = (2_000, 1) if is_quick else (240_000, 3)
    folded, grouped = [], []
    cells = ""
    async with server.database() as prepared:
        await fill_log(prepared, events)
        for _ in range(pairs):
            async with server.database(like=prepared) as url:
                projected = await run("benchmarks.project", url, answer=Projected)
                folded.append(events / projected.seconds)
                grouped.append(events / await _group(url))
                cells = await _count_cells(url)
        reads = await _reads(server, prepared, idle_reads=20 if is_quick else IDLE_READS)
    ours = Side("fold and write", folded)
    side = Side("one SQL group by", grouped)
    return [
        Figure(
            name="projection",
            value=ours.median,
            unit="events/s",
            goal=50_000,
            sides=[ours],
            side_unit="events/s",
            note=f"{events:,} events of {ACCOUNTS:,} accounts in 30 days make {cells}",
        ),
        ratio("projection_group_by", ours, side, side_unit="events/s"),
        reads,
    ]


async def projection_memory(server: Server, *, is_quick: bool) -> list[Figure]:
    """The projector's peak memory with ten times the events, against that with one tenth of them."""
    small, large = (1_000, 10_000) if is_quick else (100_000, 1_000_000)
    peaks = []
    for events in (small, large):
        async with server.database() as url:
            await fill_log(url, events)
            projected = await run("benchmarks.project", url, answer=Projected)
            peaks.append(Side(f"{events:,} events", [projected.peak_bytes / MEBIBYTE]))
    return [ratio("projection_memory", peaks[1], peaks[0], side_unit="MiB", goal=1.1, direction="at most")]


async def _group(database_url: str) -> float:
    """The seconds of the `group by`, its rows counted on the server."""
    connection = await asyncpg.connect(database_url)
    start = time.perf_counter()
    await connection.fetchval(COUNT_GROUPS)
    seconds = time.perf_counter() - start
    await connection.close()
    return seconds


async def _count_cells(database_url: str) -> str:
    connection = await asyncpg.connect(database_url)
    row = await connection.fetchrow(COUNT_CELLS)
    await connection.close()
    assert row is not None, "counts have a row"
    return f"{row['days']:,} cells by day and {row['hours']:,} by hour"


async def _reads(server: Server, prepared: str, *, idle_reads: int) -> Figure:
    """What a usage query takes while the projector catches up, and when it has nothing to do."""
    async with server.database(like=prepared) as url, opened(url) as ledger:
        start = await _timed_read(ledger, 0)
        projecting = asyncio.create_task(run("benchmarks.project", url, answer=Projected))
        busy = [start]
        while not projecting.done():
            busy.append(await _timed_read(ledger, len(busy)))
            await asyncio.sleep(READ_INTERVAL_SECONDS)
        await projecting
        idle = []
        for number in range(idle_reads):
            idle.append(await _timed_read(ledger, number))
            await asyncio.sleep(READ_INTERVAL_SECONDS)
    end = idle[-1][1]
    # The watermark tells which reads fell into the catching up, not into the start of its process.
    during = [milliseconds for milliseconds, position in busy if start[1] < position < end]
    sides = [
        Side("p99 while catching up", [quantile(during, 0.99)] if during else [busy[-1][0]]),
        Side("p99 idle", [quantile([milliseconds for milliseconds, _ in idle], 0.99)]),
    ]
    note = f"{len(during)} reads while catching up: 30 days of an account by model"
    return Figure(name="projection_reads", value=sides[0].median, unit="ms", sides=sides, side_unit="ms", note=note)


async def _timed_read(ledger: Opened, number: int) -> tuple[float, int]:
    """The milliseconds of one usage query, and the watermark of its answer."""
    account = account_key(number * 37 % ACCOUNTS)
    today = datetime.now(UTC).date()
    began = time.perf_counter()
    answer = await usage(
        ledger.pool,
        ledger.log,
        ledger.follower.catalogue,
        account=account,
        meter=METER,
        start=today - timedelta(days=DAYS),
        end=today,
        window="DAY",
        group_by=["model"],
    )
    return 1_000 * (time.perf_counter() - began), answer.watermark.position
