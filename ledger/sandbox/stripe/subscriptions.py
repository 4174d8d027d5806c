"""Subscriptions of a customer to prices. docs.stripe.com/api/subscriptions"""

from copy import deepcopy
from typing import Final, Literal

from ledger.sandbox.stripe import cycles
from ledger.sandbox.stripe.arguments import (
    Arguments,
    CreatedPageArguments,
    Metadata,
    PageArguments,
    Part,
    is_within,
    merged,
    told,
)
from ledger.sandbox.stripe.customers import living
from ledger.sandbox.stripe.errors import not_found, unacceptable
from ledger.sandbox.stripe.operations import AnyOperation, delete, get, post
from ledger.sandbox.stripe.shelves import Json, Shelf
from ledger.sandbox.stripe.state import State

ITEMS_MAX: Final = 20


class NewItem(Part, kw_only=True, frozen=True):
    """A price to subscribe to; a quantity only where it is licensed."""

    price: str
    quantity: int | None = None
    metadata: Metadata | None = None


class ChangedItem(Part, kw_only=True, frozen=True):
    """An item to add (without `id`), change or delete."""

    id: str | None = None
    price: str | None = None
    quantity: int | None = None
    deleted: bool = False


class NewSubscriptionArguments(Arguments, kw_only=True, frozen=True):
    """What makes a subscription. docs.stripe.com/api/subscriptions/create"""

    customer: str
    items: list[NewItem]
    billing_cycle_anchor: int | None = None
    cancel_at_period_end: bool = False
    collection_method: Literal["charge_automatically", "send_invoice"] = "charge_automatically"
    currency: str | None = None
    days_until_due: int | None = None
    description: str | None = None
    metadata: Metadata | None = None
    proration_behavior: Literal["create_prorations", "none"] = "create_prorations"


class SubscriptionArguments(Arguments, kw_only=True, frozen=True):
    """What of a subscription may change. docs.stripe.com/api/subscriptions/update"""

    items: list[ChangedItem] | None = None
    cancel_at_period_end: bool | None = None
    description: str | None = None
    metadata: Metadata | None = None
    proration_behavior: Literal["create_prorations", "none"] = "create_prorations"


class CancelArguments(Arguments, kw_only=True, frozen=True):
    """How to cancel at once. docs.stripe.com/api/subscriptions/cancel"""

    invoice_now: bool = False


class SubscriptionsArguments(CreatedPageArguments, kw_only=True, frozen=True):
    """Which subscriptions to list: without `status`, those that are not canceled."""

    customer: str | None = None
    price: str | None = None
    status: Literal["active", "canceled", "ended", "all"] | None = None


class ItemsArguments(PageArguments, kw_only=True, frozen=True):
    """The items of which subscription. docs.stripe.com/api/subscription_items/list"""

    subscription: str


def create(state: State, arguments: NewSubscriptionArguments) -> Json:
    """Subscribe from this second on. docs.stripe.com/api/subscriptions/create"""
    customer = living(state, arguments.customer)
    now = state.now
    identifier = state.ids.next("sub")
    anchor = now if arguments.billing_cycle_anchor is None else arguments.billing_cycle_anchor
    items = [_item(state, identifier, one.price, one.quantity, told(one.metadata)) for one in arguments.items]
    _check(arguments, items, anchor, now)
    currency = items[0]["price"]["currency"]
    if customer["currency"] not in (None, currency):
        raise unacceptable(f"The customer's currency is {customer['currency']}.", "currency")
    customer["currency"] = currency
    subscription = state.subscriptions.add(_blank(identifier, customer["id"], currency, anchor, now))
    subscription |= {
        "cancel_at_period_end": arguments.cancel_at_period_end,
        "collection_method": arguments.collection_method,
        "days_until_due": arguments.days_until_due,
        "description": arguments.description,
        "metadata": told(arguments.metadata),
    }
    _show(subscription, items)
    cycles.begin(state, subscription, is_prorated=arguments.proration_behavior == "create_prorations")
    state.announce("customer.subscription.created", subscription)
    return subscription


