"""How a draft becomes final: the last sums, billing credits, the customer's balance, a number.

docs.stripe.com/invoicing/integration/workflow-transitions
"""

from ledger.sandbox.stripe import balance_transactions, credit_grants
from ledger.sandbox.stripe.drafting import refresh
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


def finalize(state: State, invoice: Json) -> None:
    """Make a draft final with all usage received by now; usage of its period that comes later is never billed.

    docs.stripe.com/billing/subscriptions/usage-based/recording-usage#late-usage; the hour before:
    docs.stripe.com/billing/invoices/subscription#finalization
    """
    refresh(state, invoice, 0)
    state.drafts.pop(invoice["id"], None)
    customer = state.customers.get(invoice["customer"])
    now = state.now
    credit_grants.apply(state, invoice)
    if "deleted" not in customer:
        _apply_balance(state, invoice, customer)
        number = customer["next_invoice_sequence"]
        customer["next_invoice_sequence"] = number + 1
        invoice["number"] = f"{customer['invoice_prefix']}-{number:04}"
    invoice |= {
        "automatically_finalizes_at": None,
        "effective_at": now,
        "status": "open",
        "status_transitions": invoice["status_transitions"] | {"finalized_at": now},
    }
    state.announce("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        settle(state, invoice)


def _apply_balance(state: State, invoice: Json, customer: Json) -> None:
    """Credit lowers what is due, debt raises it. docs.stripe.com/billing/customer/balance"""
    before = customer["balance"]
    left = before + invoice["total"]
    invoice |= {"starting_balance": before, "ending_balance": min(left, 0), "amount_due": max(left, 0)}
    invoice["amount_remaining"] = invoice["amount_due"]
    if invoice["ending_balance"] != before:
        balance_transactions.record(
            state,
            customer,
            invoice["ending_balance"] - before,
            invoice["currency"],
            kind="applied_to_invoice",
            invoice=invoice["id"],
        )


def settle(state: State, invoice: Json) -> None:
    """Mark an invoice as paid, with nothing left. docs.stripe.com/invoicing/overview#invoice-statuses"""
    transitions = invoice["status_transitions"] | {"paid_at": state.now}
    invoice |= {"amount_remaining": 0, "attempted": True, "status": "paid", "status_transitions": transitions}
    state.announce("invoice.paid", invoice)
    if invoice["amount_paid"]:
        state.announce("invoice.payment_succeeded", invoice)
