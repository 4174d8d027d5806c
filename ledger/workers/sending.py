"""Turns recorded usage into sends, and tells them: the intent is in the log before the call, the outcome after it.

The log is the outbox. A crash anywhere leaves sends without an outcome, which `settling` looks after.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import asyncpg
import structlog

from ledger.commands.sending import bring
from ledger.commands.sends import Cancel, batches, first_settled, intended_rows, stand
from ledger.database import Pool
from ledger.domain.adjustment_events import AdjustmentApproved
from ledger.domain.events import AccountAliased, UsageDismissed, UsageMended, UsageRecorded
from ledger.domain.metadata import Metadata
from ledger.domain.refusals import VersionTaken
from ledger.domain.send_events import Settlement, UsageSend, UsageSendIntended
from ledger.domain.sending import FOLLOWED, SendingState, dropped
from ledger.domain.sends import Circuit, due_at, is_too_old, too_old
from ledger.domain.topics import decode
from ledger.event_log import EventLog
from ledger.platforms.port import SENDS_MAX, Platform, PlatformBusy, PlatformClosed, PlatformUnavailable
from ledger.projections.sends import by_identifier, of_usage
from ledger.projections.sends_fold import catch_up
from ledger.projections.watermark import CursorMoved, cursor, move

CURSOR: Final = "usage to send"
EVENTS_MAX: Final = 2_000
"""How many events are turned into sends together."""
CALLS_AT_ONCE_MAX: Final = 4
BUSY_ATTEMPTS_MAX: Final = 3
BUSY_PAUSE: Final = timedelta(milliseconds=500)
BUSY_PAUSE_MAX: Final = timedelta(seconds=20)
METADATA: Final = Metadata(actor="worker", source="worker", operation="send_usage")

Clock = Callable[[], datetime]

_log = structlog.get_logger("worker")


@dataclass(slots=True)
class Memory:
    """What a worker remembers between its turns; without it, it only takes longer."""

    state: SendingState
    circuit: Circuit = field(default_factory=Circuit)
    looked_up: dict[tuple[str, str, datetime], datetime] = field(default_factory=dict)
    """When the sum of a customer's minute was asked for and told nothing."""
    cancelled: dict[str, datetime] = field(default_factory=dict)
    """When a send was asked to be cancelled, to no avail."""
    is_in_use: bool = False
    """Whether a turn is under way, which the next one does not wait for."""

    async def state_at(self, log: EventLog, position: int) -> SendingState:
        """All that decides what is sent, as it was at a position."""
        if self.state.position > position:
            self.state = SendingState(self.state.platform)
        await bring(self.state, log, position)
        return self.state


class Desk(NamedTuple):
    """Where a worker sends from."""

    pool: Pool
    log: EventLog
    platform: Platform
    memory: Memory
    clock: Clock


async def send_usage(desk: Desk) -> int:
    """Tell all usage that was recorded since the last time; returns how many sends left.

    While the platform answers nobody, nothing is intended: it waits in the log.
    """
    count = 0
    while not desk.memory.circuit.is_open(desk.clock()):
        made = await derive(desk)
        if made is None:
            return count
        await tell(desk, made)
        count += sum(len(one.sends) for one in made)
    return count


async def derive(desk: Desk) -> list[UsageSendIntended] | None:
    """Put the next sends into the log, and the cancels of what is voided; None where nothing is left to look at.

    How far the log was derived stands in the batches themselves, which are one stream: of two workers that derive the
    same, one is refused. The cursor only saves reading what led to no send.
    """
    pool, log, name = desk.pool, desk.log, desk.platform.name
    seen, known = await cursor(pool, CURSOR), await stand(pool, name)
    start, head = max(seen.position, known.derived_up_to), (await log.head()).position
    if head <= start:
        return None
    state = await desk.memory.state_at(log, start)
    rows = await log.page(after=start, before=head + 1, topics=FOLLOWED, limit=EVENTS_MAX)
    end = rows[-1]["position"] if len(rows) == EVENTS_MAX else head
    sends, cancels = await _derived(desk, state, rows)
    state.position = end
    made: list[UsageSendIntended] = []
    if sends or cancels:
        now = desk.clock()
        made = batches(name, known, sends, derived_up_to=end, now=now)
        try:
            await log.append(intended_rows(made, cancels, name, now=now, metadata=METADATA))
        except VersionTaken:
            return []  # another worker was first: look again
    with contextlib.suppress(CursorMoved):
        async with pool.acquire() as connection, connection.transaction():
            await move(connection, CURSOR, seen, position=end, recorded_at=None)
    return made


async def _derived(
    desk: Desk, state: SendingState, rows: Sequence[asyncpg.Record]
) -> tuple[list[UsageSend], list[Cancel]]:
    """What events lead to, each under the decisions before it."""
    sends: list[UsageSend] = []
    voided: dict[int, int] = {}
    for row in rows:
        event, position = decode(row["topic"], row["state"]), row["position"]
        if isinstance(event, UsageRecorded):
            sends += state.sends_of(event, position, row["recorded_at"])
            continue
        state.apply(event, position)
        match event:
            case UsageMended() | UsageDismissed():
                sends = dropped(sends, event.supersedes)
                voided |= dict.fromkeys(event.supersedes, position)
                if isinstance(event, UsageMended):
                    sends += state.sends_of(event, position, row["recorded_at"])
            case AdjustmentApproved():
                sends += state.adjusting_sends(event, position)
            case AccountAliased():
                sends += await _released(desk, state, event, position)
            case _:
                pass
    return sends, await _voided(desk, voided)


