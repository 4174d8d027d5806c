"""Webhooks on their way: signed, delayed, out of order, sometimes twice, and again when they were not taken.

docs.stripe.com/webhooks; signatures: docs.stripe.com/webhooks#verify-manually
"""

import hmac
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Final

import msgspec

from ledger.sandbox.stripe.behaviour import Behaviour
from ledger.sandbox.stripe.clock import DAY, Clock
from ledger.sandbox.stripe.shelves import Json, Shelf

Deliver = Callable[[str, bytes, dict[str, str]], Awaitable[int]]
"""Posts a body with headers to an address and answers the HTTP status; raises OSError when nobody is there."""

RETRIED_FOR_SECONDS: Final = 3 * DAY
"""How long an event is tried again. docs.stripe.com/webhooks#retries"""
RETRY_SECONDS: Final = 60
"""The pause before the second attempt; each further pause is twice as long."""
ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint."""

    event: Json
    endpoint: str
    url: str
    first_at: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Secret:
    """A signing secret and the second at which it stops being used, None for never."""

    text: str
    expires_at: int | None = None


class Outbox:
    """The deliveries that are due some time, and how they are made."""

    def __init__(
        self, clock: Clock, behaviour: Behaviour, random: Random, endpoints: Shelf, destinations: Shelf
    ) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._random = random
        self._endpoints = endpoints
        self._destinations = destinations
        self._due: list[tuple[int, int, Delivery]] = []
        self._numbers = count()
        self.secrets: dict[str, list[Secret]] = {}
        """The secrets of each endpoint, newest first."""
        self.given_up: list[Delivery] = []

    def send(self, event: Json) -> None:
        """Set the deliveries of an event, each at a time of its own."""
        for endpoint, url in self._wanting(event):
            if self._random.randrange(100) < self._behaviour.webhook_losses_percent:
                continue
            delivery = Delivery(event, endpoint, url, self._clock.seconds)
            self._set(delivery, self._delay())
            if self._random.randrange(100) < self._behaviour.webhook_duplicates_percent:
                self._set(delivery, self._delay())

    def next_due(self) -> int | None:
        """When the next delivery is due."""
        return self._due[0][0] if self._due else None

    async def deliver_until(self, seconds: int, deliver: Deliver) -> None:
        """Make the deliveries that are due by then; what is not answered with 2xx is tried again.

        docs.stripe.com/webhooks#retries
        """
        while self._due and self._due[0][0] <= seconds:
            delivery = heappop(self._due)[2]
            body = ENCODER.encode(delivery.event)
            try:
                status = await deliver(delivery.url, body, self.headers(delivery.endpoint, body))
            except OSError:
                status = 0
            if 200 <= status < 300:
                self._settled(delivery)
            else:
                self._again(delivery)

    def headers(self, endpoint: str, body: bytes) -> dict[str, str]:
        """The headers of a delivery: the signature by every valid secret, over the second and the body.

        docs.stripe.com/webhooks#verify-manually; several at once while a secret is rolled:
        docs.stripe.com/webhooks#roll-endpoint-secrets
        """
        now = self._clock.seconds
        valid = [one.text for one in self.secrets[endpoint] if one.expires_at is None or now < one.expires_at]
        signatures = [f"v1={hmac.new(one.encode(), b'%d.%b' % (now, body), sha256).hexdigest()}" for one in valid]
        return {
            "content-type": "application/json; charset=utf-8",
            "stripe-signature": ",".join([f"t={now}", *signatures]),
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }

    def _wanting(self, event: Json) -> Iterator[tuple[str, str]]:
        """The endpoints that asked for events of this type, with their addresses; thin ones go to destinations."""
        is_thin = event["object"] == "v2.core.event"
        for one in self._destinations if is_thin else self._endpoints:
            wanted = one["enabled_events"]
            if one["status"] == "enabled" and (event["type"] in wanted or "*" in wanted):
                yield one["id"], one["webhook_endpoint"]["url"] if is_thin else one["url"]

    def _set(self, delivery: Delivery, delay_seconds: int) -> None:
        if "pending_webhooks" in delivery.event:
            delivery.event["pending_webhooks"] += 1
        # A random place among those of one second: Stripe promises no order.
        place = (self._random.randrange(1 << 30) << 30) + next(self._numbers)
        heappush(self._due, (self._clock.seconds + delay_seconds, place, delivery))

    def _delay(self) -> int:
        return self._random.randrange(self._behaviour.webhook_delay_seconds_max + 1)

    def _settled(self, delivery: Delivery) -> None:
        if "pending_webhooks" in delivery.event:
            delivery.event["pending_webhooks"] -= 1

    def _again(self, delivery: Delivery) -> None:
        self._settled(delivery)
        pause = RETRY_SECONDS << (delivery.attempt - 1)
        if self._clock.seconds + pause - delivery.first_at > RETRIED_FOR_SECONDS:
            self.given_up.append(delivery)
            return
        self._set(replace(delivery, attempt=delivery.attempt + 1), pause)
