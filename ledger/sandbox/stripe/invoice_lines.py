"""Lines of invoices. docs.stripe.com/api/invoice-line-item"""

from decimal import Decimal
from typing import Final

from ledger.sandbox.stripe.dues import Due
from ledger.sandbox.stripe.rating import Part, parts, rounded
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State
from ledger.sandbox.stripe.summaries import measured

SHOWN_MAX: Final = 10
"""How many lines an invoice itself shows; `GET /v1/invoices/{id}/lines` gives the rest.

docs.stripe.com/api/invoices/object (`lines`)
"""


def lines_of(state: State, dues: list[Due], invoice: str, delay_seconds: int) -> list[Json]:
    """The lines of what is due, of usage received at least `delay_seconds` ago."""
    return [line for due in dues for line in _lines(state, due, invoice, delay_seconds)]


def _lines(state: State, due: Due, invoice: str, delay_seconds: int) -> list[Json]:
    price = due.item["price"]
    quantity = Decimal(due.item.get("quantity") or 0)
    if due.is_metered:
        meter = state.meters.get(price["recurring"]["meter"])
        customer = due.subscription["customer"]
        quantity = measured(state, meter, customer, due.start, due.end, delay_seconds) or Decimal()
    product = state.products.get(price["product"])["name"]
    found = []
    for part in parts(price, state.tiers.get(price["id"], []), quantity):
        numerator, denominator = due.share
        amount = rounded(Decimal(part.amount * numerator) / denominator)
        label = f" ({part.label})" if part.label else ""
        found.append(_line(state, due, part, amount, f"{part.quantity.normalize():f} × {product}{label}", invoice))
    return found


def _line(state: State, due: Due, part: Part, amount: int, description: str, invoice: str) -> Json:
    price = due.item["price"]
    parent = {
        "invoice_item": None,
        "proration": due.share != (1, 1),
        "proration_details": {"credited_items": None},
        "subscription": due.subscription["id"],
        "subscription_item": due.item["id"],
    }
    return blank_line(state, amount, price["currency"], description, invoice, (due.start, due.end)) | {
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": parent,
            "type": "subscription_item_details",
        },
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": None if part.unit_amount is None else f"{part.unit_amount.normalize():f}",
        },
        "quantity": int(part.quantity),
        "quantity_decimal": f"{part.quantity.normalize():f}",
        "subscription": due.subscription["id"],
    }


def blank_line(
    state: State, amount: int, currency: str, description: str | None, invoice: str, period: tuple[int, int]
) -> Json:
    """A line about nothing in particular. `quantity` has no fraction, `quantity_decimal` has it.

    docs.stripe.com/api/invoice-line-item/object
    """
    return {
        "id": state.ids.next("il"),
        "object": "line_item",
        "amount": amount,
        "currency": currency,
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice,
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": None,
        "subtotal": amount,
        "taxes": [],
    }


def of_item(state: State, item: Json, invoice: str) -> Json:
    """The line of an invoice item. docs.stripe.com/api/invoiceitems"""
    period = item["period"]["start"], item["period"]["end"]
    line = blank_line(state, item["amount"], item["currency"], item["description"], invoice, period)
    parent = {
        "invoice_item": item["id"],
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": None,
    }
    return line | {
        "metadata": item["metadata"],
        "parent": {
            "invoice_item_details": parent,
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
    }
