"""What a decision on a case brings about before it is written down: an adjustment, or sends told again or cancelled.

In that order, because a decision says what was done. A process that dies in between leaves a proposal or sends, and
the decision is told again: what is on its way by then is left alone.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from ledger.commands import sending
from ledger.domain.case_events import CaseAction
from ledger.domain.case_refusals import CaseInvalid
from ledger.domain.cases import Case
from ledger.domain.casework import ADJUSTING, SENDING, ResolveCase, decide
from ledger.domain.events import UsageMended, UsageRecorded
from ledger.domain.send_refusals import SendNotCancellable
from ledger.domain.sends import Told
from ledger.domain.topics import decode
from ledger.graphql.access import require
from ledger.graphql.adjusting import propose
from ledger.graphql.adjustment_inputs import AdjustmentEvidenceInput, AdjustmentInput
from ledger.graphql.adjustments import EvidenceKind
from ledger.graphql.context import Context
from ledger.projections import sends
from ledger.projections.sends import SendRow
from ledger.projections.sends_fold import catch_up

POSITIONS_MAX: Final = 100
"""How many usage events are sent again or cancelled in one request."""


async def act(
    context: Context, case: Case, command: ResolveCase, *, adjustment: AdjustmentInput | None, positions: Sequence[int]
) -> ResolveCase:
    """The decision with what it brought about. Whatever speaks against the decision is found before anything is done.

    Raises `CaseInvalid`, `Forbidden`, what `decide` raises, and what proposals, resends and cancels may be refused for.
    """
    acted = command
    if adjustment is not None or positions:
        action = CaseAction(adjustment=None if adjustment is None else adjustment.key, positions=tuple(positions))
        acted = command._replace(action=action)
    await context.follower.refresh()
    is_new = decide(case, acted, now=datetime.now(UTC), rules=context.catalogue.rules)
    if is_new and adjustment is not None:
        await _adjust(context, case, command, adjustment)
    elif is_new and command.decision in SENDING:
        await _send(context, case, command, positions)
    return acted


async def _adjust(context: Context, case: Case, command: ResolveCase, told: AdjustmentInput) -> None:
    """Propose the adjustment of a decision, with the case as evidence; repeated, it is the one that is there."""
    require(context.key, "propose_adjustments")
    account = case.difference.account
    if account is None:
        raise CaseInvalid(case=case.case, why="it is no account's, so there is nothing to adjust")
    if told.kind.value != ADJUSTING.get(command.decision):
        raise CaseInvalid(case=case.case, why=f"the decision {command.decision} makes no such adjustment")
    evidence = AdjustmentEvidenceInput(kind=EvidenceKind.CASE, reference=case.case)
    await propose(context, account, dataclasses.replace(told, evidence=[*told.evidence, evidence]), None)


async def _send(context: Context, case: Case, command: ResolveCase, positions: Sequence[int]) -> None:
    """Let the usage at some positions be sent again, or what was sent of it be cancelled, by the rules of sends."""
    if len(positions) > POSITIONS_MAX or len(set(positions)) < len(positions):
        raise CaseInvalid(case=case.case, why=f"it takes the positions of at most {POSITIONS_MAX} events, each once")
    await _require_usage_of(context, case, positions)
    await catch_up(context.pool, context.log)
    for position in positions:
        if command.decision == "resend":
            await _resend(context, case, position)
        else:
            await _cancel(context, case, position)


async def _require_usage_of(context: Context, case: Case, positions: Sequence[int]) -> None:
    """Raise `CaseInvalid` unless the positions are those of usage of the case's account, in its period."""
    one = case.difference
    found = {row["position"]: row for row in await context.log.at(positions)}
    for position in positions:
        row = found.get(position)
        event = None if row is None else decode(row["topic"], row["state"])
        if not isinstance(event, UsageRecorded | UsageMended):
            raise CaseInvalid(case=case.case, why=f"there is no usage at the position {position}")
        owner = context.catalogue.account_of(event.subject)
        if owner is None or owner.key != one.account or not one.start <= event.time < one.end:
            why = f"the usage at the position {position} is of another account or period"
            raise CaseInvalid(case=case.case, why=why)


async def _resend(context: Context, case: Case, position: int) -> None:
    platform = case.difference.platform
    known = await sends.of_usage(context.pool, platform, [position])
    if any(row.told.state != "rejected" and row.intended_at > case.opened_at for row in known):
        return  # it was sent again since the case was opened
    await sending.resend_usage(
        context.pool,
        context.log,
        platform,
        position,
        _finding(context, lambda: sends.of_usage(context.pool, platform, [position])),
        now=datetime.now(UTC),
        metadata=context.metadata,
    )


async def _cancel(context: Context, case: Case, position: int) -> None:
    one = case.difference
    known = [
        row.told
        for row in await sends.of_usage(context.pool, one.platform, [position])
        if one.meter in (None, row.told.send.meter) and row.told.send.undoes is None
    ]
    counting = [told for told in known if told.cancel is None and told.state not in ("rejected", "cancelled")]
    if not counting and not any(told.cancel is not None for told in known):
        raise SendNotCancellable(identifier=f"of position {position}", why="nothing of it counts there")
    for told in counting:
        await sending.cancel_send(
            context.pool,
            context.log,
            one.platform,
            told.send.identifier,
            _finding(context, lambda: sends.by_identifier(context.pool, one.platform, [told.send.identifier])),  # noqa: B023 - called at once
            now=datetime.now(UTC),
            metadata=context.metadata,
        )


def _finding(context: Context, read: Callable[[], Awaitable[list[SendRow]]]) -> Callable[[], Awaitable[list[Told]]]:
    """Reads sends as they stand after whatever the log holds."""

    async def find() -> list[Told]:
        await catch_up(context.pool, context.log)
        return [row.told for row in await read()]

    return find
