"""The port to billing platforms: what any of them gives and takes. Nothing outside an adapter knows its shapes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol

from ledger.domain.money import Money
from ledger.domain.platform_events import PlatformNotified
from ledger.domain.platform_objects import ObjectKind, PlatformInvoice, PlatformObject, UsageSum
from ledger.domain.send_events import Settlement, UsageSend

SENDS_MAX: Final = 100
"""How many sends are told together."""
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
    """It was certainly not done: too much was asked at once. Repeat it after the seconds told, if they are."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        request_id: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.retry_after_seconds = retry_after_seconds


class PlatformClosed(PlatformBusy):
    """It was certainly not done: the platform does not take our key, or not for this. Repeat it once that is mended."""


class PlatformRefused(PlatformFault):
    """It was certainly not done, and repeating it changes nothing."""


class NotificationForged(PlatformFault):
    """The message does not bear a valid, recent signature of the platform.

    `code` is signature_missing, signature_invalid or signature_stale.
    """


class NotificationUnreadable(PlatformFault):
    """The message bears a valid signature and still cannot be read."""


class Rejections(NamedTuple):
    """Usage that was accepted first and rejected later: how much of it, and what became of a sample."""

    rejected: int
    sample: list[Settlement]


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

    def objects(
        self, kind: ObjectKind, *, after: str | None = None, created_from: datetime | None = None
    ) -> AsyncIterator[PlatformObject]:
        """All objects of a kind in an order of the platform's, with ended ones and without deleted ones.

        `after` is the id of the one after which to go on. `created_from` is for invoices and credit notes alone.
        Invoices come with all their lines. What cannot be told in our words is an `Inexpressible`.
        """
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
        """Tell usage together, at most `SENDS_MAX`, and what became of each, in order.

        Some may be rejected later, which a notification tells (`rejections`). No answer is the outcome `unknown`.
        Raises `PlatformBusy` where none of it was told.
        """
        ...

    async def send_singly(self, send: UsageSend) -> Settlement:
        """Tell one usage event and what became of it at once: slower, but it knows what was delivered before.

        Raises `PlatformBusy`.
        """
        ...

    async def rejections(self, notified: PlatformNotified) -> Rejections | None:
        """What a notification says was rejected; None where it tells of something else."""
        ...

    async def cancel_usage(self, identifier: str, event_type: str) -> Settlement:
        """Take back one usage event that was told; `delivered_before` where it was already. Raises `PlatformBusy`."""
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
