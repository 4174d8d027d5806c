"""What happens to billing periods: they are closed, and usage that comes later is settled."""

from datetime import datetime

from ledger.domain.agreements import LateAction
from ledger.domain.events import Event
from ledger.domain.invoices import Invoice
from ledger.domain.money import Money


class PeriodClosed(Event, frozen=True, kw_only=True):
    """The account's period `[start, end)` is billed as it stood at `position` of the log.

    `rated` is what its lines came to without adjustments, `adjusted` what adjustments did, `total` what was left to
    pay after `credits`, which is what each credit grant paid. Usage after `position` is late.
    """

    TOPIC = "PeriodClosed"

    account: str
    start: datetime
    end: datetime
    position: int
    rated: Money
    adjusted: Money
    total: Money
    credits: dict[str, Money]
    adjustments: tuple[str, ...]
    closed_by: str


class InvoiceClosed(Event, frozen=True, kw_only=True):
    """The invoice of a period as it was calculated when that was closed, line by line."""

    TOPIC = "InvoiceClosed"

    account: str
    invoice: Invoice


class LateUsageAssessed(Event, frozen=True, kw_only=True):
    """A closed period was rated anew as it stood at `position` and came to `rated`.

    `difference` is to what it was closed at and what earlier assessments made of it. `action` is what the contract
    wants done; `adjustment` is the key of the one that was proposed for it, None where the difference is absorbed.
    """

    TOPIC = "LateUsageAssessed"

    account: str
    start: datetime
    position: int
    rated: Money
    difference: Money
    action: LateAction
    adjustment: str | None = None


ClosingEvent = PeriodClosed | InvoiceClosed | LateUsageAssessed
