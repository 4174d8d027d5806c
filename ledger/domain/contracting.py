"""Contracts as they are decided on: started, changed, paused, resumed, ended, given credit and entitlements."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, assert_never

from ledger.domain.agreements import (
    ContractTerms,
    CreditGrant,
    Entitlement,
    PlanChoice,
    check_agreement,
    check_entitlement,
    check_grant,
    check_overrides,
    require_charges,
)
from ledger.domain.contracts import Contract, ContractEvent, Contracts, Granted
from ledger.domain.events import (
    ContractEnded,
    ContractPaused,
    ContractPlanChanged,
    ContractResumed,
    ContractStarted,
    CreditGranted,
    CreditRevoked,
    EntitlementChanged,
)
from ledger.domain.plans import Plan, version_at
from ledger.domain.pricing import PlanTerms
from ledger.domain.pricing_refusals import (
    ChangeOutOfOrder,
    ContractBeforeAccount,
    ContractEndedAlready,
    ContractMissing,
    ContractNotStarted,
    ContractsOverlap,
    CurrencyMismatch,
    EffectiveInPast,
    GrantExists,
    GrantUnknown,
    IntervalMismatch,
    PauseMissing,
    PauseOverlaps,
    PlanRetiredAlready,
    PlanUnknown,
    PlanVersionUnknown,
)
from ledger.domain.refusals import AccountUnknown


class StartContract(NamedTuple):
    """Put the account on a plan from `started_at` on; that may be in the past, but not before the account."""

    account: str
    started_at: datetime
    choice: PlanChoice
    terms: ContractTerms


class ChangePlan(NamedTuple):
    """Put the contract on another plan, version or prices; in mid-period too."""

    account: str
    effective_at: datetime
    choice: PlanChoice


class PauseContract(NamedTuple):
    """Bill nothing from `effective_at` on, neither fees nor usage."""

    account: str
    effective_at: datetime


class ResumeContract(NamedTuple):
    """Bill again from `effective_at` on."""

    account: str
    effective_at: datetime


class EndContract(NamedTuple):
    """Bill nothing from `effective_at` on, for good."""

    account: str
    effective_at: datetime


class GrantCredit(NamedTuple):
    """Let prepaid money pay for what the contract comes to."""

    account: str
    grant: CreditGrant


class RevokeCredit(NamedTuple):
    """Let what is left of a grant pay no invoice that closes after `effective_at`."""

    account: str
    grant: str
    effective_at: datetime


class ChangeEntitlement(NamedTuple):
    """Change how much of a meter the contract includes, from `effective_at` on."""

    account: str
    effective_at: datetime
    entitlement: Entitlement


ContractCommand = (
    StartContract
    | ChangePlan
    | PauseContract
    | ResumeContract
    | EndContract
    | GrantCredit
    | RevokeCredit
    | ChangeEntitlement
)


def decide(
    state: Contracts,
    command: ContractCommand,
    *,
    now: datetime,
    opened_at: datetime | None,
    plans: Mapping[str, Plan],
) -> list[ContractEvent]:
    """The events that a command on an account's contract leads to; none where it would change nothing.

    `opened_at` is when the account was opened, None if there is none. Raises `AccountUnknown`, `ContractMissing`,
    `GrantExists`, `GrantUnknown`, `ChargeUnknown` and what `_start`, `_change` and the checks of agreements raise.
    """
    if opened_at is None:
        raise AccountUnknown(account=command.account)
    if isinstance(command, StartContract):
        return _start(state, command, opened_at, plans)
    if not state:
        raise ContractMissing(account=command.account)
    contract = state[-1]
    if isinstance(command, GrantCredit):
        return _grant(contract, command, plans)
    if isinstance(command, RevokeCredit) and _is_revoked(contract, command):
        return []
    return _change(contract, command, now, plans)


def _start(
    state: Contracts, command: StartContract, opened_at: datetime, plans: Mapping[str, Plan]
) -> list[ContractEvent]:
    """Raises `ContractBeforeAccount`, `ContractsOverlap` and what `_require_choice` raises."""
    account, started_at, choice, terms = command
    if state:
        last = state[-1]
        if (last.started_at, last.phases[0].choice, last.terms) == (started_at, choice, terms):
            return []
        if last.ended_at is None or last.ended_at > started_at:
            raise ContractsOverlap(account=account, since=last.started_at)
    if started_at < opened_at:
        raise ContractBeforeAccount(account=account, started_at=started_at, opened_at=opened_at)
    check_agreement(account, terms, started_at)
    _require_choice(account, choice, terms.currency, plans, started_at)
    return [ContractStarted(account=account, started_at=started_at, choice=choice, terms=terms)]


def _require_choice(
    account: str, choice: PlanChoice, currency: str, plans: Mapping[str, Plan], at: datetime
) -> PlanTerms:
    """The chosen terms. Raises `PlanUnknown`, `PlanRetiredAlready`, `PlanVersionUnknown`, `CurrencyMismatch`."""
    plan = plans.get(choice.plan)
    if plan is None:
        raise PlanUnknown(plan=choice.plan)
    if plan.retired_at is not None and plan.retired_at <= at:
        raise PlanRetiredAlready(plan=choice.plan, retired_at=plan.retired_at)
    version = version_at(plan, at) if choice.version is None else choice.version
    if not 1 <= version <= len(plan.versions):
        raise PlanVersionUnknown(plan=choice.plan, version=version, latest=len(plan.versions))
    chosen = plan.versions[version - 1].terms
    if chosen.currency != currency:
        raise CurrencyMismatch(what="The plan", actual=chosen.currency, expected=currency)
    check_overrides(account, choice, chosen)
    return chosen


_Change = ChangePlan | PauseContract | ResumeContract | EndContract | RevokeCredit | ChangeEntitlement


def _change(contract: Contract, command: _Change, now: datetime, plans: Mapping[str, Plan]) -> list[ContractEvent]:
    """Raises `EffectiveInPast`, `ContractNotStarted`, `ContractEndedAlready` and the refusal of each change."""
    account, effective_at = command.account, command.effective_at
    if isinstance(command, EndContract) and contract.ended_at == effective_at:
        return []
    if effective_at < now:
        raise EffectiveInPast(what="change", effective_at=effective_at, now=now)
    if effective_at < contract.started_at:
        raise ContractNotStarted(account=account, started_at=contract.started_at)
    match command:
        case RevokeCredit():
            return [CreditRevoked(account=account, grant=command.grant, effective_at=effective_at)]
        case ResumeContract():
            return _resume(contract, effective_at)
        case _:
            pass
    if contract.ended_at is not None and (effective_at >= contract.ended_at or isinstance(command, EndContract)):
        raise ContractEndedAlready(account=account, ended_at=contract.ended_at)
    match command:
        case ChangePlan():
            return _switch(contract, command, plans)
        case PauseContract():
            return _pause(contract, effective_at)
        case EndContract():
            return [ContractEnded(account=account, effective_at=effective_at)]
        case ChangeEntitlement(entitlement=entitlement):
            check_entitlement(entitlement)
            return [EntitlementChanged(account=account, effective_at=effective_at, entitlement=entitlement)]
        case _:
            assert_never(command)


def _switch(contract: Contract, command: ChangePlan, plans: Mapping[str, Plan]) -> list[ContractEvent]:
    """Raises `ChangeOutOfOrder`, `IntervalMismatch` and what `_require_choice` raises."""
    account, effective_at, choice = command
    last = contract.phases[-1]
    if effective_at < last.start:
        raise ChangeOutOfOrder(account=account, planned_at=last.start)
    if choice == last.choice:
        return []
    chosen = _require_choice(account, choice, contract.terms.currency, plans, effective_at)
    rhythm = plans[last.choice.plan].versions[0].terms.rhythm
    if chosen.rhythm != rhythm:
        raise IntervalMismatch(plan=choice.plan, actual=chosen.rhythm, expected=rhythm)
    return [ContractPlanChanged(account=account, effective_at=effective_at, choice=choice)]


def _pause(contract: Contract, effective_at: datetime) -> list[ContractEvent]:
    """Raises `PauseOverlaps`."""
    if contract.pauses:
        last = contract.pauses[-1]
        if last.start == effective_at and last.end is None:
            return []
        if last.end is None or last.end > effective_at:
            raise PauseOverlaps(account=contract.account, paused_at=last.start)
    return [ContractPaused(account=contract.account, effective_at=effective_at)]


def _resume(contract: Contract, effective_at: datetime) -> list[ContractEvent]:
    """Raises `PauseMissing`."""
    if not contract.pauses:
        raise PauseMissing(account=contract.account)
    last = contract.pauses[-1]
    if last.end == effective_at:
        return []
    if last.end is not None or last.start >= effective_at:
        raise PauseMissing(account=contract.account)
    return [ContractResumed(account=contract.account, effective_at=effective_at)]


def _grant(contract: Contract, command: GrantCredit, plans: Mapping[str, Plan]) -> list[ContractEvent]:
    grant = command.grant
    check_grant(command.account, grant, contract.terms.currency)
    for known in contract.grants:
        if known.grant == grant:
            return []
        if known.grant.grant == grant.grant:
            raise GrantExists(account=command.account, grant=grant.grant)
    choice = contract.phases[-1].choice
    plan = plans[choice.plan]
    version = len(plan.versions) if choice.version is None else choice.version
    require_charges(choice.plan, plan.versions[version - 1].terms, grant.scope)
    return [CreditGranted(account=command.account, grant=grant)]


def _is_revoked(contract: Contract, command: RevokeCredit) -> bool:
    """Whether the grant is revoked already, as the command wants it. Raises `GrantUnknown`."""
    for known in contract.grants:
        if known.grant.grant == command.grant:
            return _as_wanted(known, command)
    raise GrantUnknown(account=command.account, grant=command.grant)


def _as_wanted(known: Granted, command: RevokeCredit) -> bool:
    if known.revoked_at is not None and known.revoked_at != command.effective_at:
        raise GrantUnknown(account=command.account, grant=command.grant)
    return known.revoked_at is not None
