"""Closed billing periods as they stand, folded from their events."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple, assert_never

from ledger.domain.adjustment_events import Adjustment
from ledger.domain.adjustments import Adjustments, approved_in, signed
from ledger.domain.closing_events import ClosingEvent, InvoiceClosed, LateUsageAssessed, PeriodClosed
from ledger.domain.contracts import Contract
from ledger.domain.money import Money
from ledger.domain.periods import Period


class Closed(NamedTuple):
    """A closed period; `rated` is what its usage comes to by the latest assessment of late usage."""

    event: PeriodClosed
    at_position: int
    """Where the log says that it was closed; its invoice is the next event."""
    rated: Money
    late: tuple[LateUsageAssessed, ...] = ()

    @property
    def period(self) -> Period:
        """The time that was billed."""
        return Period(self.event.start, self.event.end)

    @property
    def assessed_position(self) -> int:
        """Up to where the log was looked at when it was last rated."""
        return self.late[-1].position if self.late else self.event.position


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


def closed_at(state: Closings, instant: datetime) -> Closed | None:
    """The closed period that an instant is in."""
    return next((closed for closed in state.values() if instant in closed.period), None)


def closed_before(state: Closings, contract: Contract, start: datetime) -> list[Closed]:
    """The contract's closed periods that began before `start`, in order."""
    return [closed for at, closed in sorted(state.items()) if contract.started_at <= at < start]


class Settled(NamedTuple):
    """What closed periods took of each credit grant (`spent`), and what they were billed, None where none is closed.

    Late usage that was absorbed was never billed. Adjustments count for no commitment.
    """

    spent: dict[str, Money]
    billed: Money | None


def settled(closed: Iterable[Closed]) -> Settled:
    """What some closed periods of one contract came to, as they were closed: nothing is rated anew."""
    spent: dict[str, Money] = {}
    billed: Money | None = None
    for one in closed:
        for grant, money in one.event.credits.items():
            spent[grant] = spent[grant] + money if grant in spent else money
        money = sum((late.difference for late in one.late if late.action != "absorb"), start=one.event.rated)
        billed = money if billed is None else billed + money
    return Settled(spent, billed)


def notes(closed: Closed, adjustments: Adjustments) -> list[Adjustment]:
    """The adjustments in money that were approved after the period was closed: they change its balance, no line.

    Those of quantity come back as differences of late usage.
    """
    later = (one for one in approved_in(adjustments, closed.period) if one.amount is not None)
    return [one for one in later if one.adjustment not in closed.event.adjustments]


def balance(closed: Closed, adjustments: Adjustments) -> Money:
    """What the period was closed at, with what was settled on it since."""
    return sum((signed(one) for one in notes(closed, adjustments)), start=closed.event.total)
