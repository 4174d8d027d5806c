"""Plans one transaction of the log: which events are new and get the next positions, which the log has already.

Pure: what the log has is told to it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ledger.domain.refusals import VersionTaken
from ledger.log_rows import NewEvent

CLOCK_AGE_SECONDS_MAX: Final = 1.0
"""For how long the database's clock is told by adding what passed on ours."""


class Appended(NamedTuple):
    """Where the events of an append stand in the log, in their order.

    `repeats` are indices of events that the log held before, with the position of the first telling; `conflicts`
    are indices of events kept as conflicts, with the position of the conflict.
    """

    positions: Sequence[int]
    repeats: frozenset[int] = frozenset()
    conflicts: frozenset[int] = frozenset()

    @property
    def position(self) -> int:
        """The highest position: who waits for it sees all of the append. 0 for an empty append."""
        return max(self.positions, default=0)


class Taken(NamedTuple):
    """An event that has the key of one about to be written."""

    position: int
    state: bytes
    metadata: bytes


Conflict = Callable[[int, bytes, NewEvent], NewEvent | None]
"""(position and state of the first telling, the repeat) -> the conflict to keep, None where both tell the same."""


@dataclass(slots=True, eq=False)
class Append:
    """Events that wait to be written together; `conflict` is None for decisions, which must all be new."""

    events: Sequence[NewEvent]
    conflict: Conflict | None
    done: asyncio.Future[Appended]

    def answer(self, outcome: Appended | Exception) -> None:
        """Tell who waits how it went; nobody does who gave up."""
        if self.done.done():
            return
        if isinstance(outcome, Appended):
            self.done.set_result(outcome)
        else:
            self.done.set_exception(outcome)


@dataclass(slots=True)
class Plan:
    """The rows of one transaction, numbered from the head on."""

    head: int
    taken: dict[tuple[bytes, int], Taken] = field(default_factory=dict)
    events: list[NewEvent] = field(default_factory=list)

    def add(self, event: NewEvent) -> int:
        """Give the event the next position and return it."""
        self.events.append(event)
        position = self.head + len(self.events)
        self.taken[event.key] = Taken(position, event.state, event.metadata)
        return position


class Left(NamedTuple):
    """Where this process left the log: the last `position` and its `recorded_at`.

    The database's `clock` stood so when ours, which is monotonic and counts seconds, stood at `read_at`. `is_alone`:
    nobody else had written between the two flushes before.
    """

    position: int
    recorded_at: datetime
    clock: datetime
    read_at: float
    is_alone: bool

    def may_be_written_on(self, now: float) -> bool:
        """Whether it is likely that the log still ends here, and the clock was read not long ago."""
        return self.is_alone and now - self.read_at < CLOCK_AGE_SECONDS_MAX

    def recorded_at_next(self, now: float) -> datetime:
        """The database's clock by ours, never before what was recorded last."""
        return max(self.recorded_at, self.clock + timedelta(seconds=now - self.read_at))


def plan_all(plan: Plan, appends: Sequence[Append]) -> list[Appended | VersionTaken]:
    """Number all events of all appends: right where none of their keys is taken."""
    outcomes: list[Appended | VersionTaken] = []
    for append in appends:
        first = plan.head + len(plan.events) + 1
        plan.events.extend(append.events)
        outcomes.append(Appended(range(first, first + len(append.events))))
    return outcomes


def plan_one(plan: Plan, append: Append) -> Appended | VersionTaken:
    """Number what is new of an append, find the first telling of what is not."""
    if append.conflict is None:
        return _plan_decision(plan, append.events)
    positions: list[int] = []
    repeats: set[int] = set()
    conflicts: set[int] = set()
    for index, told in enumerate(append.events):
        event = told
        taken = plan.taken.get(event.key)
        if taken is not None:
            conflict = append.conflict(taken.position, taken.state, event)
            if conflict is not None:
                conflicts.add(index)
                event = conflict
                taken = plan.taken.get(event.key)
        if taken is None:
            positions.append(plan.add(event))
        else:
            repeats.add(index)
            positions.append(taken.position)
    return Appended(positions, frozenset(repeats), frozenset(conflicts))


def _plan_decision(plan: Plan, events: Sequence[NewEvent]) -> Appended | VersionTaken:
    if len({event.key for event in events}) < len(events):
        return VersionTaken()
    taken = [plan.taken.get(event.key) for event in events]
    if all(one is None for one in taken):
        return Appended([plan.add(event) for event in events])
    # The very same bytes are our own, from before a lost connection.
    own = [
        one.position
        for one, event in zip(taken, events, strict=True)
        if one is not None and (one.state, one.metadata) == (event.state, event.metadata)
    ]
    return Appended(own) if len(own) == len(events) else VersionTaken()
