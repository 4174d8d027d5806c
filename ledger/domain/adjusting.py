"""Adjustments as they are decided on: proposed, approved, rejected, withdrawn, reversed.

Nobody decides on what they proposed themselves, whichever of their keys they use, but within a limit that somebody
else set. What is approved within it counts together for 30 days, so that splitting an amount does not help.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, assert_never

import msgspec

from ledger.domain.adjustment_events import (
    LEDGER,
    Adjustment,
    AdjustmentApproved,
    AdjustmentEvent,
    AdjustmentKind,
    AdjustmentProposed,
    AdjustmentRejected,
    AdjustmentWithdrawn,
    Evidence,
    ReasonUse,
)
from ledger.domain.adjustment_refusals import (
    AdjustmentDecided,
    AdjustmentExists,
    AdjustmentExpired,
    AdjustmentInvalid,
    AdjustmentNotReversible,
    AdjustmentsTooMany,
    AdjustmentUnknown,
    EvidenceUnknown,
    FourEyes,
    ProposerRequired,
)
from ledger.domain.adjustments import Adjustments, Rules, Standing, is_same_person
from ledger.domain.money import Money
from ledger.domain.names import require_name
from ledger.domain.refusals import ReasonInvalid, VersionTaken

ADJUSTMENTS_MAX: Final = 2_000
"""Of one account."""
EVIDENCE_MAX: Final = 20
NOTE_LENGTH_MAX: Final = 2_000
EXPIRY_DEFAULT: Final = timedelta(days=14)
EXPIRY_MIN: Final = timedelta(hours=1)
EXPIRY_MAX: Final = timedelta(days=90)
LIMIT_WINDOW: Final = timedelta(days=30)
"""How long an automatic approval counts against the limit of who proposed it."""

OPPOSITE: Final[Mapping[AdjustmentKind, AdjustmentKind]] = {
    "credit": "debit",
    "write_off": "debit",
    "debit": "credit",
    "usage": "usage",
}


class Effect(NamedTuple):
    """What an adjustment would change of an invoice's subtotal.

    It `is_settled` where that is all it will ever do: for one in money, and for one of usage whose period has closed
    and which changes something. The same quantity may come to more once more is used.
    """

    money: Money
    is_settled: bool


class ProposeAdjustment(NamedTuple):
    """Ask for an adjustment, by a person in some roles.

    `effect` was worked out beside the account's adjustments `seen`; where they changed since, it must be again.
    """

    account: str
    adjustment: Adjustment
    person: str
    roles: tuple[str, ...]
    expires_at: datetime
    effect: Effect
    seen: Adjustments


class ApproveAdjustment(NamedTuple):
    """Let another person's adjustment hold."""

    account: str
    adjustment: str
    person: str
    note: str = ""


class RejectAdjustment(NamedTuple):
    """Turn another person's adjustment down."""

    account: str
    adjustment: str
    person: str
    reason: str
    note: str = ""


class WithdrawAdjustment(NamedTuple):
    """Take one's own adjustment back."""

    account: str
    adjustment: str
    person: str


AdjustmentCommand = ProposeAdjustment | ApproveAdjustment | RejectAdjustment | WithdrawAdjustment


def decide(
    state: Adjustments, command: AdjustmentCommand, *, now: datetime, rules: Rules, head: int
) -> list[AdjustmentEvent]:
    """The events that a command on an account's adjustments leads to; none where it repeats what is so already.

    `head` is the log's last position. Raises `AdjustmentUnknown`, `FourEyes`, `AdjustmentDecided`,
    `AdjustmentExpired`, `ReasonInvalid`, and what `_propose`, `_approve` and `_withdraw` raise.
    """
    match command:
        case ProposeAdjustment():
            return _propose(state, command, now, rules, head)
        case ApproveAdjustment():
            return _approve(state, command, now)
        case RejectAdjustment(account=account, adjustment=key, person=person, reason=reason, note=note):
            standing = _of_another(state, command)
            require_reason(rules, reason, "rejection")
            _require_note(key, note)
            rejected = AdjustmentRejected(account=account, adjustment=key, rejected_by=person, reason=reason, note=note)
            return _once(standing, rejected, now)
        case WithdrawAdjustment(account=account, adjustment=key, person=person):
            standing = _standing(state, account, key)
            if not is_same_person(person, standing.proposed.proposed_by):
                raise ProposerRequired(adjustment=key, proposed_by=standing.proposed.proposed_by)
            return _once(standing, AdjustmentWithdrawn(account=account, adjustment=key, withdrawn_by=person), now)
        case _:
            assert_never(command)


