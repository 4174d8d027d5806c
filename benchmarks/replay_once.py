"""One replay from the first event on, a process of its own: `python -m benchmarks.replay_once DATABASE_URL`."""

import sys
import time
from datetime import UTC, datetime

import msgspec
import uvloop

from benchmarks.opened import opened
from ledger.cli.processes import settle_memory
from ledger.projections.replay import replay


class Replayed(msgspec.Struct, frozen=True):
    """How long it took in all, and until the last event was folded."""

    seconds: float
    folding_seconds: float


class ReplayDiverged(Exception):
    """An untouched ledger was told to differ."""


async def replay_once(database_url: str) -> Replayed:
    """Replay all that the log holds; raises `ReplayDiverged`."""
    folded = [0.0]
    async with opened(database_url) as (pool, log, _):
        start = time.perf_counter()

        def progress(*_: int) -> None:
            folded[0] = time.perf_counter() - start

        outcome = await replay(
            pool, log, database_url, clock=lambda: datetime.now(UTC), is_fresh=True, progress=progress
        )
        if not outcome.is_equal:
            raise ReplayDiverged(str(outcome.divergences[:1]))
        return Replayed(time.perf_counter() - start, folded[0])


if __name__ == "__main__":
    settle_memory()
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(replay_once(sys.argv[1]))))
