"""How what a billing platform holds becomes events: one stream for each object, one event for each change."""

from typing import Final, assert_never

import msgspec

from ledger.domain.platform_events import (
    CreditNoteSynced,
    CustomerSynced,
    InvoiceSynced,
    ObstacleEncountered,
    PlatformMeterSynced,
    PriceSynced,
    SubscriptionSynced,
    SyncEvent,
)
from ledger.domain.platform_objects import (
    CreditNote,
    Customer,
    Inexpressible,
    ObjectKind,
    PlatformInvoice,
    PlatformMeter,
    PlatformObject,
    Price,
    Subscription,
)

KINDS: Final[tuple[ObjectKind, ...]] = ("meter", "price", "customer", "subscription", "invoice", "credit_note")
"""What is synced, in an order in which what is referred to comes first."""


def synced(platform: str, one: PlatformObject) -> SyncEvent:
    """The event that an object of a platform is like this."""
    match one:
        case Customer():
            return CustomerSynced(platform=platform, customer=one)
        case PlatformMeter():
            return PlatformMeterSynced(platform=platform, meter=one)
        case Price():
            return PriceSynced(platform=platform, price=one)
        case Subscription():
            return SubscriptionSynced(platform=platform, subscription=one)
        case PlatformInvoice():
            return InvoiceSynced(platform=platform, invoice=one)
        case CreditNote():
            return CreditNoteSynced(platform=platform, credit_note=one)
        case Inexpressible():
            return ObstacleEncountered(platform=platform, inexpressible=one)
        case _:
            assert_never(one)


def object_of(event: SyncEvent) -> PlatformObject:
    """What an event says an object is like; inverse of `synced`."""
    match event:
        case CustomerSynced():
            return event.customer
        case PlatformMeterSynced():
            return event.meter
        case PriceSynced():
            return event.price
        case SubscriptionSynced():
            return event.subscription
        case InvoiceSynced():
            return event.invoice
        case CreditNoteSynced():
            return event.credit_note
        case ObstacleEncountered():
            return event.inexpressible
        case _:
            assert_never(event)


def kind_of(one: PlatformObject) -> ObjectKind:
    """The kind of an object."""
    match one:
        case Customer():
            return "customer"
        case PlatformMeter():
            return "meter"
        case Price():
            return "price"
        case Subscription():
            return "subscription"
        case PlatformInvoice():
            return "invoice"
        case CreditNote():
            return "credit_note"
        case Inexpressible():
            return one.kind
        case _:
            assert_never(one)


def gone(one: PlatformObject) -> PlatformObject:
    """The object as it is once the platform has it no more; itself where that says nothing about it.

    Of what is not listed any more, only customers, meters, prices and drafts of invoices can have been deleted.
    """
    match one:
        case Customer():
            return msgspec.structs.replace(one, is_deleted=True)
        case PlatformInvoice():
            return msgspec.structs.replace(one, status="deleted")
        case PlatformMeter() | Price():
            return msgspec.structs.replace(one, is_active=False)
        case Subscription() | CreditNote() | Inexpressible():
            return one
        case _:
            assert_never(one)
