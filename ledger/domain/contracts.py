"""Contracts as they stand: the plan an account is on, from a moment to another, folded from its stream of events.

An account has one stream for its contracts, one at a time; the state is their tuple in order of start, and only the
last one changes.
"""

from datetime import datetime
from typing import NamedTuple, assert_never

from ledger.domain.agreements import ContractTerms, CreditGrant, Entitlement, PlanChoice
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

ContractChange = (
    ContractPlanChanged
    | ContractPaused
    | ContractResumed
    | ContractEnded
    | CreditGranted
    | CreditRevoked
    | EntitlementChanged
)
ContractEvent = ContractStarted | ContractChange


class Phase(NamedTuple):
    """The plan that holds from `start` until the next phase."""

    start: datetime
    choice: PlanChoice


class Pause(NamedTuple):
    """A time without billing; `end` is None until it is resumed."""

    start: datetime
    end: datetime | None = None


class Granted(NamedTuple):
    """A credit grant and when it was revoked, if it was."""

    grant: CreditGrant
    revoked_at: datetime | None = None


class Contract(NamedTuple):
    """A contract as it stands: phases, pauses and entitlements in order of time, grants in order of their making."""

    account: str
    started_at: datetime
    terms: ContractTerms
    phases: tuple[Phase, ...]
    pauses: tuple[Pause, ...] = ()
    grants: tuple[Granted, ...] = ()
    entitlements: tuple[tuple[datetime, Entitlement], ...] = ()
    ended_at: datetime | None = None


Contracts = tuple[Contract, ...]


def contract_at(state: Contracts, instant: datetime) -> Contract | None:
    """The contract that runs at an instant, paused or not."""
    for contract in reversed(state):
        if contract.started_at <= instant:
            return contract if contract.ended_at is None or instant < contract.ended_at else None
    return None


def with_plan(contract: Contract, choice: PlanChoice) -> Contract:
    """The contract as if it had been on another plan, or on other prices, all the time: for what-if."""
    return contract._replace(phases=(Phase(contract.started_at, choice),))


def evolve(state: Contracts, event: ContractEvent) -> Contracts:
    """The account's contracts after one more event of its stream."""
    if isinstance(event, ContractStarted):
        entitlements = tuple((event.started_at, entitlement) for entitlement in event.terms.entitlements)
        phases = (Phase(event.started_at, event.choice),)
        return (*state, Contract(event.account, event.started_at, event.terms, phases, entitlements=entitlements))
    assert state, "only a contract that started goes on"
    return (*state[:-1], _changed(state[-1], event))


def _changed(contract: Contract, event: ContractChange) -> Contract:
    match event:
        case ContractPlanChanged():
            kept = tuple(phase for phase in contract.phases if phase.start < event.effective_at)
            return contract._replace(phases=(*kept, Phase(event.effective_at, event.choice)))
        case ContractPaused():
            return contract._replace(pauses=(*contract.pauses, Pause(event.effective_at)))
        case ContractResumed():
            *before, last = contract.pauses
            return contract._replace(pauses=(*before, last._replace(end=event.effective_at)))
        case ContractEnded():
            return contract._replace(ended_at=event.effective_at)
        case CreditGranted():
            return contract._replace(grants=(*contract.grants, Granted(event.grant)))
        case CreditRevoked():
            grants = (
                one._replace(revoked_at=event.effective_at) if one.grant.grant == event.grant else one
                for one in contract.grants
            )
            return contract._replace(grants=tuple(grants))
        case EntitlementChanged():
            entitlements = sorted(
                (*contract.entitlements, (event.effective_at, event.entitlement)), key=lambda since: since[0]
            )
            return contract._replace(entitlements=tuple(entitlements))
        case _:
            assert_never(event)
