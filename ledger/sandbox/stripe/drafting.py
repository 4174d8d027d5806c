"""Drafts of invoices: made when a period ends, kept up to date until they are final.

docs.stripe.com/billing/invoices/subscription
"""

from ledger.sandbox.stripe.dues import Due
from ledger.sandbox.stripe.invoice_lines import SHOWN_MAX, lines_of, of_item
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


def draft(
    state: State,
    customer: Json,
    dues: list[Due],
    items: list[Json],
    *,
    currency: str,
    reason: str,
    period: tuple[int, int] | None = None,
) -> Json:
    """A draft of what is due and of invoice items; nothing is announced yet. docs.stripe.com/api/invoices/object"""
    identifier = state.ids.next("in")
    invoice = state.invoices.add(blank(state, identifier, customer, currency, reason, period or (state.now,) * 2))
    if dues:
        invoice |= _of_subscription(dues[0].subscription)
    for item in items:
        item["invoice"] = identifier
    state.drafts[identifier] = dues
    state.lines[identifier] = [of_item(state, item, identifier) for item in items]
    state.fixed_lines[identifier] = list(state.lines[identifier])
    customer["currency"] = currency
    refresh(state, invoice)
    return invoice


def refresh(state: State, invoice: Json, delay_seconds: int | None = None) -> None:
    """Bring a draft's lines up to what sums tell by now; a final invoice and one that a person edited stay.

    docs.stripe.com/billing/invoices/subscription#update-metered-usage
    """
    dues = state.drafts.get(invoice["id"])
    if dues is None:
        return
    delay = state.behaviour.summary_delay_seconds if delay_seconds is None else delay_seconds
    known = {_key(line): line["id"] for line in state.lines[invoice["id"]]}
    lines = lines_of(state, dues, invoice["id"], delay)
    for line in lines:
        line["id"] = known.get(_key(line), line["id"])
    show(state, invoice, lines + state.fixed_lines[invoice["id"]])


def _key(line: Json) -> tuple[object, ...]:
    """What makes a line the same one after usage was added."""
    details = (line["parent"] or {}).get("subscription_item_details") or {}
    label = str(line["description"]).partition("×")[2]
    return details.get("subscription_item"), line["period"]["start"], label, line["subscription"] or line["id"]


def show(state: State, invoice: Json, lines: list[Json]) -> None:
    """Set the lines, of which the invoice itself shows the first, and the totals."""
    identifier = invoice["id"]
    state.lines[identifier] = lines
    total = sum(line["amount"] for line in lines)
    invoice["lines"] = {
        "object": "list",
        "data": lines[:SHOWN_MAX],
        "has_more": len(lines) > SHOWN_MAX,
        "url": f"/v1/invoices/{identifier}/lines",
    }
    invoice |= {"subtotal": total, "subtotal_excluding_tax": total, "total": total, "total_excluding_tax": total}
    due = max(total, 0)
    invoice |= {"amount_due": due, "amount_remaining": due}


def _of_subscription(subscription: Json) -> Json:
    """What an invoice takes over from its subscription."""
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    return {
        "collection_method": subscription["collection_method"],
        "parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"},
    }


def blank(state: State, identifier: str, customer: Json, currency: str, reason: str, period: tuple[int, int]) -> Json:
    """A draft without lines. docs.stripe.com/api/invoices/object"""
    nothing_yet = (
        "account_tax_ids application automatically_finalizes_at custom_fields customer_account customer_address "
        "customer_phone customer_shipping default_payment_method default_source description due_date effective_at "
        "ending_balance footer from_invoice hosted_invoice_url invoice_pdf last_finalization_error latest_revision "
        "next_payment_attempt number on_behalf_of parent receipt_number rendering shipping_cost shipping_details "
        "statement_descriptor test_clock webhooks_delivered_at"
    ).split()
    noughts = (
        "amount_due amount_overpaid amount_paid amount_remaining amount_shipping attempt_count "
        "post_payment_credit_notes_amount pre_payment_credit_notes_amount subtotal subtotal_excluding_tax "
        "total total_excluding_tax"
    ).split()
    lists = (
        "customer_tax_ids default_tax_rates discounts total_discount_amounts total_pretax_credit_amounts total_taxes"
    ).split()
    tax = {"enabled": False, "liability": None, "status": None, "disabled_reason": None, "provider": None}
    transitions = {"finalized_at": None, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None}
    return {
        "id": identifier,
        "object": "invoice",
        **dict.fromkeys(nothing_yet),
        **dict.fromkeys(noughts, 0),
        **{name: [] for name in lists},
        "account_country": "US",
        "account_name": "Sandbox",
        "attempted": False,
        "auto_advance": reason != "manual",
        "automatic_tax": tax,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": state.now,
        "currency": currency,
        "customer": customer["id"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_tax_exempt": "none",
        "issuer": {"type": "self"},
        "livemode": False,
        "metadata": {},
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": period[1],
        "period_start": period[0],
        "starting_balance": customer["balance"],
        "status": "draft",
        "status_transitions": transitions,
    }
