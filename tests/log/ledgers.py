"""What tests of the log, the commands and the read models begin with: an open ledger, and events to write."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from ledger.commands.usage import record_usage
from ledger.database import Connection, Pool, open_pool
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import Event, UsageRecorded
from ledger.domain.metadata import Metadata
from ledger.domain.names import stream_id
from ledger.domain.topics import decode
from ledger.event_log import EventLog
from ledger.log_rows import NewEvent

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
METADATA = Metadata(actor="test")


@dataclass(frozen=True, slots=True)
class Ledger:
    """An open log and a pool of the service's connections, on the database at `url`."""

    url: str
    pool: Pool
    log: EventLog

    async def tell(self, *usage: UsageRecorded) -> Sequence[int]:
        """Record usage as the API does and return its positions."""
        told = await record_usage(self.log, Catalogue(), usage, now=NOW, metadata=METADATA.encode())
        return told.positions

    async def count(self) -> int:
        """How many events the log has."""
        return int(await self.pool.fetchval("select count(*) from events"))

    async def events(self) -> list[tuple[int, Event]]:
        """The whole log, decoded."""
        rows = await self.pool.fetch("select position, topic, state from events order by position")
        return [(row["position"], decode(row["topic"], row["state"])) for row in rows]


@asynccontextmanager
async def open_ledger(url: str, *, pool_size: int = 4) -> AsyncIterator[Ledger]:
    """A ledger as one process of the service opens it."""
    pool = await open_pool(url, application="test", size=pool_size)
    log = await EventLog.open(pool, url)
    try:
        yield Ledger(url, pool, log)
    finally:
        await log.close()
        await asyncio.wait_for(pool.close(), 10)


@asynccontextmanager
async def owner(url: str) -> AsyncIterator[Connection]:
    """A connection of the database's owner, a superuser here."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def usage(
    number: int = 1,
    *,
    subject: str = "acme",
    event_type: str = "api.request",
    time: datetime = NOW,
    source: str = "gateway",
    **properties: Any,
) -> UsageRecorded:
    """A usage event; the same number is the same id."""
    return UsageRecorded(source=source, id=f"e{number}", type=event_type, subject=subject, time=time, data=properties)


def row(stream: str = "stream", version: int = 1, *, state: bytes = b"{}", actor: str = "test") -> NewEvent:
    """A row of the log with content of no matter."""
    metadata = Metadata(actor=actor).encode()
    return NewEvent(stream_id("test", stream), version, "Tested", None, NOW, state, metadata)
