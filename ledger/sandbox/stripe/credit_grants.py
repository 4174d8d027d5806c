"""Billing credits: money that metered usage uses up before the customer pays.

docs.stripe.com/api/billing/credit-grant
"""

from typing import Final, Literal

from ledger.sandbox.stripe.arguments import Arguments, Metadata, PageArguments, Part, merged, told
from ledger.sandbox.stripe.customers import living
from ledger.sandbox.stripe.errors import unacceptable
from ledger.sandbox.stripe.operations import AnyOperation, get, post
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


class Monetary(Part, kw_only=True, frozen=True):
    """Money in minor units."""

    currency: str
    value: int


class Amount(Part, kw_only=True, frozen=True):
    """How much; only money."""

    type: Literal["monetary"]
    monetary: Monetary


class PriceReference(Part, kw_only=True, frozen=True):
    """A price that credits apply to."""

    id: str


class ScopeArguments(Part, kw_only=True, frozen=True):
    """What credits apply to: all metered prices, or some."""

    price_type: Literal["metered"] | None = None
    prices: list[PriceReference] | None = None


class Applicability(Part, kw_only=True, frozen=True):
    """What credits apply to."""

    scope: ScopeArguments


class NewGrantArguments(Arguments, kw_only=True, frozen=True):
    """What makes a grant. docs.stripe.com/api/billing/credit-grant/create"""

    amount: Amount
    applicability_config: Applicability
    customer: str
    category: Literal["paid", "promotional"] = "paid"
    effective_at: int | None = None
    expires_at: int | None = None
    metadata: Metadata | None = None
    name: str | None = None
    priority: int = 50


class GrantArguments(Arguments, kw_only=True, frozen=True):
    """What of a grant may change. docs.stripe.com/api/billing/credit-grant/update"""

    expires_at: int | None = None
    metadata: Metadata | None = None


class GrantsArguments(PageArguments, kw_only=True, frozen=True):
    """Whose grants to list. docs.stripe.com/api/billing/credit-grant/list"""

    customer: str | None = None


def create(state: State, arguments: NewGrantArguments) -> Json:
    """Grant billing credits. docs.stripe.com/api/billing/credit-grant/create"""
    customer = living(state, arguments.customer)
    scope, money = arguments.applicability_config.scope, arguments.amount.monetary
    if (scope.price_type is None) == (scope.prices is None):
        raise unacceptable("Give either price_type or prices.", "applicability_config[scope]")
    for price in scope.prices or ():
        if (state.prices.get(price.id, "applicability_config[scope][prices]")["recurring"] or {}).get("meter") is None:
            raise unacceptable(f"The price {price.id} is not metered.", "applicability_config[scope][prices]")
    if money.value <= 0:
        raise unacceptable("The amount must be positive.", "amount[monetary][value]")
    if not 0 <= arguments.priority <= 100:
        raise unacceptable("The priority lies between 0 and 100.", "priority")
    told_scope: Json = {"price_type": scope.price_type} if scope.price_type else {}
    if scope.prices is not None:
        told_scope = {"prices": [{"id": one.id, "object": "credit_grant_price"} for one in scope.prices]}
    now = state.now
    grant = state.credit_grants.add(
        {
            "id": state.ids.next("credgr_test"),
            "object": "billing.credit_grant",
            "amount": {"monetary": {"currency": money.currency, "value": money.value}, "type": "monetary"},
            "applicability_config": {"scope": told_scope},
            "category": arguments.category,
            "created": now,
            "customer": customer["id"],
            "customer_account": None,
            "effective_at": now if arguments.effective_at is None else arguments.effective_at,
            "expires_at": arguments.expires_at,
            "livemode": False,
            "metadata": told(arguments.metadata),
            "name": arguments.name,
            "priority": arguments.priority,
            "test_clock": None,
            "updated": now,
            "voided_at": None,
        }
    )
    state.credit_left[grant["id"]] = money.value
    state.announce("billing.credit_grant.created", grant)
    return grant


