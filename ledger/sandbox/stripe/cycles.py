"""What happens to a subscription by itself: its periods begin and end, and each end makes a draft.

docs.stripe.com/billing/subscriptions/billing-cycle and docs.stripe.com/billing/invoices/subscription
"""

from copy import deepcopy

from ledger.sandbox.stripe.drafting import draft
from ledger.sandbox.stripe.dues import Due
from ledger.sandbox.stripe.finalisation import finalize
from ledger.sandbox.stripe.periods import Cycle
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


def natural(price: Json, anchor: int) -> Cycle:
    """The periods of a price from an anchor on."""
    return Cycle(anchor, price["recurring"]["interval"], price["recurring"]["interval_count"])


def cycle_of(subscription: Json) -> Cycle:
    """The periods of a subscription."""
    return natural(subscription["items"]["data"][0]["price"], subscription["billing_cycle_anchor"])


def current_end(subscription: Json) -> int:
    """When the present period ends, in seconds since the epoch."""
    return int(subscription["items"]["data"][0]["current_period_end"])


def begin(state: State, subscription: Json, *, is_prorated: bool) -> None:
    """Begin the first period, up to the anchor or for a whole one, and bill at once what is licensed.

    A period before the anchor is billed by its share of the whole one, or not at all:
    docs.stripe.com/billing/subscriptions/billing-cycle#new-subscriptions
    """
    start, cycle = subscription["start_date"], cycle_of(subscription)
    end = cycle.end_after(start)
    _set_period(subscription, start, end)
    share = (1, 1)
    if cycle.anchor > start:
        share = (end - start, end - cycle.start(-1)) if is_prorated else (0, 1)
    dues = [due for due in _dues(subscription, start, end, share) if not due.is_metered]
    if dues and share[0]:
        invoice = _draft(state, subscription, dues, "subscription_create", (start, start))
        # The first invoice waits for nothing: docs.stripe.com/billing/invoices/subscription#finalization
        finalize(state, invoice)
    state.agenda.at(end, lambda: _end_period(state, subscription["id"], end))


def _set_period(subscription: Json, start: int, end: int) -> None:
    for item in subscription["items"]["data"]:
        item |= {"current_period_start": start, "current_period_end": end}


def _dues(subscription: Json, start: int, end: int, share: tuple[int, int] = (1, 1)) -> list[Due]:
    return [Due(subscription, deepcopy(item), start, end, share) for item in subscription["items"]["data"]]


def _end_period(state: State, identifier: str, end: int) -> None:
    """Bill the usage of the period that ends and the licences of the one that begins.

    docs.stripe.com/billing/invoices/subscription
    """
    subscription = state.subscriptions.get(identifier)
    if subscription["status"] == "canceled" or current_end(subscription) != end:
        return
    if subscription["cancel_at_period_end"]:
        bill_usage(state, subscription, until=end)
        _end(state, subscription)
        return
    dues = dues_at_end(subscription)
    following = cycle_of(subscription).end_after(end)
    before = {"items": deepcopy(subscription["items"]), "latest_invoice": subscription["latest_invoice"]}
    start = subscription["items"]["data"][0]["current_period_start"]
    _set_period(subscription, end, following)
    _draft_and_wait(state, subscription, dues, (start, end))
    state.announce("customer.subscription.updated", subscription, before)
    state.agenda.at(following, lambda: _end_period(state, identifier, following))


def dues_at_end(subscription: Json) -> list[Due]:
    """What the end of the present period makes due: usage of it, licences of the next one."""
    start, end = subscription["items"]["data"][0]["current_period_start"], current_end(subscription)
    following = cycle_of(subscription).end_after(end)
    usage = [due for due in _dues(subscription, start, end) if due.is_metered]
    return usage + [due for due in _dues(subscription, end, following) if not due.is_metered]


def bill_usage(state: State, subscription: Json, *, until: int) -> None:
    """Bill the usage of the present period up to a second, and nothing in advance."""
    start = subscription["items"]["data"][0]["current_period_start"]
    dues = [due for due in _dues(subscription, start, until) if due.is_metered]
    if dues:
        _draft_and_wait(state, subscription, dues, (start, until))


def end(state: State, subscription: Json) -> None:
    """Cancel. docs.stripe.com/api/subscriptions/cancel"""
    subscription["canceled_at"] = state.now
    _end(state, subscription)


def _end(state: State, subscription: Json) -> None:
    subscription |= {"status": "canceled", "ended_at": state.now}
    state.announce("customer.subscription.deleted", subscription)


def _draft(state: State, subscription: Json, dues: list[Due], reason: str, period: tuple[int, int]) -> Json:
    customer = state.customers.get(subscription["customer"])
    pending = [
        one
        for one in state.invoice_items
        if one["customer"] == customer["id"] and one["invoice"] is None and one["currency"] == subscription["currency"]
    ]
    invoice = draft(state, customer, dues, pending, currency=subscription["currency"], reason=reason, period=period)
    subscription["latest_invoice"] = invoice["id"]
    state.announce("invoice.created", invoice)
    return invoice


def _draft_and_wait(state: State, subscription: Json, dues: list[Due], period: tuple[int, int]) -> None:
    """A draft that becomes final after an hour, or what was chosen.

    docs.stripe.com/billing/invoices/subscription#finalization
    """
    invoice = _draft(state, subscription, dues, "subscription_cycle", period)
    due = state.now + state.behaviour.finalize_after_seconds
    invoice["automatically_finalizes_at"] = due
    state.agenda.at(due, lambda: _finalize_if_draft(state, invoice))


def _finalize_if_draft(state: State, invoice: Json) -> None:
    """Finalise unless a person did, or told to wait (`auto_advance`)."""
    if invoice["status"] == "draft" and invoice["auto_advance"]:
        finalize(state, invoice)
