"""What happens to adjustments, and to the rules that they are decided by."""

from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

import msgspec

from ledger.domain.events import Event
from ledger.domain.money import Money

AdjustmentKind = Literal["credit", "debit", "usage", "write_off"]
EvidenceKind = Literal["event", "case", "invoice", "adjustment"]
ReasonUse = Literal["credit", "debit", "usage", "write_off", "rejection", "resolution"]
LEDGER: Final = "ledger"
"""Who proposes what late usage comes to. No person may be called so."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an adjustment rests on: an event's position, or the key of a case, an invoice or another adjustment."""

    kind: EvidenceKind
    reference: str


class Adjustment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be put right by hand. `adjustment` is its key in the account, chosen by who proposes it.

    It changes the invoice of the period that `at` lies in: a credit or a write-off by `amount` down, a debit up, a
    usage adjustment by what `quantity` more (below zero: less) of `meter` comes to, under `dimensions` where its
    charges ask for some. `amount` is above zero. One that `reverses` another undoes it.
    """

    adjustment: str
    kind: AdjustmentKind
    at: datetime
    reason: str
    note: str
    amount: Money | None = None
    meter: str | None = None
    quantity: Decimal | None = None
    dimensions: dict[str, str | None] = {}
    evidence: tuple[Evidence, ...] = ()
    reverses: str | None = None


class AdjustmentProposed(Event, frozen=True, kw_only=True):
    """Somebody wants an adjustment made.

    `effect` is what it would have changed of the invoice's subtotal at that moment, so before prepaid credit, below
    zero in the customer's favour. `proposed_by` is a person, or "ledger" for what late usage comes to; `role` is the
    one of theirs whose limit holds.
    """

    TOPIC = "AdjustmentProposed"

    account: str
    adjustment: Adjustment
    proposed_by: str
    role: str
    proposed_at: datetime
    expires_at: datetime
    effect: Money


class AdjustmentApproved(Event, frozen=True, kw_only=True):
    """The adjustment holds from now on.

    `approved_by` is another person than who proposed it, or `is_automatic`: the proposer's limit covers it.
    """

    TOPIC = "AdjustmentApproved"

    account: str
    adjustment: str
    approved_by: str
    is_automatic: bool
    note: str = ""


class AdjustmentRejected(Event, frozen=True, kw_only=True):
    """The adjustment shall never hold."""

    TOPIC = "AdjustmentRejected"

    account: str
    adjustment: str
    rejected_by: str
    reason: str
    note: str = ""


class AdjustmentWithdrawn(Event, frozen=True, kw_only=True):
    """Who proposed the adjustment took it back before anybody decided."""

    TOPIC = "AdjustmentWithdrawn"

    account: str
    adjustment: str
    withdrawn_by: str


class ReasonCodeAdded(Event, frozen=True, kw_only=True):
    """Decisions may give this reason from now on: for some kinds of adjustment, for rejections or for resolutions of
    cases, for all where `kinds` is empty.
    """

    TOPIC = "ReasonCodeAdded"

    code: str
    label: str
    kinds: tuple[ReasonUse, ...] = ()


class ReasonCodeRetired(Event, frozen=True, kw_only=True):
    """No new decision gives this reason; those that gave it keep it."""

    TOPIC = "ReasonCodeRetired"

    code: str


class AdjustmentLimitChanged(Event, frozen=True, kw_only=True):
    """What people in a role may adjust without a second person, in one currency.

    It does not count for `changed_by` themselves.
    """

    TOPIC = "AdjustmentLimitChanged"

    role: str
    limit: Money
    changed_by: str


AdjustmentEvent = AdjustmentProposed | AdjustmentApproved | AdjustmentRejected | AdjustmentWithdrawn
RuleEvent = ReasonCodeAdded | ReasonCodeRetired | AdjustmentLimitChanged
