"""What the next invoice of a subscription would be. docs.stripe.com/api/invoices/create_preview"""

from typing import Final

from ledger.sandbox.stripe import cycles
from ledger.sandbox.stripe.arguments import Arguments
from ledger.sandbox.stripe.customers import living
from ledger.sandbox.stripe.drafting import blank, show
from ledger.sandbox.stripe.errors import unacceptable
from ledger.sandbox.stripe.invoice_lines import lines_of
from ledger.sandbox.stripe.operations import AnyOperation, post
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


class PreviewArguments(Arguments, kw_only=True, frozen=True):
    """Of which subscription; by its customer where it has just one."""

    customer: str | None = None
    subscription: str | None = None


def create(state: State, arguments: PreviewArguments) -> Json:
    """The next invoice as of now; usage may be missing that was told a short while ago.

    docs.stripe.com/api/invoices/create_preview
    """
    subscription = _subscription(state, arguments)
    customer = living(state, subscription["customer"])
    dues = cycles.dues_at_end(subscription)
    start, end = dues[0].subscription["items"]["data"][0]["current_period_start"], cycles.current_end(subscription)
    identifier = state.ids.next("upcoming_in")
    invoice = blank(state, identifier, customer, subscription["currency"], "upcoming", (start, end))
    invoice |= {"created": end, "next_payment_attempt": end + state.behaviour.finalize_after_seconds}
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    invoice["parent"] = {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
    show(state, invoice, lines_of(state, dues, identifier, state.behaviour.preview_delay_seconds))
    due = customer["balance"] + invoice["total"]
    invoice |= {"amount_due": max(due, 0), "amount_remaining": max(due, 0), "ending_balance": min(due, 0)}
    return invoice


def _subscription(state: State, arguments: PreviewArguments) -> Json:
    if arguments.subscription is not None:
        known = state.subscriptions.get(arguments.subscription, "subscription")
        found = [known] if known["status"] == "active" else []
        if arguments.customer not in (None, known["customer"]):
            raise unacceptable("The subscription is another customer's.", "customer")
    elif arguments.customer is not None:
        wanted = (arguments.customer, "active")
        found = [one for one in state.subscriptions if (one["customer"], one["status"]) == wanted]
    else:
        raise unacceptable("You must give customer or subscription.", "customer", "parameter_missing")
    if len(found) != 1:
        raise unacceptable("There is no upcoming invoice.", None, "invoice_upcoming_none")
    return found[0]


OPERATIONS: Final[tuple[AnyOperation, ...]] = (post("/v1/invoices/create_preview", PreviewArguments, create),)
