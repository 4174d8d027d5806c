"""Late usage, event by event: what was told or put right of a closed period after the position that it was closed at.

Read from the log under the account's names, in bounded steps; no table follows it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple, cast

import asyncpg

from ledger.domain.catalogue import Account
from ledger.domain.events import UsageDismissed, UsageMended
from ledger.domain.periods import Period
from ledger.domain.topics import decode
from ledger.domain.usage import UsageEvent
from ledger.event_log import EventLog

STEP_EVENTS: Final = 2_000
STEPS_MAX: Final = 25
"""A page looks at no more than 50,000 events; it tells how far it came."""


class LateEvent(NamedTuple):
    """One late event. A dismissal has no content: `supersedes` names the events that it takes out."""

    position: int
    recorded_at: datetime
    event: UsageEvent | UsageDismissed


class LatePage(NamedTuple):
    """Late events in order of position; all up to `looked_at` were looked at, and `is_more` may follow."""

    events: list[LateEvent]
    looked_at: int
    is_more: bool


async def late_events(log: EventLog, account: Account, span: Period, *, after: int, up_to: int, limit: int) -> LatePage:
    """The account's usage between two positions, exclusive and inclusive, that lies in a period or did before."""
    names = [account.key, *account.aliases]
    found: list[LateEvent] = []
    for _ in range(STEPS_MAX):
        rows = await log.usage_of(names, after=after, up_to=up_to, limit=STEP_EVENTS)
        for one in await _in_span(log, rows, span):
            if len(found) == limit:
                return LatePage(found, found[-1].position if found else after, True)
            found.append(one)
        if len(rows) < STEP_EVENTS:
            return LatePage(found, up_to, False)
        after = rows[-1]["position"]
    return LatePage(found, after, True)


async def first_and_last(log: EventLog, account: Account, span: Period, *, after: int, up_to: int) -> tuple[int, ...]:
    """The first and the last position of late usage, of as much as one page looks at; none where it finds none."""
    page = await late_events(log, account, span, after=after, up_to=up_to, limit=STEP_EVENTS * STEPS_MAX)
    return tuple(dict.fromkeys((page.events[0].position, page.events[-1].position))) if page.events else ()


async def _in_span(log: EventLog, rows: Sequence[asyncpg.Record], span: Period) -> list[LateEvent]:
    """The events that are about the span: by their own time, or by that of the event whose place they take."""
    told = [LateEvent(row["position"], row["recorded_at"], _usage(row)) for row in rows]
    earlier = {
        one.position: one.event.supersedes for one in told if isinstance(one.event, UsageMended | UsageDismissed)
    }
    superseded = sorted({position for positions in earlier.values() for position in positions})
    rows = await log.at(superseded) if superseded else []
    before = {row["position"] for row in rows if _is_in(_usage(row), span)}
    return [one for one in told if _is_in(one.event, span) or not before.isdisjoint(earlier.get(one.position, ()))]


def _usage(row: asyncpg.Record) -> UsageEvent | UsageDismissed:
    return cast("UsageEvent | UsageDismissed", decode(row["topic"], row["state"]))


def _is_in(event: UsageEvent | UsageDismissed, span: Period) -> bool:
    return not isinstance(event, UsageDismissed) and event.time in span