async def _released(desk: Desk, state: SendingState, event: AccountAliased, position: int) -> list[UsageSend]:
    """The sends of usage that was held until its name was known as one of the account's."""
    sending = state.accounts.get(event.account)
    if sending is None:
        return []
    sends: list[UsageSend] = []
    after = sending.position
    while rows := await desk.log.usage_of([event.alias], after=after, up_to=position):
        after = rows[-1]["position"]
        for row in rows:
            usage = decode(row["topic"], row["state"])
            if isinstance(usage, UsageRecorded | UsageMended) and row["position"] not in state.catalogue.superseded:
                sends += state.sends_of(usage, row["position"], row["recorded_at"])
    await catch_up(desk.pool, desk.log)
    known = await by_identifier(desk.pool, desk.platform.name, [send.identifier for send in sends])
    told = {one.told.send.identifier for one in known}
    return [send for send in sends if send.identifier not in told]


async def _voided(desk: Desk, positions: dict[int, int]) -> list[Cancel]:
    """The cancels of the sends of usage that is voided: position of the usage -> position of what voids it."""
    if not positions:
        return []
    await catch_up(desk.pool, desk.log)
    rows = await of_usage(desk.pool, desk.platform.name, list(positions))
    return [
        Cancel(told.send, positions[told.send.position])
        for told, *_ in rows
        if told.cancel is None and told.send.undoes is None and told.state not in ("rejected", "cancelled")
    ]


async def tell(desk: Desk, made: Sequence[UsageSendIntended]) -> None:
    """Tell batches, some at once, and keep what became of each."""
    turns = asyncio.Semaphore(CALLS_AT_ONCE_MAX)
    circuit = desk.memory.circuit

    async def in_turn(one: UsageSendIntended) -> None:
        async with turns:
            if not circuit.is_open(desk.clock()):
                await _tell_batch(desk, one)

    if circuit.is_probing and made:
        await in_turn(made[0])
        made = made[1:]

    found = await asyncio.gather(*map(in_turn, made), return_exceptions=True)
    for fault in found:
        if isinstance(fault, BaseException):
            raise fault


async def _tell_batch(desk: Desk, batch: UsageSendIntended) -> None:
    """What was not told, or not yet, has no outcome: it is told later."""
    now = desk.clock()
    settled = [too_old(send) for send in batch.sends if is_too_old(send, now)]
    waiting = [send for send in batch.sends if not is_too_old(send, now)]
    due = [send for send in waiting if due_at(send, batch.intended_at) <= now]
    is_partial = len(due) < len(waiting)
    for start in range(0, len(due), SENDS_MAX):
        answers = await _ask(desk, due[start : start + SENDS_MAX])
        is_partial |= answers is None
        settled += answers or []
    if not settled:
        return
    listed = settled if is_partial else [one for one in settled if one.outcome != "accepted"]
    row = first_settled(batch.platform, batch.batch, listed, is_partial=is_partial, now=desk.clock(), metadata=METADATA)
    with contextlib.suppress(VersionTaken):  # somebody settled some of it already; the rest has no outcome yet
        await desk.log.append([row])


async def _ask(desk: Desk, sends: Sequence[UsageSend]) -> list[Settlement] | None:
    """What the platform answers; None where it was told nothing, after a few attempts with growing pauses."""
    circuit = desk.memory.circuit
    for attempt in range(BUSY_ATTEMPTS_MAX):
        try:
            answers = await desk.platform.send_usage(sends)
        except PlatformBusy as busy:
            circuit.failed(desk.clock())
            if isinstance(busy, PlatformClosed) or attempt == BUSY_ATTEMPTS_MAX - 1:
                _log.warning("the platform takes no usage", fault=str(busy), code=busy.code, request=busy.request_id)
                return None
            await asyncio.sleep(_pause(busy, attempt).total_seconds())
        except PlatformUnavailable as fault:
            circuit.failed(desk.clock())
            _log.warning("the platform does not answer", fault=str(fault), request=fault.request_id)
            return None
        else:
            if all(one.outcome == "unknown" for one in answers):
                circuit.failed(desk.clock())
            else:
                circuit.answered()
            return answers
    return None


def _pause(busy: PlatformBusy, attempt: int) -> timedelta:
    """At least as long as the platform asks for, else twice as long each time; bounded, with jitter."""
    told = busy.retry_after_seconds
    pause = BUSY_PAUSE * 2**attempt if told is None else timedelta(seconds=told)
    return min(pause, BUSY_PAUSE_MAX) * random.uniform(1, 1.5)  # noqa: S311 - jitter keeps no secret


def new_memory(platform: str) -> Memory:
    """What a worker that knows nothing yet remembers."""
    return Memory(SendingState(platform))
