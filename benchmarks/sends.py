"""Usage told to a billing platform: from recorded usage to sends that are intended, told and settled in the log."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from statistics import median

import uvicorn

from benchmarks.figures import Figure
from benchmarks.opened import opened
from benchmarks.server import Server
from ledger.commands.accounts import change_account
from ledger.commands.meters import change_meter
from ledger.commands.sends import start_sending
from ledger.commands.usage import record_usage
from ledger.domain.accounts import AliasAccount, OpenAccount
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import UsageRecorded
from ledger.domain.metadata import Metadata
from ledger.domain.metering import MeterDefinition
from ledger.domain.meters import DefineMeter
from ledger.domain.send_events import SendingStarted
from ledger.event_log import EventLog
from ledger.platforms.stripe import StripePlatform, open_stripe
from ledger.sandbox.stripe.app import API_KEY, Sandbox
from ledger.workers.sending import Desk, new_memory, send_usage
from ledger.workers.syncing import sync_all

METADATA = Metadata(actor="bench")


async def sends(server: Server, *, is_quick: bool) -> list[Figure]:
    """Sends a second of one worker, a hundred a request."""
    count, trials = (200, 1) if is_quick else (20_000, 3)
    rates = []
    for _ in range(trials):
        async with server.database() as url, opened(url) as ledger, _platform() as platform:
            customer = await _prepare(platform)
            await sync_all(ledger.pool, ledger.log, platform, clock=_now)
            await _use(ledger.log, customer, count)
            desk = Desk(ledger.pool, ledger.log, platform, new_memory(platform.name), _now)
            began = time.perf_counter()
            sent = await send_usage(desk)
            rates.append(sent / (time.perf_counter() - began))
            assert sent == count, f"{sent} of {count} were sent"
    return [
        Figure(
            name="sends",
            value=median(rates),
            unit="sends/s",
            goal=None,
            note="intended, told and settled by one worker; the sandbox of Stripe runs in the same process",
        )
    ]


@asynccontextmanager
async def _platform() -> AsyncIterator[StripePlatform]:
    """The adapter in front of a sandbox on the loopback, until the context ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Sandbox(_now).app(), log_level="critical", lifespan="off"))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0.01)
    try:
        async with open_stripe(API_KEY, address=f"http://127.0.0.1:{listener.getsockname()[1]}") as platform:
            yield platform
    finally:
        server.should_exit = True
        await running
        listener.close()


async def _prepare(platform: StripePlatform) -> str:
    """A meter and a customer there; answers the customer's id."""
    connection = platform._connection  # noqa: SLF001 - the port makes no customers, and nobody else does here
    meter = {"display_name": "Tokens", "event_name": "sent_tokens", "default_aggregation": {"formula": "sum"}}
    await connection.post("/v1/billing/meters", dict, **meter)
    made = await connection.post("/v1/customers", dict, name="Acme")
    return str(made["id"])


async def _use(log: EventLog, customer: str, count: int) -> None:
    """An account that is the customer, with usage recorded after its sending started."""
    now = _now()
    definition = MeterDefinition(name="Tokens", event_type="sent", aggregation="sum", property="tokens")
    await change_meter(log, DefineMeter("sent_tokens", definition), now=now, metadata=METADATA)
    await change_account(log, OpenAccount("sent", "Sent", "UTC"), now=now, metadata=METADATA)
    await change_account(log, AliasAccount("sent", customer), now=now, metadata=METADATA)
    started = SendingStarted(platform="stripe", account="sent", customer=customer, since=now - timedelta(days=1))
    await start_sending(log, started, now=now, metadata=METADATA)
    usage = [
        UsageRecorded(source="bench", id=str(number), type="sent", subject="sent", time=now, data={"tokens": number})
        for number in range(count)
    ]
    await record_usage(log, Catalogue(), usage, now=now, metadata=METADATA.encode())


def _now() -> datetime:
    return datetime.now(UTC)
