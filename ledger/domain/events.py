"""What happens to usage, accounts, meters, keys, plans and contracts: one frozen struct each, under a permanent topic.

Fields are only ever added as optional; any other change is a new topic (STYLE 10). `tests/golden_bytes/` keeps one
stored example of each for ever.
"""

from datetime import datetime
from typing import Any, ClassVar

import msgspec

from ledger.domain.agreements import ContractTerms, CreditGrant, Entitlement, PlanChoice
from ledger.domain.metering import MeterDefinition
from ledger.domain.pricing import PlanTerms


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened. `TOPIC` names its kind in the log for ever."""

    TOPIC: ClassVar[str]


class UsageRecorded(Event, frozen=True, kw_only=True):
    """A customer used something: one CloudEvent, as its source told it.

    `subject` is an account's key or alias, `time` when it happened (UTC), `data` its properties; numbers in it are
    `int` or `Decimal`, exactly as written.
    """

    TOPIC = "UsageRecorded"

    source: str
    id: str
    type: str
    subject: str
    time: datetime
    data: dict[str, Any] = {}


class UsageConflicted(Event, frozen=True, kw_only=True):
    """The source repeated an id with other content: `first_position` holds the first telling, this event the other.

    It never counts until a person takes it in place of the first (`UsageMended`) or turns it down (`UsageDismissed`).
    """

    TOPIC = "UsageConflicted"

    first_position: int
    source: str
    id: str
    type: str
    subject: str
    time: datetime
    data: dict[str, Any] = {}


class UsageMended(Event, frozen=True, kw_only=True):
    """A person put right a usage event, held or counted before: this content counts in place of the events at
    `supersedes`.
    """

    TOPIC = "UsageMended"

    supersedes: tuple[int, ...]
    source: str
    id: str
    type: str
    subject: str
    time: datetime
    data: dict[str, Any] = {}
    reason: str
    note: str = ""


class UsageDismissed(Event, frozen=True, kw_only=True):
    """A person decided that the usage event at `supersedes`, held or counted before, shall never count."""

    TOPIC = "UsageDismissed"

    supersedes: tuple[int, ...]
    reason: str
    note: str = ""


class AccountOpened(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A customer's account exists, since `opened_at`; `zone` (IANA) decides where its days and periods begin."""

    TOPIC = "AccountOpened"

    account: str
    name: str
    zone: str
    opened_at: datetime | None = None


class AccountRenamed(Event, frozen=True, kw_only=True):
    """The account shows another name; its key stays."""

    TOPIC = "AccountRenamed"

    account: str
    name: str


class AccountZoneChanged(Event, frozen=True, kw_only=True):
    """The account's days, past ones too, begin in another time zone."""

    TOPIC = "AccountZoneChanged"

    account: str
    zone: str


class AccountAliased(Event, frozen=True, kw_only=True):
    """Usage told under `alias` (a platform's customer id, say) belongs to the account, past usage too."""

    TOPIC = "AccountAliased"

    account: str
    alias: str


class AccountAliasRemoved(Event, frozen=True, kw_only=True):
    """Usage told under `alias` belongs to the account no more."""

    TOPIC = "AccountAliasRemoved"

    account: str
    alias: str


class MeterDefined(Event, frozen=True, kw_only=True):
    """A meter counts usage of one type, past usage too."""

    TOPIC = "MeterDefined"

    meter: str
    definition: MeterDefinition


class MeterChanged(Event, frozen=True, kw_only=True):
    """The meter counts by another definition, past usage too."""

    TOPIC = "MeterChanged"

    meter: str
    definition: MeterDefinition


class MeterRetired(Event, frozen=True, kw_only=True):
    """The meter counts no usage that occurred at or after `retired_at`."""

    TOPIC = "MeterRetired"

    meter: str
    retired_at: datetime


class KeyIssued(Event, frozen=True, kw_only=True):
    """An API key was made. Only the SHA-256 of its secret is kept, in hex.

    `account` binds the key to one account; without it the key sees all. `person` is who holds it, so that one person
    with two keys stays one; a key without is a machine's, which neither proposes nor approves.
    """

    TOPIC = "KeyIssued"

    key_id: str
    name: str
    secret_sha256: str
    roles: tuple[str, ...]
    account: str | None = None
    expires_at: datetime | None = None
    person: str | msgspec.UnsetType = msgspec.UNSET


class KeyRevoked(Event, frozen=True, kw_only=True):
    """The API key is good for nothing from now on."""

    TOPIC = "KeyRevoked"

    key_id: str


class PlanDefined(Event, frozen=True, kw_only=True):
    """A plan is on offer; its first version is valid at any time before the second."""

    TOPIC = "PlanDefined"

    plan: str
    terms: PlanTerms


class PlanRevised(Event, frozen=True, kw_only=True):
    """The plan has its next version, for periods that start at or after `valid_from`."""

    TOPIC = "PlanRevised"

    plan: str
    terms: PlanTerms
    valid_from: datetime


class PlanRetired(Event, frozen=True, kw_only=True):
    """No contract goes on the plan from `retired_at` on; those that are on it stay."""

    TOPIC = "PlanRetired"

    plan: str
    retired_at: datetime


class ContractStarted(Event, frozen=True, kw_only=True):
    """The account is billed by a plan from `started_at` on."""

    TOPIC = "ContractStarted"

    account: str
    started_at: datetime
    choice: PlanChoice
    terms: ContractTerms


class ContractPlanChanged(Event, frozen=True, kw_only=True):
    """The account's contract is on another plan, version or prices from `effective_at` on.

    It replaces a change that was to take effect at the same moment.
    """

    TOPIC = "ContractPlanChanged"

    account: str
    effective_at: datetime
    choice: PlanChoice


class ContractPaused(Event, frozen=True, kw_only=True):
    """The account's contract bills nothing from `effective_at` on, until it is resumed."""

    TOPIC = "ContractPaused"

    account: str
    effective_at: datetime


class ContractResumed(Event, frozen=True, kw_only=True):
    """The account's contract, paused before, bills again from `effective_at` on."""

    TOPIC = "ContractResumed"

    account: str
    effective_at: datetime


class ContractEnded(Event, frozen=True, kw_only=True):
    """The account's contract bills nothing from `effective_at` on, for good."""

    TOPIC = "ContractEnded"

    account: str
    effective_at: datetime


class CreditGranted(Event, frozen=True, kw_only=True):
    """Prepaid money pays for what the account's contract comes to."""

    TOPIC = "CreditGranted"

    account: str
    grant: CreditGrant


class CreditRevoked(Event, frozen=True, kw_only=True):
    """What is left of the grant pays no invoice that closes after `effective_at`."""

    TOPIC = "CreditRevoked"

    account: str
    grant: str
    effective_at: datetime


class EntitlementChanged(Event, frozen=True, kw_only=True):
    """The account's contract includes another quantity of a meter from `effective_at` on."""

    TOPIC = "EntitlementChanged"

    account: str
    effective_at: datetime
    entitlement: Entitlement
