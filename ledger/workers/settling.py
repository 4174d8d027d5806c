"""Finds out what became of sends: told again while the platform knows their identifiers, then by its sums.

A minute's sum is believed once nothing was sent in it for a while. It settles what one set of doubtful sends alone
explains; whatever two would explain stays as it is, for a person to see.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

import structlog

from ledger.commands.sends import batches, cancel_settled, intended_rows, settled_rows, stand
from ledger.domain.metadata import Metadata
from ledger.domain.platform_objects import PlatformMeter
from ledger.domain.refusals import VersionTaken
from ledger.domain.send_events import SendOutcome, Settlement, UsageSend
from ledger.domain.sends import (
    ACKNOWLEDGED,
    CANNOT_CANCEL,
    NEVER_ARRIVED,
    OPEN,
    SUMS_SETTLE,
    SUSPECT,
    SUSPECT_STILL,
    UNDONE,
    UNNAMED,
    Told,
    arrived,
    can_undo,
    is_cancel_lost,
    is_too_old,
    minute_of,
    next_step,
    repeated,
    standing,
    told_again,
    undoing,
    weight,
)
from ledger.domain.values import EXACT, ZERO
from ledger.log_rows import NewEvent
from ledger.platforms.port import PlatformBusy, PlatformRefused, PlatformUnavailable
from ledger.projections.sends import cancels, open_sends, sends_between, suspects
from ledger.projections.sends_fold import catch_up
from ledger.workers.sending import Desk

PATIENCE: Final = timedelta(minutes=5)
"""How long a send without an outcome may still be on its way with whoever intended it."""
SENDS_MAX: Final = 1_000
"""How many sends one turn looks after."""
MINUTES_MAX: Final = 100
"""How many sums one turn asks for."""
CALLS_AT_ONCE_MAX: Final = 8
"""Of one customer and meter there is one at a time; together they stay below a thousand a second."""
LOOK_AGAIN: Final = timedelta(hours=1)
METADATA: Final = Metadata(actor="worker", source="worker", operation="settle_sends")

MESSAGES: Final = {
    NEVER_ARRIVED: "The platform's sum of its minute is what it is without it.",
    UNNAMED: "The platform's sum of its minute lacks it, after a report that named other usage.",
    UNDONE: "It could be cancelled no more. Another send takes its value back.",
    CANNOT_CANCEL: "It counts there for good: it is too old, or its meter is no sum.",
    SUSPECT_STILL: "The platform's sum of its minute lacks something, and does not tell what.",
}

Minute = tuple[str, str, datetime]
"""(customer, event type, the minute)"""

_log = structlog.get_logger("worker")


async def settle_sends(desk: Desk) -> int:
    """Look after sends without an outcome; returns how many got one, or were told anew."""
    if desk.memory.circuit.is_open(desk.clock()):
        return 0
    pool, name, now = desk.pool, desk.platform.name, desk.clock()
    await catch_up(pool, desk.log)
    waiting = [row.told for row in await open_sends(pool, name, due=now - PATIENCE, limit=SENDS_MAX)]
    steps = [(told, next_step(told, now, patience=PATIENCE)) for told in waiting]
    settled = await _tell_again(desk, [told for told, step in steps if step == "tell"])
    doubtful = [told for told, step in steps if step == "look_up"]
    doubtful += [row.told for row in await cancels(pool, name, limit=SENDS_MAX) if is_cancel_lost(row.told, now)]
    doubtful += [row.told for row in await suspects(pool, name, settled_by=now - SUMS_SETTLE, limit=SENDS_MAX)]
    minutes = {(one.send.customer, one.send.event_type, minute_of(one.send.timestamp)) for one in doubtful}
    try:
        for minute in sorted(_due_minutes(desk, minutes, now))[:MINUTES_MAX]:
            settled += await _look_up(desk, minute)
    except (PlatformUnavailable, PlatformBusy) as fault:
        desk.memory.circuit.failed(desk.clock())
        _log.warning("the platform tells no sums", fault=str(fault), code=fault.code, request=fault.request_id)
    return settled


def _due_minutes(desk: Desk, minutes: set[Minute], now: datetime) -> list[Minute]:
    looked_up = desk.memory.looked_up
    for minute in [one for one, at in looked_up.items() if at < now - LOOK_AGAIN]:
        del looked_up[minute]
    return [minute for minute in minutes if minute not in looked_up]


async def _tell_again(desk: Desk, sends: Sequence[Told]) -> int:
    """Tell sends one by one, of each customer and meter one at a time, and keep what the platform answers."""
    lanes: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for told in sends:
        lanes[told.send.customer, told.send.event_type].append(told)
    turns = asyncio.Semaphore(CALLS_AT_ONCE_MAX)

    async def in_turn(lane: list[Told]) -> list[tuple[str, Settlement]]:
        async with turns:
            return await _tell_lane(desk, lane)

    found = await asyncio.gather(*map(in_turn, lanes.values()), return_exceptions=True)
    by_batch: dict[str, list[Settlement]] = defaultdict(list)
    for answers in found:
        if isinstance(answers, BaseException):
            raise answers
        for batch, settlement in answers:
            by_batch[batch].append(settlement)
    for row in await settled_rows(desk.pool, desk.platform.name, by_batch, now=desk.clock(), metadata=METADATA):
        with contextlib.suppress(VersionTaken):  # somebody else settled it meanwhile: the next turn sees how
            await desk.log.append([row])
    return sum(one.outcome != "unknown" for settlements in by_batch.values() for one in settlements)


async def _tell_lane(desk: Desk, lane: Sequence[Told]) -> list[tuple[str, Settlement]]:
    answers = []
    circuit = desk.memory.circuit
    for told in lane:
        if circuit.is_open(desk.clock()):
            break
        try:
            answer = await desk.platform.send_singly(told.send)
        except (PlatformBusy, PlatformUnavailable) as fault:
            circuit.failed(desk.clock())
            _log.warning("the platform takes no usage", fault=str(fault), code=fault.code, request=fault.request_id)
            break
        if answer.outcome == "unknown":
            circuit.failed(desk.clock())
        else:
            circuit.answered()
        answers.append((told.batch, told_again(answer, told)))
    return answers


class _Doubt(NamedTuple):
    """A send whose part in the platform's sum is not known: `weight` is what the sum has more if it `is_in` it."""

    told: Told
    weight: Decimal


