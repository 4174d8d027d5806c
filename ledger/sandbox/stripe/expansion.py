"""References replaced by what they refer to, where a request asks. docs.stripe.com/api/expanding_objects"""

from copy import deepcopy
from typing import Final

from ledger.sandbox.stripe.errors import malformed
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State

DEPTH_MAX: Final = 4
"""How deep a path may lead. docs.stripe.com/expand#multiple-levels"""


def expanded(state: State, answer: Json, paths: list[str]) -> Json:
    """The answer with the references of the paths replaced; the answer itself stays as it is."""
    if not paths:
        return answer
    copy = deepcopy(answer)
    for path in paths:
        names = path.split(".")
        if len([name for name in names if name != "data"]) > DEPTH_MAX:
            raise malformed(
                f"You cannot expand more than {DEPTH_MAX} levels of a property.", "expand", "parameter_invalid"
            )
        _expand(state, copy, names, path)
    return copy


def _expand(state: State, node: Json, names: list[str], path: str) -> None:
    name, *rest = names
    if node.get("object") == "price" and name == "tiers":
        if node["id"] in state.tiers:
            node["tiers"] = deepcopy(state.tiers[node["id"]])
        return
    if name not in node:
        raise malformed(f"This property cannot be expanded ({path}).", "expand", "parameter_invalid")
    child = node[name]
    if isinstance(child, str) and name in REFERENCES:
        child = node[name] = deepcopy(getattr(state, REFERENCES[name]).get(child, "expand"))
    elif not rest and not isinstance(child, dict | list) and child is not None:
        raise malformed(f"This property cannot be expanded ({path}).", "expand", "parameter_invalid")
    if rest:
        for one in child if isinstance(child, list) else [child]:
            if isinstance(one, dict):
                _expand(state, one, rest, path)


REFERENCES: Final = {
    "customer": "customers",
    "customer_balance_transaction": "balance_transactions",
    "credit_note": "credit_notes",
    "invoice": "invoices",
    "latest_invoice": "invoices",
    "product": "products",
    "subscription": "subscriptions",
    "price": "prices",
    "meter": "meters",
}
"""The properties that hold identifiers, with the shelves of what they name."""
