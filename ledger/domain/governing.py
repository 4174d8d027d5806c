"""The rules of adjustments as they are decided on: reason codes, and what a role may adjust without a second person."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, assert_never, get_args

from ledger.domain.access import GRANTS, ROLES
from ledger.domain.adjustment_events import (
    AdjustmentLimitChanged,
    ReasonCodeAdded,
    ReasonCodeRetired,
    ReasonUse,
    RuleEvent,
)
from ledger.domain.adjustment_refusals import ReasonCodeExists, ReasonCodeInvalid, ReasonCodeUnknown
from ledger.domain.adjustments import Limit, Rules
from ledger.domain.money import Money
from ledger.domain.names import require_name
from ledger.domain.refusals import ArgumentInvalid

REASONS_MAX: Final = 200
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class AddReasonCode(NamedTuple):
    """Let decisions give a reason: for some kinds of adjustment, rejections or resolutions, for all without `kinds`."""

    code: str
    label: str
    kinds: tuple[ReasonUse, ...] = ()


class RetireReasonCode(NamedTuple):
    """Let no new decision give a reason."""

    code: str


class SetAdjustmentLimit(NamedTuple):
    """Let people in a role adjust so much without a second person; nothing, where it is zero."""

    role: str
    limit: Money
    person: str


RuleCommand = AddReasonCode | RetireReasonCode | SetAdjustmentLimit

STANDARD_REASONS: Final = (
    AddReasonCode("service_outage", "The service was down or slow", ("credit", "usage")),
    AddReasonCode("goodwill", "Goodwill", ("credit",)),
    AddReasonCode("billing_error", "The invoice was wrong", ("credit", "debit")),
    AddReasonCode("price_agreed", "Another price was agreed", ("credit", "debit")),
    AddReasonCode("metering_fault", "Usage was measured wrong", ("usage", "credit", "debit")),
    AddReasonCode("test_traffic", "It was no customer's usage", ("usage", "credit")),
    AddReasonCode("uncollectible", "It will not be paid", ("write_off",)),
    AddReasonCode("late_usage", "Usage came after the period was closed", ("credit", "debit")),
    AddReasonCode("mistaken_adjustment", "An earlier adjustment was wrong", ("credit", "debit", "usage")),
    AddReasonCode("duplicate_request", "It was asked for twice", ("rejection",)),
    AddReasonCode("not_justified", "The evidence does not show it", ("rejection",)),
    AddReasonCode("wrong_amount", "The amount or quantity is wrong", ("rejection",)),
    AddReasonCode("lost_sends", "Usage did not reach the platform, or reached it twice", ("resolution",)),
    AddReasonCode("platform_edit", "Somebody changed it on the platform", ("resolution",)),
    AddReasonCode("other_convention", "The platform counts or rounds otherwise", ("resolution",)),
    AddReasonCode("too_small", "It is not worth the work", ("resolution",)),
    AddReasonCode("fault_mended", "What caused it has been put right", ("resolution",)),
)
"""The reason codes that most ledgers begin with."""


def decide_rule(rules: Rules, command: RuleCommand) -> Sequence[RuleEvent]:
    """The events that a command on the rules leads to; none where it would change nothing.

    Raises `ReasonCodeInvalid`, `ReasonCodeExists`, `ReasonCodeUnknown`, `ArgumentInvalid`, `NameInvalid`.
    """
    match command:
        case AddReasonCode():
            return _add(rules, command)
        case RetireReasonCode(code=code):
            known = rules.reasons.get(code)
            if known is None:
                raise ReasonCodeUnknown(reason=code[:256])
            return [] if known.is_retired else [ReasonCodeRetired(code=code)]
        case SetAdjustmentLimit(role=role, limit=limit, person=person):
            proposing = [one for one in ROLES if "propose_adjustments" in GRANTS[one]]
            if role not in proposing:
                raise ArgumentInvalid(argument="role", why=f"limits are for {', '.join(proposing)}")
            if limit.minor_units < 0:
                raise ArgumentInvalid(argument="limit", why="it cannot be below zero")
            if rules.limits.get((role, limit.currency)) == Limit(limit, person):
                return []
            return [AdjustmentLimitChanged(role=role, limit=limit, changed_by=person)]
        case _:
            assert_never(command)


def _add(rules: Rules, command: AddReasonCode) -> list[RuleEvent]:
    code, label, kinds = command
    known = rules.reasons.get(code)
    if known is not None:
        if (known.label, known.kinds, known.is_retired) == (label, kinds, False):
            return []
        raise ReasonCodeExists(reason=code)
    if not _CODE.fullmatch(code):
        raise ReasonCodeInvalid(
            reason=ascii(code[:64])[1:-1], why="use 1 to 64 of a to z, 0 to 9 and _, a letter first"
        )
    require_name(label, "a reason code")
    if not set(kinds) <= set(get_args(ReasonUse)) or len(set(kinds)) < len(kinds):
        raise ReasonCodeInvalid(reason=code, why=f"its kinds are some of {', '.join(get_args(ReasonUse))}, each once")
    if len(rules.reasons) >= REASONS_MAX:
        raise ReasonCodeInvalid(
            reason=code, why=f"there are {REASONS_MAX} reason codes, which is as many as there may be"
        )
    return [ReasonCodeAdded(code=code, label=label, kinds=kinds)]
