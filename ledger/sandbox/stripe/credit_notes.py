"""Credit notes: what is taken off a final invoice. docs.stripe.com/api/credit_notes"""

from typing import Final, Literal

from ledger.sandbox.stripe import balance_transactions
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
from ledger.sandbox.stripe.finalisation import settle
from ledger.sandbox.stripe.operations import AnyOperation, get, post
from ledger.sandbox.stripe.shelves import Json, Shelf
from ledger.sandbox.stripe.state import State

Reason = Literal["duplicate", "fraudulent", "order_change", "product_unsatisfactory"]


class NoteLine(Part, kw_only=True, frozen=True):
    """What is credited: of a line of the invoice, or something else. Amounts in minor units."""

    type: Literal["invoice_line_item", "custom_line_item"]
    invoice_line_item: str | None = None
    amount: int | None = None
    description: str | None = None
    quantity: int | None = None
    unit_amount: int | None = None


class NewNoteArguments(Arguments, kw_only=True, frozen=True):
    """What makes a credit note. docs.stripe.com/api/credit_notes/create"""

    invoice: str
    amount: int | None = None
    lines: list[NoteLine] | None = None
    reason: Reason | None = None
    memo: str | None = None
    metadata: Metadata | None = None
    credit_amount: int | None = None
    out_of_band_amount: int | None = None
    effective_at: int | None = None


class NoteArguments(Arguments, kw_only=True, frozen=True):
    """What of a credit note may change. docs.stripe.com/api/credit_notes/update"""

    memo: str | None = None
    metadata: Metadata | None = None


class NotesArguments(CreatedPageArguments, kw_only=True, frozen=True):
    """Which credit notes to list. docs.stripe.com/api/credit_notes/list"""

    customer: str | None = None
    invoice: str | None = None


def create(state: State, arguments: NewNoteArguments) -> Json:
    """Take an amount off an open invoice, or give it back for a paid one, to the balance or elsewhere.

    docs.stripe.com/api/credit_notes/create
    """
    invoice = state.invoices.get(arguments.invoice, "invoice")
    identifier = state.ids.next("cn")
    lines = _lines(state, arguments, invoice)
    amount = sum(one["amount"] for one in lines)
    _check(arguments, invoice, amount)
    if arguments.credit_amount:
        living(state, invoice["customer"])
    is_paid = invoice["status"] == "paid"
    number = 1 + sum(one["invoice"] == invoice["id"] for one in state.credit_notes)
    note = state.credit_notes.add(_note(state, identifier, arguments, invoice, amount))
    note |= {
        "lines": {"object": "list", "data": lines, "has_more": False, "url": f"/v1/credit_notes/{identifier}/lines"},
        "number": f"{invoice['number']}-CN-{number:02}",
        "post_payment_amount": amount if is_paid else 0,
        "pre_payment_amount": 0 if is_paid else amount,
        "type": "post_payment" if is_paid else "pre_payment",
    }
    if is_paid:
        invoice["post_payment_credit_notes_amount"] += amount
        if arguments.credit_amount:
            note["customer_balance_transaction"] = _credit(state, arguments.credit_amount, invoice, identifier)
    else:
        invoice["pre_payment_credit_notes_amount"] += amount
        _lower(invoice, amount)
        if invoice["amount_remaining"] == 0:
            settle(state, invoice)
    state.announce("credit_note.created", note)
    return note


def _lower(invoice: Json, amount: int) -> None:
    """Take an amount off what an open invoice asks for. docs.stripe.com/api/invoices/object (`amount_remaining`)"""
    invoice["amount_due"] -= amount
    invoice["amount_remaining"] -= amount


def _check(arguments: NewNoteArguments, invoice: Json, amount: int) -> None:
    """Only of final invoices, and never more than is left; of a paid one all of it must go somewhere.

    docs.stripe.com/invoicing/integration/programmatic-credit-notes
    """
    if invoice.get("status") not in ("open", "paid"):
        raise unacceptable("You can only create credit notes for open or paid invoices.", "invoice")
    if amount <= 0:
        raise unacceptable("The amount of a credit note must be positive.", "amount")
    elsewhere = (arguments.credit_amount or 0) + (arguments.out_of_band_amount or 0)
    if invoice["status"] == "open":
        left = invoice["amount_remaining"]
        if elsewhere:
            raise unacceptable("Nothing of an unpaid invoice can be given back.", "credit_amount")
    else:
        credited = invoice["post_payment_credit_notes_amount"] + invoice["pre_payment_credit_notes_amount"]
        left = invoice["total"] - credited
        if elsewhere != amount:
            message = f"The sum of credit amount and out of band amount ({elsewhere}) must equal the amount ({amount})."
            raise unacceptable(message, "credit_amount")
    if amount > left:
        raise unacceptable(f"The credit note amount {amount} exceeds what is left of the invoice, {left}.", "amount")


