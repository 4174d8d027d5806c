"""What a billing platform holds, in words that fit any of them: customers, subscriptions, prices, meters, invoices.

Ids are the platform's own. Amounts that were billed are `Money`, quantities exact decimals.
"""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from ledger.domain.charges import Charge
from ledger.domain.durations import IntervalUnit
from ledger.domain.money import Money

ObjectKind = Literal["customer", "meter", "price", "subscription", "invoice", "credit_note"]
Formula = Literal["sum", "count", "last"]
InvoiceStatus = Literal["draft", "open", "paid", "void", "uncollectible", "deleted"]
"""`deleted`: a draft that is no more."""
SubscriptionStatus = Literal["trialing", "active", "past_due", "paused", "unpaid", "incomplete", "ended"]


class _Object(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something of a billing platform: immutable, closed."""


class Customer(_Object, frozen=True):
    """Who is billed there. It is an account of ours where its `id` is one of that account's aliases."""

    id: str
    name: str = ""
    is_deleted: bool = False


class PlatformMeter(_Object, frozen=True):
    """What sums usage there: events of `event_type`, by `formula`."""

    id: str
    event_type: str
    formula: Formula
    is_active: bool = True


class Price(_Object, frozen=True):
    """What one unit, or a period, costs there.

    `charge` is the price as our calculator rates it; None where it cannot, and `obstacle` says why. `meter` is the id
    of the platform's meter whose usage it prices; None for a price of a quantity that is agreed.
    """

    id: str
    product: str
    currency: str
    interval: IntervalUnit | None = None
    interval_count: int = 1
    meter: str | None = None
    charge: Charge | None = None
    obstacle: str | None = None
    is_active: bool = True


class SubscriptionItem(_Object, frozen=True):
    """One price that a subscription bills; `quantity` is None where usage is metered.

    `obstacle` says why the item is billed in another way than its price tells, where it is.
    """

    id: str
    price: str
    quantity: Decimal | None = None
    obstacle: str | None = None


class Subscription(_Object, frozen=True):
    """What a customer is billed for, period by period `[period_start, period_end)`."""

    id: str
    customer: str
    status: SubscriptionStatus
    currency: str
    started_at: datetime
    period_start: datetime
    period_end: datetime
    anchor: datetime
    items: tuple[SubscriptionItem, ...] = ()
    ended_at: datetime | None = None


class PlatformLine(_Object, frozen=True):
    """One line of an invoice there; `price` is None for what a person added by hand."""

    id: str
    label: str
    money: Money
    start: datetime
    end: datetime
    quantity: Decimal | None = None
    price: str | None = None
    meter: str | None = None
    is_proration: bool = False


class PlatformInvoice(_Object, frozen=True):
    """An invoice there, for `[start, end)`; `total` is what is left after discounts, credit and tax."""

    id: str
    customer: str
    status: InvoiceStatus
    start: datetime
    end: datetime
    lines: tuple[PlatformLine, ...]
    subtotal: Money
    total: Money
    created_at: datetime
    subscription: str | None = None
    finalized_at: datetime | None = None


class CreditNote(_Object, frozen=True):
    """Money taken off an invoice there after it was final."""

    id: str
    invoice: str
    customer: str
    money: Money
    reason: str | None
    created_at: datetime
    is_void: bool = False


class UsageSum(_Object, frozen=True):
    """What the platform counted in a window `[start, end)`."""

    start: datetime
    end: datetime
    quantity: Decimal


class Inexpressible(_Object, frozen=True):
    """An object there that cannot be told in these words; `obstacle` says why. It is never guessed at."""

    kind: ObjectKind
    id: str
    obstacle: str
    customer: str | None = None


PlatformObject = Customer | PlatformMeter | Price | Subscription | PlatformInvoice | CreditNote | Inexpressible
