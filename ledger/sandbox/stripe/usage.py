"""The meter events that the sandbox holds, and their sums.

Stripe never gives them back, so neither does the API of the sandbox: only sums by customer, meter and window.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from ledger.sandbox.stripe.clock import DAY, HOUR

IDENTIFIER_WINDOW_SECONDS: Final = DAY
"""How long an identifier is known: a rolling window of at least 24 hours, here of just that.

docs.stripe.com/api/billing/meter-event/create
"""
WINDOWS: Final = {"hour": HOUR, "day": DAY}


@dataclass(slots=True)
class Used:
    """One meter event. `number` is the order of receipt; times in seconds since the epoch."""

    timestamp: int
    number: int
    value: Decimal
    received_at: int
    identifier: str
    meter: str
    customer: str
    event_name: str
    is_cancelled: bool = False


@dataclass(slots=True)
class UsageStore:
    """All usage, by meter and customer, in order of its time."""

    by_lane: dict[tuple[str, str], list[Used]] = field(default_factory=lambda: defaultdict(list))
    by_identifier: dict[str, Used] = field(default_factory=dict)
    seen_at: dict[str, int] = field(default_factory=dict)
    """When each identifier was first received, of valid and of rejected events."""
    count: int = 0

    def is_known(self, identifier: str, now: int) -> bool:
        """Whether the identifier was received within the window. docs.stripe.com/api/billing/meter-event/create"""
        seen = self.seen_at.get(identifier)
        return seen is not None and now - seen < IDENTIFIER_WINDOW_SECONDS

    def add(self, used: Used) -> None:
        """Keep one meter event."""
        lane = self.by_lane[used.meter, used.customer]
        if lane and used.timestamp >= lane[-1].timestamp:
            lane.append(used)
        else:
            insort(lane, used, key=_place)
        self.by_identifier[used.identifier] = used
        self.count += 1

    def remove(self, used: Used) -> None:
        """Forget one meter event, as if it had never arrived; its identifier stays known."""
        self.by_lane[used.meter, used.customer].remove(used)

    def between(self, meter: str, customer: str, start: int, end: int, *, received_by: int) -> Iterator[Used]:
        """What counts in `[start, end)`, in order of its time, of what was received by then."""
        lane = self.by_lane.get((meter, customer), [])
        for place in range(bisect_left(lane, (start, 0), key=_place), len(lane)):
            used = lane[place]
            if used.timestamp >= end:
                break
            if not used.is_cancelled and used.received_at <= received_by:
                yield used


def _place(used: Used) -> tuple[int, int]:
    return used.timestamp, used.number


def aggregated(usage: Iterator[Used], formula: str, window: str | None) -> Decimal | None:
    """The sum, the count or the last value; None when there is no usage.

    Of usage that was aggregated before it was sent, the newest event of each hour or day replaces the ones before
    it: docs.stripe.com/api/billing/meter/create (`default_aggregation`, `event_time_window`).
    """
    counted = list(usage)
    if window is not None:
        newest: dict[int, Used] = {}
        for used in sorted(counted, key=lambda one: one.number):
            newest[used.timestamp // WINDOWS[window]] = used
        counted = sorted(newest.values(), key=_place)
    if not counted:
        return None
    if formula == "count":
        return Decimal(len(counted))
    if formula == "last":
        return counted[-1].value
    return sum((used.value for used in counted), Decimal())
