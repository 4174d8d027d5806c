"""What a night of agreement costs, and how many questions the minute of one lost event takes."""

import time
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any, cast

from benchmarks.figures import Figure
from benchmarks.opened import opened
from benchmarks.server import Server
from ledger.database import Pool
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.metering import MeterDefinition, encode_definition
from ledger.domain.periods import Period
from ledger.domain.platform_objects import PlatformMeter, Price, Subscription, SubscriptionItem, UsageSum
from ledger.domain.reconciliation.bisection import CALLS_MAX, DAY, HOUR, Bisected, Read, bisect
from ledger.domain.reconciliation.comparing import Sums, Tolerance
from ledger.platforms.port import Grouping, Platform
from ledger.projections.reconciling_sends import Sends
from ledger.workers.reconciliation_quantities import compare_quantities
from ledger.workers.reconciliation_run import Run
from ledger.workers.reconciliation_scope import Target, There

START = datetime(2026, 6, 1, tzinfo=UTC)
END = datetime(2026, 7, 1, tzinfo=UTC)
METERS = ("reconciled calls", "reconciled tokens", "reconciled bytes")
INSERT_SERIES = """
insert into usage_series (meter, definition, state, since_position) values ($1, $2, 'live', 0) returning series
"""
INSERT_DAYS = """
insert into usage_days
    (series, account, day, part, dimensions_key, dimensions, event_count, total, moment, first_position, last_position)
select $1, 'a' || account, date '2026-06-01' + day, $3, '\\x00', '[]', 4, 2.5, 0, 1, 1
from generate_series(1, $2::int) account, generate_series(0, 29) day
"""
DAY_TOTAL = Decimal("2.5")


class _Agreeing:
    """A platform that counts just what we do, and how often it is asked."""

    name = "stripe"

    def __init__(self) -> None:
        self.calls = 0

    async def usage_sums(
        self, _meter: str, _customer: str, start: datetime, end: datetime, _grouping: Grouping | None = None
    ) -> list[UsageSum]:
        """The month in one sum."""
        self.calls += 1
        return [UsageSum(start=start, end=end, quantity=DAY_TOTAL * ((end - start) // DAY))]


async def reconcile_agreeing(server: Server, *, is_quick: bool) -> list[Figure]:
    """A run over accounts of three meters each that agree: our side from Postgres, theirs from memory."""
    accounts = 100 if is_quick else 10_000
    async with server.database() as url, opened(url) as ledger:
        await _fill(ledger.pool, accounts)
        platform = _Agreeing()
        catalogue, there, chosen = _world(accounts)
        run = Run(
            ledger.pool,
            ledger.log,
            cast("Platform", platform),
            catalogue,
            there,
            Sends(ledger.pool, ledger.log, platform.name),
            Tolerance(),
            END + timedelta(days=1),
            settled_at=END + timedelta(hours=2),
        )
        began = time.perf_counter()
        compared = await compare_quantities(run, chosen)
        seconds = time.perf_counter() - began
    assert compared == accounts * len(METERS), "all were compared"
    assert not run.differences, "all agree"
    return [
        Figure(
            name="reconcile_agreeing",
            value=seconds,
            unit="s",
            note=f"{accounts:,} accounts x {len(METERS)} meters; {len(METERS)} reads of ours, the platform in memory",
        ),
        Figure(
            name="reconcile_agreeing_calls",
            value=platform.calls / compared,
            unit="calls a meter and account",
            goal=1,
            direction="at most",
        ),
    ]


async def _fill(pool: Pool, accounts: int) -> None:
    for meter in METERS:
        series = await pool.fetchval(INSERT_SERIES, meter, encode_definition(_definition(meter)))
        await pool.execute(INSERT_DAYS, series, accounts, START)
    await pool.execute("analyze usage_days")


def _definition(meter: str) -> MeterDefinition:
    return MeterDefinition(name=meter, event_type=meter, aggregation="sum", property="value")


def _world(accounts: int) -> tuple[Catalogue, There, list[Target]]:
    """Accounts with a subscription each to a price for each meter."""
    catalogue = Catalogue()
    for meter in METERS:
        catalogue.define(meter, _definition(meter))
    prices = {meter: Price(id=meter, product=meter, currency="EUR", meter=f"mtr_{meter}") for meter in METERS}
    meters = {f"mtr_{meter}": PlatformMeter(id=f"mtr_{meter}", event_type=meter, formula="sum") for meter in METERS}
    items = tuple(SubscriptionItem(id=meter, price=meter) for meter in METERS)
    there = There({}, {}, meters, prices, {f"mtr_{meter}": meter for meter in METERS})
    chosen = []
    for number in range(1, accounts + 1):
        customer = f"cus_{number}"
        subscription = Subscription(
            id=f"sub_{number}",
            customer=customer,
            status="active",
            currency="EUR",
            started_at=START,
            period_start=START,
            period_end=END,
            anchor=START,
            items=items,
        )
        account = Account(f"a{number}", customer, "UTC", (customer,))
        chosen.append(Target(account, customer, (), (subscription,), Period(START, END), None))
    return catalogue, there, chosen


async def bisect_minute(_server: Server, *, is_quick: bool) -> list[Figure]:
    """One event of a month lost: the reads of the platform until its minute is known, at worst of many places."""
    events = 10_000 if is_quick else 1_000_000
    step = (END - START) / events
    moments = [START + step * number for number in range(events)]
    sums = [0, *accumulate(1 for _ in moments)]
    worst, seconds = 0, 0.0
    for place in range(0, events, events // 50):
        began = time.perf_counter()
        found = _search(moments, sums, moments[place])
        seconds = max(seconds, time.perf_counter() - began)
        worst = max(worst, found.calls + 1)
        [minute] = found.minutes
        assert minute.start <= moments[place] < minute.end, "it is the minute of the lost event"
    return [
        Figure(
            name="bisect_minute_calls",
            value=worst,
            unit="calls",
            goal=CALLS_MAX,
            direction="at most",
            note=f"at worst of 50 places among {events:,} events; the comparison itself is one of them",
        ),
        Figure(name="bisect_minute", value=seconds * 1_000, unit="ms", note="without the platform's own time"),
    ]


def _search(moments: Sequence[datetime], sums: Sequence[int], lost: datetime) -> Bisected:
    def both(start: datetime, end: datetime) -> Sums:
        ours = sums[bisect_left(moments, end)] - sums[bisect_left(moments, start)]
        return Sums(start, end, Decimal(ours), Decimal(ours - (start <= lost < end)))

    def answered(read: Read) -> list[Sums]:
        if read.by is None:
            return [both(read.start, read.end)]
        length = DAY if read.by == "day" else HOUR
        return [
            both(read.start + length * n, read.start + length * (n + 1))
            for n in range((read.end - read.start) // length)
        ]

    plan: Any = bisect(both(START, END), Tolerance())
    try:
        read = next(plan)
        while True:
            read = plan.send(answered(read))
    except StopIteration as stopped:
        return cast("Bisected", stopped.value)
