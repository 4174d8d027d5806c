"""An account with a plan and a contract, persons who adjust its invoice, and what they ask, over GraphQL."""

from datetime import UTC, datetime
from typing import Any

from ledger.commands.adjustments import change_rule
from ledger.commands.keys import issue_key
from ledger.domain.governing import STANDARD_REASONS
from ledger.domain.metadata import Metadata
from tests.edges import Edge
from tests.graphql.billing import MARCH, agree, charge, tell, used

PROPOSE = """
mutation ($account: String!, $adjustment: AdjustmentInput!, $expiresAt: DateTime) {
  answer: proposeAdjustment(account: $account, adjustment: $adjustment, expiresAt: $expiresAt) {
    __typename
    ... on AdjustmentDecision { position adjustment { ...all } }
    ... on Refusal { code message }
  }
}
"""
REVERSE = """
mutation ($account: String!, $adjustment: String!, $key: String!, $reason: String!) {
  answer: reverseAdjustment(account: $account, adjustment: $adjustment, key: $key, reason: $reason) {
    __typename
    ... on AdjustmentDecision { position adjustment { ...all } }
    ... on Refusal { code message }
  }
}
"""
APPROVE = """
mutation ($account: String!, $key: String!) {
  answer: approveAdjustment(account: $account, key: $key) {
    __typename
    ... on AdjustmentDecision { position adjustment { ...all } }
    ... on Refusal { code message }
  }
}
"""
REJECT = APPROVE.replace("approveAdjustment(", 'rejectAdjustment(reason: "not_justified", ')
WITHDRAW = APPROVE.replace("approveAdjustment", "withdrawAdjustment")
SET_LIMIT = """
mutation ($role: String!, $amount: Decimal!) {
  answer: setAdjustmentLimit(role: $role, limit: {amount: $amount, currency: "EUR"}) {
    __typename
    ... on AdjustmentLimitDecision { position limit { role limit { amount currency } changedBy } }
    ... on Refusal { code message }
  }
}
"""
EFFECT = """
query ($account: String!, $adjustment: AdjustmentInput!) {
  answer: adjustmentEffect(account: $account, adjustment: $adjustment) {
    __typename
    ... on AdjustmentEffect {
      needsApproval why effect { amount } difference { amount }
      before { total { amount } } after { total { amount } lines { kind key money { amount } } }
      lines { kind key difference { amount } }
    }
    ... on Refusal { code message }
  }
}
"""
INVOICE = """
query ($at: DateTime) {
  account(key: "acme") {
    answer: projectedInvoice(at: $at) {
      __typename
      ... on Invoice {
        subtotal { amount } credited { amount } total { amount }
        lines { kind key label quantity adjustedQuantity money { amount } why adjustments { key state } }
      }
      ... on Refusal { code message }
    }
  }
}
"""
ALL = """
fragment all on Adjustment {
  id key kind state amount { amount currency } quantity meterKey effect { amount currency } reason proposedBy role
  reverses reversedBy outcome { state decidedBy isAutomatic reason }
}
"""


class Person:
    """Somebody with a key of their own."""

    def __init__(self, edge: Edge, key: str) -> None:
        self.edge = edge
        self.key = key

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """What the API answers them."""
        text = query + (ALL if "...all" in query else "")
        data = await self.edge.data(text, {"account": "acme"} | variables, key=self.key)
        answer: dict[str, Any] = data["answer"]
        return answer

    async def propose(self, key: str, **changes: Any) -> dict[str, Any]:
        """The answer to a proposal: a credit of 12.50 unless told otherwise."""
        expires_at = changes.pop("expires_at", None)
        return await self.ask(PROPOSE, adjustment=credit(key, **changes), expiresAt=expires_at)

    async def approve(self, key: str, **variables: Any) -> dict[str, Any]:
        """The answer to an approval."""
        return await self.ask(APPROVE, key=key, **variables)


def credit(key: str, **changes: Any) -> dict[str, Any]:
    """A credit of 12.50 euros in March; `amount` may be given as text."""
    amount = changes.pop("amount", "12.50")
    told = {
        "key": key,
        "kind": "CREDIT",
        "at": MARCH.isoformat(),
        "reason": "goodwill",
        "amount": None if amount is None else {"amount": amount, "currency": "EUR"},
    }
    return told | changes


async def person(edge: Edge, name: str | None, *roles: str, account: str | None = None) -> Person:
    """Somebody with a fresh key in some roles; None is a machine."""
    fresh = await issue_key(
        edge.log,
        name="test",
        roles=roles,
        account=account,
        expires_at=None,
        person=name,
        now=datetime.now(UTC),
        metadata=Metadata(actor="test"),
    )
    await edge.follower.refresh()
    return Person(edge, fresh.text)


async def begin(edge: Edge, *charges: dict[str, Any], tokens: int = 10_000, **changes: Any) -> None:
    """`acme` with usage of 100 euros in March, and the standard reason codes."""
    await agree(edge, *(charges or (charge("tokens"),)), **changes)
    await tell(edge, [used(1, MARCH, tokens)])
    for command in STANDARD_REASONS:
        await change_rule(
            edge.log, edge.follower.catalogue, command, now=datetime.now(UTC), metadata=Metadata(actor="test")
        )
    await edge.follower.refresh()


async def decided(edge: Edge) -> int:
    """How many events about adjustments and their rules the log has; refused attempts leave others."""
    count = "select count(*) from events where topic like 'Adjustment%' or topic like 'ReasonCode%'"
    return int(await edge.pool.fetchval(count))


async def march(edge: Edge) -> dict[str, Any]:
    """The invoice of March."""
    data = await edge.data(INVOICE, {"at": MARCH.isoformat()})
    answer: dict[str, Any] = data["account"]["answer"]
    return answer
