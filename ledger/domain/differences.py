"""Why an invoice is another one than it was known to be: what happened in between, and what each of it did to it."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from ledger.domain.catalogue import Catalogue
from ledger.domain.comparisons import Comparison, LineDifference
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountZoneChanged,
    ContractEnded,
    ContractPaused,
    ContractPlanChanged,
    ContractResumed,
    ContractStarted,
    Event,
    MeterChanged,
    MeterDefined,
    MeterRetired,
    PlanDefined,
    PlanRetired,
    PlanRevised,
    UsageDismissed,
    UsageMended,
)
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.sentences import sentence
from ledger.domain.values import plain

DECISIONS_MAX: Final = 50
"""The most decisions of which each is a step of its own."""

StepKind = Literal["decision", "usage", "several"]


class Decided(NamedTuple):
    """A decision that concerns the account, and where the log has it."""

    position: int
    recorded_at: datetime
    event: Event


class Run(NamedTuple):
    """Usage events in a row, of those that occurred in the time that the invoice looks at; `sample` are some places."""

    event_count: int
    first_position: int
    last_position: int
    sample: tuple[int, ...]


class QuantityChange(NamedTuple):
    """What a meter came to in the period, before and after."""

    meter: str
    before: Decimal
    after: Decimal


class Step(NamedTuple):
    """One thing that happened: a decision, a run of usage, or several of both that are not told apart.

    `effect` is what it changed of the invoice's total, `lines` are those that it changed: they add up to it.
    """

    decisions: tuple[Decided, ...]
    usage: Run | None
    quantities: tuple[QuantityChange, ...]
    lines: tuple[LineDifference, ...]
    effect: Money

    @property
    def kind(self) -> StepKind:
        """What the step is of."""
        if self.usage is None and len(self.decisions) == 1:
            return "decision"
        return "several" if self.decisions else "usage"

    @property
    def positions(self) -> tuple[int, int]:
        """The first and the last position of what happened."""
        places = [one.position for one in self.decisions]
        if self.usage is not None:
            places += [self.usage.first_position, self.usage.last_position]
        return min(places), max(places)


class Difference(NamedTuple):
    """An invoice as it was known at two positions: the steps' effects add up to the difference of its totals."""

    period: Period
    comparison: Comparison
    steps: tuple[Step, ...]


def recounts(event: Event) -> bool:
    """Whether a decision changes what usage before it counts for, where it concerns the account at all."""
    match event:
        case AccountZoneChanged() | AccountAliased() | AccountAliasRemoved() | UsageMended() | UsageDismissed():
            return True
        case ContractStarted() | ContractPlanChanged() | ContractPaused() | ContractResumed() | ContractEnded():
            return True
        case MeterDefined() | MeterChanged() | MeterRetired():
            return True
        case _:
            return False


def concerns(event: Event, account: str, catalogue: Catalogue, meters: Collection[str]) -> bool:
    """Whether a decision is on the account, on a plan of its contracts, or on one of the meters they are rated on.

    What was mended or dismissed is of the account wherever it was looked for.
    """
    match event:
        case UsageMended() | UsageDismissed():
            return True
        case MeterDefined() | MeterChanged() | MeterRetired():
            return event.meter in meters
        case PlanDefined() | PlanRevised() | PlanRetired():
            contracts = catalogue.contracts.get(account, ())
            return any(phase.choice.plan == event.plan for contract in contracts for phase in contract.phases)
        case _:
            return getattr(event, "account", None) == account


def reason(step: Step) -> str:
    """A sentence that tells what happened, and what it changed."""
    parts = []
    if len(step.decisions) == 1:
        parts.append(sentence(step.decisions[0].event).removesuffix("."))
    elif step.decisions:
        parts.append(f"{len(step.decisions)} decisions were made")
    if step.usage is not None:
        told = "usage event was" if step.usage.event_count == 1 else "usage events were"
        parts.append(f"{step.usage.event_count:,} {told} told")
    changes = [
        f"{one.meter} {'rose' if one.after > one.before else 'fell'} from {plain(one.before)} to {plain(one.after)}"
        for one in step.quantities
        if one.after != one.before
    ]
    money = step.effect
    effect = f"the total {'rose' if money.minor_units > 0 else 'fell'} by {abs(money.amount)} {money.currency}"
    changes.append(effect if money.minor_units else "the total stayed the same")
    told = " and ".join(parts)
    return f"{told}{';' if ': ' in told else ':'} {', '.join(changes)}"
