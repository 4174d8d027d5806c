"""Messages of a billing platform: how many one process takes, each signed, checked and committed before its answer."""

from statistics import median

from benchmarks.figures import Figure
from benchmarks.processes import run, running_api
from benchmarks.server import Server
from benchmarks.webhook_load import SECRET


async def webhooks(server: Server, *, is_quick: bool) -> list[Figure]:
    """Webhooks a second over 32 connections, all of them new."""
    count, trials = (200, 1) if is_quick else (20_000, 3)
    rates = []
    for _ in range(trials):
        async with (
            server.database() as url,
            running_api(url, STRIPE_API_KEY="sk_test_bench", STRIPE_WEBHOOK_SECRETS=SECRET) as port,
        ):
            seconds = await run("benchmarks.webhook_load", str(port), str(count), answer=float)
            rates.append(count / seconds)
    return [
        Figure(
            name="webhooks",
            value=median(rates),
            unit="messages/s",
            goal=1_000,
            note="of 4 kB, signed, committed with fsync before each answer; load generator on the same cores",
        )
    ]
