"""Invoices of many accounts at once: read and priced, against reading the same rows alone."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from benchmarks.contracts import CHARGES, agree, first_day
from benchmarks.figures import Figure, Side, ratio
from benchmarks.opened import Opened, opened
from benchmarks.processes import run
from benchmarks.project import Projected
from benchmarks.server import Server
from benchmarks.workload import account_key, fill_log
from ledger.domain.segments import period_of, segments
from ledger.projections.invoices import Asked, projected_invoices
from ledger.projections.metered import Job, used

PAGE_ACCOUNTS = 500

# One day's cells of an account are side by side; counting them instead of sending them is kind to the peer.
READ_ROWS = """
select account, dimensions, sum(event_count), sum(total)
from usage_days where account = any($1::text[]) and day >= $2 and day <= $3
group by series, account, dimensions
"""

Priced = Callable[[Opened, list[str]], Awaitable[int]]
"""Does what is measured for a page of accounts, and returns how many amounts or rows came of it."""


async def rating(server: Server, *, is_quick: bool) -> list[Figure]:
    """Accounts a second through the calculator, and what reading their usage takes of that."""
    accounts, events, rounds = (1_000, 2_000, 1) if is_quick else (10_000, 200_000, 3)
    sides: dict[str, list[float]] = {"read and price": [], "read by charge": [], "one SQL group by": []}
    async with server.database() as url:
        await agree(url, count=accounts)
        await fill_log(url, events, accounts=accounts)
        await run("benchmarks.project", url, answer=Projected)
        async with opened(url) as ledger:
            for _ in range(rounds):
                for samples, measured in zip(sides.values(), (_price, _read, _read_rows), strict=True):
                    samples.append(await _accounts_per_second(ledger, measured, accounts=accounts))
    priced, read, rows = (Side(name, samples) for name, samples in sides.items())
    return [
        Figure(
            name="rating",
            value=priced.median,
            unit="accounts/s",
            sides=[priced],
            side_unit="accounts/s",
            note=f"{accounts:,} accounts of {len(CHARGES)} charges on {events:,} events, {PAGE_ACCOUNTS} at a time",
        ),
        ratio("rating_read", priced, read, side_unit="accounts/s"),
        ratio("rating_group_by", priced, rows, side_unit="accounts/s"),
    ]


async def _accounts_per_second(ledger: Opened, measured: Priced, *, accounts: int) -> float:
    keys = [account_key(number) for number in range(accounts)]
    start = time.perf_counter()
    for first in range(0, accounts, PAGE_ACCOUNTS):
        page = keys[first : first + PAGE_ACCOUNTS]
        assert await measured(ledger, page), "there is usage"
    return accounts / (time.perf_counter() - start)


async def _price(ledger: Opened, page: list[str]) -> int:
    now = datetime.now(UTC)
    asked = [Asked(account, now) for account in page]
    _, invoices = await projected_invoices(ledger.pool, ledger.log, ledger.follower.catalogue, asked, now=now)
    return sum(len(invoice.lines) for invoice in invoices)


async def _read(ledger: Opened, page: list[str]) -> int:
    """The very queries of `_price`, by the function that it reads with, and no calculator."""
    now, catalogue = datetime.now(UTC), ledger.follower.catalogue
    jobs = []
    for key in page:
        account, [contract] = catalogue.accounts[key], catalogue.contracts[key]
        period = period_of(contract, catalogue.plans, now, account.zone)
        jobs += [Job(account, one) for one in segments(contract, catalogue.plans, period, account.zone)]
    async with (
        ledger.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        found = await used(connection, ledger.log, catalogue, jobs, reached=0)
    return sum(map(len, found))


async def _read_rows(ledger: Opened, page: list[str]) -> int:
    return len(await ledger.pool.fetch(READ_ROWS, page, first_day(), first_day() + timedelta(days=100)))
