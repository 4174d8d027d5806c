"""What made-up people did with the made-up usage: close periods, put invoices right with four eyes, mend usage.

They ask the running ledger by GraphQL, each with a key of their own, so that its trail shows who did what.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from ledger.sandbox.customers import LABEL
from ledger.sandbox.loading import Client, NotAccepted, send_usage
from ledger.sandbox.usage import LLM, CloudEvent


class Person(NamedTuple):
    """Somebody made up who works with the ledger, and in which role."""

    name: str
    role: str


OPS: Final = Person(f"Olivia Ops ({LABEL})", "ops")
APPROVER: Final = Person(f"Pat Approver ({LABEL})", "approver")
ADMIN: Final = Person(f"Ada Admin ({LABEL})", "admin")
PEOPLE: Final = (OPS, APPROVER, ADMIN)

CLOSED: Final = ("harbor-health", "sakura-learning", "baltic-books", "cobalt-security", "lantern-support")
"""Accounts whose past periods are closed at once; the worker closes those of the others."""
LATE: Final[Mapping[str, int]] = {"cobalt-security": 40, "lantern-support": 25, "baltic-books": 1}
"""How many completions each tells of a closed period, days after it was closed."""
NOTE: Final = f"{LABEL}, nobody asked for it"

LIMIT: Final = """
mutation ($currency: String!) {
  setAdjustmentLimit(role: "ops", limit: {amount: "25", currency: $currency}) { ...on Refusal { code message } }
}"""
CLOSE: Final = """
mutation ($account: String!, $until: DateTime!) {
  closePeriods(account: $account, until: $until) { ...on PeriodsClosed { isMore } ...on Refusal { code message } }
}"""
LAST_CLOSED: Final = """
query ($account: String!) { account(key: $account) { closedPeriods(last: 1) { edges { node { start end } } } } }"""
ASSESS: Final = """
mutation ($account: String!, $start: DateTime!) {
  assessLateUsage(account: $account, start: $start) {
    ...on LateUsageSettled { assessment { adjustmentKey } } ...on Refusal { code message } } }"""
PROPOSE: Final = """
mutation ($account: String!, $adjustment: AdjustmentInput!) {
  proposeAdjustment(account: $account, adjustment: $adjustment) { ...on Refusal { code message } }
}"""
APPROVE: Final = """
mutation ($account: String!, $key: String!) {
  approveAdjustment(account: $account, key: $key, note: "looked at the evidence") { ...on Refusal { code message } }
}"""
REJECT: Final = """
mutation ($account: String!, $key: String!) {
  rejectAdjustment(account: $account, key: $key, reason: "not_justified") { ...on Refusal { code message } }
}"""
WITHDRAW: Final = """
mutation ($account: String!, $key: String!) {
  withdrawAdjustment(account: $account, key: $key) { ...on Refusal { code message } }
}"""
REVERSE: Final = """
mutation ($account: String!, $adjustment: String!, $key: String!) {
  reverseAdjustment(account: $account, adjustment: $adjustment, key: $key, reason: "mistaken_adjustment") {
    ...on Refusal { code message } } }"""
USED: Final = """
query ($account: String!) {
  account(key: $account) {
    events(topics: ["UsageRecorded"], first: 2) { edges { node { position supersededBy } } } } }"""
VOID: Final = """
mutation ($position: Position!) {
  voidUsage(position: $position, reason: "test_traffic", note: "a probe of ours") { ...on Refusal { code message } }
}"""


class Team(NamedTuple):
    """The clients of the three people."""

    ops: Client
    approver: Client
    admin: Client


def work(team: Team, end: datetime) -> None:
    """Do all of it; what was done before changes nothing. `end` is that of the generated month.

    Raises `NotAccepted`.
    """
    for currency in ("USD", "EUR"):
        _do(team.admin, LIMIT, currency=currency)
    _close(team, end)
    _adjust(team, end)
    _mend(team)


def _close(team: Team, end: datetime) -> None:
    """Close what has ended, tell usage of the last closed period, and have it settled; one debit is approved."""
    for account in CLOSED:
        _do(team.ops, CLOSE, account=account, until=end.isoformat())
    for account, completions in LATE.items():
        (edge,) = team.ops.ask(LAST_CLOSED, account=account)["account"]["closedPeriods"]["edges"]
        start, ended = edge["node"]["start"], datetime.fromisoformat(edge["node"]["end"])
        send_usage(_late(account, ended, completions), team.admin, lambda _: None)
        settled = _do(team.ops, ASSESS, account=account, start=start)["assessment"]
        if account == "lantern-support" and settled is not None:
            _do(team.approver, APPROVE, account=account, key=settled["adjustmentKey"])


def _late(account: str, ended: datetime, completions: int) -> Iterator[CloudEvent]:
    """Completions of the last day of a period, as a gateway tells them whose queue was stuck."""
    for number in range(completions):
        yield {
            "specversion": "1.0",
            "id": f"late-{account}-{number}",
            "source": LLM,
            "type": "llm.completion",
            "subject": account,
            "time": ended - timedelta(hours=3, seconds=number),
            "data": {"model": "reason-2", "region": "eu-west", "input_tokens": 90_000, "output_tokens": 40_000},
        }


def _adjust(team: Team, end: datetime) -> None:
    """Adjustments in every state there is, most of them to the invoice of the running period."""
    at = end - timedelta(days=1)
    waiting = _money("outage-1", "CREDIT", "service_outage", "120", "USD", at)
    small = _money("goodwill-1", "CREDIT", "goodwill", "10", "USD", at)
    approved = _money("price-1", "CREDIT", "price_agreed", "80", "EUR", at)
    rejected = _money("price-2", "DEBIT", "price_agreed", "40", "USD", at)
    mistaken = _money("outage-2", "CREDIT", "service_outage", "60", "USD", at)
    withdrawn = _money("outage-3", "CREDIT", "service_outage", "35", "EUR", at)
    lost = _money("unpaid-1", "WRITE_OFF", "uncollectible", "150", "USD", at)
    missed = {
        "key": "missed-1",
        "kind": "USAGE",
        "at": at.isoformat(),
        "reason": "metering_fault",
        "note": NOTE,
        "meter": "llm_output_tokens",
        "quantity": "50000",
        "dimensions": [{"name": "model", "value": "reason-2"}],
    }
    proposed = {
        "harbor-health": (waiting, small),
        "kestrel-games": (approved,),
        "sakura-learning": (rejected,),
        "monsoon-retail": (mistaken,),
        "fjord-energy": (withdrawn,),
        "redwood-credit": (lost,),
        "alpine-freight": (missed,),
    }
    for account, adjustments in proposed.items():
        for adjustment in adjustments:
            _do(team.ops, PROPOSE, account=account, adjustment=adjustment)
    _do(team.approver, APPROVE, account="kestrel-games", key="price-1")
    _do(team.approver, REJECT, account="sakura-learning", key="price-2")
    _do(team.approver, APPROVE, account="alpine-freight", key="missed-1")
    _do(team.approver, APPROVE, account="monsoon-retail", key="outage-2")
    _do(team.ops, REVERSE, account="monsoon-retail", adjustment="outage-2", key="outage-2-undone")
    _do(team.approver, APPROVE, account="monsoon-retail", key="outage-2-undone")
    _do(team.ops, WITHDRAW, account="fjord-energy", key="outage-3")


def _money(key: str, kind: str, reason: str, amount: str, currency: str, at: datetime) -> dict[str, Any]:
    return {
        "key": key,
        "kind": kind,
        "at": at.isoformat(),
        "reason": reason,
        "note": NOTE,
        "amount": {"amount": amount, "currency": currency},
    }


def _mend(team: Team) -> None:
    """Void the first usage of an account, which was none of it."""
    edges = team.ops.ask(USED, account="tundra-tools")["account"]["events"]["edges"]
    if edges and edges[0]["node"]["supersededBy"] is None:
        _do(team.ops, VOID, position=edges[0]["node"]["position"])


def _do(client: Client, mutation: str, **variables: object) -> dict[str, Any]:
    """The answer to a mutation; raises `NotAccepted` where that is a refusal."""
    (answer,) = client.ask(mutation, **variables).values()
    if "code" in answer:
        raise NotAccepted(f"{answer['code']}: {answer['message']}")
    done: dict[str, Any] = answer
    return done
