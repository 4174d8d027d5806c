"""What the ledger tells a billing platform: the intent before the call, the outcome after it."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from ledger.domain.events import Event
from ledger.domain.money import Money

SendOutcome = Literal["accepted", "delivered_before", "rejected", "unknown"]
"""`delivered_before`: the platform knows the identifier already. `unknown`: no answer came; it may have arrived."""


class UsageSend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One usage event as a platform's meter is told it: `position` is ours, `identifier` what makes it unique there."""

    identifier: str
    position: int
    account: str
    meter: str
    customer: str
    event_type: str
    value: Decimal
    timestamp: datetime


class Settlement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What became of one send; `code` and `message` are the platform's, where it said why."""

    identifier: str
    outcome: SendOutcome
    code: str | None = None
    message: str | None = None


class UsageSendIntended(Event, frozen=True, kw_only=True):
    """These sends are about to leave, together. Nothing is ever sent that is not in the log before."""

    TOPIC = "UsageSendIntended"

    platform: str
    batch: str
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
    """A send is about to be cancelled on the platform, because the usage event at `position` was voided."""

    TOPIC = "SendCancelIntended"

    platform: str
    identifier: str
    event_type: str
    position: int


class SendCancelSettled(Event, frozen=True, kw_only=True):
    """What became of a cancel."""

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
