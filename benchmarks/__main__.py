"""`python -m benchmarks [NAME...] [--json FILE] [--quick]`: measure, show, write."""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console

from benchmarks import (
    as_of,
    explaining,
    freshness,
    ingest,
    invoicing,
    projection,
    rating,
    reconciling,
    replaying,
    sealing,
    sends,
    stock,
    webhooks,
)
from benchmarks.figures import Figure, Report, show, this_machine
from benchmarks.server import Server, running_server

Benchmark = Callable[..., Awaitable[list[Figure]]]
"""(server, is_quick) -> its figures."""

BENCHMARKS: dict[str, Benchmark] = {
    "ingest_1000": ingest.ingest_1000,
    "ingest_100": ingest.ingest_100,
    "ingest_1": ingest.ingest_1,
    "stock": stock.stock,
    "projection": projection.projection,
    "projection_memory": projection.projection_memory,
    "freshness": freshness.freshness,
    "rating": rating.rating,
    "projected_invoice": invoicing.projected,
    "account_page": invoicing.account_page,
    "explain": explaining.explain,
    "replay": replaying.replay,
    "as_of": as_of.as_of,
    "sealing": sealing.sealing,
    "reconcile_agreeing": reconciling.reconcile_agreeing,
    "bisect_minute": reconciling.bisect_minute,
    "webhooks": webhooks.webhooks,
    "sends": sends.sends,
}


def main(arguments: Sequence[str]) -> int:
    """0 once all that was asked for is measured, whatever the figures are."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measures the ledger.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(BENCHMARKS)}; all if none")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write names, values, units and samples there too")
    parser.add_argument("--quick", action="store_true", help="only see that each runs, at a tiny size")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark is named {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    console = Console()
    with running_server() as server:
        figures = uvloop.run(measure(server, options.names or list(BENCHMARKS), is_quick=options.quick))
        report = Report(this_machine(server.version), options.quick, figures)
    show(console, report)
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 0


async def measure(server: Server, names: Sequence[str], *, is_quick: bool) -> list[Figure]:
    """The figures of the named benchmarks, one after the other; tells on standard error how long each took."""
    figures: list[Figure] = []
    for name in names:
        started = time.monotonic()
        figures += await BENCHMARKS[name](server, is_quick=is_quick)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
