"""The customer's balance and its history. docs.stripe.com/api/customer_balance_transactions"""

from typing import Final

from ledger.sandbox.stripe.arguments import Arguments, Metadata, PageArguments, told
from ledger.sandbox.stripe.customers import living
from ledger.sandbox.stripe.errors import not_found, unacceptable
from ledger.sandbox.stripe.operations import AnyOperation, get, post
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


class NewTransactionArguments(Arguments, kw_only=True, frozen=True):
    """An adjustment in minor units; below nought is credit. docs.stripe.com/api/customer_balance_transactions/create"""

    amount: int
    currency: str
    description: str | None = None
    metadata: Metadata | None = None


def create(state: State, arguments: NewTransactionArguments, customer: str) -> Json:
    """Change the customer's balance. docs.stripe.com/api/customer_balance_transactions/create"""
    known = living(state, customer, "id")
    if known["currency"] not in (None, arguments.currency):
        raise unacceptable(f"The customer's balance is in {known['currency']}.", "currency")
    transaction = record(state, known, arguments.amount, arguments.currency, kind="adjustment")
    transaction |= {"description": arguments.description, "metadata": told(arguments.metadata)}
    return transaction


def record(
    state: State,
    customer: Json,
    amount: int,
    currency: str,
    *,
    kind: str,
    invoice: str | None = None,
    credit_note: str | None = None,
) -> Json:
    """Change the balance and keep the transaction that says so.

    docs.stripe.com/api/customer_balance_transactions/object
    """
    balance = customer["balance"] + amount
    state.changed("customer.updated", customer, {"balance": balance, "currency": currency})
    return state.balance_transactions.add(
        {
            "id": state.ids.next("cbtxn"),
            "object": "customer_balance_transaction",
            "amount": amount,
            "checkout_session": None,
            "created": state.now,
            "credit_note": credit_note,
            "currency": currency,
            "customer": customer["id"],
            "customer_account": None,
            "description": None,
            "ending_balance": balance,
            "invoice": invoice,
            "livemode": False,
            "metadata": {},
            "type": kind,
        }
    )


def retrieve(state: State, _: Arguments, customer: str, transaction: str) -> Json:
    """One transaction. docs.stripe.com/api/customer_balance_transactions/retrieve"""
    known = state.balance_transactions.get(transaction)
    if known["customer"] != customer:
        raise not_found("customer balance transaction", transaction)
    return known


def page(state: State, arguments: PageArguments, customer: str) -> Json:
    """A customer's transactions, newest first. docs.stripe.com/api/customer_balance_transactions/list"""
    living(state, customer, "id")
    url = f"/v1/customers/{customer}/balance_transactions"
    return state.balance_transactions.page(arguments, url, lambda one: one["customer"] == customer)


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/customers/{customer}/balance_transactions", NewTransactionArguments, create),
    get("/v1/customers/{customer}/balance_transactions", PageArguments, page),
    get("/v1/customers/{customer}/balance_transactions/{transaction}", Arguments, retrieve),
)
