"""The command that tells an account's past usage by hand: first the decision, then the usage that it caused."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ledger.commands.usage import conflict_row, new_usage
from ledger.domain.audit_events import UsageBackfilled
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import UsageRecorded
from ledger.domain.mending import BACKFILL_REASONS, require_reason
from ledger.domain.metadata import Metadata
from ledger.domain.names import backfill_stream
from ledger.domain.refusals import AccountUnknown, UsageUnreadable, VersionTaken
from ledger.domain.topics import encode
from ledger.event_log import EventLog
from ledger.log_rows import NewEvent


class BackfillUsage(NamedTuple):
    """Tell past usage of an account, and why."""

    account: str
    told: Sequence[UsageRecorded | UsageUnreadable]
    reason: str
    note: str = ""


class Announced(NamedTuple):
    """`position` of the decision, None where nothing would be new; and the usage to record with it as its cause."""

    position: int | None
    told: list[UsageRecorded | UsageUnreadable]


async def announce_backfill(
    log: EventLog, catalogue: Catalogue, command: BackfillUsage, *, now: datetime, metadata: Metadata
) -> Announced:
    """Say in the log that usage will follow, unless the log has it all. What another account used is turned down.

    Safe to repeat: the same usage is announced once, also where a crash kept some of it from following. Raises
    `ReasonInvalid`, `AccountUnknown`, `LedgerBusy`, `LedgerUnavailable`.
    """
    require_reason(command.reason, BACKFILL_REASONS)
    if command.account not in catalogue.accounts:
        raise AccountUnknown(account=command.account[:256])
    told = [_within(catalogue, command.account, one) for one in command.told]
    rows: dict[tuple[bytes, int], NewEvent] = {}
    for usage in told:
        if isinstance(usage, UsageRecorded):
            row = new_usage(usage, b"")
            rows.setdefault(row.key, row)
    fresh = await _fresh(log, list(rows.values()))
    if not fresh:
        return Announced(None, told)
    event = UsageBackfilled(
        account=command.account,
        count=len(fresh),
        since=min(row.occurred_at for row in fresh),
        until=max(row.occurred_at for row in fresh),
        reason=command.reason,
        note=command.note,
    )
    digest = hashlib.sha256(b"".join(row.originator_id + row.state for _, row in sorted(rows.items())))
    stream = backfill_stream(command.account, digest.hexdigest())
    before = await log.stream(stream)
    if not before:
        try:
            decided = NewEvent(stream, 1, event.TOPIC, command.account, now, encode(event), metadata.encode())
            return Announced((await log.append([decided])).position, told)
        except VersionTaken:
            before = await log.stream(stream)
    return Announced(before[0].position, told)


def _within(
    catalogue: Catalogue, account: str, usage: UsageRecorded | UsageUnreadable
) -> UsageRecorded | UsageUnreadable:
    if isinstance(usage, UsageUnreadable):
        return usage
    if catalogue.names.get(usage.subject) != account:
        return UsageUnreadable(why="its subject is not the account that is backfilled")
    try:
        new_usage(usage, b"")
    except UsageUnreadable as refusal:
        return refusal
    return usage


async def _fresh(log: EventLog, rows: Sequence[NewEvent]) -> list[NewEvent]:
    """Those of some rows of usage that the log would store: new ones, and new conflicts with what it has."""
    taken = await log.taken(rows)
    conflicts: dict[tuple[bytes, int], NewEvent] = {}
    fresh = [row for row in rows if row.key not in taken]
    for row in rows:
        if row.key in taken:
            first = taken[row.key]
            conflict = conflict_row(first.position, first.state, row)
            if conflict is not None:
                conflicts[conflict.key] = conflict
    known = await log.taken(list(conflicts.values()))
    return fresh + [conflict for key, conflict in conflicts.items() if key not in known]
