"""The events behind an invoice line that has a hundred thousand of them."""

import time
from datetime import UTC, datetime

from benchmarks.contracts import CHARGES, agree
from benchmarks.figures import Figure, Side, quantile
from benchmarks.opened import Opened, opened
from benchmarks.processes import run
from benchmarks.project import Projected
from benchmarks.server import Server
from benchmarks.workload import account_key, fill_log
from ledger.domain.segments import period_of, segments
from ledger.projections.evidence import Wanted, evidence
from ledger.projections.evidence_days import line_days
from ledger.projections.evidence_lines import Line

GOAL_MILLISECONDS = 100
PAGE_EVENTS = 100
ACCOUNTS = 16
"""Of so many accounts the first tells a quarter of all events."""


async def explain(server: Server, *, is_quick: bool) -> list[Figure]:
    """The first hundred events of a line; beside it, pages that may look at more before they are full."""
    events, reads = (2_000, 20) if is_quick else (400_000, 300)
    async with server.database() as url:
        await agree(url)
        await fill_log(url, events, accounts=ACCOUNTS)
        await run("benchmarks.project", url, answer=Projected)
        async with opened(url) as ledger:
            line = _line(ledger)
            days = await line_days(ledger.pool, line)
            pages = {
                "first page": Wanted(0, PAGE_EVENTS),
                "a page in the middle": Wanted(days.watermark.position - events // 2, PAGE_EVENTS),
                "first page of the last day": Wanted(0, PAGE_EVENTS, day=days.rows[-1].day),
                "first page with what does not count": Wanted(0, PAGE_EVENTS, includes_excluded=True),
            }
            waits: dict[str, list[float]] = {name: [] for name in pages}
            for _ in range(reads):
                for name, wanted in pages.items():
                    waits[name].append(await _timed(ledger, line, wanted))
    count = sum(day.event_count for day in days.rows)
    first = waits["first page"]
    return [
        Figure(name="explain_p50", value=quantile(first, 0.5), unit="ms"),
        Figure(
            name="explain_p99",
            value=quantile(first, 0.99),
            unit="ms",
            goal=GOAL_MILLISECONDS,
            direction="at most",
            sides=[Side(f"p99 of {name}", [quantile(samples, 0.99)]) for name, samples in waits.items()],
            side_unit="ms",
            note=f"{PAGE_EVENTS} events a page of a line that has {count:,} among {events:,}",
        ),
    ]


def _line(ledger: Opened) -> Line:
    """The first account's line that counts all its events."""
    catalogue = ledger.follower.catalogue
    account, [contract] = catalogue.accounts[account_key(0)], catalogue.contracts[account_key(0)]
    period = period_of(contract, catalogue.plans, datetime.now(UTC), account.zone)
    [segment] = segments(contract, catalogue.plans, period, account.zone)
    return Line(account, segment, CHARGES[0], ())


async def _timed(ledger: Opened, line: Line, wanted: Wanted) -> float:
    """The milliseconds of one page."""
    began = time.perf_counter()
    page = await evidence(ledger.pool, ledger.log, ledger.follower.catalogue, line, wanted)
    milliseconds = 1_000 * (time.perf_counter() - began)
    assert page.rows, "the line has events"
    return milliseconds
