"""Takes back what was told of usage that is voided or amended: cancelled in time, else undone by a negative send."""

import contextlib
from datetime import datetime, timedelta
from typing import Final

import structlog

from ledger.commands.sends import batches, cancel_settled, intended_rows, stand
from ledger.domain.metadata import Metadata
from ledger.domain.platform_objects import Formula
from ledger.domain.refusals import VersionTaken
from ledger.domain.send_events import Settlement, UsageSend
from ledger.domain.sends import (
    CANNOT_CANCEL,
    NEVER_COUNTED,
    UNDONE,
    Told,
    can_cancel,
    can_undo,
    undoing,
)
from ledger.platforms.port import PlatformBusy, PlatformUnavailable
from ledger.projections.sends import cancels
from ledger.projections.sends_fold import catch_up
from ledger.workers.sending import Desk, tell

CANCELS_MAX: Final = 1_000
"""How many sends one turn cancels."""
PATIENCE: Final = timedelta(minutes=1)
METADATA: Final = Metadata(actor="worker", source="worker", operation="cancel_sends")

_log = structlog.get_logger("worker")


async def cancel_sends(desk: Desk) -> int:
    """Take back what is to be cancelled and has an outcome; returns how many cancels got one of their own."""
    if desk.memory.circuit.is_open(desk.clock()):
        return 0
    await catch_up(desk.pool, desk.log)
    count = 0
    for row in await cancels(desk.pool, desk.platform.name, limit=CANCELS_MAX):
        try:
            count += await _cancel(desk, row.told)
        except (PlatformBusy, PlatformUnavailable) as fault:
            desk.memory.circuit.failed(desk.clock())
            _log.warning("the platform cancels nothing", fault=str(fault), code=fault.code, request=fault.request_id)
            break
    return count


async def _cancel(desk: Desk, told: Told) -> bool:
    now = desk.clock()
    identifier = told.send.identifier
    if told.state == "rejected":
        message = "It never counted there."
        await _settle(desk, told, _rejected(identifier, NEVER_COUNTED, message), now)
        return True
    if can_cancel(told, now):
        answer = await desk.platform.cancel_usage(identifier, told.send.event_type)
        if answer.outcome == "unknown":
            desk.memory.circuit.failed(desk.clock())
            if told.cancel != "unknown":
                await _settle(desk, told, answer, now)
            return False
        desk.memory.circuit.answered()
        if answer.outcome != "rejected" or told.cancel == "unknown":
            # A refusal after a cancel without an answer tells nothing of that one: the sums will.
            if answer.outcome != "rejected":
                await _settle(desk, told, answer, now)
            return answer.outcome != "rejected"
        return await _undo(desk, told, answer, now)
    return False if told.cancel == "unknown" else await _undo(desk, told, None, now)


async def _undo(desk: Desk, told: Told, answer: Settlement | None, now: datetime) -> bool:
    """Send the negative value, where the platform's meter is a sum; else a person has to see to it."""
    name, identifier = desk.platform.name, told.send.identifier
    known = await stand(desk.pool, name)
    if told.cancelled_by is None or not can_undo(told, await _formula(desk, told), now):
        why = "" if answer is None else f" The platform says: {answer.message}"
        message = f"It counts there for good: it is too old, or its meter is no sum.{why}"
        await _settle(desk, told, _rejected(identifier, CANNOT_CANCEL, message), now)
        return True
    made = batches(name, known, [undoing(told.send, told.cancelled_by)], derived_up_to=known.derived_up_to, now=now)
    done = _rejected(identifier, UNDONE, "It could be cancelled no more. Another send takes its value back.")
    settled = await cancel_settled(desk.pool, name, told.send.account, done, now=now, metadata=METADATA)
    rows = [settled, *intended_rows(made, [], name, now=now, metadata=METADATA)]
    try:
        await desk.log.append(rows)
    except VersionTaken:
        return False
    await tell(desk, made)
    return True


async def _formula(desk: Desk, told: Told) -> Formula:
    state = await desk.memory.state_at(desk.log, (await desk.log.head()).position)
    found = (one.formula for one in state.meters.values() if one.event_type == told.send.event_type and one.is_active)
    return next(found, "last")


def _rejected(identifier: str, code: str, message: str) -> Settlement:
    return Settlement(identifier=identifier, outcome="rejected", code=code, message=message)


async def _settle(desk: Desk, told: Told, settlement: Settlement, now: datetime) -> None:
    name, account = desk.platform.name, told.send.account
    row = await cancel_settled(desk.pool, name, account, settlement, now=now, metadata=METADATA)
    with contextlib.suppress(VersionTaken):
        await desk.log.append([row])