def _check(arguments: NewSubscriptionArguments, items: list[Json], anchor: int, now: int) -> None:
    """What a subscription may not be. docs.stripe.com/api/subscriptions/create"""
    if not 0 < len(items) <= ITEMS_MAX:
        raise unacceptable(f"A subscription has 1 to {ITEMS_MAX} items.", "items")
    recurring = [one["price"]["recurring"] for one in items]
    if len({(one["interval"], one["interval_count"]) for one in recurring}) > 1:
        raise unacceptable("The prices of a subscription must recur in the same interval.", "items")
    if len({one["price"]["currency"] for one in items}) > 1:
        raise unacceptable("The prices of a subscription must have the same currency.", "items")
    if len({one["price"]["id"] for one in items}) < len(items):
        raise unacceptable("A price may stand in a subscription once.", "items")
    if anchor < now or anchor > cycles.natural(items[0]["price"], now).start(1):
        raise unacceptable("billing_cycle_anchor must lie within the first interval.", "billing_cycle_anchor")
    if (arguments.collection_method == "send_invoice") != (arguments.days_until_due is not None):
        raise unacceptable("days_until_due goes with the collection_method send_invoice.", "days_until_due")


def _item(state: State, subscription: str, price: str, quantity: int | None, metadata: dict[str, str]) -> Json:
    """An item. A metered one has no quantity. docs.stripe.com/api/subscription_items/create"""
    known = state.prices.get(price, "items[price]")
    if known["recurring"] is None or not known["active"]:
        raise unacceptable(f"The price {price} is not an active recurring one.", "items[price]")
    is_metered = known["recurring"]["usage_type"] == "metered"
    if is_metered and quantity is not None:
        raise unacceptable("quantity is not allowed for a metered price.", "items[quantity]")
    item: Json = {
        "id": state.ids.next("si"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": state.now,
        "current_period_end": 0,
        "current_period_start": 0,
        "discounts": [],
        "metadata": metadata,
        "price": deepcopy(known),
        "subscription": subscription,
        "tax_rates": [],
    }
    return item if is_metered else item | {"quantity": 1 if quantity is None else quantity}


def _show(subscription: Json, items: list[Json]) -> None:
    subscription["items"] = {
        "object": "list",
        "data": items,
        "has_more": False,
        "url": f"/v1/subscription_items?subscription={subscription['id']}",
    }


def _blank(identifier: str, customer: str, currency: str, anchor: int, now: int) -> Json:
    """A subscription without items. docs.stripe.com/api/subscriptions/object"""
    nothing_yet = (
        "application application_fee_percent billing_cycle_anchor_config billing_thresholds cancel_at canceled_at "
        "customer_account days_until_due default_payment_method default_source description ended_at latest_invoice "
        "next_pending_invoice_item_invoice on_behalf_of pause_collection pending_invoice_item_interval "
        "pending_setup_intent pending_update schedule test_clock transfer_data trial_end trial_start"
    ).split()
    return {
        "id": identifier,
        "object": "subscription",
        **dict.fromkeys(nothing_yet),
        "automatic_tax": {"enabled": False, "liability": None, "disabled_reason": None},
        "billing_cycle_anchor": anchor,
        "billing_mode": {"type": "classic", "flexible": None},
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "created": now,
        "currency": currency,
        "customer": customer,
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {
            "account_tax_ids": None,
            "issuer": {"type": "self"},
            "custom_fields": None,
            "description": None,
            "footer": None,
        },
        "livemode": False,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": None,
        },
        "start_date": now,
        "status": "active",
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }


def retrieve(state: State, _: Arguments, subscription: str) -> Json:
    """The subscription. docs.stripe.com/api/subscriptions/retrieve"""
    return state.subscriptions.get(subscription)


