"""What sealing costs those who tell usage, and what a proof takes in a log of a million events."""

import random
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.figures import Figure, Side, quantile, ratio
from benchmarks.ingest import CONNECTIONS, WARM_UP_EVENTS
from benchmarks.load import Load
from benchmarks.opened import opened
from benchmarks.processes import running_api, running_sealer, send
from benchmarks.server import Server
from benchmarks.workload import fill_log
from ledger.database import Pool, connect
from ledger.domain.merkle import leaf_hash, root_by_inclusion
from ledger.domain.tree_heads import tree_head
from ledger.sealing.proofs import inclusion
from ledger.sealing.sealer import Sealer

BATCH_EVENTS = 1_000


async def sealing(server: Server, *, is_quick: bool) -> list[Figure]:
    """Ingest beside a sealer and without one, in turns; then sealing by itself, and inclusion proofs."""
    events, pairs = (4_000, 1) if is_quick else (300_000, 5)
    sealed, alone = [], []
    with tempfile.TemporaryDirectory(prefix="ledger-bench-") as directory:
        for number in range(pairs):
            sealed.append(await _ingest(server, events, Path(directory) / str(number)))
            alone.append(await _ingest(server, events, None))
        figures = await _proofs(server, Path(directory) / "proofs", *((5_000, 20) if is_quick else (1_000_000, 2_000)))
    sides = Side("with a sealer", sealed), Side("without", alone)
    return [ratio("sealing_ingest", *sides, side_unit="events/s", goal=0.9), *figures]


async def _ingest(server: Server, events: int, keys: Path | None) -> float:
    """The events a second that the API takes."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(server.database())
        if keys is not None:
            await stack.enter_async_context(running_sealer(url, keys))
        port = await stack.enter_async_context(running_api(url))
        warm_up = Load(port=port, key=server.key, connections=2, batch_size=100, events=WARM_UP_EVENTS, run="warm")
        await send(warm_up)
        load = Load(port=port, key=server.key, connections=CONNECTIONS, batch_size=BATCH_EVENTS, events=events)
        return events / (await send(load)).seconds


async def _proofs(server: Server, keys: Path, events: int, reads: int) -> list[Figure]:
    async with server.database() as url:
        await fill_log(url, events)
        connection = await connect(url, application="sealer")
        began = time.perf_counter()
        await Sealer(connection, keys).catch_up()
        seconds = time.perf_counter() - began
        await connection.close()
        async with opened(url) as ledger:
            size = (await ledger.log.head()).position
            draw = random.Random(1)
            waits = [await _timed(ledger.pool, draw.randint(1, size)) for _ in range(reads)]
    note = f"of any event among {size:,}"
    return [
        Figure(name="sealing_catch_up", value=size / seconds, unit="events/s", note="one sealer, nothing beside it"),
        Figure(name="inclusion_proof_p50", value=quantile(waits, 0.5), unit="ms", note=note),
        Figure(name="inclusion_proof_p99", value=quantile(waits, 0.99), unit="ms", note=note),
    ]


async def _timed(pool: Pool, position: int) -> float:
    """The milliseconds of one proof."""
    began = time.perf_counter()
    proof = await inclusion(pool, position, None)
    milliseconds = 1_000 * (time.perf_counter() - began)
    assert proof.head is not None, "the newest head is of its own size"
    root = root_by_inclusion(leaf_hash(proof.entry), proof.leaf, proof.size, proof.path)
    assert root == tree_head(proof.head.note.partition("\n\n")[0] + "\n").root, "the proof holds"
    return milliseconds
