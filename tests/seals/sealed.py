"""What tests of the seal begin with: a log of events of all sorts, and its sealer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from ledger.database import connect
from ledger.log_rows import NewEvent
from ledger.sealing.sealer import Sealer
from tests.log.ledgers import NOW, Ledger


def event(number: int) -> NewEvent:
    """An event whose columns are of all sorts: with and without account, short and long, of one stream or of many."""
    account = (None, "acme", "ünï-🦊", "a" * 256)[number % 4]
    topic = ("UsageRecorded", "AccountOpened", "MeterDefined")[number % 3]
    state = f'{{"number": {number}, "text": "{"é" * (number % 50)}"}}'
    stream = number if number % 5 else 5
    return NewEvent(
        originator_id=stream.to_bytes(16, "big"),
        originator_version=number,
        topic=topic,
        account=account,
        occurred_at=NOW - timedelta(days=365 * (number % 60), microseconds=number),
        state=state.encode(),
        metadata=b'{"actor":"test"}' if number % 2 else b"{}",
    )


@asynccontextmanager
async def sealing(ledger: Ledger, directory: Path, target: str | None = None) -> AsyncIterator[Sealer]:
    """A sealer of the ledger, with its keys in the directory."""
    connection = await connect(ledger.url, application="sealer")
    try:
        yield Sealer(connection, directory, target)
    finally:
        await connection.close()


async def fill(ledger: Ledger, sealer: Sealer, events: int, *, heads: int = 40, start: int = 1) -> None:
    """Append so many events, numbered from `start` on, and seal them under about so many heads."""
    step = max(events // heads, 1)
    end = start + events
    for first in range(start, end, step):
        await ledger.log.append([event(number) for number in range(first, min(first + step, end))])
        await sealer.catch_up()
