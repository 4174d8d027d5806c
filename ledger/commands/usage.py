"""Records usage: every event of a request gets a fate, never all or nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from ledger.domain.catalogue import Catalogue
from ledger.domain.events import UsageConflicted, UsageRecorded
from ledger.domain.names import stream_id, usage_stream
from ledger.domain.refusals import UsageUnreadable
from ledger.domain.topics import encode
from ledger.domain.usage import EVENT_BYTES_MAX, conflict_of
from ledger.event_log import EventLog
from ledger.log_plan import Appended
from ledger.log_rows import NewEvent


class Fate(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of the event at `index` of a request.

    `stored`: it is in the log and counts. `duplicate`: the log had it already, at `position`. `held`: it is in the
    log and does not count for now, for the reason `code`. `refused`: it is not in the log; the caller keeps it.
    """

    index: int
    fate: Literal["stored", "duplicate", "held", "refused"]
    position: int | None = None
    id: str | None = None
    code: str | None = None
    message: str | None = None


class Receipt(NamedTuple):
    """The answer to a request: the highest position it touched, how many events are new, and who is not `stored`."""

    position: int
    stored: int
    exceptions: list[Fate]
    positions: Sequence[int]


async def record_usage(
    log: EventLog,
    catalogue: Catalogue,
    told: Sequence[UsageRecorded | UsageUnreadable],
    *,
    now: datetime,
    metadata: bytes,
) -> Receipt:
    """Store the readable events once each, durably, and tell the fate of all.

    `catalogue` is the newest at hand; what it says of held is for the caller, the held read model is the truth.
    Raises `LedgerBusy`, `LedgerUnavailable`.
    """
    events: list[NewEvent] = []
    readable: list[tuple[int, UsageRecorded]] = []
    exceptions: list[Fate] = []
    for index, usage in enumerate(told):
        if isinstance(usage, UsageUnreadable):
            exceptions.append(Fate(index, "refused", code=usage.code, message=usage.message))
            continue
        try:
            events.append(new_usage(usage, metadata))
        except UsageUnreadable as refusal:
            exceptions.append(Fate(index, "refused", code=refusal.code, message=refusal.message))
        else:
            readable.append((index, usage))
    appended = await log.append_new(events, conflict_row)
    for number, (index, usage) in enumerate(readable):
        fate = _fate(catalogue, usage, index, number, appended, now)
        if fate is not None:
            exceptions.append(fate)
    exceptions.sort(key=lambda fate: fate.index)
    return Receipt(appended.position, len(events) - len(appended.repeats), exceptions, appended.positions)


def new_usage(usage: UsageRecorded, metadata: bytes) -> NewEvent:
    """The row of a usage event, the only one of its stream; raises `UsageUnreadable` for one that is too large."""
    state = encode(usage)
    if len(state) > EVENT_BYTES_MAX:
        raise UsageUnreadable(why=f"it is larger than {EVENT_BYTES_MAX} bytes")
    stream = usage_stream(usage.source, usage.id)
    return NewEvent(stream, 1, usage.TOPIC, usage.subject, usage.time, state, metadata)


def _fate(
    catalogue: Catalogue, usage: UsageRecorded, index: int, number: int, appended: Appended, now: datetime
) -> Fate | None:
    """What a caller should know of a readable event beyond that it is stored; None where that is all."""
    if number in appended.conflicts:
        message = "its source and id were told before, with other content; both are kept and a person decides"
        return Fate(index, "held", appended.positions[number], usage.id, "key_conflict", message)
    if number in appended.repeats:
        return Fate(index, "duplicate", appended.positions[number], usage.id)
    held = None if catalogue.surely_not_held(usage, now) else catalogue.assess(usage, now).held
    if held:
        return Fate(index, "held", appended.positions[number], usage.id, held[0].code, held[0].message)
    return None


def conflict_row(first_position: int, first_state: bytes, repeat: NewEvent) -> NewEvent | None:
    """The conflict's row; None where the repeat has the same content.

    Its stream is named by the content too, so telling the same conflict again adds nothing.
    """
    conflict = conflict_of(first_position, first_state, repeat.state)
    if conflict is None:
        return None
    stream = stream_id("", "conflict", conflict.source, conflict.id, repeat.state.decode())
    return repeat._replace(originator_id=stream, topic=UsageConflicted.TOPIC, state=encode(conflict))
