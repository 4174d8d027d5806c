"""Closed billing periods as they stand, folded from their events."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, assert_never

from ledger.domain.closing_events import ClosingEvent, InvoiceClosed, LateUsageAssessed, PeriodClosed
from ledger.domain.money import Money


class Closed(NamedTuple):
    """A closed period; `rated` is what its usage comes to by the latest assessment of late usage."""

    event: PeriodClosed
    at_position: int
    """Where the log says that it was closed; its invoice is the next event."""
    rated: Money
    late: tuple[LateUsageAssessed, ...] = ()


Closings = Mapping[datetime, Closed]
"""An account's closed periods by their start, in order."""


def evolve(state: Closings, event: ClosingEvent, position: int) -> dict[datetime, Closed]:
    """The account's closed periods after one more event about them."""
    match event:
        case PeriodClosed():
            return {**state, event.start: Closed(event, position, event.rated)}
        case InvoiceClosed():
            return dict(state)
        case LateUsageAssessed():
            closed = state[event.start]
            return {**state, event.start: closed._replace(rated=event.rated, late=(*closed.late, event))}
        case _:
            assert_never(event)
