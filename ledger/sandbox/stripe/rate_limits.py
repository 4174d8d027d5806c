"""How many requests a second the sandbox takes. docs.stripe.com/rate-limits"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from ledger.sandbox.stripe.behaviour import Behaviour
from ledger.sandbox.stripe.errors import rate_limited

METER_EVENTS: Final = "POST /v1/billing/meter_events"
STREAM: Final = "POST /v2/billing/meter_event_stream"


@dataclass(slots=True)
class RateLimits:
    """Counters of the present second, and what is under way."""

    behaviour: Behaviour
    _second: int = -1
    _counts: dict[str, int] = field(default_factory=dict)
    _busy: set[tuple[str, ...]] = field(default_factory=set)

    def count(self, operation: str, now: int) -> None:
        """Count a request; refuse it beyond the limit of its second.

        1,000 meter events a second: docs.stripe.com/api/billing/meter-event/create; 10,000 requests
        of the stream: docs.stripe.com/api/v2/billing/meter-event-stream/create
        """
        if now != self._second:
            self._second, self._counts = now, {}
        limits = {
            METER_EVENTS: self.behaviour.meter_events_per_second,
            STREAM: self.behaviour.stream_requests_per_second,
        }
        bucket = operation if operation in limits else ""
        limit = limits.get(operation, self.behaviour.requests_per_second)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        if limit is not None and self._counts[bucket] > limit:
            raise rate_limited("Too many requests hit the API too quickly. We recommend an exponential backoff.")

    @contextmanager
    def alone(self, lane: tuple[str, ...] | None) -> Iterator[None]:
        """Hold a lane; refuse while another request holds it.

        One concurrent call per customer and meter: docs.stripe.com/rate-limits#api-endpoint-limits
        """
        if lane is None:
            yield
            return
        if lane in self._busy:
            raise rate_limited("Another request for this customer and meter is in progress.", code="lock_timeout")
        self._busy.add(lane)
        try:
            yield
        finally:
            self._busy.discard(lane)