def opposite(
    state: Adjustments,
    account: str,
    reversed_key: str,
    *,
    key: str,
    reason: str,
    note: str,
    evidence: Sequence[Evidence],
) -> Adjustment:
    """The adjustment that undoes another one to the last cent and unit; raises `AdjustmentUnknown`."""
    undone = _standing(state, account, reversed_key).adjustment
    return msgspec.structs.replace(
        undone,
        adjustment=key,
        kind=OPPOSITE[undone.kind],
        reason=reason,
        note=note,
        quantity=None if undone.quantity is None else undone.quantity.copy_negate(),
        evidence=tuple(evidence),
        reverses=reversed_key,
    )


def approval_of(
    state: Adjustments, command: ProposeAdjustment, *, now: datetime, rules: Rules
) -> tuple[bool, str, str]:
    """Whether a proposal needs no second person, the role whose limit says so ("" where none has one), and why."""
    found = rules.limit_for(command.person, command.roles, command.effect.money.currency)
    if found is None:
        return False, "", "none of the proposer's roles has a limit that somebody else set"
    role, limit = found
    if not command.effect.is_settled:
        return False, role, "what this usage comes to is not settled before its period has closed"
    before = sum(
        abs(one.proposed.effect.minor_units)
        for one in state.values()
        if isinstance(one.decided, AdjustmentApproved)
        and one.decided.is_automatic
        and is_same_person(one.proposed.proposed_by, command.person)
        and one.proposed.effect.currency == limit.currency
        and one.proposed.proposed_at > now - LIMIT_WINDOW
    )
    together = Money(before + abs(command.effect.money.minor_units), limit.currency)
    sides = f"{together.amount} {limit.currency} in {LIMIT_WINDOW.days} days"
    bound = f"the limit of {limit.amount} {limit.currency} of the role {role}"
    if together.minor_units > limit.minor_units:
        return False, role, f"{sides} is above {bound}"
    return True, role, f"{sides} is within {bound}"


def require_reason(rules: Rules, reason: str, use: ReasonUse) -> None:
    """Raise `ReasonInvalid` unless new decisions of a kind may give the reason."""
    good = rules.reasons_for(use)
    if reason not in good:
        raise ReasonInvalid(reason=reason[:256], reasons=", ".join(good) or "none yet: add some")


def _propose(
    state: Adjustments, command: ProposeAdjustment, now: datetime, rules: Rules, head: int
) -> list[AdjustmentEvent]:
    """Raises `AdjustmentExists`, `AdjustmentsTooMany`, `AdjustmentInvalid`, `EvidenceUnknown`, `NameInvalid`,
    `AdjustmentNotReversible`, `VersionTaken` where the effect is of another state.
    """
    account, adjustment, person = command.account, command.adjustment, command.person
    known = state.get(adjustment.adjustment)
    if known is not None:
        if known.adjustment == adjustment and is_same_person(known.proposed.proposed_by, person):
            return []
        raise AdjustmentExists(account=account, adjustment=adjustment.adjustment)
    _check(state, command, now, rules, head)
    if command.seen != state:
        raise VersionTaken
    is_automatic, role, _ = approval_of(state, command, now=now, rules=rules)
    proposed = AdjustmentProposed(
        account=account,
        adjustment=adjustment,
        proposed_by=person,
        role=role,
        proposed_at=now,
        expires_at=command.expires_at,
        effect=command.effect.money,
    )
    if not is_automatic:
        return [proposed]
    approved = AdjustmentApproved(
        account=account, adjustment=adjustment.adjustment, approved_by=person, is_automatic=True
    )
    return [proposed, approved]


