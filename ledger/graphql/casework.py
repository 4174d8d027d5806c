"""The mutations on cases: who looks into one, what they find, and what becomes of the difference."""

from datetime import UTC, datetime
from typing import Final

import strawberry

from ledger.commands.cases import change_case, find_case
from ledger.domain.adjustment_refusals import PersonRequired
from ledger.domain.case_refusals import CaseInvalid, CaseNotOpen, CaseNotResolved, CaseTooLong, CaseUnknown
from ledger.domain.cases import Case as Found
from ledger.domain.casework import AssignCase, CommentCase, PersonsCommand, ReopenCase, ResolveCase
from ledger.domain.refusals import NameInvalid, ReasonInvalid, UsageUnknown
from ledger.domain.send_refusals import SendNotCancellable, SendNotRepeatable, SendUnknown
from ledger.graphql.access import Needs
from ledger.graphql.adjusting import PROPOSING
from ledger.graphql.adjustment_inputs import AdjustmentInput, person_of
from ledger.graphql.case_actions import act
from ledger.graphql.cases import Case, CaseChoice, visible_case
from ledger.graphql.context import Context, Info
from ledger.graphql.fields import field
from ledger.graphql.refusals import COMMON
from ledger.graphql.scalars import Position

CANCELLING: Final = (SendUnknown, SendNotCancellable)
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
        refuses=(CaseNotOpen, ReasonInvalid, *WORKING, *PROPOSING, UsageUnknown, SendNotRepeatable, *CANCELLING),
    )
    async def resolve_case(
        self,
        info: Info,
        key: str,
        decision: CaseChoice,
        reason: str,
        comment: str,
        adjustment: AdjustmentInput | None = None,
        positions: list[Position] | None = None,
    ) -> CaseDecision:
        """CREDIT, ADJUST_USAGE and WRITE_OFF propose the adjustment, which rests on the case: others decide on it.

        RESEND and CANCEL are of the usage events at `positions`, at most 100.
        """
        command = ResolveCase(key, decision.value, reason, comment, person_of(info.context))
        case = await _visible(info.context, key)
        acted = await act(info.context, case, command, adjustment=adjustment, positions=positions or ())
        return await _work(info.context, acted)

    @field("Look into a resolved case again.", needs=Needs("work_cases"), refuses=(CaseNotResolved, *WORKING))
    async def reopen_case(self, info: Info, key: str, comment: str) -> CaseDecision:
        """What the decision brought about stays."""
        return await _work(info.context, ReopenCase(key, comment, person_of(info.context)))


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
