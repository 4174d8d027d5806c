"""All accounts, meters, plans, contracts and keys of a ledger at one position, and what usage counts for there.

Held is derived, never decided: an event is held as long as this state gives it nothing to count in, and counts from
its own time on as soon as it does.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple, assert_never

import msgspec

from ledger.domain import adjustments, closings, contracts, plans
from ledger.domain.adjustment_events import (
    AdjustmentApproved,
    AdjustmentLimitChanged,
    AdjustmentProposed,
    AdjustmentRejected,
    AdjustmentWithdrawn,
    ReasonCodeAdded,
    ReasonCodeRetired,
)
from ledger.domain.adjustments import Adjustments, Rules
from ledger.domain.case_events import CaseOpened, CaseReopened, CaseSettled
from ledger.domain.cases import Watched, watched
from ledger.domain.closing_events import InvoiceClosed, LateUsageAssessed, PeriodClosed
from ledger.domain.closings import Closings
from ledger.domain.contracts import Contracts
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountRenamed,
    AccountZoneChanged,
    ContractEnded,
    ContractPaused,
    ContractPlanChanged,
    ContractResumed,
    ContractStarted,
    CreditGranted,
    CreditRevoked,
    EntitlementChanged,
    Event,
    KeyIssued,
    KeyRevoked,
    MeterChanged,
    MeterDefined,
    MeterRetired,
    PlanDefined,
    PlanRetired,
    PlanRevised,
    UsageConflicted,
    UsageDismissed,
    UsageMended,
    UsageRecorded,
)
from ledger.domain.metering import MeterDefinition, Reading, Unreadable, read, reads_plainly
from ledger.domain.periods import Period
from ledger.domain.plans import Plan
from ledger.domain.segments import part_at
from ledger.domain.values import EPOCH

FUTURE_MAX: Final = timedelta(hours=24)
"""How far ahead of its recording an event may claim to have happened before it is held."""


class Account(NamedTuple):
    """An account as it stands: `key`, `name`, IANA `zone`, `aliases` in order of their making."""

    key: str
    name: str
    zone: str
    aliases: tuple[str, ...] = ()
    opened_at: datetime = EPOCH


class Held(NamedTuple):
    """Why an event does not count (yet): in `meter`, or at all where that is None."""

    code: str
    message: str
    meter: str | None = None


class Counted(NamedTuple):
    """One meter's reading of an event, by its definition."""

    meter: str
    definition: MeterDefinition
    reading: Reading


class Assessment(NamedTuple):
    """What an event means: the account it belongs to, the readings that count, and why others do not.

    Both lists are empty where every meter of the type filters the event out.
    """

    account: Account | None
    counted: list[Counted]
    held: list[Held]


