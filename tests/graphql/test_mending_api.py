"""Voiding, amending and backfilling usage: the account is folded anew, what was told stays, a repeat does no harm."""

import asyncio
from typing import Any

import pytest

from tests.edges import YESTERDAY, Edge, define_tokens_meter, open_accounts
from tests.graphql.billing import GRADUATED, MARCH, agree, charge, used
from tests.graphql.billing import tell as tell_billed
from tests.graphql.test_closings_api import close, closed
from tests.graphql.test_explain_api import EVENTS

TELL = "mutation ($events: [UsageEventInput!]!) { recordUsage(events: $events) { ... on UsageReceipt { position } } }"
VOID = """
mutation ($position: Position!, $reason: String = "sent_twice", $note: String = "") {
  voidUsage(position: $position, reason: $reason, note: $note) {
    __typename ... on UsageDecision { position supersedes } ... on Refusal { code message }
    ... on UsageSettledAlready { settledBy }
  }
}
"""
AMEND = """
mutation ($position: Position!, $correction: UsageCorrection!) {
  amendUsage(position: $position, correction: $correction, reason: "wrong_value", note: "ticket 1") {
    __typename ... on UsageDecision { position supersedes } ... on Refusal { code message }
  }
}
"""
BACKFILL = """
mutation ($account: String = "acme", $events: [UsageEventInput!]!, $reason: String = "late_export") {
  backfillUsage(account: $account, events: $events, reason: $reason, note: "the queue was stuck") {
    __typename
    ... on BackfillReceipt { position stored backfillPosition fates { index fate position code } }
    ... on Refusal { code message }
  }
}
"""
USAGE = """
query ($account: String!, $from: Date!, $to: Date!) {
  account(key: $account) {
    usage(meter: "tokens", from: $from, to: $to) { ... on UsageSeries { rows { quantity eventCount } } }
  }
}
"""


def told(number: int, **changes: Any) -> dict[str, Any]:
    event = {
        "source": "tests",
        "id": f"e{number}",
        "type": "request",
        "subject": "acme",
        "time": YESTERDAY.isoformat(),
        "data": {"tokens": number},
    }
    return event | changes


async def begin(edge: Edge) -> int:
    """Two accounts, a meter, and three events that count; the position of the first of them."""
    await open_accounts(edge, ("acme", "umbrella"))
    await define_tokens_meter(edge)
    answer = await edge.data(TELL, {"events": [told(1), told(2), told(4)]})
    await edge.project()
    return int(answer["recordUsage"]["position"]) - 2


async def counted(edge: Edge, account: str = "acme") -> tuple[str, int]:
    await edge.project()
    days = {"from": YESTERDAY.date().isoformat(), "to": YESTERDAY.date().replace(year=2100).isoformat()}
    days["to"] = (YESTERDAY.date().fromordinal(YESTERDAY.date().toordinal() + 1)).isoformat()
    answer = await edge.data(USAGE, {"account": account, **days})
    rows = answer["account"]["usage"]["rows"]
    return (rows[0]["quantity"], rows[0]["eventCount"]) if rows else ("0", 0)


async def test_a_voided_event_counts_no_more_and_stays_in_the_log(edge: Edge) -> None:
    first = await begin(edge)
    assert await counted(edge) == ("7", 3)
    decided = (await edge.data(VOID, {"position": first, "note": "seen"}))["voidUsage"]
    assert decided == {"__typename": "UsageDecision", "position": await edge.head(), "supersedes": first}
    assert await counted(edge) == ("6", 2)
    query = (
        '{ account(key: "acme") { events(topics: ["UsageRecorded"]) { edges { node { position supersededBy } } } } }'
    )
    events = (await edge.data(query))["account"]["events"]["edges"]
    assert [one["node"]["supersededBy"] for one in events] == [decided["position"], None, None]


async def test_an_event_is_voided_once(edge: Edge) -> None:
    first = await begin(edge)
    voided = (await edge.data(VOID, {"position": first}))["voidUsage"]
    again = (await edge.data(VOID, {"position": first}))["voidUsage"]
    assert (again["__typename"], again["settledBy"]) == ("UsageSettledAlready", voided["position"])
    assert await counted(edge) == ("6", 2)


async def test_of_those_who_void_the_same_event_at_once_one_does(edge: Edge) -> None:
    first = await begin(edge)
    answers = await asyncio.gather(*(edge.data(VOID, {"position": first}) for _ in range(5)))
    kinds = sorted(one["voidUsage"]["__typename"] for one in answers)
    assert kinds.count("UsageDecision") == 1
    assert set(kinds) <= {"UsageDecision", "VersionTaken", "UsageSettledAlready"}
    assert await counted(edge) == ("6", 2)


