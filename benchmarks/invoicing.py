"""One account's projected invoice: when it includes an event, and what its page takes as the ledger grows."""

import time
from datetime import UTC, datetime, timedelta
from itertools import count

from benchmarks.contracts import agree, first_day
from benchmarks.figures import Figure, Side, quantile, ratio
from benchmarks.freshness import Look, at_share
from benchmarks.load import Load
from benchmarks.opened import Opened, opened
from benchmarks.processes import run, running_api
from benchmarks.project import Projected
from benchmarks.server import Server
from benchmarks.workload import ACCOUNTS, DAYS, METER, account_key, fill_log
from ledger.projections.invoices import Asked, entitlement_use, projected_invoice
from ledger.projections.usage import usage
from ledger.projections.watermark import reach

GOAL_MILLISECONDS = 300
REACH_SECONDS = 60
STRIDE = 37
"""Has no factor in common with the number of accounts, so that all get their turn."""


async def projected(server: Server, *, is_quick: bool) -> list[Figure]:
    """From the acknowledgement of an event to a projected invoice that includes it, loaded as `freshness` is."""
    figures: list[Figure] = []
    async with server.database() as agreed:
        await agree(agreed)
        for name, batch_size, connections in (("projected_invoice_100", 100, 8), ("projected_invoice_1", 1, 64)):
            events, seconds = (800, 1.0) if is_quick else (100_000 if batch_size > 1 else 30_000, 8.0)
            async with server.database(like=agreed) as url, running_api(url) as port:
                load = Load(port=port, key=server.key, connections=connections, batch_size=batch_size, events=events)
                figures += await at_share(url, name, load, _look(), seconds=seconds, goal=GOAL_MILLISECONDS)
    return figures


def _look() -> Look:
    """Asks for projected invoices of all accounts by turns, each no older than the log is when it is asked for."""
    numbers = count()

    async def look(ledger: Opened) -> int:
        pool, log, follower = ledger
        now, head = datetime.now(UTC), await log.head()
        await reach(pool, "usage", head.position, timeout_seconds=REACH_SECONDS)
        asked = Asked(account_key(next(numbers) * STRIDE % ACCOUNTS), now)
        shown = await projected_invoice(pool, log, follower.catalogue, asked, now=now)
        return shown.watermark.position

    return look


async def account_page(server: Server, *, is_quick: bool) -> list[Figure]:
    """An account's page with ten times the events in the ledger, against that with one tenth of them."""
    small, large, rounds, pages = (1_000, 10_000, 1, 20) if is_quick else (100_000, 1_000_000, 3, 300)
    async with server.database() as few, server.database() as many:
        await _prepare(few, small)
        await _prepare(many, large)
        names = f"p99 with {small:,} events", f"p99 with {large:,} events"
        sides: list[list[float]] = [[], []]
        async with opened(few) as of_few, opened(many) as of_many:
            for _ in range(rounds):
                seen: list[list[float]] = [[], []]
                for number in range(pages):
                    # By turns, so that what else the machine does falls on both sides.
                    seen[0].append(await _timed_page(of_few, number))
                    seen[1].append(await _timed_page(of_many, number))
                for side, milliseconds in zip(sides, seen, strict=True):
                    side.append(quantile(milliseconds, 0.99))
    first, second = Side(names[1], sides[1]), Side(names[0], sides[0])
    note = "30 days by model, projected invoice and entitlements of one account"
    return [ratio("account_page", first, second, side_unit="ms", goal=1.25, direction="at most", note=note)]


async def _prepare(database_url: str, events: int) -> None:
    await agree(database_url)
    await fill_log(database_url, events)
    await run("benchmarks.project", database_url, answer=Projected)


async def _timed_page(ledger: Opened, number: int) -> float:
    """The milliseconds of what an account's page asks for."""
    pool, log, follower = ledger
    account = account_key(number * STRIDE % ACCOUNTS)
    now, start = datetime.now(UTC), first_day()
    asked = Asked(account, now)
    began = time.perf_counter()
    await usage(
        *(pool, log, follower.catalogue),
        account=account,
        meter=METER,
        start=start,
        end=start + timedelta(days=DAYS),
        window="DAY",
        group_by=["model"],
    )
    shown = await projected_invoice(pool, log, follower.catalogue, asked, now=now)
    _, _, included = await entitlement_use(pool, follower.catalogue, asked)
    milliseconds = 1_000 * (time.perf_counter() - began)
    assert shown.invoice.lines, "a charge has a line, used or not"
    assert included, "the contract has entitlements"
    return milliseconds
