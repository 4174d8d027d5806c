"""Takes back what was told of usage that is voided or amended: cancelled in time, else undone by a negative send."""

import contextlib
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from ledger.commands.sends import batches, cancel_settled, intended_rows, stand
from ledger.domain.metadata import Metadata
from ledger.domain.platform_objects import Formula
from ledger.domain.refusals import VersionTaken
from ledger.domain.send_events import Settlement
from ledger.domain.sends import (
    CANCEL_WINDOW,
    CANNOT_CANCEL,
    NEVER_COUNTED,
    UNDONE,
    Told,
    can_cancel,
    can_undo,
    is_cancel_lost,
    undoing,
)
from ledger.platforms.port import PlatformBusy, PlatformUnavailable
from ledger.projections.sends import cancels
from ledger.projections.sends_fold import catch_up
from ledger.workers.sending import Desk, tell

CANCELS_MAX: Final = 1_000
"""How many sends one turn cancels."""
TRY_AGAIN: Final = timedelta(minutes=30)
"""How long to leave a send alone that could not be cancelled."""
METADATA: Final = Metadata(actor="worker", source="worker", operation="cancel_sends")

_log = structlog.get_logger("worker")


async def cancel_sends(desk: Desk) -> int:
    """Take back what is to be cancelled and has an outcome; returns how many cancels got one of their own."""
    if desk.memory.circuit.is_open(desk.clock()):
        return 0
    await catch_up(desk.pool, desk.log)
    tried = desk.memory.cancelled
    for identifier in [one for one, at in tried.items() if at <= desk.clock() - TRY_AGAIN]:
        del tried[identifier]
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
    if is_cancel_lost(told, now) or told.cancel_at is None:
        return False
    if told.cancel_at >= told.due_at + CANCEL_WINDOW:
        return await _undo(desk, told, now)
    if not can_cancel(told, now) or identifier in desk.memory.cancelled:
        return False
    answer = await desk.platform.cancel_usage(identifier, told.send.event_type)
    if answer.outcome in ("accepted", "delivered_before"):
        desk.memory.circuit.answered()
        desk.memory.cancelled.pop(identifier, None)
        await _settle(desk, told, answer, now)
        return True
    desk.memory.cancelled[identifier] = now
    if told.cancel != "unknown":
        # A refusal leaves open whether it counts: it may have been rejected unseen. In the end the sums tell.
        await _settle(desk, told, msgspec.structs.replace(answer, outcome="unknown"), now)
    return False


async def _undo(desk: Desk, told: Told, now: datetime) -> bool:
    """Send the negative value, where the platform's meter is a sum; else a person has to see to it."""
    name, identifier = desk.platform.name, told.send.identifier
    known = await stand(desk.pool, name)
    if told.cancelled_by is None or not can_undo(told, await _formula(desk, told), now):
        message = "It counts there for good: it is too old, or its meter is no sum."
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
