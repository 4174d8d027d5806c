"""From a period down to the minutes in which two sums part, by as few reads of the platform as that takes.

A plan of reads, without any I/O: a generator that yields what to read of both sides and is sent the answer. Sums and
counts are additive, so what is left of a window is known once a part of it is. A platform groups by whole hours and
days of UTC alone; what sticks out of them at the ends of a window is looked at by itself.

Within an hour, usage that is too much in one minute and too little in another by the same amount shows nowhere.
"""

from collections import deque
from collections.abc import Generator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from ledger.domain.reconciliation.comparing import Sums, Tolerance
from ledger.domain.values import EPOCH, EXACT

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
CALLS_MAX: Final = 60
"""The most reads of the platform for one difference."""
MINUTES_MAX: Final = 20
"""The most parting minutes that are told of one difference; more of them are no accident of a minute."""

Steps = Literal["hour", "day"]
_STEPS: Final[tuple[tuple[Steps, timedelta], ...]] = (("day", DAY), ("hour", HOUR))
_CALLS_OF_A_STEP: Final = 2
"""The most reads that one window takes to be narrowed."""


class Read(NamedTuple):
    """What to read next of both sides: the sum of `[start, end)`, or one for each hour or day in it with usage."""

    start: datetime
    end: datetime
    by: Steps | None = None


class Bisected(NamedTuple):
    """The minutes in which the sums part, in order, and the windows that part but were not looked into further.

    `is_exhausted` where that was because no more reads were allowed.
    """

    minutes: tuple[Sums, ...]
    unresolved: tuple[Sums, ...]
    calls: int
    is_exhausted: bool


Plan = Generator[Read, Sequence[Sums], Bisected]


def floor(instant: datetime, step: timedelta) -> datetime:
    """The last whole step of UTC at or before an instant."""
    return instant - (instant - EPOCH) % step


def ceiling(instant: datetime, step: timedelta) -> datetime:
    """The first whole step of UTC at or after an instant."""
    return instant + -(instant - EPOCH) % step


def bisect(whole: Sums, tolerance: Tolerance, *, calls_max: int = CALLS_MAX, minutes_max: int = MINUTES_MAX) -> Plan:
    """The plan for a window of whole minutes whose sums are known: days first, then hours, then halves of an hour.

    Every parting window is followed, the earlier ones first, up to both bounds.
    """
    waiting = deque([whole])
    found: list[Sums] = []
    unresolved: list[Sums] = []
    calls, is_exhausted = 0, False
    while waiting:
        window = waiting.popleft()
        if tolerance.lets_pass(window.ours, window.theirs):
            continue
        if window.end - window.start <= MINUTE:
            found.append(window)
        elif len(found) >= minutes_max:
            unresolved.append(window)
        elif calls + _CALLS_OF_A_STEP > calls_max:
            unresolved.append(window)
            is_exhausted = True
        else:
            narrowed = yield from _narrow(window, tolerance)
            calls += narrowed.calls
            waiting.extendleft(sorted(narrowed.parts, reverse=True))
    return Bisected(tuple(sorted(found)), tuple(sorted(unresolved)), calls, is_exhausted)


class _Narrowed(NamedTuple):
    parts: list[Sums]
    calls: int


def _narrow(window: Sums, tolerance: Tolerance) -> Generator[Read, Sequence[Sums], _Narrowed]:
    """The parts of a window: what one read tells, and what is left of it.

    What sticks out at both ends is told apart by a second read, if the two together part at all.
    """
    read = _next_read(window)
    parts = list((yield read))
    rest = _without(window, parts)
    has_head, has_tail = read.start > window.start, read.end < window.end
    if has_head and has_tail:
        if tolerance.lets_pass(rest.ours, rest.theirs):
            return _Narrowed(parts, 1)
        head = yield Read(window.start, read.start)
        tail = _without(rest, head)._replace(start=read.end)
        return _Narrowed([*head, *parts, tail], 2)
    if has_head:
        parts.append(rest._replace(end=read.start))
    elif has_tail:
        parts.append(rest._replace(start=read.end))
    return _Narrowed(parts, 1)


def _next_read(window: Sums) -> Read:
    """The coarsest grouping that fits into the window at all, else its first half."""
    for by, step in _STEPS:
        start, end = ceiling(window.start, step), floor(window.end, step)
        if start < end and window.end - window.start > step:
            return Read(start, end, by)
    minutes = (window.end - window.start) // MINUTE
    return Read(window.start, window.start + minutes // 2 * MINUTE)


def _without(window: Sums, parts: Sequence[Sums]) -> Sums:
    """What a window counts besides some parts of it; its bounds stay."""
    ours, theirs = window.ours, window.theirs
    for one in parts:
        ours, theirs = EXACT.subtract(ours, one.ours), EXACT.subtract(theirs, one.theirs)
    return window._replace(ours=ours, theirs=theirs)


class LastRead(NamedTuple):
    """Where a platform's last reading lies, for meters that keep the last: the minute, None where there is none."""

    minute: datetime | None
    calls: int


def last_reading(start: datetime, end: datetime) -> Generator[Read, Sequence[Sums], LastRead]:
    """The plan for the minute of the platform's last reading in a window of whole minutes: last values do not add up.

    Answers leave out windows without usage, so that a window is empty where nothing is told of it. Days and hours
    that stick out of those of UTC are halved, which takes at most 11 reads each.
    """
    calls = 0
    for by, step in _STEPS:
        inner = ceiling(start, step), floor(end, step)
        if inner[0] >= inner[1] or end - start <= step:
            continue
        tail = (yield Read(inner[1], end)) if inner[1] < end else ()
        calls += inner[1] < end
        if tail:
            start = inner[1]
            continue
        steps = yield Read(*inner, by)
        calls += 1
        if steps:
            start, end = max((one.start, one.end) for one in steps)
        else:
            end = inner[0]
    while end - start > MINUTE:
        middle = start + (end - start) // MINUTE // 2 * MINUTE
        later = yield Read(middle, end)
        calls += 1
        start, end = (middle, end) if later else (start, middle)
    present = (yield Read(start, end)) if start < end else ()
    return LastRead(start if present else None, calls + (start < end))