async def _look_up(desk: Desk, minute: Minute) -> int:
    """Settle what a minute's sum tells of the sends in it; returns how many that were."""
    customer, event_type, start = minute
    pool, name, now = desk.pool, desk.platform.name, desk.clock()
    known = await stand(pool, name)
    state = await desk.memory.state_at(desk.log, (await desk.log.head()).position)
    meter = next((one for one in state.meters.values() if one.event_type == event_type and one.is_active), None)
    desk.memory.looked_up[minute] = now
    if meter is None or meter.formula == "last":
        return 0
    await catch_up(pool, desk.log)
    end = start + timedelta(minutes=1)
    sends = [row.told for row in await sends_between(pool, name, customer, event_type, start, end)]
    if any(told.last_at + SUMS_SETTLE > now for told in sends):
        return 0
    try:
        sums = await desk.platform.usage_sums(meter.id, customer, start, end)
    except PlatformRefused as refused:
        _log.warning("the platform tells no sum", customer=customer, code=refused.code, request=refused.request_id)
        return 0
    theirs = ZERO
    for one in sums:
        theirs = EXACT.add(theirs, one.quantity)
    rows, again, count = await _settled_by(desk, sends, theirs, meter, now)
    if again:
        made = batches(name, known, again, derived_up_to=known.derived_up_to, now=now)
        rows += intended_rows(made, [], name, now=now, metadata=METADATA)
    with contextlib.suppress(VersionTaken):  # something was intended meanwhile: the next turn looks again
        await desk.log.append(rows)
    return count


async def _settled_by(
    desk: Desk, sends: Sequence[Told], theirs: Decimal, meter: PlatformMeter, now: datetime
) -> tuple[list[NewEvent], list[UsageSend], int]:
    """The rows that a sum leads to, what is sent because of it, and how many sends are settled."""
    doubts, sure = [], ZERO
    for told in sends:
        heavy = weight(told.send, meter.formula)
        if told.state in ACKNOWLEDGED:
            sure = EXACT.add(sure, heavy)
        if told.state in OPEN:
            doubts.append(_Doubt(told, heavy))
        elif told.code in (SUSPECT, SUSPECT_STILL) or is_cancel_lost(told, now):
            doubts.append(_Doubt(told, -heavy))
    light = [doubt for doubt in doubts if not doubt.weight]
    doubts = [doubt for doubt in doubts if doubt.weight]
    places = arrived(theirs, sure, [doubt.weight for doubt in doubts])
    found = [(doubt, places is not None and place in places) for place, doubt in enumerate(doubts)]
    by_batch: dict[str, list[Settlement]] = defaultdict(list)
    rows: list[NewEvent] = []
    again: list[UsageSend] = []
    for doubt, is_in in [*(found if places is not None else []), *((one, False) for one in light)]:
        told = doubt.told
        if is_cancel_lost(told, now):
            if not is_in and told.cancelled_by is not None and can_undo(told, meter.formula, now):
                again.append(undoing(told.send, told.cancelled_by))
                rows.append(await _cancelled(desk, told, _settlement(told, "rejected", UNDONE), now))
            else:
                end = _settlement(told, "accepted") if is_in else _settlement(told, "rejected", CANNOT_CANCEL)
                rows.append(await _cancelled(desk, told, end, now))
            continue
        by_batch[told.batch].append(_by_sum(told, is_in=is_in, is_light=not doubt.weight))
        if told.state in OPEN and not is_in and doubt.weight and told.cancel is None and not is_too_old(told.send, now):
            again.append(repeated(told.send))
    count = len(rows) + sum(map(len, by_batch.values()))
    if places is None:
        for doubt in doubts:
            if doubt.told.code == SUSPECT:
                by_batch[doubt.told.batch].append(standing(doubt.told, SUSPECT_STILL, MESSAGES[SUSPECT_STILL]))
    rows += await settled_rows(desk.pool, desk.platform.name, by_batch, now=now, metadata=METADATA)
    return rows, again, count


def _by_sum(told: Told, *, is_in: bool, is_light: bool) -> Settlement:
    """What the sum says of a send that has no outcome, or is suspect."""
    if told.state in OPEN:
        return (
            _settlement(told, "delivered_before") if is_in or is_light else _settlement(told, "rejected", NEVER_ARRIVED)
        )
    return _settlement(told, "rejected", UNNAMED) if is_in else standing(told)


def _settlement(told: Told, outcome: SendOutcome, code: str | None = None) -> Settlement:
    return Settlement(identifier=told.send.identifier, outcome=outcome, code=code, message=MESSAGES.get(code or ""))


async def _cancelled(desk: Desk, told: Told, settlement: Settlement, now: datetime) -> NewEvent:
    name, account = desk.platform.name, told.send.account
    return await cancel_settled(desk.pool, name, account, settlement, now=now, metadata=METADATA)
