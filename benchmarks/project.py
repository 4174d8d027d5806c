"""A projector that stops once it has caught up, a process of its own: `python -m benchmarks.project DATABASE_URL`."""

import resource
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from benchmarks.opened import opened
from ledger.cli.processes import settle_memory
from ledger.projections.runner import Projector

PROCESS_STATUS = Path("/proc/self/status")


class Projected(msgspec.Struct, frozen=True):
    """How long it took to catch up, and the most memory the process ever held."""

    seconds: float
    peak_bytes: int


async def catch_up(database_url: str) -> Projected:
    """Fold all that the log holds."""
    async with opened(database_url) as (pool, log, _):
        projector = Projector(pool, log)
        start = time.perf_counter()
        await projector.catch_up()
        return Projected(time.perf_counter() - start, peak_bytes())


def peak_bytes() -> int:
    """The peak of this process's resident memory.

    Linux counts into `ru_maxrss` what the parent held when it forked us; its `VmHWM` begins anew with our program.
    """
    if PROCESS_STATUS.exists():
        lines = PROCESS_STATUS.read_text().splitlines()
        return 1_024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    unit = 1 if sys.platform == "darwin" else 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    settle_memory()
    projected = uvloop.run(catch_up(sys.argv[1]))
    sys.stdout.buffer.write(msgspec.json.encode(projected))
