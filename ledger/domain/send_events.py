"""What the ledger tells a billing platform: the intent before the call, the outcome after it."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from ledger.domain.events import Event
from ledger.domain.money import Money

SendOutcome = Literal["accepted", "delivered_before", "rejected", "unknown"]
"""`delivered_before`: the platform knows the identifier already. `unknown`: no answer came; it may have arrived."""


class UsageSend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One usage event as a platform's meter is told it: `position` is ours, `identifier` what makes it unique there.

    One that `repeats` an earlier send tells the same anew, because that one surely does not count there. One that
    `undoes` another takes its value back, because that one can be cancelled no more.
    """

    identifier: str
    position: int
    account: str
    meter: str
    customer: str
    event_type: str
    value: Decimal
    timestamp: datetime
    repeats: str | None = None
    undoes: str | None = None


class Settlement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What became of one send; `code` and `message` are the platform's, where it said why."""

    identifier: str
    outcome: SendOutcome
    code: str | None = None
    message: str | None = None


class SendingStarted(Event, frozen=True, kw_only=True):
    """Usage of the account that is recorded from here on and occurred at or after `since` is told to the platform."""

    TOPIC = "SendingStarted"

    platform: str
    account: str
    customer: str
    since: datetime


class SendingStopped(Event, frozen=True, kw_only=True):
    """Usage of the account that is recorded from here on is not told to the platform."""

    TOPIC = "SendingStopped"

    platform: str
    account: str


class MeterMapped(Event, frozen=True, kw_only=True):
    """Usage in the meter is told to the platform's meter of `event_type` from here on; of its own key where None."""

    TOPIC = "MeterMapped"

    platform: str
    meter: str
    event_type: str | None


class UsageSendIntended(Event, frozen=True, kw_only=True):
    """These sends are about to leave, from `intended_at` on. Nothing is ever sent that is not in the log before.

    `derived_up_to` is how far the log was turned into sends when this was written: nobody derives them again.
    """

    TOPIC = "UsageSendIntended"

    platform: str
    batch: str
    intended_at: datetime
    derived_up_to: int
    sends: tuple[UsageSend, ...]


class UsageSendSettled(Event, frozen=True, kw_only=True):
    """What became of the sends of a batch in one attempt, at `settled_at`: those not listed were accepted.

    A later attempt, or an asynchronous rejection, settles some of them anew.
    """

    TOPIC = "UsageSendSettled"

    platform: str
    batch: str
    attempt: int
    settled_at: datetime
    settlements: tuple[Settlement, ...] = ()
    is_partial: bool = False
    """Only the sends listed are settled by this."""


class SendCancelIntended(Event, frozen=True, kw_only=True):
    """A send is to be cancelled on the platform, because the event at `position` voids or amends its usage."""

    TOPIC = "SendCancelIntended"

    platform: str
    identifier: str
    event_type: str
    position: int
    intended_at: datetime


class SendCancelSettled(Event, frozen=True, kw_only=True):
    """What became of a cancel; where it is `rejected`, `code` says what was done instead or why nothing can be."""

    TOPIC = "SendCancelSettled"

    platform: str
    settlement: Settlement
    settled_at: datetime


class CreditSendIntended(Event, frozen=True, kw_only=True):
    """An approved adjustment is about to be told to the platform, by one of its instruments."""

    TOPIC = "CreditSendIntended"

    platform: str
    account: str
    adjustment: str
    customer: str
    instrument: Literal["customer_balance", "credit_note", "credit_grant"]
    money: Money
    identifier: str
    invoice: str | None = None


class CreditSendSettled(Event, frozen=True, kw_only=True):
    """What became of it; `reference` is the platform's id of what it made."""

    TOPIC = "CreditSendSettled"

    platform: str
    account: str
    adjustment: str
    settlement: Settlement
    settled_at: datetime
    reference: str | None = None
