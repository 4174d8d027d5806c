"""Plans as they are decided on: defined, revised by new versions, retired."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, assert_never

from ledger.domain.events import PlanDefined, PlanRetired, PlanRevised
from ledger.domain.metering import MeterDefinition
from ledger.domain.names import require_name
from ledger.domain.pricing import PlanCharge, PlanTerms, check_terms
from ledger.domain.pricing_refusals import (
    CurrencyMismatch,
    EffectiveInPast,
    IntervalMismatch,
    PlanExists,
    PlanRetiredAlready,
    PlanUnknown,
    RevisionOutOfOrder,
)
from ledger.domain.refusals import DimensionUndeclared, MeterUnknown

PlanEvent = PlanDefined | PlanRevised | PlanRetired


class DefinePlan(NamedTuple):
    """Offer a new plan; its first version is valid at any time before the second, past times too."""

    plan: str
    terms: PlanTerms


class RevisePlan(NamedTuple):
    """Give the plan its next version, for periods that start at or after `valid_from`.

    It is in the same currency and interval, because contracts follow their plan.
    """

    plan: str
    terms: PlanTerms
    valid_from: datetime


class RetirePlan(NamedTuple):
    """Put no contract on the plan from `retired_at` on; those that are on it stay."""

    plan: str
    retired_at: datetime


PlanCommand = DefinePlan | RevisePlan | RetirePlan


class PlanVersion(NamedTuple):
    """The terms from a moment on; the first version has none: it is valid ever since."""

    valid_from: datetime | None
    terms: PlanTerms


class Plan(NamedTuple):
    """A plan as it stands: version 1 is `versions[0]`."""

    key: str
    versions: tuple[PlanVersion, ...]
    retired_at: datetime | None = None


def version_at(plan: Plan, instant: datetime) -> int:
    """The number of the version that is valid at an instant."""
    later = (version.valid_from for version in plan.versions[1:])
    return 1 + sum(valid_from is not None and valid_from <= instant for valid_from in later)


def decide(
    state: Plan | None, command: PlanCommand, *, now: datetime, meters: Mapping[str, MeterDefinition]
) -> list[PlanEvent]:
    """The events that a command on a plan leads to; none where it would change nothing.

    `meters` are those that charges may name. Raises `PlanExists`, `PlanUnknown`, `PlanRetiredAlready`,
    `RevisionOutOfOrder`, `EffectiveInPast`, `CurrencyMismatch`, `IntervalMismatch`, `MeterUnknown`,
    `DimensionUndeclared`, `NameInvalid` and what `check_terms` raises.
    """
    require_name(command.plan, "a plan's key")
    if isinstance(command, DefinePlan):
        _check(command.plan, command.terms, meters)
        if state is None:
            return [PlanDefined(plan=command.plan, terms=command.terms)]
        if state.versions == (PlanVersion(None, command.terms),):
            return []
        raise PlanExists(plan=command.plan)
    if state is None:
        raise PlanUnknown(plan=command.plan)
    if state.retired_at is not None:
        raise PlanRetiredAlready(plan=command.plan, retired_at=state.retired_at)
    match command:
        case RevisePlan():
            _check(command.plan, command.terms, meters)
            return _revise(state, command, now)
        case RetirePlan():
            return [PlanRetired(plan=command.plan, retired_at=command.retired_at)]
        case _:
            assert_never(command)


def _revise(state: Plan, command: RevisePlan, now: datetime) -> list[PlanEvent]:
    latest, terms = state.versions[-1], command.terms
    if latest == PlanVersion(command.valid_from, terms):
        return []
    if command.valid_from < now:
        raise EffectiveInPast(what="version", effective_at=command.valid_from, now=now)
    if latest.valid_from is not None and command.valid_from <= latest.valid_from:
        raise RevisionOutOfOrder(plan=command.plan, latest_from=latest.valid_from)
    if terms.currency != latest.terms.currency:
        raise CurrencyMismatch(what="The version", actual=terms.currency, expected=latest.terms.currency)
    if terms.rhythm != latest.terms.rhythm:
        raise IntervalMismatch(plan=command.plan, actual=terms.rhythm, expected=latest.terms.rhythm)
    return [PlanRevised(plan=command.plan, terms=terms, valid_from=command.valid_from)]


def _check(plan: str, terms: PlanTerms, meters: Mapping[str, MeterDefinition]) -> None:
    check_terms(plan, terms)
    for charge in terms.charges:
        _check_meter(charge, meters.get(charge.meter))


def _check_meter(charge: PlanCharge, meter: MeterDefinition | None) -> None:
    if meter is None:
        raise MeterUnknown(meter=charge.meter)
    for dimension in (*charge.filters, *charge.group_by):
        if dimension not in meter.dimensions:
            declared = ", ".join(meter.dimensions) or "none"
            raise DimensionUndeclared(meter=charge.meter, dimension=dimension, declared=declared)


def evolve(state: Plan | None, event: PlanEvent) -> Plan:
    """The plan after one more event of its stream."""
    if isinstance(event, PlanDefined):
        return Plan(event.plan, (PlanVersion(None, event.terms),))
    assert state is not None, "only a defined plan goes on"
    match event:
        case PlanRevised():
            return state._replace(versions=(*state.versions, PlanVersion(event.valid_from, event.terms)))
        case PlanRetired():
            return state._replace(retired_at=event.retired_at)
        case _:
            assert_never(event)