def apply(state: State, invoice: Json) -> None:
    """Use credits up for the metered lines of an invoice that becomes final.

    By priority, then by expiry, then by age: docs.stripe.com/billing/subscriptions/usage-based/billing-credits
    """
    grants = [one for one in state.credit_grants if _is_usable(state, one, invoice)]
    grants.sort(key=lambda one: (one["priority"], one["expires_at"] or 1 << 62, one["created"]))
    applied: list[Json] = []
    for grant in grants:
        for line in state.lines[invoice["id"]]:
            used = min(state.credit_left[grant["id"]], _open_amount(state, line, grant))
            if used <= 0:
                continue
            state.credit_left[grant["id"]] -= used
            credit = {
                "amount": used,
                "credit_balance_transaction": state.ids.next("cbtxn_test"),
                "type": "credit_balance_transaction",
            }
            line["pretax_credit_amounts"].append(credit)
            applied.append(credit)
    total = invoice["subtotal"] - sum(one["amount"] for one in applied)
    due = max(total, 0)
    invoice |= {"total": total, "total_excluding_tax": total, "amount_due": due, "amount_remaining": due}
    invoice["total_pretax_credit_amounts"] = applied


def _is_usable(state: State, grant: Json, invoice: Json) -> bool:
    return (
        grant["customer"] == invoice["customer"]
        and grant["amount"]["monetary"]["currency"] == invoice["currency"]
        and grant["voided_at"] is None
        and grant["effective_at"] <= state.now
        and (grant["expires_at"] is None or state.now < grant["expires_at"])
    )


def _open_amount(state: State, line: Json, grant: Json) -> int:
    """What of a line a grant may still pay: metered lines alone, of its prices."""
    if line["pricing"] is None:
        return 0
    price = state.prices.get(line["pricing"]["price_details"]["price"])
    if (price["recurring"] or {}).get("usage_type") != "metered":
        return 0
    prices = grant["applicability_config"]["scope"].get("prices")
    if prices is not None and price["id"] not in {one["id"] for one in prices}:
        return 0
    used: int = sum(one["amount"] for one in line["pretax_credit_amounts"])
    return int(line["amount"]) - used


def retrieve(state: State, _: Arguments, grant: str) -> Json:
    """The grant. docs.stripe.com/api/billing/credit-grant/retrieve"""
    return state.credit_grants.get(grant)


def update(state: State, arguments: GrantArguments, grant: str) -> Json:
    """Change expiry or metadata. docs.stripe.com/api/billing/credit-grant/update"""
    known = state.credit_grants.get(grant)
    changes: Json = {"metadata": merged(known["metadata"], arguments.metadata)}
    if arguments.expires_at is not None:
        changes["expires_at"] = arguments.expires_at
    return state.changed("billing.credit_grant.updated", known, changes)


def expire(state: State, _: Arguments, grant: str) -> Json:
    """End a grant now. docs.stripe.com/api/billing/credit-grant/expire"""
    return state.changed("billing.credit_grant.updated", state.credit_grants.get(grant), {"expires_at": state.now})


def void(state: State, _: Arguments, grant: str) -> Json:
    """Take back a grant of which nothing was used. docs.stripe.com/api/billing/credit-grant/void"""
    known = state.credit_grants.get(grant)
    if state.credit_left[grant] != known["amount"]["monetary"]["value"]:
        raise unacceptable("A credit grant of which something was used cannot be voided.", "id")
    return state.changed("billing.credit_grant.updated", known, {"voided_at": state.now})


def page(state: State, arguments: GrantsArguments) -> Json:
    """Grants, newest first. docs.stripe.com/api/billing/credit-grant/list"""
    return state.credit_grants.page(
        arguments, "/v1/billing/credit_grants", lambda one: arguments.customer in (None, one["customer"])
    )


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/billing/credit_grants", NewGrantArguments, create),
    get("/v1/billing/credit_grants", GrantsArguments, page),
    get("/v1/billing/credit_grants/{grant}", Arguments, retrieve),
    post("/v1/billing/credit_grants/{grant}", GrantArguments, update),
    post("/v1/billing/credit_grants/{grant}/expire", Arguments, expire),
    post("/v1/billing/credit_grants/{grant}/void", Arguments, void),
)