def _lines(state: State, arguments: NewNoteArguments, invoice: Json) -> list[Json]:
    """The lines of a note: those that were told, or one of the whole amount."""
    if (arguments.amount is None) == (arguments.lines is None):
        raise unacceptable("You must give either amount or lines.", "amount", "parameter_missing")
    if arguments.lines is None:
        return [_line(state, arguments.amount or 0, arguments.memo, "custom_line_item", None)]
    found = []
    known = {line["id"]: line for line in state.lines.get(invoice["id"], [])}
    for one in arguments.lines:
        if one.type == "invoice_line_item":
            line = known.get(one.invoice_line_item or "")
            if line is None:
                raise not_found("invoice line item", one.invoice_line_item or "", "lines[invoice_line_item]")
            amount = line["amount"] if one.amount is None else one.amount
            if amount > line["amount"]:
                raise unacceptable("More than the line's amount cannot be credited.", "lines[amount]")
            found.append(_line(state, amount, line["description"], one.type, line["id"]))
        else:
            if one.unit_amount is None:
                raise unacceptable("A custom line needs unit_amount.", "lines[unit_amount]", "parameter_missing")
            quantity = 1 if one.quantity is None else one.quantity
            found.append(_line(state, one.unit_amount * quantity, one.description, one.type, None))
    return found


def _line(state: State, amount: int, description: str | None, kind: str, of: str | None) -> Json:
    line: Json = {
        "id": state.ids.next("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": description,
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": 1,
        "tax_rates": [],
        "taxes": [],
        "type": kind,
        "unit_amount": amount if of is None else None,
        "unit_amount_decimal": str(amount) if of is None else None,
    }
    return line if of is None else line | {"invoice_line_item": of}


def _note(state: State, identifier: str, arguments: NewNoteArguments, invoice: Json, amount: int) -> Json:
    """A credit note without lines. docs.stripe.com/api/credit_notes/object"""
    now = state.now
    return {
        "id": identifier,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": now if arguments.effective_at is None else arguments.effective_at,
        "invoice": invoice["id"],
        "livemode": False,
        "memo": arguments.memo,
        "metadata": told(arguments.metadata),
        "out_of_band_amount": arguments.out_of_band_amount,
        "pdf": "",
        "pretax_credit_amounts": [],
        "reason": arguments.reason,
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "voided_at": None,
    }


def _credit(state: State, amount: int, invoice: Json, note: str) -> str:
    customer = state.customers.get(invoice["customer"])
    made = balance_transactions.record(
        state, customer, -amount, invoice["currency"], kind="credit_note", invoice=invoice["id"], credit_note=note
    )
    return str(made["id"])


def retrieve(state: State, _: Arguments, note: str) -> Json:
    """The credit note. docs.stripe.com/api/credit_notes/retrieve"""
    return state.credit_notes.get(note)


def update(state: State, arguments: NoteArguments, note: str) -> Json:
    """Change memo or metadata. docs.stripe.com/api/credit_notes/update"""
    known = state.credit_notes.get(note)
    changes: Json = {"metadata": merged(known["metadata"], arguments.metadata)}
    if arguments.memo is not None:
        changes["memo"] = arguments.memo
    return state.changed("credit_note.updated", known, changes)


def void(state: State, _: Arguments, note: str) -> Json:
    """Take back a note of an invoice that is still open. docs.stripe.com/api/credit_notes/void"""
    known = state.credit_notes.get(note)
    invoice = state.invoices.get(known["invoice"])
    if known["status"] == "void" or invoice["status"] != "open":
        raise unacceptable("Only an issued credit note of an open invoice can be voided.", "id")
    invoice["pre_payment_credit_notes_amount"] -= known["amount"]
    _lower(invoice, -known["amount"])
    return state.changed("credit_note.voided", known, {"status": "void", "voided_at": state.now})


def page(state: State, arguments: NotesArguments) -> Json:
    """Credit notes, newest first. docs.stripe.com/api/credit_notes/list"""
    return state.credit_notes.page(
        arguments,
        "/v1/credit_notes",
        lambda one: (
            is_within(one["created"], arguments.created)
            and arguments.customer in (None, one["customer"])
            and arguments.invoice in (None, one["invoice"])
        ),
    )


def lines_page(state: State, arguments: PageArguments, note: str) -> Json:
    """The lines of a credit note. docs.stripe.com/api/credit_notes/lines"""
    found = Shelf("credit note line item")
    for line in reversed(state.credit_notes.get(note)["lines"]["data"]):
        found.add(line)
    return found.page(arguments, f"/v1/credit_notes/{note}/lines")


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/credit_notes", NewNoteArguments, create),
    get("/v1/credit_notes", NotesArguments, page),
    get("/v1/credit_notes/{note}", Arguments, retrieve),
    post("/v1/credit_notes/{note}", NoteArguments, update),
    get("/v1/credit_notes/{note}/lines", PageArguments, lines_page),
    post("/v1/credit_notes/{note}/void", Arguments, void),
)
