"""Invoices from draft to final, and what is done with them by hand. docs.stripe.com/api/invoices"""

from typing import Final, Literal

from ledger.sandbox.stripe.arguments import (
    Arguments,
    CreatedPageArguments,
    Metadata,
    PageArguments,
    is_within,
    merged,
    told,
)
from ledger.sandbox.stripe.customers import living
from ledger.sandbox.stripe.drafting import draft, refresh
from ledger.sandbox.stripe.errors import unacceptable
from ledger.sandbox.stripe.finalisation import finalize, settle
from ledger.sandbox.stripe.operations import AnyOperation, delete, get, post
from ledger.sandbox.stripe.shelves import Json, Shelf
from ledger.sandbox.stripe.state import State


class NewInvoiceArguments(Arguments, kw_only=True, frozen=True):
    """What makes an invoice by hand, of the customer's pending items. docs.stripe.com/api/invoices/create"""

    customer: str
    currency: str = "usd"
    auto_advance: bool = False
    description: str | None = None
    metadata: Metadata | None = None
    pending_invoice_items_behavior: Literal["include", "exclude"] = "exclude"


class InvoiceArguments(Arguments, kw_only=True, frozen=True):
    """What of an invoice may change. docs.stripe.com/api/invoices/update"""

    auto_advance: bool | None = None
    description: str | None = None
    metadata: Metadata | None = None


class FinalizeArguments(Arguments, kw_only=True, frozen=True):
    """How to finalise. docs.stripe.com/api/invoices/finalize"""

    auto_advance: bool | None = None


class PayArguments(Arguments, kw_only=True, frozen=True):
    """How an invoice was paid: the sandbox moves no money. docs.stripe.com/api/invoices/pay"""

    paid_out_of_band: bool = False


class InvoicesArguments(CreatedPageArguments, kw_only=True, frozen=True):
    """Which invoices to list. docs.stripe.com/api/invoices/list"""

    customer: str | None = None
    subscription: str | None = None
    status: Literal["draft", "open", "paid", "uncollectible", "void"] | None = None
    collection_method: Literal["charge_automatically", "send_invoice"] | None = None


def create(state: State, arguments: NewInvoiceArguments) -> Json:
    """Make a draft, with the customer's pending items if asked. docs.stripe.com/api/invoices/create"""
    customer = living(state, arguments.customer)
    takes = arguments.pending_invoice_items_behavior == "include"
    items = pending_items(state, customer["id"], arguments.currency) if takes else []
    invoice = draft(state, customer, [], items, currency=arguments.currency, reason="manual")
    invoice |= {"description": arguments.description, "metadata": told(arguments.metadata)}
    state.announce("invoice.created", invoice)
    return invoice


def pending_items(state: State, customer: str, currency: str) -> list[Json]:
    """Items of a customer that wait for an invoice. docs.stripe.com/api/invoiceitems"""
    return [
        one
        for one in state.invoice_items
        if one["customer"] == customer and one["currency"] == currency and one["invoice"] is None
    ]


def retrieve(state: State, _: Arguments, invoice: str) -> Json:
    """The invoice; a draft with what is known by now. docs.stripe.com/api/invoices/retrieve"""
    known = state.invoices.get(invoice)
    if "deleted" not in known:
        refresh(state, known)
    return known


def update(state: State, arguments: InvoiceArguments, invoice: str) -> Json:
    """Change what was told. docs.stripe.com/api/invoices/update"""
    known = state.invoices.get(invoice)
    names = ("auto_advance", "description")
    changes: Json = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    changes["metadata"] = merged(known["metadata"], arguments.metadata)
    return state.changed("invoice.updated", known, changes)


def finalize_now(state: State, _: FinalizeArguments, invoice: str) -> Json:
    """Make a draft final at once. docs.stripe.com/api/invoices/finalize"""
    known = _in(state, invoice, "draft")
    finalize(state, known)
    return known


def pay(state: State, _: PayArguments, invoice: str) -> Json:
    """Mark an open invoice as paid. docs.stripe.com/api/invoices/pay"""
    known = _in(state, invoice, "open")
    known["amount_paid"] = known["amount_due"]
    settle(state, known)
    return known


def void(state: State, _: Arguments, invoice: str) -> Json:
    """Void an open invoice. docs.stripe.com/api/invoices/void"""
    known = _in(state, invoice, "open")
    transitions = known["status_transitions"] | {"voided_at": state.now}
    changes = {"status": "void", "status_transitions": transitions, "amount_remaining": 0}
    return state.changed("invoice.voided", known, changes)


def remove(state: State, _: Arguments, invoice: str) -> Json:
    """Delete a draft that no subscription made. docs.stripe.com/api/invoices/delete"""
    known = _in(state, invoice, "draft")
    if known["billing_reason"] != "manual":
        raise unacceptable("You can't delete invoices created by subscriptions.", "id")
    state.announce("invoice.deleted", known)
    for item in state.invoice_items:
        if item["invoice"] == invoice:
            item["invoice"] = None
    known.clear()
    known |= {"id": invoice, "object": "invoice", "deleted": True}
    return known


def _in(state: State, invoice: str, status: str) -> Json:
    """The invoice, which must have the status. docs.stripe.com/invoicing/overview#invoice-statuses"""
    known = state.invoices.get(invoice)
    if known.get("status") != status:
        raise unacceptable(f"The invoice {invoice} is not {status}.", "id", "invoice_not_editable")
    return known


def page(state: State, arguments: InvoicesArguments) -> Json:
    """Invoices, newest first. docs.stripe.com/api/invoices/list"""
    found = state.invoices.page(arguments, "/v1/invoices", lambda one: _is_wanted(one, arguments))
    for invoice in found["data"]:
        refresh(state, invoice)
    return found


def _is_wanted(invoice: Json, arguments: InvoicesArguments) -> bool:
    if "deleted" in invoice:
        return False
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    return (
        is_within(invoice["created"], arguments.created)
        and arguments.customer in (None, invoice["customer"])
        and arguments.subscription in (None, details.get("subscription"))
        and arguments.status in (None, invoice["status"])
        and arguments.collection_method in (None, invoice["collection_method"])
    )


def lines_page(state: State, arguments: PageArguments, invoice: str) -> Json:
    """All lines of an invoice, by pages, in their order. docs.stripe.com/api/invoice-line-item/retrieve"""
    refresh(state, state.invoices.get(invoice))
    lines = Shelf("line item")
    for line in reversed(state.lines[invoice]):
        lines.add(line)
    return lines.page(arguments, f"/v1/invoices/{invoice}/lines")


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/invoices", NewInvoiceArguments, create),
    get("/v1/invoices", InvoicesArguments, page),
    get("/v1/invoices/{invoice}", Arguments, retrieve),
    post("/v1/invoices/{invoice}", InvoiceArguments, update),
    delete("/v1/invoices/{invoice}", Arguments, remove),
    get("/v1/invoices/{invoice}/lines", PageArguments, lines_page),
    post("/v1/invoices/{invoice}/finalize", FinalizeArguments, finalize_now),
    post("/v1/invoices/{invoice}/pay", PayArguments, pay),
    post("/v1/invoices/{invoice}/void", Arguments, void),
)
