"""Customers. docs.stripe.com/api/customers"""

from typing import Final

from ledger.sandbox.stripe.arguments import Arguments, CreatedPageArguments, Metadata, is_within, merged, told
from ledger.sandbox.stripe.errors import unacceptable
from ledger.sandbox.stripe.operations import AnyOperation, delete, get, post
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


class CustomerArguments(Arguments, kw_only=True, frozen=True):
    """What may be told of a customer, when made and later. docs.stripe.com/api/customers/create"""

    name: str | None = None
    email: str | None = None
    description: str | None = None
    phone: str | None = None
    metadata: Metadata | None = None


class NewCustomerArguments(CustomerArguments, kw_only=True, frozen=True):
    """What may be told of a new customer. `balance` in minor units; below nought is credit."""

    balance: int = 0


class CustomersArguments(CreatedPageArguments, kw_only=True, frozen=True):
    """Which customers to list. docs.stripe.com/api/customers/list"""

    email: str | None = None


def create(state: State, arguments: NewCustomerArguments) -> Json:
    """Make a customer."""
    identifier = state.ids.next("cus")
    customer = state.customers.add(
        {
            "id": identifier,
            "object": "customer",
            "address": None,
            "balance": arguments.balance,
            "created": state.now,
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "description": arguments.description,
            "discount": None,
            "email": arguments.email,
            "invoice_prefix": identifier[-8:].upper(),
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": told(arguments.metadata),
            "name": arguments.name,
            "next_invoice_sequence": 1,
            "phone": arguments.phone,
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": None,
        }
    )
    state.announce("customer.created", customer)
    return customer


def retrieve(state: State, _: Arguments, customer: str) -> Json:
    """The customer; of a deleted one only that it was deleted. docs.stripe.com/api/customers/retrieve"""
    return state.customers.get(customer)


def update(state: State, arguments: CustomerArguments, customer: str) -> Json:
    """Change what was told. docs.stripe.com/api/customers/update"""
    known = living(state, customer, "id")
    changes: Json = {
        name: value
        for name in ("name", "email", "description", "phone")
        if (value := getattr(arguments, name)) is not None
    }
    changes["metadata"] = merged(known["metadata"], arguments.metadata)
    return state.changed("customer.updated", known, changes)


def remove(state: State, _: Arguments, customer: str) -> Json:
    """Delete a customer, whose subscriptions end at once. docs.stripe.com/api/customers/delete"""
    known = living(state, customer, "id")
    for subscription in state.subscriptions:
        if subscription["customer"] == customer and subscription["status"] != "canceled":
            now = state.now
            subscription |= {"status": "canceled", "canceled_at": now, "ended_at": now}
            state.announce("customer.subscription.deleted", subscription)
    state.announce("customer.deleted", known)
    known.clear()
    known |= {"id": customer, "object": "customer", "deleted": True}
    return known


def page(state: State, arguments: CustomersArguments) -> Json:
    """Customers that were not deleted, newest first. docs.stripe.com/api/customers/list"""
    return state.customers.page(
        arguments,
        "/v1/customers",
        lambda one: (
            "deleted" not in one
            and is_within(one["created"], arguments.created)
            and arguments.email in (None, one["email"])
        ),
    )


def living(state: State, customer: str, param: str = "customer") -> Json:
    """The customer that a parameter refers to, which must not be deleted."""
    known = state.customers.get(customer, param)
    if "deleted" in known:
        raise unacceptable(f"No such customer: '{customer}'", param, "resource_missing")
    return known


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/customers", NewCustomerArguments, create),
    get("/v1/customers", CustomersArguments, page),
    get("/v1/customers/{customer}", Arguments, retrieve),
    post("/v1/customers/{customer}", CustomerArguments, update),
    delete("/v1/customers/{customer}", Arguments, remove),
)