async def test_an_amended_event_counts_as_it_was_amended(edge: Edge) -> None:
    first = await begin(edge)
    amended = await edge.data(AMEND, {"position": first, "correction": {"properties": {"tokens": 10}}})
    assert await counted(edge) == ("16", 3)
    second = amended["amendUsage"]["position"]
    await edge.data(AMEND, {"position": second, "correction": {"properties": {"tokens": 20}}})
    assert await counted(edge) == ("26", 3)
    refused = await edge.data(AMEND, {"position": first, "correction": {"properties": {"tokens": 3}}})
    assert refused["amendUsage"]["code"] == "usage_settled_already"


async def test_usage_amended_to_another_account_moves_there(edge: Edge) -> None:
    first = await begin(edge)
    await edge.data(AMEND, {"position": first, "correction": {"subject": "umbrella"}})
    assert await counted(edge) == ("6", 2)
    assert await counted(edge, "umbrella") == ("1", 1)


async def test_an_amendment_that_changes_nothing_is_refused(edge: Edge) -> None:
    first = await begin(edge)
    for correction in ({}, {"subject": "acme", "properties": {"tokens": 1}}):
        answer = await edge.data(AMEND, {"position": first, "correction": correction})
        assert answer["amendUsage"]["code"] == "argument_invalid"
    assert await counted(edge) == ("7", 3)


async def test_held_usage_is_neither_voided_nor_amended(edge: Edge) -> None:
    await begin(edge)
    answer = await edge.data(TELL, {"events": [told(9, data={"tokens": "many"})]})
    position = answer["recordUsage"]["position"]
    assert (await edge.data(VOID, {"position": position}))["voidUsage"]["code"] == "usage_held"
    amended = await edge.data(AMEND, {"position": position, "correction": {"subject": "umbrella"}})
    assert amended["amendUsage"]["code"] == "usage_held"


@pytest.mark.parametrize(
    ("variables", "code"),
    [({"position": 1}, "usage_unknown"), ({"position": 10**6}, "usage_unknown"), ({"reason": "x"}, "reason_invalid")],
)
async def test_what_cannot_be_voided_is_refused(edge: Edge, variables: dict[str, Any], code: str) -> None:
    first = await begin(edge)
    assert (await edge.data(VOID, {"position": first, **variables}))["voidUsage"]["code"] == code


async def test_a_bound_key_voids_only_its_accounts_usage(edge: Edge) -> None:
    first = await begin(edge)
    bound = await edge.key("ops", account="umbrella")
    assert (await edge.data(VOID, {"position": first}, key=bound))["voidUsage"]["code"] == "out_of_scope"
    own = await edge.key("ops", account="acme")
    moved = await edge.data(AMEND, {"position": first, "correction": {"subject": "umbrella"}}, key=own)
    assert moved["amendUsage"]["code"] == "out_of_scope"


async def test_a_backfill_is_announced_and_causes_its_usage(edge: Edge) -> None:
    await begin(edge)
    head = await edge.head()
    answer = (await edge.data(BACKFILL, {"events": [told(8), told(16), told(1)]}))["backfillUsage"]
    assert (answer["stored"], answer["backfillPosition"]) == (2, head + 1)
    assert [one["fate"] for one in answer["fates"]] == ["STORED", "STORED", "DUPLICATE"]
    rows = await edge.log.page(after=head, before=head + 10, limit=10)
    assert [row["topic"] for row in rows] == ["UsageBackfilled", "UsageRecorded", "UsageRecorded"]
    assert '"count":2' in rows[0]["state"]
    assert all(f'"causation":{head + 1}' in row["metadata"] for row in rows[1:])
    assert await counted(edge) == ("31", 5)


async def test_the_same_backfill_again_stores_and_announces_nothing(edge: Edge) -> None:
    await begin(edge)
    await edge.data(BACKFILL, {"events": [told(8), told(16)]})
    head = await edge.head()
    again = (await edge.data(BACKFILL, {"events": [told(8), told(16)]}))["backfillUsage"]
    assert (again["stored"], again["backfillPosition"]) == (0, None)
    [row] = await edge.log.page(after=head, before=head + 10, limit=10)
    assert row["topic"] == "AttemptRepeated"
    assert await counted(edge) == ("31", 5)


