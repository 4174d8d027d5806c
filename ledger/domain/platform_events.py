"""What billing platforms tell us, and how what they hold changes."""

from datetime import datetime

from ledger.domain.events import Event
from ledger.domain.platform_objects import (
    CreditNote,
    Customer,
    Inexpressible,
    PlatformInvoice,
    PlatformMeter,
    Price,
    Subscription,
)


class PlatformNotified(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A platform told that something happened there: `body` is its message as it came, its signature checked.

    `object_kind` and `object_id` name what it is about, both empty where that is nothing that the ledger keeps. The
    message itself changes nothing: what it is about is fetched, so that messages may come in any order, twice or
    late. `obstacle` says why its body should be read with care, where it should.
    """

    TOPIC = "PlatformNotified"

    platform: str
    event_id: str
    kind: str
    object_kind: str
    object_id: str
    created_at: datetime
    body: str
    obstacle: str | None = None


class CustomerSynced(Event, frozen=True, kw_only=True):
    """A customer of the platform is, or is again, like this."""

    TOPIC = "CustomerSynced"

    platform: str
    customer: Customer


class PlatformMeterSynced(Event, frozen=True, kw_only=True):
    """A meter of the platform is like this."""

    TOPIC = "PlatformMeterSynced"

    platform: str
    meter: PlatformMeter


class PriceSynced(Event, frozen=True, kw_only=True):
    """A price of the platform is like this."""

    TOPIC = "PriceSynced"

    platform: str
    price: Price


class SubscriptionSynced(Event, frozen=True, kw_only=True):
    """A subscription of the platform is like this."""

    TOPIC = "SubscriptionSynced"

    platform: str
    subscription: Subscription


class InvoiceSynced(Event, frozen=True, kw_only=True):
    """An invoice of the platform is like this."""

    TOPIC = "InvoiceSynced"

    platform: str
    invoice: PlatformInvoice


class CreditNoteSynced(Event, frozen=True, kw_only=True):
    """A credit note of the platform is like this."""

    TOPIC = "CreditNoteSynced"

    platform: str
    credit_note: CreditNote


class ObstacleEncountered(Event, frozen=True, kw_only=True):
    """An object of the platform is such that the ledger cannot tell it in its own words."""

    TOPIC = "ObstacleEncountered"

    platform: str
    inexpressible: Inexpressible


SyncEvent = (
    CustomerSynced
    | PlatformMeterSynced
    | PriceSynced
    | SubscriptionSynced
    | InvoiceSynced
    | CreditNoteSynced
    | ObstacleEncountered
)
