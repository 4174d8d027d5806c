"""What platforms are told, and work that failed, over GraphQL."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import dramatiq
import pytest

from ledger.workers.broker import QUEUE, FailedWork, open_broker
from ledger.workers.cancelling import cancel_sends
from ledger.workers.sending import send_usage
from ledger.workers.settling import settle_sends
from tests.edges import Edge, open_edge
from tests.sandbox.stripe.conftest import SDK_WARNING
from tests.workers.sent import Sent, open_sent
from tests.workers.test_broker import wait_until, working

pytestmark = SDK_WARNING

SENDS = """
query ($account: String!, $state: SendState, $cancel: CancelState, $first: Int, $after: String) {
  sends(account: $account, state: $state, cancel: $cancel, first: $first, after: $after) {
    edges { cursor node {
      identifier usagePosition meterKey customer eventType value timestamp state code message attempts intendedAt
      settledAt cancel repeats undoes
    } }
    pageInfo { hasNextPage }
    watermark { position }
  }
}
"""
START = """
mutation ($account: String!, $customer: String) {
  answer: startSending(account: $account, customer: $customer) {
    __typename ... on SendingDecision { position } ... on Refusal { code message }
  }
}
"""
STOP = """
mutation ($account: String!) {
  answer: stopSending(account: $account) {
    __typename ... on SendingDecision { position } ... on Refusal { code message }
  }
}
"""
MAP = """
mutation ($meter: String!, $eventType: String) {
  answer: mapPlatformMeter(meter: $meter, eventType: $eventType) {
    __typename ... on SendingDecision { position } ... on Refusal { code message }
  }
}
"""
RESEND = """
mutation ($position: Position!) {
  answer: resendUsage(position: $position) {
    __typename ... on SendDecision { identifiers } ... on Refusal { code message }
  }
}
"""
CANCEL_SEND = """
mutation ($identifier: ID!) {
  answer: cancelSend(identifier: $identifier) {
    __typename ... on SendDecision { identifiers } ... on Refusal { code message }
  }
}
"""
LETTERS = "{ deadLetters { id job diedAt error } }"
REDRIVE = """
mutation ($id: ID!) {
  answer: redriveDeadLetter(id: $id) {
    __typename ... on Redriven { id } ... on Refusal { code message }
  }
}
"""


@pytest.fixture
async def sent(database_url: str) -> AsyncIterator[Sent]:
    """Sending is on and nothing was used yet."""
    async with open_sent(database_url) as opened:
        yield opened


@pytest.fixture
async def edge(sent: Sent, database_url: str) -> AsyncIterator[Edge]:
    """The application on the same ledger."""
    async with open_edge(database_url) as opened:
        await opened.follower.refresh()
        yield opened


async def code_of(edge: Edge, query: str, **variables: Any) -> str:
    answer = (await edge.data(query, variables))["answer"]
    return str(answer.get("code", answer["__typename"]))


async def listed(edge: Edge, **variables: Any) -> list[dict[str, Any]]:
    answer = await edge.data(SENDS, {"account": "acme"} | variables)
    return [one["node"] for one in answer["sends"]["edges"]]


async def test_sends_are_seen_as_they_stand_page_by_page(sent: Sent, edge: Edge) -> None:
    positions = [await sent.use("1.5"), await sent.use("2"), await sent.use("3")]
    await send_usage(sent.desk)
    await edge.project()

    answer = (await edge.data(SENDS, {"account": "acme", "first": 2}))["sends"]
    rest = await listed(edge, after=answer["edges"][-1]["cursor"])

    assert answer["pageInfo"]["hasNextPage"]
    seen = [one["node"] for one in answer["edges"]] + rest
    assert [(one["usagePosition"], one["value"], one["state"]) for one in seen] == [
        (position, value, "ACCEPTED") for position, value in zip(positions, ("1.5", "2", "3"), strict=True)
    ]
    assert await listed(edge, state="REJECTED") == []


async def test_sending_starts_once_for_a_customer_who_is_an_alias(sent: Sent, edge: Edge) -> None:
    assert await code_of(edge, START, account="acme") == "SendingDecision"
    assert await code_of(edge, START, account="acme", customer="cus_other") == "customer_unclear"
    assert await code_of(edge, START, account="nobody") == "account_unknown"
    assert await code_of(edge, STOP, account="acme") == "SendingDecision"
    assert await code_of(edge, STOP, account="acme") == "sending_off"


async def test_a_meter_is_mapped_to_another_event_type(sent: Sent, edge: Edge) -> None:
    assert await code_of(edge, MAP, meter="tokens", eventType="calls") == "SendingDecision"
    assert await code_of(edge, MAP, meter="nothing") == "meter_unknown"


async def test_rejected_usage_is_told_again_and_nothing_else_is(sent: Sent, edge: Edge) -> None:
    position = await sent.use("7")
    early = await sent.use("5", at=sent.now() - timedelta(days=61))
    await send_usage(sent.desk)
    assert await code_of(edge, RESEND, position=position) == "send_not_repeatable"
    assert await code_of(edge, RESEND, position=1) == "usage_unknown"

    assert await code_of(edge, RESEND, position=early) == "SendDecision"
    assert await code_of(edge, RESEND, position=early) == "send_not_repeatable"


async def test_a_send_is_cancelled_by_hand(sent: Sent, edge: Edge) -> None:
    await sent.use("7")
    await send_usage(sent.desk)
    await edge.project()
    [send] = await listed(edge)

    # The edge's clock is not the sandbox's, so the cancel counts as one that comes too late.
    assert await code_of(edge, CANCEL_SEND, identifier=send["identifier"]) == "SendDecision"
    assert await code_of(edge, CANCEL_SEND, identifier=send["identifier"]) == "send_not_cancellable"
    assert await code_of(edge, CANCEL_SEND, identifier="nothing") == "send_unknown"
    await cancel_sends(sent.desk)
    await settle_sends(sent.desk)

    assert await sent.there() == await sent.acknowledged() == 0


async def test_only_who_operates_may_send_by_hand(sent: Sent, edge: Edge) -> None:
    key = await edge.key("auditor")
    answer = await edge.data(STOP, {"account": "acme"}, key=key)
    assert answer["answer"]["code"] == "forbidden"


async def test_a_dead_letter_is_seen_and_put_into_the_queue_again(database_url: str, redis_url: str) -> None:
    broker = open_broker(redis_url, retry_pause=timedelta(milliseconds=1))
    failures = [ValueError("no room")]
    ran: list[int] = []

    def fragile(number: int) -> None:
        if failures:
            raise failures[0]
        ran.append(number)

    actor = dramatiq.actor(broker=broker, queue_name=QUEUE, max_retries=0)(fragile)
    async with open_edge(database_url, failed_work=FailedWork(redis_url)) as edge:
        with working(broker):
            message = actor.send(7)
            queue = FailedWork(redis_url)
            wait_until(lambda: bool(queue.letters(limit=1)))
            [letter] = (await edge.data(LETTERS))["deadLetters"]
            assert (letter["id"], letter["job"], letter["error"]) == (
                message.message_id,
                "fragile",
                "ValueError: no room",
            )
            failures.clear()
            assert await code_of(edge, REDRIVE, id=letter["id"]) == "Redriven"
            wait_until(lambda: ran == [7])
        assert (await edge.data(LETTERS))["deadLetters"] == []
        assert await code_of(edge, REDRIVE, id=letter["id"]) == "dead_letter_unknown"
    broker.close()


async def test_without_redis_the_queue_cannot_be_asked(edge: Edge) -> None:
    assert await code_of(edge, REDRIVE, id="x") == "queue_unavailable"
