"""The port to billing platforms: what any of them gives and takes. Nothing outside an adapter knows its shapes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from ledger.domain.money import Money
from ledger.domain.platform_events import PlatformNotified
from ledger.domain.platform_objects import (
    CreditNote,
    Customer,
    PlatformInvoice,
    PlatformMeter,
    PlatformObject,
    Price,
    Subscription,
    UsageSum,
)
from ledger.domain.send_events import Settlement, UsageSend

ObjectKind = Literal["customer", "meter", "price", "subscription", "invoice", "credit_note"]
Grouping = Literal["hour", "day"]
"""Whole hours or days of UTC."""
Instrument = Literal["customer_balance", "credit_note", "credit_grant"]


class PlatformFault(Exception):
    """The platform did not do what was asked; `request_id` is what its support asks for."""

    def __init__(self, message: str, *, code: str | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class PlatformUnavailable(PlatformFault):
    """No usable answer came: it may or may not have been done. A read may be repeated at once."""


class PlatformBusy(PlatformFault):
    """It was certainly not done: too much was asked at once. Repeat it later."""


class PlatformRefused(PlatformFault):
    """It was certainly not done, and repeating it changes nothing."""


class NotificationForged(PlatformFault):
    """The message does not bear a valid, recent signature of the platform."""


class NotificationUnreadable(PlatformFault):
    """The message bears a valid signature and still cannot be read."""


class Credit(NamedTuple):
    """Money to be given to a customer there, or taken from where it is below zero.

    `identifier` makes it happen once. A credit note needs the `invoice` that it is for.
    """

    identifier: str
    customer: str
    instrument: Instrument
    money: Money
    label: str
    invoice: str | None = None


class Platform(Protocol):
    """A billing platform. Methods raise `PlatformUnavailable`, `PlatformBusy` or `PlatformRefused`.

    Lists come in no order that matters; each is read page by page while it is followed.
    """

    name: str

    def customers(self) -> AsyncIterator[Customer]:
        """All customers, without deleted ones."""
        ...

    def meters(self) -> AsyncIterator[PlatformMeter]:
        """All meters."""
        ...

    def prices(self) -> AsyncIterator[Price]:
        """All prices, with those that can no longer be chosen."""
        ...

    def subscriptions(self) -> AsyncIterator[Subscription]:
        """All subscriptions, with ended ones."""
        ...

    def invoices(self, *, created_from: datetime | None = None) -> AsyncIterator[PlatformInvoice]:
        """Invoices with all their lines."""
        ...

    def credit_notes(self, *, created_from: datetime | None = None) -> AsyncIterator[CreditNote]:
        """Credit notes."""
        ...

    async def fetch(self, kind: ObjectKind, object_id: str) -> PlatformObject | None:
        """One object as it stands now; None where there is none. A deleted customer says so."""
        ...

    async def preview_invoice(self, subscription: str) -> PlatformInvoice:
        """The invoice of the running period as the platform sees it."""
        ...

    async def usage_sums(
        self, meter: str, customer: str, start: datetime, end: datetime, grouping: Grouping | None = None
    ) -> list[UsageSum]:
        """What was counted in `[start, end)`, whole or by hour or day; windows with nothing may be left out.

        Both ends are whole minutes, or of the grouping: raises `ValueError` else. Sums may lag what was sent.
        """
        ...

    async def send_usage(self, sends: Sequence[UsageSend]) -> list[Settlement]:
        """Tell usage, and what became of each, in order. Raises `PlatformBusy` where none of it was told."""
        ...

    async def cancel_usage(self, identifier: str, event_type: str) -> Settlement:
        """Take back one usage event that was told."""
        ...

    async def give_credit(self, credit: Credit) -> str:
        """Give or take money; returns the platform's id of what it made. Repeated, it returns the same."""
        ...

    def notifications(self, since: datetime) -> AsyncIterator[PlatformNotified]:
        """What the platform would have told since a moment, oldest first, as far back as it keeps that."""
        ...

    def read_notification(self, body: bytes, headers: Mapping[str, str], now: datetime) -> PlatformNotified:
        """A message of the platform. Raises `NotificationForged`, `NotificationUnreadable`."""
        ...
