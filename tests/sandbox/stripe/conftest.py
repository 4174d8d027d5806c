"""A sandbox behind a real server on the loopback, and the official SDK in front of it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
import uvicorn

from ledger.sandbox.stripe import Sandbox
from ledger.sandbox.stripe.app import API_KEY
from ledger.sandbox.stripe.behaviour import Behaviour

SDK_WARNING = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
"""The SDK passes its bodies to httpx in a way that httpx means to drop."""
NOW = datetime(2026, 11, 5, 9, 30, 17, tzinfo=UTC)


@dataclass(slots=True)
class Receiver:
    """Who takes the webhooks: what came, and what is answered next."""

    taken: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def deliver(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Take one delivery."""
        self.taken.append((url, body, headers))
        return self.statuses.pop(0) if self.statuses else 200


@dataclass(slots=True)
class World:
    """A sandbox, the SDK's client of it, and a receiver of its webhooks."""

    sandbox: Sandbox
    client: stripe.StripeClient
    address: str
    receiver: Receiver
    connections: list[stripe.HTTPXClient]

    async def advance(self, **by: float) -> None:
        """Let time pass."""
        await self.sandbox.advance(self.sandbox.clock.moment + timedelta(**by))

    def other_client(self, key: str, **options: Any) -> stripe.StripeClient:
        """The SDK with another key, or other options."""
        return connect(self.address, self.connections, key, **options)

    async def customer(self, name: str = "Acme") -> str:
        """A new customer's identifier."""
        return (await self.client.v1.customers.create_async({"name": name})).id

    async def meter(self, event_name: str = "tokens", formula: Any = "sum", **more: Any) -> str:
        """A new meter's identifier."""
        params: Any = {"display_name": event_name.title(), "event_name": event_name}
        params |= {"default_aggregation": {"formula": formula}} | more
        return (await self.client.v1.billing.meters.create_async(params)).id

    async def use(
        self,
        customer: str,
        value: str = "1",
        *,
        identifier: str | None = None,
        at: datetime | None = None,
        event_name: str = "tokens",
    ) -> Any:
        """Tell one meter event."""
        params: Any = {"event_name": event_name, "payload": {"stripe_customer_id": customer, "value": value}}
        if identifier is not None:
            params["identifier"] = identifier
        if at is not None:
            params["timestamp"] = int(at.timestamp())
        return await self.client.v1.billing.meter_events.create_async(params)

    async def sums(self, meter: str, customer: str, start: datetime, end: datetime, **more: Any) -> list[Any]:
        """The sums of a window."""
        params: Any = {"customer": customer, "start_time": int(start.timestamp()), "end_time": int(end.timestamp())}
        page = await self.client.v1.billing.meters.event_summaries.list_async(meter, params | more)
        return page.data


def connect(
    address: str, connections: list[stripe.HTTPXClient], key: str = API_KEY, **options: Any
) -> stripe.StripeClient:
    """The SDK, told nothing but where Stripe is; its connections are added to those to close."""
    connections.append(stripe.HTTPXClient(verify_ssl_certs=False))
    addresses: Any = {"api": address, "meter_events": address}
    return stripe.StripeClient(
        key,
        base_addresses=addresses,
        http_client=connections[-1],
        **{"max_network_retries": 0} | options,
    )


@asynccontextmanager
async def open_world(
    behaviour: Behaviour | None = None, *, told: datetime | Callable[[], datetime] = NOW, seed: int = 1
) -> AsyncIterator[World]:
    """A sandbox of its own behind a server on a free port."""
    receiver = Receiver()
    sandbox = Sandbox(told, behaviour=behaviour, deliver=receiver.deliver, seed=seed)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(sandbox.app(), log_level="critical", lifespan="off"))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    connections: list[stripe.HTTPXClient] = []
    yield World(sandbox, connect(address, connections), address, receiver, connections)
    for connection in connections:
        await connection.close_async()  # type: ignore[no-untyped-call]
    server.should_exit = True
    await running
    listener.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A world whose sandbox shows everything at once."""
    async with open_world() as opened:
        yield opened
