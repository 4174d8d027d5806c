"""Stripe's invoices with their lines, and its credit notes. docs.stripe.com/api/invoices/object"""

from decimal import Decimal

import msgspec

from ledger.domain.platform_objects import CreditNote, InvoiceStatus, PlatformInvoice, PlatformLine
from ledger.platforms.stripe_money import moment_of, money_of
from ledger.platforms.stripe_references import Reference, reference


class _Period(msgspec.Struct, frozen=True):
    start: int
    end: int


class _PriceDetails(msgspec.Struct, frozen=True):
    price: Reference | None = None


class _Pricing(msgspec.Struct, frozen=True):
    price_details: _PriceDetails | None = None


class _LineDetails(msgspec.Struct, frozen=True):
    proration: bool = False


class _LineParent(msgspec.Struct, frozen=True):
    subscription_item_details: _LineDetails | None = None
    invoice_item_details: _LineDetails | None = None


class TheirLine(msgspec.Struct, frozen=True):
    """What we read of a line. docs.stripe.com/api/invoice-line-item/object"""

    id: str
    amount: int
    currency: str
    period: _Period
    description: str | None = None
    quantity: Decimal | None = None
    quantity_decimal: Decimal | None = None
    pricing: _Pricing | None = None
    parent: _LineParent | None = None

    @property
    def price(self) -> str | None:
        """The id of the price that the line bills."""
        details = None if self.pricing is None else self.pricing.price_details
        return None if details is None or details.price is None else reference(details.price)


class _Lines(msgspec.Struct, frozen=True):
    data: list[TheirLine] = []
    has_more: bool = False


class _Transitions(msgspec.Struct, frozen=True):
    finalized_at: int | None = None


class _SubscriptionDetails(msgspec.Struct, frozen=True):
    subscription: Reference | None = None


class _Parent(msgspec.Struct, frozen=True):
    subscription_details: _SubscriptionDetails | None = None


class TheirInvoice(msgspec.Struct, frozen=True):
    """What we read of an invoice; of a deleted one only that it was."""

    id: str
    deleted: bool = False
    customer: Reference = ""
    currency: str = ""
    status: InvoiceStatus | None = None
    period_start: int = 0
    period_end: int = 0
    created: int = 0
    subtotal: int = 0
    total: int = 0
    amount_remaining: int = 0
    lines: _Lines = _Lines()
    status_transitions: _Transitions = _Transitions()
    parent: _Parent | None = None


class TheirCreditNote(msgspec.Struct, frozen=True):
    """What we read of a credit note. docs.stripe.com/api/credit_notes/object"""

    id: str
    invoice: Reference
    customer: Reference
    currency: str
    total: int
    status: str
    created: int
    reason: str | None = None


def invoice_of(theirs: TheirInvoice, lines: list[PlatformLine]) -> PlatformInvoice:
    """The invoice with all its lines. Raises `CurrencyNotKnown`, `AmountUnrounded`."""
    details = None if theirs.parent is None else theirs.parent.subscription_details
    finalized = theirs.status_transitions.finalized_at
    return PlatformInvoice(
        id=theirs.id,
        customer=reference(theirs.customer),
        status=theirs.status or "draft",
        start=moment_of(theirs.period_start),
        end=moment_of(theirs.period_end),
        lines=tuple(lines),
        subtotal=money_of(theirs.subtotal, theirs.currency),
        total=money_of(theirs.total, theirs.currency),
        created_at=moment_of(theirs.created),
        subscription=None if details is None or details.subscription is None else reference(details.subscription),
        finalized_at=None if finalized is None else moment_of(finalized),
    )


def line_of(theirs: TheirLine, meter: str | None) -> PlatformLine:
    """The line; `meter` is that of its price. Raises `CurrencyNotKnown`, `AmountUnrounded`."""
    details = theirs.parent and (theirs.parent.subscription_item_details or theirs.parent.invoice_item_details)
    return PlatformLine(
        id=theirs.id,
        label=theirs.description or "",
        money=money_of(theirs.amount, theirs.currency),
        start=moment_of(theirs.period.start),
        end=moment_of(theirs.period.end),
        quantity=theirs.quantity if theirs.quantity_decimal is None else theirs.quantity_decimal,
        price=theirs.price,
        meter=meter,
        is_proration=details.proration if details else False,
    )


def credit_note_of(theirs: TheirCreditNote) -> CreditNote:
    """The credit note. Raises `CurrencyNotKnown`, `AmountUnrounded`."""
    return CreditNote(
        id=theirs.id,
        invoice=reference(theirs.invoice),
        customer=reference(theirs.customer),
        money=money_of(theirs.total, theirs.currency),
        reason=theirs.reason,
        created_at=moment_of(theirs.created),
        is_void=theirs.status == "void",
    )