def _check(state: Adjustments, command: ProposeAdjustment, now: datetime, rules: Rules, head: int) -> None:
    account, adjustment = command.account, command.adjustment
    key = adjustment.adjustment
    require_name(key, "an adjustment")
    if len(state) >= ADJUSTMENTS_MAX:
        raise AdjustmentsTooMany(account=account, count_max=ADJUSTMENTS_MAX)
    require_reason(rules, adjustment.reason, adjustment.kind)
    _require_note(key, adjustment.note)
    if not EXPIRY_MIN <= command.expires_at - now <= EXPIRY_MAX:
        raise AdjustmentInvalid(adjustment=key, why="it must expire in between an hour and 90 days")
    if len(adjustment.evidence) > EVIDENCE_MAX:
        raise AdjustmentInvalid(adjustment=key, why=f"it may rest on {EVIDENCE_MAX} pieces of evidence at most")
    for one in adjustment.evidence:
        _require_evidence(state, one, head)
    if adjustment.reverses is not None:
        _require_opposite(state, account, adjustment, now)


def _require_opposite(state: Adjustments, account: str, adjustment: Adjustment, now: datetime) -> None:
    assert adjustment.reverses is not None, "it is a reversal"
    undone = _standing(state, account, adjustment.reverses)
    stands = undone.state(now)
    if stands != "approved":
        raise AdjustmentNotReversible(adjustment=adjustment.reverses, state=stands)
    derived = opposite(
        state,
        account,
        adjustment.reverses,
        key=adjustment.adjustment,
        reason=adjustment.reason,
        note=adjustment.note,
        evidence=adjustment.evidence,
    )
    if derived != adjustment:
        raise AdjustmentInvalid(adjustment=adjustment.adjustment, why="it is not the opposite of what it reverses")


def _require_evidence(state: Adjustments, evidence: Evidence, head: int) -> None:
    reference = evidence.reference
    match evidence.kind:
        case "event":
            is_there = (
                reference.isascii() and reference.isdigit() and len(reference) <= 18 and 0 < int(reference) <= head
            )
        case "adjustment":
            is_there = reference in state
        case "case" | "invoice":
            require_name(reference, f"the {evidence.kind} of an adjustment")
            is_there = True
        case _:
            assert_never(evidence.kind)
    if not is_there:
        raise EvidenceUnknown(kind=evidence.kind, reference=reference[:256])


def _require_note(key: str, note: str) -> None:
    if len(note) > NOTE_LENGTH_MAX or "\0" in note:
        raise AdjustmentInvalid(
            adjustment=key, why=f"its note is at most {NOTE_LENGTH_MAX} characters, none of them NUL"
        )


def _approve(state: Adjustments, command: ApproveAdjustment, now: datetime) -> list[AdjustmentEvent]:
    """Raises `AdjustmentNotReversible` for a reversal of what another one reversed meanwhile."""
    standing = _of_another(state, command)
    account, key, person, note = command
    _require_note(key, note)
    reverses = standing.adjustment.reverses
    if standing.decided is None and reverses is not None and (stands := state[reverses].state(now)) != "approved":
        raise AdjustmentNotReversible(adjustment=reverses, state=stands)
    approved = AdjustmentApproved(account=account, adjustment=key, approved_by=person, is_automatic=False, note=note)
    return _once(standing, approved, now)


def _of_another(state: Adjustments, command: ApproveAdjustment | RejectAdjustment) -> Standing:
    """The adjustment, which somebody else proposed than who decides."""
    standing = _standing(state, command.account, command.adjustment)
    proposed_by = standing.proposed.proposed_by
    if is_same_person(command.person, proposed_by) or is_same_person(command.person, LEDGER):
        raise FourEyes(adjustment=command.adjustment, proposed_by=proposed_by)
    return standing


def _once(
    standing: Standing, decision: AdjustmentApproved | AdjustmentRejected | AdjustmentWithdrawn, now: datetime
) -> list[AdjustmentEvent]:
    """The decision, where there is none yet and time is not up; none where it is the one that was made."""
    if standing.decided == decision:
        return []
    stands = standing.state(now)
    if stands == "expired":
        raise AdjustmentExpired(adjustment=decision.adjustment, expires_at=standing.proposed.expires_at)
    if stands != "proposed":
        raise AdjustmentDecided(adjustment=decision.adjustment, state=stands)
    return [decision]


def _standing(state: Adjustments, account: str, key: str) -> Standing:
    standing = state.get(key)
    if standing is None:
        raise AdjustmentUnknown(account=account, adjustment=key[:256])
    return standing
