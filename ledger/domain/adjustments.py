"""Adjustments as they stand, folded from an account's stream of them; and the rules that they are decided by."""

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, NamedTuple, assert_never

from ledger.domain.adjustment_events import (
    Adjustment,
    AdjustmentApproved,
    AdjustmentEvent,
    AdjustmentLimitChanged,
    AdjustmentProposed,
    AdjustmentRejected,
    AdjustmentWithdrawn,
    ReasonCodeAdded,
    ReasonCodeRetired,
    ReasonUse,
    RuleEvent,
)
from ledger.domain.money import Money
from ledger.domain.periods import Period

AdjustmentState = Literal["proposed", "approved", "rejected", "withdrawn", "expired", "reversed"]


class Standing(NamedTuple):
    """An adjustment and what was decided on it; `decided` is None while it waits."""

    proposed: AdjustmentProposed
    decided: AdjustmentApproved | AdjustmentRejected | AdjustmentWithdrawn | None = None
    reversed_by: str | None = None

    @property
    def adjustment(self) -> Adjustment:
        """What was asked for."""
        return self.proposed.adjustment

    def state(self, now: datetime) -> AdjustmentState:
        """Where it stands at a moment: one that nobody decided on in time is expired."""
        match self.decided:
            case AdjustmentApproved():
                return "approved" if self.reversed_by is None else "reversed"
            case AdjustmentRejected():
                return "rejected"
            case AdjustmentWithdrawn():
                return "withdrawn"
            case None:
                return "proposed" if now < self.proposed.expires_at else "expired"
            case _:
                assert_never(self.decided)


Adjustments = Mapping[str, Standing]
"""An account's adjustments by key, in order of their proposal."""


def evolve(state: Adjustments, event: AdjustmentEvent) -> dict[str, Standing]:
    """The account's adjustments after one more event of their stream."""
    if isinstance(event, AdjustmentProposed):
        return {**state, event.adjustment.adjustment: Standing(event)}
    standing = state[event.adjustment]._replace(decided=event)
    changed = {**state, event.adjustment: standing}
    undone = standing.adjustment.reverses
    if isinstance(event, AdjustmentApproved) and undone is not None:
        changed[undone] = changed[undone]._replace(reversed_by=event.adjustment)
    return changed


def is_approved(standing: Standing) -> bool:
    """Whether the adjustment changes its invoice; one that was reversed does, beside what undoes it."""
    return isinstance(standing.decided, AdjustmentApproved)


def approved_in(state: Adjustments, period: Period) -> list[Adjustment]:
    """The adjustments that change the invoice of a period, in order of their proposal; reversed ones beside what
    undoes them.
    """
    return [one.adjustment for one in state.values() if is_approved(one) and one.adjustment.at in period]


def signed(adjustment: Adjustment) -> Money:
    """What an adjustment in money does to the invoice: below zero for a credit or a write-off."""
    assert adjustment.amount is not None, "it is in money"
    return adjustment.amount if adjustment.kind == "debit" else -adjustment.amount


def person_key(person: str) -> str:
    """What two spellings of one person's name share; the database compares by the same."""
    return " ".join(unicodedata.normalize("NFKC", person).casefold().split())


def is_same_person(one: str, other: str) -> bool:
    """Whether two names are one person's, however they are written."""
    return person_key(one) == person_key(other)


class Reason(NamedTuple):
    """A reason code; retired ones explain old decisions only."""

    code: str
    label: str
    kinds: tuple[ReasonUse, ...]
    is_retired: bool = False


class Limit(NamedTuple):
    """What a role may adjust alone in one currency, and who said so."""

    money: Money
    changed_by: str


class Rules(NamedTuple):
    """What decisions on adjustments are held to: reasons by code, limits by (role, currency)."""

    reasons: Mapping[str, Reason] = {}
    limits: Mapping[tuple[str, str], Limit] = {}

    def reasons_for(self, use: ReasonUse) -> list[str]:
        """The codes that a new decision may give, in order of the alphabet."""
        good = (one for one in self.reasons.values() if not one.is_retired and (not one.kinds or use in one.kinds))
        return sorted(one.code for one in good)

    def limit_for(self, person: str, roles: Iterable[str], currency: str) -> tuple[str, Money] | None:
        """The role with the highest limit and that limit, those that the person set themselves left out."""
        found = [
            (role, limit.money)
            for role in roles
            if (limit := self.limits.get((role, currency))) is not None and not is_same_person(limit.changed_by, person)
        ]
        return max(found, key=lambda one: one[1].minor_units, default=None)


def evolve_rules(rules: Rules, event: RuleEvent) -> Rules:
    """The rules after one more event."""
    match event:
        case ReasonCodeAdded(code=code, label=label, kinds=kinds):
            return rules._replace(reasons={**rules.reasons, code: Reason(code, label, kinds)})
        case ReasonCodeRetired(code=code):
            retired = rules.reasons[code]._replace(is_retired=True)
            return rules._replace(reasons={**rules.reasons, code: retired})
        case AdjustmentLimitChanged(role=role, limit=limit, changed_by=changed_by):
            return rules._replace(limits={**rules.limits, (role, limit.currency): Limit(limit, changed_by)})
        case _:
            assert_never(event)


def folded(events: Iterable[AdjustmentEvent]) -> Adjustments:
    """The adjustments that a whole stream leads to."""
    state: Adjustments = {}
    for event in events:
        state = evolve(state, event)
    return state
