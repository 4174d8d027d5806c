"""A strict stand-in for the part of Stripe that the ledger uses, which the official SDK talks to unchanged."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Final

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from ledger.sandbox.stripe import (
    adjustments,
    balance_transactions,
    credit_grants,
    credit_notes,
    customers,
    events,
    invoice_items,
    invoices,
    meter_events,
    meters,
    previews,
    prices,
    products,
    streams,
    subscriptions,
    summaries,
    webhooks,
)
from ledger.sandbox.stripe.behaviour import Behaviour
from ledger.sandbox.stripe.clock import Clock, unix
from ledger.sandbox.stripe.edge import Edge, unknown_path
from ledger.sandbox.stripe.faults import Faults
from ledger.sandbox.stripe.ids import Ids
from ledger.sandbox.stripe.operations import AnyOperation
from ledger.sandbox.stripe.outbox import Deliver
from ledger.sandbox.stripe.plants import Plants
from ledger.sandbox.stripe.state import State

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    *customers.OPERATIONS,
    *balance_transactions.OPERATIONS,
    *products.OPERATIONS,
    *prices.OPERATIONS,
    *meters.OPERATIONS,
    *meter_events.OPERATIONS,
    *summaries.OPERATIONS,
    *adjustments.OPERATIONS,
    *streams.OPERATIONS,
    *subscriptions.OPERATIONS,
    *previews.OPERATIONS,
    *invoices.OPERATIONS,
    *invoice_items.OPERATIONS,
    *credit_notes.OPERATIONS,
    *credit_grants.OPERATIONS,
    *events.OPERATIONS,
    *webhooks.OPERATIONS,
)
API_KEY: Final = "sk_test_sandbox"


class Sandbox:
    """One Stripe account in memory.

    `told` is the time: a moment that stands still until `advance`, or a function that reads a clock.
    `seed` fixes identifiers and every chance; `deliver` posts webhooks, and without it they wait.
    """

    def __init__(
        self,
        told: datetime | Callable[[], datetime],
        *,
        behaviour: Behaviour | None = None,
        api_keys: frozenset[str] = frozenset({API_KEY}),
        deliver: Deliver | None = None,
        seed: int = 1,
    ) -> None:
        self.clock = Clock(told)
        self.state = State(
            clock=self.clock,
            behaviour=behaviour or Behaviour(),
            ids=Ids(seed),
            random=Random(seed),  # noqa: S311 - chances of a test, meant to repeat
        )
        self.deliver = deliver
        self.faults = Faults((operation.name for operation in OPERATIONS), self.state.rejections)
        self.plants = Plants(self.state)
        self._edge = Edge(self.state, api_keys, self.faults)

    def app(self) -> ASGIApp:
        """The ASGI application: all operations of Stripe's API that the sandbox knows."""
        routes = [Route(one.path, self._edge.route(one), methods=[one.method]) for one in OPERATIONS]
        app = Starlette(routes=routes)
        app.router.default = unknown_path
        return app

    async def advance(self, to: datetime) -> None:
        """Move the clock, and do on the way what comes due: periods end, drafts become final, webhooks go out."""
        target = unix(to)
        while (due := self._next_due()) is not None and due <= target:
            self.clock.move_to(due)
            await self.settle()
        self.clock.move_to(target)
        await self.settle()

    async def settle(self) -> None:
        """Do what is due at present, and deliver the webhooks that are."""
        self.state.agenda.run_until(self.state.now)
        if self.deliver is not None:
            await self.state.outbox.deliver_until(self.state.now, self.deliver)

    async def run(self) -> None:
        """Do what comes due on a clock that runs, until cancelled. A sandbox that is served needs it."""
        while True:
            await self.settle()
            await asyncio.sleep(1)

    def _next_due(self) -> int | None:
        due = [self.state.agenda.next_due()]
        if self.deliver is not None:
            due.append(self.state.outbox.next_due())
        return min((one for one in due if one is not None), default=None)

    def roll_secret(self, endpoint: str, *, expires_in_seconds: int = 86_400) -> str:
        """The new signing secret of an endpoint; the old ones stay valid for a while."""
        return webhooks.roll(self.state, endpoint, expires_in_seconds)