@dataclass(slots=True)
class Catalogue:
    """The state folded from every decision up to `position`. It changes in place, by `apply` alone."""

    position: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Each account key and alias -> the account's key."""
    meters: dict[str, MeterDefinition] = field(default_factory=dict)
    meters_by_type: dict[str, list[tuple[str, MeterDefinition]]] = field(default_factory=dict)
    superseded: dict[int, int] = field(default_factory=dict)
    """Position of a usage event -> position of the event that mended or dismissed it."""
    keys: dict[str, KeyIssued] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    contracts: dict[str, Contracts] = field(default_factory=dict)
    """Account key -> its contracts in order of start."""
    adjustments: dict[str, Adjustments] = field(default_factory=dict)
    """Account key -> its adjustments by key."""
    closings: dict[str, Closings] = field(default_factory=dict)
    """Account key -> its closed periods by start."""
    rules: Rules = field(default_factory=Rules)
    cases: dict[str, Watched] = field(default_factory=dict)
    """Key of each case that is not settled -> what it is about."""
    parts: dict[str, Period] = field(default_factory=dict, repr=False, compare=False)

    def account_of(self, subject: str) -> Account | None:
        """The account that a subject names by key or alias."""
        key = self.names.get(subject)
        return None if key is None else self.accounts[key]

    def part_at(self, account: Account, instant: datetime) -> Period:
        """The stretch around an instant that is billed alike, as `segments.part_at`; each account's last is kept."""
        part = self.parts.get(account.key)
        if part is None or instant not in part:
            part = part_at(self.contracts.get(account.key, ()), self.plans, instant, account.zone)
            self.parts[account.key] = part
        return part

    def surely_not_held(self, usage: UsageRecorded, recorded_at: datetime) -> bool:
        """Whether an event of the common kind is held by no meter, told in a fraction of the time of `assess`.

        False says nothing: ask `assess`.
        """
        meters = self.meters_by_type.get(usage.type)
        if meters is None or usage.subject not in self.names or usage.time - recorded_at > FUTURE_MAX:
            return False
        return all(reads_plainly(definition, usage.data) for _, definition in meters)

    def assess(self, usage: UsageRecorded | UsageConflicted | UsageMended, recorded_at: datetime) -> Assessment:
        """What a usage event recorded at `recorded_at` counts for. Total: any event gets an answer."""
        key = self.names.get(usage.subject)
        if key is None:
            return Assessment(None, [], [_unknown_account(usage.subject)])
        account = self.accounts[key]
        if isinstance(usage, UsageConflicted):
            return Assessment(account, [], [_conflict(usage)])
        if usage.time - recorded_at > FUTURE_MAX:
            return Assessment(account, [], [_FROM_THE_FUTURE])
        meters = self.meters_by_type.get(usage.type)
        if meters is None:
            return Assessment(account, [], [_unknown_type(usage.type)])
        counted: list[Counted] = []
        held: list[Held] = []
        for meter, definition in meters:
            if definition.retired_at is not None and usage.time >= definition.retired_at:
                continue
            if not definition.admits(usage.data):
                continue
            reading = read(definition, usage.data)
            if isinstance(reading, Unreadable):
                held.append(Held(reading.code, reading.message, meter))
            else:
                counted.append(Counted(meter, definition, reading))
        return Assessment(account, counted, held)

    def apply(self, event: Event, position: int) -> None:
        """Take in one decision. Total: what changes nothing here is passed over."""
        self.position = position
        match event:
            case AccountOpened() | AccountRenamed() | AccountZoneChanged():
                self._apply_account(event)
            case AccountAliased():
                account = self.accounts[event.account]
                self.accounts[account.key] = account._replace(aliases=(*account.aliases, event.alias))
                self.names[event.alias] = account.key
            case AccountAliasRemoved():
                account = self.accounts[event.account]
                kept = tuple(alias for alias in account.aliases if alias != event.alias)
                self.accounts[account.key] = account._replace(aliases=kept)
                del self.names[event.alias]
            case MeterDefined() | MeterChanged():
                self.define(event.meter, event.definition)
            case MeterRetired():
                retired = msgspec.structs.replace(self.meters[event.meter], retired_at=event.retired_at)
                self.define(event.meter, retired)
            case UsageMended() | UsageDismissed():
                self.superseded.update(dict.fromkeys(event.supersedes, position))
            case KeyIssued():
                self.keys[event.key_id] = event
            case KeyRevoked():
                del self.keys[event.key_id]
            case _:
                self._apply_agreement(event, position)

    def _apply_agreement(self, event: Event, position: int) -> None:
        match event:
            case PlanDefined() | PlanRevised() | PlanRetired():
                self.plans[event.plan] = plans.evolve(self.plans.get(event.plan), event)
            case (
                ContractStarted()
                | ContractPlanChanged()
                | ContractPaused()
                | ContractResumed()
                | ContractEnded()
                | CreditGranted()
                | CreditRevoked()
                | EntitlementChanged()
            ):
                self.parts.pop(event.account, None)
                self.contracts[event.account] = contracts.evolve(self.contracts.get(event.account, ()), event)
            case AdjustmentProposed() | AdjustmentApproved() | AdjustmentRejected() | AdjustmentWithdrawn():
                known = self.adjustments.get(event.account, {})
                self.adjustments[event.account] = adjustments.evolve(known, event)
            case ReasonCodeAdded() | ReasonCodeRetired() | AdjustmentLimitChanged():
                self.rules = adjustments.evolve_rules(self.rules, event)
            case PeriodClosed() | InvoiceClosed() | LateUsageAssessed():
                closed = self.closings.get(event.account, {})
                self.closings[event.account] = closings.evolve(closed, event, position)
            case CaseOpened() | CaseReopened() | CaseSettled():
                self._apply_case(event)
            case _:
                pass

    def _apply_case(self, event: CaseOpened | CaseReopened | CaseSettled) -> None:
        if isinstance(event, CaseSettled):
            self.cases.pop(event.case, None)
        elif event.difference is not None:
            self.cases[event.case] = watched(event.difference)

    def _apply_account(self, event: AccountOpened | AccountRenamed | AccountZoneChanged) -> None:
        match event:
            case AccountOpened():
                opened_at = event.opened_at or EPOCH
                self.accounts[event.account] = Account(event.account, event.name, event.zone, opened_at=opened_at)
                self.names[event.account] = event.account
            case AccountRenamed():
                account = self.accounts[event.account]
                self.accounts[event.account] = account._replace(name=event.name)
            case AccountZoneChanged():
                account = self.accounts[event.account]
                self.parts.pop(event.account, None)
                self.accounts[event.account] = account._replace(zone=event.zone)
            case _:
                assert_never(event)

    def define(self, meter: str, definition: MeterDefinition) -> None:
        """Count by a definition from now on."""
        self.meters[meter] = definition
        by_type: dict[str, list[tuple[str, MeterDefinition]]] = {}
        for key, one in self.meters.items():
            by_type.setdefault(one.event_type, []).append((key, one))
        self.meters_by_type = by_type


_FROM_THE_FUTURE = Held("time_too_far_ahead", "its time lies more than 24 hours after the moment it was recorded")


def _unknown_account(subject: str) -> Held:
    return Held("account_unknown", f'no account has the key or alias "{subject}"')


def _unknown_type(event_type: str) -> Held:
    return Held("type_unknown", f'no meter counts events of the type "{event_type}"')


def _conflict(usage: UsageConflicted) -> Held:
    return Held(
        "key_conflict",
        f"its source and id were told before, with other content, at position {usage.first_position}",
    )
