"""Records usage: every event of a request gets a fate, never all or nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from ledger.domain.catalogue import Catalogue
from ledger.domain.events import UsageConflicted, UsageRecorded, encode
from ledger.domain.names import stream_id, usage_stream
from ledger.domain.refusals import UsageUnreadable
from ledger.domain.usage import conflict_of
from ledger.event_log import Appended, EventLog
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
    readable = [usage for usage in told if isinstance(usage, UsageRecorded)]
    events = [new_usage(usage, metadata) for usage in readable]
    appended = await log.append_new(events, _conflict)
    exceptions = [
        Fate(index, "refused", None, None, usage.code, usage.message)
        for index, usage in enumerate(told)
        if isinstance(usage, UsageUnreadable)
    ]
    indices = range(len(told)) if not exceptions else _indices(told)
    for number, usage in enumerate(readable):
        fate = _fate(catalogue, usage, indices[number], number, appended, now)
        if fate is not None:
            exceptions.append(fate)
    if len(exceptions) > 1:
        exceptions.sort(key=lambda fate: fate.index)
    return Receipt(appended.position, len(events) - len(appended.repeats), exceptions, appended.positions)


def new_usage(usage: UsageRecorded, metadata: bytes) -> NewEvent:
    """The row of a usage event: the only one of its stream, which its source and id name."""
    stream = usage_stream(usage.source, usage.id)
    return NewEvent(stream, 1, usage.TOPIC, usage.subject, usage.time, encode(usage), metadata)


def _indices(told: Sequence[UsageRecorded | UsageUnreadable]) -> list[int]:
    return [index for index, usage in enumerate(told) if isinstance(usage, UsageRecorded)]


def _fate(
    catalogue: Catalogue, usage: UsageRecorded, index: int, number: int, appended: Appended, now: datetime
) -> Fate | None:
    """What a caller should know of a readable event beyond that it is stored; None where that is all."""
    if number in appended.conflicts:
        message = "its source and id were told before, with other content; both are kept and a person decides"
        return Fate(index, "held", appended.positions[number], usage.id, "key_conflict", message)
    if number in appended.repeats:
        return Fate(index, "duplicate", appended.positions[number], usage.id)
    held = catalogue.assess(usage, now).held
    if held:
        return Fate(index, "held", appended.positions[number], usage.id, held[0].code, held[0].message)
    return None


def _conflict(first_position: int, first_state: bytes, repeat: NewEvent) -> NewEvent | None:
    """The conflict's row. Its stream is named by the content too, so telling the same conflict again adds nothing."""
    conflict = conflict_of(first_position, first_state, repeat.state)
    if conflict is None:
        return None
    stream = stream_id("", "conflict", conflict.source, conflict.id, repeat.state.decode())
    return repeat._replace(originator_id=stream, topic=UsageConflicted.TOPIC, state=encode(conflict))
