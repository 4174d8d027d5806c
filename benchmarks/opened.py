"""A ledger opened in the benchmark's own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from ledger.database import Pool, open_pool
from ledger.event_log import EventLog
from ledger.projections.catalogue import CatalogueFollower


class Opened(NamedTuple):
    """What a process of the ledger works on."""

    pool: Pool
    log: EventLog
    follower: CatalogueFollower


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[Opened]:
    """The parts, the catalogue as new as the log, until the context ends."""
    async with await open_pool(database_url, application="bench", size=4) as pool:
        log = await EventLog.open(pool, database_url)
        try:
            follower = CatalogueFollower(log)
            await follower.refresh()
            yield Opened(pool, log, follower)
        finally:
            await log.close()