async def test_a_backfill_that_was_interrupted_is_announced_once(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    await begin(edge)
    head = await edge.head()
    append_new = edge.log.append_new

    async def crash(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(edge.log, "append_new", crash)
    assert "errors" in await edge.graphql(BACKFILL, {"events": [told(8)]})
    monkeypatch.setattr(edge.log, "append_new", append_new)
    answer = (await edge.data(BACKFILL, {"events": [told(8)]}))["backfillUsage"]
    assert (answer["stored"], answer["backfillPosition"]) == (1, head + 1)
    rows = await edge.log.page(after=head, before=head + 10, limit=10)
    assert [row["topic"] for row in rows] == ["UsageBackfilled", "UsageRecorded"]


async def test_of_two_equal_backfills_at_once_one_is_announced(edge: Edge) -> None:
    await begin(edge)
    answers = await asyncio.gather(*(edge.data(BACKFILL, {"events": [told(8), told(16)]}) for _ in range(4)))
    assert sum(one["backfillUsage"]["stored"] for one in answers) == 2
    count = await edge.pool.fetchval("select count(*) from events where topic = 'UsageBackfilled'")
    assert count == 1
    assert await counted(edge) == ("31", 5)


async def test_a_backfill_tells_no_other_accounts_usage(edge: Edge) -> None:
    await begin(edge)
    head = await edge.head()
    answer = (await edge.data(BACKFILL, {"events": [told(8, subject="umbrella"), told(9, id="")]}))["backfillUsage"]
    assert [one["fate"] for one in answer["fates"]] == ["REFUSED", "REFUSED"]
    assert (answer["stored"], answer["backfillPosition"]) == (0, None)
    [row] = await edge.log.page(after=head, before=head + 10, limit=10)
    assert row["topic"] == "AttemptRefused"


async def test_other_content_under_a_known_id_is_a_conflict_in_a_backfill_too(edge: Edge) -> None:
    await begin(edge)
    answer = (await edge.data(BACKFILL, {"events": [told(1, data={"tokens": 5})]}))["backfillUsage"]
    assert answer["fates"][0]["code"] == "key_conflict"
    again = (await edge.data(BACKFILL, {"events": [told(1, data={"tokens": 5})]}))["backfillUsage"]
    assert (again["stored"], again["backfillPosition"]) == (0, None)


@pytest.mark.parametrize(
    ("variables", "code"), [({"account": "nobody"}, "account_unknown"), ({"reason": "x"}, "reason_invalid")]
)
async def test_what_cannot_be_backfilled_is_refused(edge: Edge, variables: dict[str, Any], code: str) -> None:
    await begin(edge)
    assert (await edge.data(BACKFILL, {"events": [told(8)], **variables}))["backfillUsage"]["code"] == code


async def test_a_backfill_is_bounded(edge: Edge) -> None:
    await begin(edge)
    answer = await edge.data(BACKFILL, {"events": [told(number) for number in range(1_001)]})
    assert answer["backfillUsage"]["code"] == "argument_invalid"


async def test_what_is_voided_or_backfilled_in_a_closed_period_is_late_and_changes_no_bill(edge: Edge) -> None:
    """Fails where `usage_of` takes every topic that begins with "Usage": a backfill's announcement is no usage."""
    await agree(edge, charge("all", GRADUATED))
    [first, _] = await tell_billed(edge, [used(1, MARCH, 90), used(2, MARCH, 20)])
    await close(edge)
    before = (await closed(edge))["closedPeriods"]["edges"][2]["node"]
    voided = (await edge.data(VOID, {"position": first}))["voidUsage"]
    backfilled = (await edge.data(BACKFILL, {"events": [told(8, time=MARCH.isoformat())]}))["backfillUsage"]
    assert backfilled["stored"] == 1
    after = (await closed(edge))["closedPeriods"]["edges"][2]["node"]
    assert after["invoice"] == before["invoice"]
    late = [one["node"]["position"] for one in after["lateUsage"]["edges"]]
    assert late == [voided["position"], backfilled["position"]]


async def test_the_evidence_of_a_line_shows_what_was_voided_and_what_stands_in_its_place(edge: Edge) -> None:
    await agree(edge, charge("all", GRADUATED))
    [first, second, third] = await tell_billed(edge, [used(1, MARCH, 1), used(2, MARCH, 2), used(3, MARCH, 4)])
    voided = (await edge.data(VOID, {"position": first}))["voidUsage"]["position"]
    amended = (await edge.data(AMEND, {"position": second, "correction": {"properties": {"tokens": 8}}}))["amendUsage"]
    await edge.project()
    query = """{ account(key: "acme") { projectedInvoice(at: "2026-03-15T00:00:00Z") {
      ... on Invoice { lines { id kind quantity } } } } }"""
    lines = (await edge.data(query))["account"]["projectedInvoice"]["lines"]
    [line] = [one for one in lines if one["kind"] == "USAGE"]
    assert line["quantity"] == "12"
    shown = (await edge.data(EVENTS, {"id": line["id"], "all": True}))["node"]["events"]["edges"]
    reasons = {one["node"]["position"]: one["node"]["reason"] for one in shown}
    assert reasons == {first: "superseded", second: "superseded", third: None, amended["position"]: None}
    [message] = [one["node"]["message"] for one in shown if one["node"]["position"] == first]
    assert message == f"it was mended or dismissed by the event at position {voided}"
