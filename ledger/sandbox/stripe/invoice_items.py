"""Invoice items: what a person or a program adds to a customer's next invoice. docs.stripe.com/api/invoiceitems"""

from typing import Final

from ledger.sandbox.stripe.arguments import Arguments, Metadata, PageArguments, Part, told
from ledger.sandbox.stripe.customers import living
from ledger.sandbox.stripe.drafting import refresh, show
from ledger.sandbox.stripe.errors import unacceptable
from ledger.sandbox.stripe.invoice_lines import of_item
from ledger.sandbox.stripe.operations import AnyOperation, get, post
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


class ItemPeriod(Part, kw_only=True, frozen=True):
    """What time an item is about."""

    start: int
    end: int


class NewInvoiceItemArguments(Arguments, kw_only=True, frozen=True):
    """An amount in minor units; below nought it lowers the invoice. docs.stripe.com/api/invoiceitems/create"""

    customer: str
    amount: int
    currency: str = "usd"
    description: str | None = None
    invoice: str | None = None
    metadata: Metadata | None = None
    period: ItemPeriod | None = None


class InvoiceItemsArguments(PageArguments, kw_only=True, frozen=True):
    """Which items to list. docs.stripe.com/api/invoiceitems/list"""

    customer: str | None = None
    invoice: str | None = None
    pending: bool | None = None


def create(state: State, arguments: NewInvoiceItemArguments) -> Json:
    """Add an item to a draft, or to the customer's next invoice. docs.stripe.com/api/invoiceitems/create"""
    customer = living(state, arguments.customer)
    now = state.now
    period = arguments.period or ItemPeriod(start=now, end=now)
    item: Json = {
        "id": state.ids.next("ii"),
        "object": "invoiceitem",
        "amount": arguments.amount,
        "currency": arguments.currency,
        "customer": customer["id"],
        "customer_account": None,
        "date": now,
        "description": arguments.description,
        "discountable": True,
        "discounts": [],
        "invoice": arguments.invoice,
        "livemode": False,
        "metadata": told(arguments.metadata),
        "net_amount": arguments.amount,
        "parent": None,
        "period": {"start": period.start, "end": period.end},
        "pricing": None,
        "proration": False,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": None,
    }
    if arguments.invoice is not None:
        _add_to(state, item, state.invoices.get(arguments.invoice, "invoice"))
    return state.invoice_items.add(item)


def _add_to(state: State, item: Json, invoice: Json) -> None:
    """Only a draft takes items. docs.stripe.com/invoicing/overview#invoice-statuses"""
    if invoice.get("status") != "draft" or invoice["customer"] != item["customer"]:
        message = f"The invoice {invoice['id']} is no draft of the customer."
        raise unacceptable(message, "invoice", "invoice_not_editable")
    refresh(state, invoice)
    line = of_item(state, item, invoice["id"])
    state.fixed_lines[invoice["id"]].append(line)
    show(state, invoice, [*state.lines[invoice["id"]], line])


def retrieve(state: State, _: Arguments, item: str) -> Json:
    """The item. docs.stripe.com/api/invoiceitems/retrieve"""
    return state.invoice_items.get(item)


def page(state: State, arguments: InvoiceItemsArguments) -> Json:
    """Items, newest first. docs.stripe.com/api/invoiceitems/list"""
    return state.invoice_items.page(
        arguments,
        "/v1/invoiceitems",
        lambda one: (
            arguments.customer in (None, one["customer"])
            and arguments.invoice in (None, one["invoice"])
            and arguments.pending in (None, one["invoice"] is None)
        ),
    )


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/invoiceitems", NewInvoiceItemArguments, create),
    get("/v1/invoiceitems", InvoiceItemsArguments, page),
    get("/v1/invoiceitems/{item}", Arguments, retrieve),
)
