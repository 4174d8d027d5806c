"""What an account with a hundred thousand events was known to use and owe, as of an early and a late position."""

import time
from datetime import UTC, datetime, timedelta

from benchmarks.contracts import agree, first_day
from benchmarks.figures import Figure, Side, quantile
from benchmarks.opened import Opened, opened
from benchmarks.server import Server
from benchmarks.workload import DAYS, METER, account_key, fill_log
from ledger.projections.as_of import PastReader
from ledger.projections.usage import UsageAsked

GOAL_MILLISECONDS = 1_000


async def as_of(server: Server, *, is_quick: bool) -> list[Figure]:
    """The projected invoice of a quarter, and thirty days of usage, as of the head and as of the middle of the log.

    Nothing is projected: the read models have no part in it.
    """
    events, reads = (1_000, 3) if is_quick else (100_000, 9)
    async with server.database() as url:
        await agree(url, count=1)
        await fill_log(url, events, accounts=1)
        async with opened(url) as ledger:
            head = (await ledger.log.head()).position
            waits: dict[str, list[float]] = {}
            for _ in range(reads):
                for name, position in (("head", head), ("middle", head - events // 2)):
                    for question in ("invoice", "usage"):
                        waited = await _timed(ledger, question, position)
                        waits.setdefault(f"{question} as of the {name}", []).append(waited)
    slowest = waits["invoice as of the head"]
    return [
        Figure(
            name="as_of",
            value=quantile(slowest, 0.5),
            unit="ms",
            goal=GOAL_MILLISECONDS,
            direction="at most",
            sides=[Side(f"median of {name}", [quantile(samples, 0.5)]) for name, samples in waits.items()],
            side_unit="ms",
            note=f"the invoice of an account with {events:,} events in its period, on five charges of two meters",
        )
    ]


async def _timed(ledger: Opened, question: str, position: int) -> float:
    """The milliseconds of one answer."""
    reader = PastReader(*ledger)
    now = datetime.now(UTC)
    began = time.perf_counter()
    moment = await reader.moment(position=position, at=None, now=now)
    past = await reader.account(account_key(0), moment)
    if question == "invoice":
        invoice = await reader.invoice(past, now)
        assert invoice.total.minor_units, "something was used"
    else:
        start = first_day()
        asked = UsageAsked(METER, start, start + timedelta(days=DAYS), "DAY", ("model",))
        assert await reader.usage(past, asked), "something was used"
    return 1_000 * (time.perf_counter() - began)
