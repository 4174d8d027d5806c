"""Cases as they stand, folded from their streams: each is one difference to a billing platform, and its story.

A case is of one subject: a platform, an account (or a customer that none is), a meter, a period and what is compared.
Its key is made of these, so there are never two for the same.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple, assert_never
from uuid import UUID

import msgspec

from ledger.domain.case_events import (
    CaseAssigned,
    CaseCommented,
    CaseEvent,
    CaseOpened,
    CaseReassessed,
    CaseReopened,
    CaseResolved,
    CaseSettled,
)
from ledger.domain.money import Money
from ledger.domain.names import case_stream
from ledger.domain.reconciliation_facts import Difference, Subject
from ledger.domain.values import EXACT

CaseState = Literal["open", "investigating", "resolved", "settled"]
UNEXPLAINED: Final = "unexplained"
"""The cause of a difference that nothing explains."""


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A case. `difference` is as the last run that looked found it; of a settled one, as it was before.

    `resolved_difference` is what the resolution, while there is one, was decided on. `events` counts its stream's.
    """

    case: str
    run: str
    difference: Difference
    opened_at: datetime
    seen_at: datetime
    is_settled: bool = False
    settled_at: datetime | None = None
    assignee: str | None = None
    resolution: CaseResolved | None = None
    resolved_difference: Difference | None = None
    reopenings: int = 0
    comments: int = 0
    events: int = 1

    @property
    def state(self) -> CaseState:
        """Where it stands."""
        if self.is_settled:
            return "settled"
        if self.resolution is not None:
            return "resolved"
        return "open" if self.assignee is None else "investigating"

    @property
    def cause(self) -> str:
        """The likeliest cause."""
        findings = self.difference.findings
        return findings[0].cause if findings else UNEXPLAINED


class Watched(NamedTuple):
    """What a case that is not settled is about, for a run to tell whether it agrees by now."""

    platform: str
    subject: Subject
    account: str | None
    customer: str | None
    meter: str | None
    start: datetime
    end: datetime


class Observation(NamedTuple):
    """What a reconciliation run saw, beside the differences that it found.

    `run` is its key. `agreed` are the keys of cases (`case_key`, `key_of`) whose subjects it compared and found in
    agreement: never one that it could not read, or that was too young to judge.
    """

    run: str
    observed_at: datetime
    agreed: frozenset[str] = frozenset()


def case_key(
    *, platform: str, subject: Subject, account: str | None, customer: str | None, meter: str | None, start: datetime
) -> str:
    """The key of the case of a subject; `customer` tells who it is about where no account does."""
    owner = ("customer", customer or "") if account is None else ("account", account)
    since = start.astimezone(UTC).isoformat()
    return str(UUID(bytes=case_stream(platform, subject, *owner, "" if meter is None else f"={meter}", since)))


def key_of(difference: Difference) -> str:
    """The key of the case that a difference belongs to."""
    return case_key(
        platform=difference.platform,
        subject=difference.subject,
        account=difference.account,
        customer=difference.customer,
        meter=difference.meter,
        start=difference.start,
    )


def watched(difference: Difference) -> Watched:
    """What the case of a difference is about."""
    return Watched(
        difference.platform,
        difference.subject,
        difference.account,
        difference.customer,
        difference.meter,
        difference.start,
        difference.end,
    )


def stream_of(case: str) -> bytes | None:
    """The stream of the case with a key; None for a text that is no key."""
    try:
        found = UUID(case)
    except ValueError:
        return None
    return found.bytes if str(found) == case else None


def quantity_gap(difference: Difference) -> Decimal | None:
    """Our quantity less theirs, None where one of them is not told."""
    if difference.ours is None or difference.theirs is None:
        return None
    return EXACT.subtract(difference.ours, difference.theirs)


def covers(resolved: Difference, now: Difference) -> bool:
    """Whether what was decided on one difference holds for a later one: it is as large, or smaller, the same way."""
    is_quantity_covered = _is_within(quantity_gap(resolved), quantity_gap(now))
    return is_quantity_covered and _is_money_within(resolved.money, now.money)


def _is_within(before: Decimal | int | None, now: Decimal | int | None) -> bool:
    if now is None or now == 0:
        return True
    return before is not None and (before > 0) == (now > 0) and EXACT.abs(now) <= EXACT.abs(before)


def _is_money_within(before: Money | None, now: Money | None) -> bool:
    if now is None or now.minor_units == 0:
        return True
    if before is None or before.currency != now.currency:
        return False
    return _is_within(before.minor_units, now.minor_units)


def evolve(state: Case | None, event: CaseEvent) -> Case:
    """The case after one more event of its stream."""
    if isinstance(event, CaseOpened):
        return Case(
            case=event.case,
            run=event.run,
            difference=event.difference,
            opened_at=event.opened_at,
            seen_at=event.opened_at,
        )
    assert state is not None, "a case begins with its opening"
    return _changed(msgspec.structs.replace(state, events=state.events + 1), event)


def _changed(
    case: Case,
    event: CaseReassessed | CaseAssigned | CaseCommented | CaseResolved | CaseReopened | CaseSettled,
) -> Case:
    change = msgspec.structs.replace
    match event:
        case CaseReassessed():
            return change(case, run=event.run, difference=event.difference, seen_at=event.reassessed_at)
        case CaseAssigned():
            return change(case, assignee=event.assignee)
        case CaseCommented():
            return change(case, comments=case.comments + 1)
        case CaseResolved():
            return change(case, resolution=event, resolved_difference=case.difference)
        case CaseReopened():
            is_found = event.difference is not None
            return change(
                case,
                is_settled=False,
                settled_at=None,
                resolution=None,
                resolved_difference=None,
                reopenings=case.reopenings + 1,
                run=event.run or case.run,
                difference=event.difference or case.difference,
                seen_at=event.reopened_at if is_found else case.seen_at,
            )
        case CaseSettled():
            return change(case, is_settled=True, settled_at=event.settled_at, seen_at=event.settled_at, run=event.run)
        case _:
            assert_never(event)


def folded(events: Iterable[CaseEvent]) -> Case | None:
    """The case that a whole stream leads to, None for an empty one."""
    state: Case | None = None
    for event in events:
        state = evolve(state, event)
    return state
