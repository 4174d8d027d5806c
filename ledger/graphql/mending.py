"""The mutations that put usage right by hand: what is held, what counts, and what was never told."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import strawberry

from ledger.commands import mending
from ledger.domain.mending import DismissUsage, MendUsage
from ledger.domain.refusals import (
    AccountUnknown,
    NameInvalid,
    ReasonInvalid,
    UsageHeld,
    UsageNotHeld,
    UsageSettledAlready,
    UsageUnknown,
    UsageUnreadable,
)
from ledger.graphql.access import Needs
from ledger.graphql.context import Context, Info
from ledger.graphql.fields import field
from ledger.graphql.held import UsageCorrection, bounded, require_own
from ledger.graphql.recording import Backfill, BackfillReceipt, UsageEventInput, backfill
from ledger.graphql.refusals import COMMON
from ledger.graphql.scalars import Position

SETTLING: Final = (UsageUnknown, UsageSettledAlready, ReasonInvalid, *COMMON)
"""What a decision on a usage event may be refused for."""


@strawberry.type(description="A decision on held usage.")
class HeldUsageDecision:
    """`position` is of the decision."""

    position: Position


@strawberry.type(description="A decision on usage that counted.")
class UsageDecision:
    """`position` is of the decision: from there on the event at `supersedes` counts no more. It stays in the log."""

    position: Position
    supersedes: Position


@strawberry.type
class MendingMutation:
    """The part of the mutations that puts usage right."""

    @field(
        "Put right a held event; it then counts with its original time unless that is corrected too.",
        needs=Needs("mend_usage"),
        refuses=(UsageNotHeld, NameInvalid, UsageUnreadable, *SETTLING),
    )
    async def mend_held_usage(
        self, info: Info, position: Position, correction: UsageCorrection, reason: str, note: str = ""
    ) -> HeldUsageDecision:
        """What was told first stays in the log."""
        command = correction.command(position, reason, note)
        decided = await _decided(info.context, mending.mend_usage, command, subject=command.subject)
        return HeldUsageDecision(position=decided)

    @field(
        "Decide that a held event shall never count.",
        needs=Needs("mend_usage"),
        refuses=(UsageNotHeld, *SETTLING),
    )
    async def dismiss_held_usage(
        self, info: Info, position: Position, reason: str, note: str = ""
    ) -> HeldUsageDecision:
        """What was told stays in the log."""
        command = DismissUsage(position, reason, bounded(note))
        return HeldUsageDecision(position=await _decided(info.context, mending.dismiss_usage, command, subject=None))

    @field(
        "Put right an event that counts: other content counts in its place.",
        needs=Needs("mend_usage"),
        refuses=(UsageHeld, NameInvalid, UsageUnreadable, *SETTLING),
    )
    async def amend_usage(
        self, info: Info, position: Position, correction: UsageCorrection, reason: str, note: str = ""
    ) -> UsageDecision:
        """What was told stays in the log, and closed periods stay as they were billed."""
        command = correction.command(position, reason, note)
        decided = await _decided(info.context, mending.amend_usage, command, subject=command.subject)
        return UsageDecision(position=decided, supersedes=position)

    @field(
        "Decide that an event that counts shall count no more.",
        needs=Needs("mend_usage"),
        refuses=(UsageHeld, *SETTLING),
    )
    async def void_usage(self, info: Info, position: Position, reason: str, note: str = "") -> UsageDecision:
        """What was told stays in the log, and closed periods stay as they were billed."""
        command = DismissUsage(position, reason, bounded(note))
        decided = await _decided(info.context, mending.void_usage, command, subject=None)
        return UsageDecision(position=decided, supersedes=position)

    @field(
        "Tell past usage of an account by hand, and why: at most 1,000 events, each with its own fate.",
        needs=Needs("mend_usage", account="account"),
        refuses=(AccountUnknown, ReasonInvalid, *COMMON),
    )
    async def backfill_usage(
        self, info: Info, account: str, events: list[UsageEventInput], reason: str, note: str = ""
    ) -> BackfillReceipt:
        """Safe to repeat: what is in the log already is not stored again."""
        return await backfill(info.context, Backfill(account, events, reason, bounded(note)))


async def _decided(
    context: Context, decide: Callable[..., Awaitable[int]], command: MendUsage | DismissUsage, *, subject: str | None
) -> Position:
    """Carry out a command on the event at its position, which may be told for `subject` from then on."""
    await require_own(context, command.position, subject=subject)
    await context.follower.refresh()
    now = datetime.now(UTC)
    position = await decide(context.log, context.catalogue, command, now=now, metadata=context.metadata)
    await context.follower.refresh()
    return Position(position)
