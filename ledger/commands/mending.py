"""Commands that put usage right: what is held is mended or dismissed, what counts is amended or voided."""

from datetime import datetime
from typing import NamedTuple, cast

from ledger.domain.catalogue import Catalogue
from ledger.domain.events import UsageConflicted, UsageDismissed, UsageMended, UsageRecorded
from ledger.domain.mending import (
    SETTLED_BY_MENDING,
    DismissUsage,
    MendUsage,
    effective_position,
    is_same_usage,
    mended,
    require_reason,
)
from ledger.domain.metadata import Metadata
from ledger.domain.names import require_name, usage_stream
from ledger.domain.refusals import ArgumentInvalid, UsageHeld, UsageNotHeld, UsageSettledAlready, UsageUnknown
from ledger.domain.topics import decode, encode
from ledger.domain.usage import UsageEvent, utc
from ledger.event_log import EventLog
from ledger.log_rows import NewEvent


class _Told(NamedTuple):
    """A usage event of the log, and the stream it stands in with the version that a decision on it takes."""

    position: int
    subject: str
    usage: UsageEvent
    recorded_at: datetime
    stream: bytes
    version: int


async def mend_usage(
    log: EventLog, catalogue: Catalogue, command: MendUsage, *, now: datetime, metadata: Metadata
) -> int:
    """Count other content in place of a held event and return the position from which it does.

    The content of a conflict takes the place of the first telling. `catalogue` must include every decision so far.
    Raises `UsageUnknown`, `UsageNotHeld`, `UsageSettledAlready`, `ReasonInvalid`, `NameInvalid`, `VersionTaken`.
    """
    command = _checked(command)
    told = await _held(log, catalogue, command.position)
    if not isinstance(told.usage, UsageConflicted):
        event = mended(command, told.usage, [told.position])
        return (await log.append([_row(event, told.stream, told.version, event.subject, now, metadata)])).position
    first = usage_stream(told.usage.source, told.usage.id)
    past = [(row.position, decode(row.topic, row.state)) for row in await log.stream(first)]
    standing = effective_position(cast("list[tuple[int, UsageRecorded | UsageMended | UsageDismissed]]", past))
    event = mended(command, told.usage, [] if standing is None else [standing])
    settled = UsageDismissed(supersedes=(told.position,), reason=SETTLED_BY_MENDING, note=command.note)
    rows = [
        _row(event, first, len(past) + 1, event.subject, now, metadata),
        _row(settled, told.stream, told.version, told.subject, now, metadata),
    ]
    return (await log.append(rows)).position


async def dismiss_usage(
    log: EventLog, catalogue: Catalogue, command: DismissUsage, *, now: datetime, metadata: Metadata
) -> int:
    """Never count a held event; refusals as those of `mend_usage`."""
    require_reason(command.reason)
    told = await _held(log, catalogue, command.position)
    event = UsageDismissed(supersedes=(told.position,), reason=command.reason, note=command.note)
    return (await log.append([_row(event, told.stream, told.version, told.subject, now, metadata)])).position


async def amend_usage(
    log: EventLog, catalogue: Catalogue, command: MendUsage, *, now: datetime, metadata: Metadata
) -> int:
    """Count other content in place of an event that counts and return the position from which it does.

    The event that was told stays. Raises `UsageHeld`, `ArgumentInvalid` for a correction that corrects nothing, and
    else as `mend_usage`.
    """
    command = _checked(command)
    told = await _counting(log, catalogue, command.position)
    event = mended(command, told.usage, [told.position])
    if is_same_usage(event, told.usage):
        raise ArgumentInvalid(argument="correction", why="it leaves the event as it is")
    return (await log.append([_row(event, told.stream, told.version, event.subject, now, metadata)])).position


async def void_usage(
    log: EventLog, catalogue: Catalogue, command: DismissUsage, *, now: datetime, metadata: Metadata
) -> int:
    """Count an event that counts no more; refusals as those of `amend_usage`."""
    require_reason(command.reason)
    told = await _counting(log, catalogue, command.position)
    event = UsageDismissed(supersedes=(told.position,), reason=command.reason, note=command.note)
    return (await log.append([_row(event, told.stream, told.version, told.subject, now, metadata)])).position


def _checked(command: MendUsage) -> MendUsage:
    """The command with its time in UTC; raises what `mend_usage` raises of reasons, names and times."""
    require_reason(command.reason)
    for name, what in ((command.subject, "an account"), (command.event_type, "an event type")):
        if name is not None:
            require_name(name, what)
    return command if command.time is None else command._replace(time=utc(command.time))


async def _held(log: EventLog, catalogue: Catalogue, position: int) -> _Told:
    told = await _standing(log, position)
    if not catalogue.assess(told.usage, told.recorded_at).held:
        raise UsageNotHeld(position=position)
    return told


async def _counting(log: EventLog, catalogue: Catalogue, position: int) -> _Told:
    """The event at a position, unless nothing of it counts because it is held; what meters filter out may be told
    anew, as nothing holds it.
    """
    told = await _standing(log, position)
    assessment = catalogue.assess(told.usage, told.recorded_at)
    if assessment.held and not assessment.counted:
        raise UsageHeld(position=position)
    return told


async def _standing(log: EventLog, position: int) -> _Told:
    """The usage event at a position, unless it was mended or dismissed."""
    rows = await log.page(after=position - 1, before=position + 1, limit=1)
    if not rows or rows[0]["topic"] not in (UsageRecorded.TOPIC, UsageConflicted.TOPIC, UsageMended.TOPIC):
        raise UsageUnknown(position=position)
    row = rows[0]
    usage = cast("UsageEvent", decode(row["topic"], row["state"]))
    stream = row["originator_id"].bytes
    # What settles an event stands in its own stream: who reads its end and takes the next version decides alone.
    past = await log.stream(stream)
    for later in past:
        event = decode(later.topic, later.state)
        if isinstance(event, UsageMended | UsageDismissed) and position in event.supersedes:
            raise UsageSettledAlready(position=position, settled_by=later.position)
    return _Told(position, row["account"], usage, row["recorded_at"], stream, len(past) + 1)


def _row(
    event: UsageMended | UsageDismissed, stream: bytes, version: int, account: str, now: datetime, metadata: Metadata
) -> NewEvent:
    return NewEvent(stream, version, event.TOPIC, account, now, encode(event), metadata.encode())
