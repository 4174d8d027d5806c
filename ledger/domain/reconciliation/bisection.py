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
_LENGTHS: Final[dict[Steps, timedelta]] = {"day": DAY, "hour": HOUR}


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


def bisect(
    whole: Sums, tolerance: Tolerance, *, calls_max: int = CALLS_MAX, minutes_max: int = MINUTES_MAX
) -> Plan:
    """The plan for a window of whole minutes whose sums are known: days first, then hours, then halves of an hour.

    Every parting window is followed, the earlier ones first, up to both bounds.
    """
    waiting, found, unresolved = deque([whole]), [], []
    calls, is_exhausted = 0, False
    while waiting:
        window = waiting.popleft()
        if tolerance.lets_pass(window.ours, window.theirs):
            continue
        if window.end - window.start <= MINUTE:
            found.append(window)
        elif len(found) >= minutes_max:
            unresolved.append(window)
        elif calls >= calls_max:
            unresolved.append(window)
            is_exhausted = True
        else:
            read = _next_read(window)
            answers = yield read
            calls += 1
            waiting.extendleft(reversed(_narrowed(window, read, answers)))
    return Bisected(tuple(sorted(found)), tuple(sorted(unresolved)), calls, is_exhausted)


def _next_read(window: Sums) -> Read:
    """The coarsest grouping that fits into the window at all, else the first half of it."""
    for by in ("day", "hour"):
        step = _LENGTHS[by]
        start, end = ceiling(window.start, step), floor(window.end, step)
        if start < end and window.end - window.start > step:
            return Read(start, end, by)
    minutes = (window.end - window.start) // MINUTE
    return Read(window.start, window.start + minutes // 2 * MINUTE)


def _narrowed(window: Sums, read: Read, answers: Sequence[Sums]) -> list[Sums]:
    """The parts of the window after a read, in order: those that were read, and what is left of it by subtraction.

    What is left before the first whole step and after the last are two windows of which only the sum is known: they
    stay one, unless one of them is empty or the whole of the other.
    """
    rest = window
    for one in answers:
        rest = rest._replace(
            ours=EXACT.subtract(rest.ours, one.ours), theirs=EXACT.subtract(rest.theirs, one.theirs)
        )
    parts = sorted(answers)
    if read.start == window.start:
        return parts if read.end == window.end else [*parts, rest._replace(start=read.end)]
    if read.end == window.end:
        return [rest._replace(end=read.start), *parts]
    return [*parts, *_ends(window, read, rest)]


def _ends(window: Sums, read: Read, rest: Sums) -> list[Sums]:
    raise NotImplementedError
