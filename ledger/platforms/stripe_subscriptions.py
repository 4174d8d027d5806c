"""Stripe's customers, meters and subscriptions. docs.stripe.com/api/subscriptions/object"""

from decimal import Decimal
from typing import Final

import msgspec

from ledger.domain.platform_objects import (
    Customer,
    Formula,
    PlatformMeter,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from ledger.platforms.stripe_money import currency_of, moment_of
from ledger.platforms.stripe_references import Reference, reference

STATUSES: Final[dict[str, SubscriptionStatus]] = {
    "trialing": "trialing",
    "active": "active",
    "past_due": "past_due",
    "paused": "paused",
    "unpaid": "unpaid",
    "incomplete": "incomplete",
    "incomplete_expired": "ended",
    "canceled": "ended",
}


class TheirCustomer(msgspec.Struct, frozen=True):
    """What we read of a customer; of a deleted one only that it was."""

    id: str
    name: str | None = None
    deleted: bool = False


class _Aggregation(msgspec.Struct, frozen=True):
    formula: Formula


class _PayloadKey(msgspec.Struct, frozen=True):
    event_payload_key: str


class TheirMeter(msgspec.Struct, frozen=True):
    """What we read of a meter. docs.stripe.com/api/billing/meter/object"""

    id: str
    event_name: str
    default_aggregation: _Aggregation
    customer_mapping: _PayloadKey
    value_settings: _PayloadKey
    status: str = "active"


class _ItemPrice(msgspec.Struct, frozen=True):
    id: str
    currency: str


class _Item(msgspec.Struct, frozen=True):
    id: str
    price: _ItemPrice
    current_period_start: int
    current_period_end: int
    quantity: Decimal | None = None
    discounts: list[msgspec.Raw] = []


class Items(msgspec.Struct, frozen=True):
    """Items of a subscription: the first ones, or all."""

    data: list[_Item] = []
    has_more: bool = False


class TheirSubscription(msgspec.Struct, frozen=True):
    """What we read of a subscription."""

    id: str
    customer: Reference
    status: str
    currency: str
    start_date: int
    billing_cycle_anchor: int
    items: Items
    ended_at: int | None = None
    discounts: list[msgspec.Raw] = []


class StatusNotKnown(Exception):
    """A state of a subscription that our words have none for, or no period; the message says so."""


def customer_of(theirs: TheirCustomer) -> Customer:
    """The customer."""
    return Customer(id=theirs.id, name=theirs.name or "", is_deleted=theirs.deleted)


def meter_of(theirs: TheirMeter) -> PlatformMeter:
    """The meter."""
    formula = theirs.default_aggregation.formula
    return PlatformMeter(
        id=theirs.id, event_type=theirs.event_name, formula=formula, is_active=theirs.status == "active"
    )


def subscription_of(theirs: TheirSubscription) -> Subscription:
    """The subscription, whose period is its first item's. Raises `CurrencyNotKnown`, `StatusNotKnown`."""
    status = STATUSES.get(theirs.status)
    if status is None or not theirs.items.data:
        raise StatusNotKnown(f'the status "{theirs.status}" is not known' if status is None else "it has no items")
    first = theirs.items.data[0]
    return Subscription(
        id=theirs.id,
        customer=reference(theirs.customer),
        status=status,
        currency=currency_of(theirs.currency),
        started_at=moment_of(theirs.start_date),
        period_start=moment_of(first.current_period_start),
        period_end=moment_of(first.current_period_end),
        anchor=moment_of(theirs.billing_cycle_anchor),
        items=tuple(
            SubscriptionItem(
                id=one.id, price=one.price.id, quantity=one.quantity, obstacle=_obstacle(theirs, one, first)
            )
            for one in theirs.items.data
        ),
        ended_at=None if theirs.ended_at is None else moment_of(theirs.ended_at),
    )


def _obstacle(theirs: TheirSubscription, item: _Item, first: _Item) -> str | None:
    """Why the price alone does not tell what the item comes to; None where it does."""
    if item.price.currency.lower() != theirs.currency.lower():
        return f"it is billed in {theirs.currency.upper()}, and its price is in {item.price.currency.upper()}"
    period = item.current_period_start, item.current_period_end
    if period != (first.current_period_start, first.current_period_end):
        return "it is billed by other periods than the subscription's first item"
    if theirs.discounts or item.discounts:
        return "it has discounts"
    return None
