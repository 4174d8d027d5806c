"""Commands on closed billing periods: close what is due, and settle what came late."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, cast

from ledger.commands.decision import ATTEMPTS_MAX
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.closing import Asked, ClosePeriod, Rating, close, instant_text, next_due, require_due
from ledger.domain.closing_events import ClosingEvent, LateUsageAssessed
from ledger.domain.closing_refusals import PeriodNotClosed
from ledger.domain.closings import Closed, Closings, evolve
from ledger.domain.contracts import contract_at
from ledger.domain.events import Event
from ledger.domain.late_usage import Settling, assess
from ledger.domain.metadata import Metadata
from ledger.domain.names import adjustment_stream, period_stream
from ledger.domain.periods import Period
from ledger.domain.refusals import AccountUnknown, VersionTaken
from ledger.domain.topics import decode, encode
from ledger.event_log import EventLog, StreamEvent
from ledger.log_rows import NewEvent

PERIODS_MAX: Final = 24
"""The most periods that one command closes; asked again, it goes on."""

Rate = Callable[[Asked], Awaitable[Rating]]
"""What a period comes to, with exactly what the log holds up to the position that it tells."""


class ClosePeriods(NamedTuple):
    """Bill the account's periods that end at or before `until`, in order."""

    account: str
    until: datetime
    closed_by: str


class AssessLateUsage(NamedTuple):
    """Settle what the closed period that begins at `start` comes to since it was closed, or last looked at."""

    account: str
    start: datetime


class ClosedPeriods(NamedTuple):
    """`position` of the last closing up to the moment asked for, the periods closed now, and whether more are due."""

    position: int
    starts: list[datetime]
    is_more: bool


class Assessed(NamedTuple):
    """`position` of the assessment, or of the last decision on the period where nothing differs."""

    position: int
    assessment: LateUsageAssessed | None


async def close_periods(
    log: EventLog, catalogue: Catalogue, rate: Rate, command: ClosePeriods, *, now: datetime, metadata: Metadata
) -> ClosedPeriods:
    """Close what is due; where all of it is closed already, nothing is written and the position is the same.

    `catalogue` knows the account, its contracts and closed periods. Raises `AccountUnknown`; `ContractMissing`,
    `PeriodsAllClosed` or `PeriodNotEnded` where there is nothing to answer with; and what `close` and `rate` raise.
    """
    account = _account(catalogue, command.account)
    contracts = catalogue.contracts.get(account.key, ())
    state = catalogue.closings.get(account.key, {})
    until = min(command.until, now)
    starts: list[datetime] = []
    while True:
        due = next_due(contracts, catalogue.plans, account.zone, state)
        is_due = due is not None and due.end <= until
        positions = [closed.at_position for closed in state.values() if closed.event.end <= until]
        if (positions and not is_due) or len(starts) == PERIODS_MAX:
            return ClosedPeriods(max(positions), starts, is_due)
        one = ClosePeriod(account.key, until if due is None else due.start, command.closed_by)
        period = require_due(one, contracts, due, until=until)
        state = {**state, period.start: await _close(log, rate, one, period, state, now=now, metadata=metadata)}
        starts.append(period.start)


async def _close(
    log: EventLog,
    rate: Rate,
    command: ClosePeriod,
    period: Period,
    state: Closings,
    *,
    now: datetime,
    metadata: Metadata,
) -> Closed:
    """The closed period, whoever closed it: of those who race the first decides, and the others answer the same."""
    stream = period_stream(command.account, instant_text(command.start))
    past = await log.stream(stream)
    if not past:
        rating = await rate(Asked(command.account, command.start, state))
        events = close(command, period, rating)
        try:
            appended = await log.append(_rows(stream, 0, events, command.account, now, metadata))
            return Closed(events[0], appended.positions[0], events[0].rated)
        except VersionTaken:
            past = await log.stream(stream)
    return _folded(past)[command.start]


async def assess_late_usage(
    log: EventLog, catalogue: Catalogue, rate: Rate, command: AssessLateUsage, *, now: datetime, metadata: Metadata
) -> Assessed:
    """Rate a closed period anew and, where it comes to something else, say so and propose what the contract wants.

    `catalogue` is as for `close_periods`. The whole period is rated, never the new usage alone. Tried again where
    another was faster: then that one's is the last assessment. Raises `AccountUnknown`, `PeriodNotClosed`,
    `VersionTaken` after three attempts, and what `rate` raises.
    """
    account = _account(catalogue, command.account)
    stream = period_stream(account.key, instant_text(command.start))
    for attempt in range(ATTEMPTS_MAX):
        past = await log.stream(stream)
        closed = _folded(past).get(command.start)
        if closed is None:
            raise PeriodNotClosed(account=account.key, start=command.start)
        state = {**catalogue.closings.get(account.key, {}), command.start: closed}
        rating = await rate(Asked(account.key, command.start, state, closed.assessed_position))
        made = assess(closed, rating, _settling(catalogue, account, closed, state), now=now)
        if made is None:
            return Assessed(past[-1].position, None)
        assessed, proposed = made
        rows = _rows(stream, len(past), [assessed], account.key, now, metadata)
        if proposed is not None:
            adjusting = adjustment_stream(account.key)
            rows += _rows(adjusting, len(await log.stream(adjusting)), [proposed], account.key, now, metadata)
        try:
            return Assessed((await log.append(rows)).positions[0], assessed)
        except VersionTaken:
            if attempt == ATTEMPTS_MAX - 1:
                raise
            await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - jitter keeps no secret
    raise AssertionError("the last attempt returns or raises")


def _settling(catalogue: Catalogue, account: Account, closed: Closed, state: Closings) -> Settling:
    """How the period's contract settles, and on which period: its own where no later one is in its currency."""
    contracts = catalogue.contracts[account.key]
    contract = contract_at(contracts, closed.event.start)
    assert contract is not None, "a closed period has a contract"
    due = next_due(contracts, catalogue.plans, account.zone, state)
    following = None if due is None else contract_at(contracts, due.start)
    if due is None or following is None or following.terms.currency != contract.terms.currency:
        return Settling(contract.terms.late_usage, closed.event.start)
    return Settling(contract.terms.late_usage, due.start)


def _account(catalogue: Catalogue, key: str) -> Account:
    account = catalogue.accounts.get(key)
    if account is None:
        raise AccountUnknown(account=key)
    return account


def _folded(past: Sequence[StreamEvent]) -> Closings:
    state: Closings = {}
    for row in past:
        state = evolve(state, cast("ClosingEvent", decode(row.topic, row.state)), row.position)
    return state


def _rows(
    stream: bytes, version: int, events: Sequence[Event], account: str, now: datetime, metadata: Metadata
) -> list[NewEvent]:
    """The events as the log takes them, behind `version` others of their stream."""
    return [
        NewEvent(stream, number, event.TOPIC, account, now, encode(event), metadata.encode())
        for number, event in enumerate(events, version + 1)
    ]
