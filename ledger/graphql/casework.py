"""The mutations on cases: who looks into one, what they find, and what becomes of the difference."""

import dataclasses
from datetime import UTC, datetime
from typing import Final

import strawberry

from ledger.commands.cases import change_case, find_case
from ledger.domain.adjustment_refusals import PersonRequired
from ledger.domain.case_events import CaseAction
from ledger.domain.case_refusals import CaseInvalid, CaseNotOpen, CaseNotResolved, CaseTooLong, CaseUnknown
from ledger.domain.cases import Case as Found
from ledger.domain.casework import ADJUSTING, AssignCase, CommentCase, PersonsCommand, ReopenCase, ResolveCase, decide
from ledger.domain.refusals import NameInvalid, ReasonInvalid
from ledger.graphql.access import Needs, require
from ledger.graphql.adjusting import PROPOSING, propose
from ledger.graphql.adjustment_inputs import AdjustmentEvidenceInput, AdjustmentInput, person_of
from ledger.graphql.adjustments import EvidenceKind
from ledger.graphql.cases import Case, CaseChoice, visible_case
from ledger.graphql.context import Context, Info
from ledger.graphql.fields import field
from ledger.graphql.refusals import COMMON
from ledger.graphql.scalars import Position

WORKING: Final = (PersonRequired, CaseUnknown, CaseTooLong, CaseInvalid, *COMMON)
"""What any work on a case may be refused for."""


@strawberry.type(description="A case as it is after a decision.")
class CaseDecision:
    """`position` is of the decision, or of the last one where this changed nothing."""

    position: Position
    case: Case


@strawberry.type
class CaseMutation:
    """The part of the mutations that is about cases."""

    @field(
        "Let somebody look into a case, or nobody where `assignee` is null.",
        needs=Needs("work_cases"),
        refuses=(CaseNotOpen, NameInvalid, *WORKING),
    )
    async def assign_case(self, info: Info, key: str, assignee: str | None = None) -> CaseDecision:
        """It is INVESTIGATING then, or OPEN again."""
        return await _work(info.context, AssignCase(key, assignee, person_of(info.context)))

    @field("Write something down about a case.", needs=Needs("work_cases"), refuses=(*WORKING,))
    async def comment_case(self, info: Info, key: str, comment: str) -> CaseDecision:
        """Whatever state it is in. Told twice it is there twice."""
        return await _work(info.context, CommentCase(key, comment, person_of(info.context)))

    @field(
        "Decide what becomes of the difference of a case, for a reason code that is good for a RESOLUTION.",
        needs=Needs("work_cases"),
        refuses=(CaseNotOpen, ReasonInvalid, *WORKING, *PROPOSING),
    )
    async def resolve_case(
        self,
        info: Info,
        key: str,
        decision: CaseChoice,
        reason: str,
        comment: str,
        adjustment: AdjustmentInput | None = None,
    ) -> CaseDecision:
        """CREDIT, ADJUST_USAGE and WRITE_OFF propose the adjustment, which rests on the case: others decide on it."""
        person = person_of(info.context)
        command = ResolveCase(key, decision.value, reason, comment, person)
        if adjustment is not None:
            action = await _adjust(info.context, command, adjustment)
            command = command._replace(action=action)
        return await _work(info.context, command)

    @field("Look into a resolved case again.", needs=Needs("work_cases"), refuses=(CaseNotResolved, *WORKING))
    async def reopen_case(self, info: Info, key: str, comment: str) -> CaseDecision:
        """What the decision brought about stays."""
        return await _work(info.context, ReopenCase(key, comment, person_of(info.context)))


async def _adjust(context: Context, command: ResolveCase, told: AdjustmentInput) -> CaseAction:
    """Propose the adjustment of a decision, with the case as evidence; repeated, it is the one that is there.

    It is proposed before the case is resolved: a process that dies in between leaves a proposal that names the case,
    and the decision may be told again.
    """
    require(context.key, "propose_adjustments")
    found = await _visible(context, command.case)
    account = found.difference.account
    if account is None:
        raise CaseInvalid(case=command.case, why="it is no account's, so there is nothing to adjust")
    if told.kind.value != ADJUSTING.get(command.decision):
        raise CaseInvalid(case=command.case, why=f"the decision {command.decision} makes no such adjustment")
    action = CaseAction(adjustment=told.key)
    await context.follower.refresh()
    # Whatever speaks against the decision is found before anything is proposed for it.
    decide(found, command._replace(action=action), now=datetime.now(UTC), rules=context.catalogue.rules)
    evidence = AdjustmentEvidenceInput(kind=EvidenceKind.CASE, reference=command.case)
    await propose(context, account, dataclasses.replace(told, evidence=[*told.evidence, evidence]), None)
    return action


async def _work(context: Context, command: PersonsCommand) -> CaseDecision:
    await context.follower.refresh()
    await _visible(context, command.case)
    now = datetime.now(UTC)
    position = await change_case(context.log, context.catalogue, command, now=now, metadata=context.metadata)
    found = await find_case(context.log, command.case)
    assert found is not None, "what was changed is there"
    return CaseDecision(position=Position(position), case=Case.of(found))


async def _visible(context: Context, key: str) -> Found:
    found = await visible_case(context, key)
    if found is None:
        raise CaseUnknown(case=key[:256])
    return found
