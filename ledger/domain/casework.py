"""Cases as they are worked on: found by reconciliation runs, assigned, commented, resolved, reopened, settled.

Runs alone open and settle: a case is settled when the numbers agree, whatever people decided, and never before.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, assert_never

from ledger.domain.adjustment_events import LEDGER, AdjustmentKind
from ledger.domain.adjustments import Adjustments, Rules, is_same_person
from ledger.domain.case_events import (
    CaseAction,
    CaseAssigned,
    CaseChoice,
    CaseCommented,
    CaseEvent,
    CaseOpened,
    CaseReassessed,
    CaseReopened,
    CaseResolved,
    CaseSettled,
)
from ledger.domain.case_refusals import CaseInvalid, CaseNotOpen, CaseNotResolved, CaseTooLong, CaseUnknown
from ledger.domain.cases import Case, covers, key_of
from ledger.domain.names import require_name
from ledger.domain.reconciliation_facts import Difference
from ledger.domain.refusals import ReasonInvalid

EVENTS_MAX: Final = 5_000
"""Of one case: then people cannot add to it, and runs tell only what changes where it stands."""
COMMENT_LENGTH_MAX: Final = 2_000
POSITIONS_MAX: Final = 1_000
"""How many usage events one decision may resend or cancel."""
AWAITED_FOR: Final = timedelta(days=3)
"""How long the numbers may take to agree after a decision that shall make them: sums of platforms lag."""

ADJUSTING: Final[Mapping[CaseChoice, AdjustmentKind]] = {
    "credit": "credit",
    "adjust_usage": "usage",
    "write_off": "write_off",
}
"""The decisions that propose an adjustment, and its kind."""
SENDING: Final[frozenset[CaseChoice]] = frozenset({"resend", "cancel"})
"""The decisions that tell the platform something."""
AWAITED: Final[frozenset[CaseChoice]] = SENDING | {"adjust_usage"}
"""The decisions after which the numbers must agree."""


class ObserveDifference(NamedTuple):
    """Tell the case of a difference what a run found."""

    run: str
    difference: Difference

    @property
    def case(self) -> str:
        """The key of the case."""
        return key_of(self.difference)


class ObserveAgreement(NamedTuple):
    """Tell a case that a run found its numbers in agreement."""

    run: str
    case: str


class AssignCase(NamedTuple):
    """Let somebody look into a case, or nobody."""

    case: str
    assignee: str | None
    person: str


class CommentCase(NamedTuple):
    """Write something down about a case."""

    case: str
    comment: str
    person: str


class ResolveCase(NamedTuple):
    """Decide what becomes of a difference; `action` is what a decision that acts brought about."""

    case: str
    decision: CaseChoice
    reason: str
    comment: str
    person: str
    action: CaseAction | None = None


class ReopenCase(NamedTuple):
    """Look into a resolved case again."""

    case: str
    comment: str
    person: str


PersonsCommand = AssignCase | CommentCase | ResolveCase | ReopenCase
CaseCommand = ObserveDifference | ObserveAgreement | PersonsCommand


def decide(state: Case | None, command: CaseCommand, *, now: datetime, rules: Rules) -> list[CaseEvent]:
    """The events that a command on a case leads to; none where it repeats what is so already.

    Raises `CaseUnknown`, `CaseTooLong`, `CaseNotOpen`, `CaseNotResolved`, `CaseInvalid`, `ReasonInvalid`,
    `NameInvalid`; for what a run observed nothing at all.
    """
    if isinstance(command, ObserveDifference):
        return _found(state, command, now)
    if isinstance(command, ObserveAgreement):
        is_over = state is None or state.is_settled
        return [] if is_over else [CaseSettled(case=command.case, run=command.run, settled_at=now)]
    if state is None:
        raise CaseUnknown(case=command.case[:256])
    if state.events >= EVENTS_MAX:
        raise CaseTooLong(case=state.case, count_max=EVENTS_MAX)
    match command:
        case AssignCase(case=case, assignee=assignee, person=person):
            return _assign(state, case, assignee, person)
        case CommentCase(case=case, comment=comment, person=person):
            _require_comment(case, comment)
            return [CaseCommented(case=case, comment=comment, commented_by=person)]
        case ResolveCase():
            return _resolve(state, command, now, rules)
        case ReopenCase(case=case, comment=comment, person=person):
            if state.state != "resolved":
                raise CaseNotResolved(case=case, state=state.state)
            _require_comment(case, comment)
            return [CaseReopened(case=case, comment=comment, reopened_by=person, reopened_at=now)]
        case _:
            assert_never(command)


def check_adjustment(known: Adjustments, command: ResolveCase) -> None:
    """Raise `CaseInvalid` unless the adjustment that the decision names is there, of its kind, and rests on the case.

    `known` are the account's adjustments.
    """
    action = command.action
    if action is None or action.adjustment is None:
        return
    found = known.get(action.adjustment)
    if found is None:
        raise CaseInvalid(case=command.case, why=f"its account has no adjustment {action.adjustment[:64]}")
    if found.adjustment.kind != ADJUSTING.get(command.decision):
        raise CaseInvalid(case=command.case, why=f"the adjustment {action.adjustment} is of another kind")
    if not any(one.kind == "case" and one.reference == command.case for one in found.adjustment.evidence):
        raise CaseInvalid(case=command.case, why=f"the adjustment {action.adjustment} does not rest on it")


def _found(state: Case | None, command: ObserveDifference, now: datetime) -> list[CaseEvent]:
    run, difference = command
    case = command.case
    if state is None:
        return [CaseOpened(case=case, run=run, difference=difference, opened_at=now)]
    why = _parting(state, difference, now)
    if why is not None:
        return [
            CaseReopened(
                case=case,
                comment=why,
                reopened_by=LEDGER,
                run=run,
                difference=difference,
                reopened_at=now,
            )
        ]
    if difference == state.difference or state.events >= EVENTS_MAX:
        return []
    return [CaseReassessed(case=case, run=run, difference=difference, reassessed_at=now)]


def _parting(state: Case, difference: Difference, now: datetime) -> str | None:
    """Why the difference makes a case that was over one that is not; None where it does not."""
    if state.is_settled:
        return "the numbers part again"
    if state.resolution is None:
        return None
    assert state.resolved_difference is not None, "a resolution is of a difference"
    if not covers(state.resolved_difference, difference):
        return "the numbers part further than when it was resolved"
    if state.resolution.decision in AWAITED and now - state.resolution.resolved_at > AWAITED_FOR:
        return f"the numbers still part {AWAITED_FOR.days} days after what should have made them agree"
    return None


def _assign(state: Case, case: str, assignee: str | None, person: str) -> list[CaseEvent]:
    _require_open(state)
    if assignee is not None:
        require_name(assignee, "an assignee")
    if assignee == state.assignee:
        return []
    return [CaseAssigned(case=case, assignee=assignee, assigned_by=person)]


def _resolve(state: Case, command: ResolveCase, now: datetime, rules: Rules) -> list[CaseEvent]:
    case, decision, reason, comment, person, action = command
    if state.state == "resolved" and _is_repeated(state, command):
        return []
    _require_open(state)
    good = rules.reasons_for("resolution")
    if reason not in good:
        raise ReasonInvalid(reason=reason[:256], reasons=", ".join(good) or "none yet: add some")
    _require_comment(case, comment)
    _require_action(case, decision, action)
    return [
        CaseResolved(
            case=case,
            decision=decision,
            reason=reason,
            comment=comment,
            resolved_by=person,
            resolved_at=now,
            action=action,
        )
    ]


def _is_repeated(state: Case, command: ResolveCase) -> bool:
    made = state.resolution
    assert made is not None, "the case is resolved"
    told = (command.decision, command.reason, command.comment, command.action)
    is_same = (made.decision, made.reason, made.comment, made.action) == told
    return is_same and is_same_person(made.resolved_by, command.person)


def _require_action(case: str, decision: CaseChoice, action: CaseAction | None) -> None:
    adjustment = None if action is None else action.adjustment
    positions: Collection[int] = () if action is None else action.positions
    if (adjustment is not None) != (decision in ADJUSTING):
        needs = "needs an adjustment" if decision in ADJUSTING else "makes no adjustment"
        raise CaseInvalid(case=case, why=f"the decision {decision} {needs}")
    if bool(positions) != (decision in SENDING):
        needs = "needs the positions of usage" if decision in SENDING else "sends nothing"
        raise CaseInvalid(case=case, why=f"the decision {decision} {needs}")
    if len(positions) > POSITIONS_MAX:
        raise CaseInvalid(case=case, why=f"at most {POSITIONS_MAX} usage events are sent by one decision")


def _require_open(state: Case) -> None:
    if state.state in ("resolved", "settled"):
        raise CaseNotOpen(case=state.case, state=state.state)


def _require_comment(case: str, comment: str) -> None:
    if not comment.strip() or len(comment) > COMMENT_LENGTH_MAX or "\0" in comment:
        raise CaseInvalid(case=case, why=f"say why, in at most {COMMENT_LENGTH_MAX} characters, none of them NUL")
