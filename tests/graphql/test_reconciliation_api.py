"""Reconciliation runs over GraphQL: what the latest came to, and asking for one."""

from datetime import UTC, datetime
from typing import Any

from dramatiq import Message

from ledger.domain.metadata import Metadata
from ledger.domain.names import reconciliation_stream
from ledger.domain.topics import encode
from ledger.log_rows import NewEvent
from ledger.workers.asking import RECONCILE, AskedWork
from ledger.workers.broker import NAMESPACE, QUEUE, open_broker
from tests.domain.reconciliation_examples import RECONCILIATION_EXAMPLES
from tests.edges import Edge, open_accounts, open_edge

RUNS = """
query ($first: Int! = 10) { reconciliations(first: $first) {
  run compared agreeing differing share leaks { amount currency } overbilled { amount currency }
} }
"""
ASK = """
mutation ($accounts: [String!], $at: DateTime) { answer: reconcile(accounts: $accounts, at: $at) {
  __typename ... on ReconciliationAsked { id at } ... on Refusal { code message }
} }
"""


async def keep(edge: Edge) -> None:
    for version, event in enumerate(reversed(RECONCILIATION_EXAMPLES.values()), 1):
        stream, now = reconciliation_stream("stripe"), datetime.now(UTC)
        row = NewEvent(stream, version, event.TOPIC, None, now, encode(event), Metadata(actor="test").encode())
        await edge.log.append([row])


def waiting(redis_url: str) -> list[Message[Any]]:
    client: Any = open_broker(redis_url).client
    return [Message.decode(stored) for stored in client.hvals(f"{NAMESPACE}:{QUEUE}.msgs")]


async def test_the_latest_runs_come_first_with_what_they_came_to(edge: Edge) -> None:
    await keep(edge)

    latest, earlier = (await edge.data(RUNS))["reconciliations"]

    assert (latest["compared"], latest["agreeing"], latest["differing"]) == (6, 4, 2)
    assert latest["leaks"] == [{"amount": "12.5", "currency": "EUR"}]
    assert latest["overbilled"] == [{"amount": "0.7", "currency": "USD"}]
    assert earlier["share"] is None
    assert len((await edge.data(RUNS, {"first": 1}))["reconciliations"]) == 1


async def test_more_than_a_hundred_runs_are_refused(edge: Edge) -> None:
    answer = await edge.graphql(RUNS, {"first": 101})
    assert answer["errors"][0]["extensions"]["code"] == "argument_invalid"


async def test_a_key_bound_to_an_account_sees_no_run(edge: Edge) -> None:
    """The guard is `is_global` at the field: a run tells of all accounts."""
    await open_accounts(edge)
    answer = await edge.graphql(RUNS, key=await edge.key("auditor", account="acme"))
    assert answer["errors"][0]["extensions"]["code"] == "out_of_scope"


async def test_what_is_asked_for_goes_into_the_queue_with_the_accounts_keys(database_url: str, redis_url: str) -> None:
    async with open_edge(database_url, asked_work=AskedWork(redis_url)) as edge:
        await open_accounts(edge)
        asked = (await edge.data(ASK, {"accounts": ["acme"], "at": "2026-07-01T02:00:00+02:00"}))["answer"]
        unknown = (await edge.data(ASK, {"accounts": ["nobody"]}))["answer"]

    [message] = waiting(redis_url)
    assert asked["__typename"] == "ReconciliationAsked"
    assert (message.message_id, message.actor_name) == (asked["id"], RECONCILE)
    assert list(message.args) == [["acme"], "2026-07-01T00:00:00+00:00"]
    assert unknown["code"] == "account_unknown"


async def test_without_redis_nothing_can_be_asked_for(edge: Edge) -> None:
    assert (await edge.data(ASK, {}))["answer"]["code"] == "queue_unavailable"
