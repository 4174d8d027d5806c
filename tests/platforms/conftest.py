"""A ledger that follows a sandbox of Stripe, moved by hand."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from ledger.commands.platforms import keep_notifications
from ledger.domain.platform_objects import ObjectKind, PlatformObject
from ledger.platforms.stripe import StripePlatform, open_stripe
from ledger.projections import platform_objects
from ledger.projections.decided import step
from ledger.projections.platform_objects import objects
from ledger.sandbox.stripe.app import API_KEY
from ledger.sandbox.stripe.behaviour import Behaviour
from ledger.workers.syncing import apply_notifications
from tests.log.ledgers import METADATA, Ledger, open_ledger
from tests.sandbox.stripe import conftest as sandboxes

URL = "https://ledger.example/v1/webhooks/stripe"
THIN = ("v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found")


@dataclass(slots=True)
class Followed:
    """A ledger, the sandbox that it follows, and the platform between them."""

    ledger: Ledger
    world: sandboxes.World
    platform: StripePlatform
    secrets: list[str] = field(default_factory=list)

    @property
    def client(self) -> Any:
        """The SDK, as whoever works at Stripe uses it."""
        return self.world.client

    def now(self) -> datetime:
        """The sandbox's time."""
        return self.world.sandbox.clock.moment

    async def take(self, deliveries: Sequence[tuple[str, bytes, dict[str, str]]]) -> None:
        """Keep these webhooks as the endpoint does, each at the second at which it was signed."""
        for _, body, headers in deliveries:
            signed_at = int(headers["stripe-signature"].partition(",")[0].removeprefix("t="))
            told = self.platform.read_notification(body, headers, datetime.fromtimestamp(signed_at, UTC))
            await keep_notifications(self.ledger.log, [told], now=self.now(), metadata=METADATA)

    async def apply(self) -> int:
        """Look into what was told."""
        return await apply_notifications(self.ledger.pool, self.ledger.log, self.platform, clock=self.now)

    async def project(self) -> None:
        """Let the read model catch up."""
        while await step(self.ledger.pool, self.ledger.log, [platform_objects.MODEL]):
            pass

    async def known(self, kind: ObjectKind) -> list[PlatformObject]:
        """What the read model has of a kind."""
        await self.project()
        return [seen.one for seen in await objects(self.ledger.pool, "stripe", kind)]

    async def there(self, kind: ObjectKind) -> list[PlatformObject]:
        """What the platform itself has of a kind, in order of id."""
        return sorted([one async for one in self.platform.objects(kind)], key=lambda one: one.id)


@asynccontextmanager
async def open_platform(world: sandboxes.World, secrets: Sequence[str] = ()) -> AsyncIterator[StripePlatform]:
    """The adapter in front of a sandbox; it does not try again by itself."""
    async with open_stripe(API_KEY, secrets=secrets, address=world.address, retries=0) as platform:
        yield platform


@asynccontextmanager
async def open_followed(
    database_url: str, behaviour: Behaviour | None = None, *, seed: int = 1
) -> AsyncIterator[Followed]:
    """A sandbox with an endpoint for all its events, and a ledger that knows the secrets."""
    async with open_ledger(database_url) as ledger, sandboxes.open_world(behaviour, seed=seed) as world:
        enabled: Any = ["*"]
        made = await world.client.v1.webhook_endpoints.create_async({"url": URL, "enabled_events": enabled})
        thin = await world.client.v2.core.event_destinations.create_async(
            cast(
                "Any",
                {
                    "name": "ledger",
                    "type": "webhook_endpoint",
                    "event_payload": "thin",
                    "enabled_events": list(THIN),
                    "webhook_endpoint": {"url": URL},
                    "include": ["webhook_endpoint.signing_secret"],
                },
            )
        )
        secrets = [str(made.secret), str(cast("Any", thin).webhook_endpoint.signing_secret)]
        async with open_platform(world, secrets) as platform:
            yield Followed(ledger, world, platform, secrets)


@pytest.fixture
async def followed(database_url: str) -> AsyncIterator[Followed]:
    """A ledger that has seen nothing of the sandbox yet."""
    async with open_followed(database_url) as opened:
        yield opened


@pytest.fixture
async def world() -> AsyncIterator[sandboxes.World]:
    """A sandbox alone."""
    async with sandboxes.open_world() as opened:
        yield opened


@pytest.fixture
async def platform(world: sandboxes.World) -> AsyncIterator[StripePlatform]:
    """The adapter in front of the sandbox."""
    async with open_platform(world, ["whsec_test"]) as opened:
        yield opened


async def subscribe(world: sandboxes.World, *, tiers: Any = None, currency: str = "eur") -> dict[str, str]:
    """A customer who pays for tokens by the month; the ids of all that it takes."""
    customer, meter = await world.customer(), await world.meter()
    price: Any = {
        "currency": currency,
        "product_data": {"name": "Tokens"},
        "recurring": {"interval": "month", "usage_type": "metered", "meter": meter},
    }
    if tiers is None:
        price["unit_amount_decimal"] = "0.2"
    else:
        price |= {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": tiers}
    made = await world.client.v1.prices.create_async(price)
    subscription: Any = {"customer": customer, "items": [{"price": made.id}]}
    subscribed = await world.client.v1.subscriptions.create_async(subscription)
    return {"customer": customer, "meter": meter, "price": made.id, "subscription": subscribed.id}