def update(state: State, arguments: SubscriptionArguments, subscription: str) -> Json:
    """Change a subscription; of items only without prorations, which the sandbox does not make.

    docs.stripe.com/api/subscriptions/update
    """
    known = _running(state, subscription)
    changes: Json = {"metadata": merged(known["metadata"], arguments.metadata)}
    if arguments.description is not None:
        changes["description"] = arguments.description
    if arguments.cancel_at_period_end is not None:
        end = cycles.current_end(known) if arguments.cancel_at_period_end else None
        changes |= {"cancel_at_period_end": arguments.cancel_at_period_end, "cancel_at": end}
        changes["canceled_at"] = state.now if arguments.cancel_at_period_end else None
    if arguments.items is not None:
        if arguments.proration_behavior != "none":
            raise unacceptable("The sandbox makes no prorations of changed items.", "proration_behavior")
        before = deepcopy(known["items"])
        _change_items(state, known, arguments.items)
        changes["items"], known["items"] = known["items"], before
    return state.changed("customer.subscription.updated", known, changes)


def _change_items(state: State, subscription: Json, changes: list[ChangedItem]) -> None:
    items = {one["id"]: deepcopy(one) for one in subscription["items"]["data"]}
    period = next(iter(items.values()))["current_period_start"], cycles.current_end(subscription)
    for change in changes:
        if change.id is not None and change.id not in items:
            raise not_found("subscription item", change.id, "items[id]")
        if change.deleted and change.id is not None:
            del items[change.id]
            continue
        known = items.get(change.id or "")
        price = change.price or (known or {}).get("price", {}).get("id", "")
        quantity = change.quantity if change.quantity is not None or known is None else known.get("quantity")
        made = _item(state, subscription["id"], price, quantity, {} if known is None else known["metadata"])
        made |= {"current_period_start": period[0], "current_period_end": period[1]}
        if known is not None:
            made |= {"id": known["id"], "created": known["created"]}
        items[made["id"]] = made
    if not items:
        raise unacceptable("A subscription must have an item.", "items")
    _show(subscription, list(items.values()))


def _running(state: State, subscription: str) -> Json:
    known = state.subscriptions.get(subscription)
    if known["status"] == "canceled":
        raise unacceptable("A canceled subscription can only update its metadata.", "id")
    return known


def cancel(state: State, arguments: CancelArguments, subscription: str) -> Json:
    """End at once; usage that no invoice has is dropped unless `invoice_now`.

    docs.stripe.com/api/subscriptions/cancel
    """
    known = _running(state, subscription)
    if arguments.invoice_now:
        cycles.bill_usage(state, known, until=state.now)
    cycles.end(state, known)
    return known


def page(state: State, arguments: SubscriptionsArguments) -> Json:
    """Subscriptions, newest first. docs.stripe.com/api/subscriptions/list"""
    return state.subscriptions.page(arguments, "/v1/subscriptions", lambda one: _is_wanted(one, arguments))


def _is_wanted(subscription: Json, arguments: SubscriptionsArguments) -> bool:
    statuses = {None: ("active",), "ended": ("canceled",), "all": ("active", "canceled")}
    return (
        subscription["status"] in statuses.get(arguments.status, (arguments.status,))
        and is_within(subscription["created"], arguments.created)
        and arguments.customer in (None, subscription["customer"])
        and (
            arguments.price is None or arguments.price in {one["price"]["id"] for one in subscription["items"]["data"]}
        )
    )


def items_page(state: State, arguments: ItemsArguments) -> Json:
    """The items of a subscription. docs.stripe.com/api/subscription_items/list"""
    found = Shelf("subscription item")
    for item in reversed(state.subscriptions.get(arguments.subscription, "subscription")["items"]["data"]):
        found.add(item)
    return found.page(arguments, "/v1/subscription_items")


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/subscriptions", NewSubscriptionArguments, create),
    get("/v1/subscriptions", SubscriptionsArguments, page),
    get("/v1/subscription_items", ItemsArguments, items_page),
    get("/v1/subscriptions/{subscription}", Arguments, retrieve),
    post("/v1/subscriptions/{subscription}", SubscriptionArguments, update),
    delete("/v1/subscriptions/{subscription}", CancelArguments, cancel),
)
