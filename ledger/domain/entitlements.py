"""Entitlements: how much of what a contract includes was used."""

from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from ledger.domain.agreements import Entitlement
from ledger.domain.contracts import Contract
from ledger.domain.money import subtract
from ledger.domain.values import ZERO

Standing = Literal["within", "over", "stopped"]


class EntitlementUse(NamedTuple):
    """What was used of an entitlement in a period: `left` and `over` are never below zero, and None without a limit.

    `standing` is "over" past a soft limit and "stopped" at a hard one.
    """

    entitlement: Entitlement
    used: Decimal
    left: Decimal | None
    over: Decimal | None
    standing: Standing


def entitlements_at(contract: Contract, instant: datetime) -> dict[str, Entitlement]:
    """The contract's entitlements at an instant, by meter."""
    return {entitlement.meter: entitlement for since, entitlement in contract.entitlements if since <= instant}


def use_of(entitlement: Entitlement, used: Decimal) -> EntitlementUse:
    """How much of an entitlement is used and left."""
    limit = entitlement.quantity
    if limit is None:
        return EntitlementUse(entitlement, used, None, None, "within")
    left, over = max(subtract(limit, used), ZERO), max(subtract(used, limit), ZERO)
    if entitlement.limit == "hard":
        return EntitlementUse(entitlement, used, left, over, "within" if left else "stopped")
    return EntitlementUse(entitlement, used, left, over, "over" if over else "within")
