"""From the log to the read model: a meter of three dimensions, a thousand accounts, thirty days in order of time."""

import asyncio
import time
from contextlib import suppress
from datetime import date

import asyncpg

from benchmarks.figures import Figure, Side, quantile, ratio
from benchmarks.processes import run
from benchmarks.project import Projected
from benchmarks.server import Server
from benchmarks.workload import METER, account_key, fill_log
from ledger.database import Pool, open_pool
from ledger.event_log import EventLog
from ledger.projections.catalogue import CatalogueFollower
from ledger.projections.usage import usage

GROUP_BY = """
select account, (occurred_at at time zone 'UTC')::date as day, state->'data'->>'model' as model,
    state->'data'->>'region' as region, state->'data'->>'tier' as tier,
    count(*), sum((state->'data'->>'tokens')::numeric), min(position), max(position)
from events where topic = 'UsageRecorded' group by 1, 2, 3, 4, 5
"""
COUNT_ROWS = """
select (select count(*) from usage_days) + (select count(*) from usage_hours)
"""
IDLE_QUERIES = 300


async def projection(server: Server, *, is_quick: bool) -> list[Figure]:
    """Events a second into the read model against one SQL `group by`, and what queries wait meanwhile."""
    events, pairs = (2_000, 1) if is_quick else (300_000, 3)
    folded, grouped, idle, busy = [], [], [], []
    rows = 0
    async with server.database() as prepared:
        await fill_log(prepared, first=1, last=events)
        for _ in range(pairs):
            async with server.database(_name(prepared)) as url:
                idle.append(await _read_for(url, queries=IDLE_QUERIES))
                reading = asyncio.create_task(_read_until_cancelled(url))
                projected = await run("benchmarks.project", url, answer=Projected)
                busy.append(await _stopped(reading))
                folded.append(events / projected.seconds)
                seconds, rows = await _group(url)
                grouped.append(events / seconds)
    return []


def _name(database_url: str) -> str:
    return asyncpg.connect_utils  # placeholder
