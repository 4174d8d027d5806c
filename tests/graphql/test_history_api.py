"""An account's history and the audit trail: everything in one list, with who and why, a page at a time."""

from typing import Any

import pytest

from tests.edges import Edge, define_tokens_meter, open_accounts
from tests.graphql.test_mending_api import BACKFILL, TELL, VOID, told

ENTRY = """
position recordedAt topic accountName outcome sentence operation requestId causedBy reason note
author { actor person keyName role source } links { kind reference }
"""
HISTORY = f"""
query ($includeUsage: Boolean, $first: Int, $after: String, $last: Int, $before: String) {{
  account(key: "acme") {{
    history(includeUsage: $includeUsage, first: $first, after: $after, last: $last, before: $before) {{
      edges {{ cursor node {{ {ENTRY} }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
    }}
  }}
}}
"""
TRAIL = f"""
query ($actor: String, $operation: String, $outcome: Outcome, $first: Int, $after: String, $last: Int,
       $before: String) {{
  auditTrail(actor: $actor, operation: $operation, outcome: $outcome, first: $first, after: $after, last: $last,
             before: $before) {{
    edges {{ cursor node {{ {ENTRY} }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
  }}
}}
"""


async def begin(edge: Edge) -> None:
    """An account with usage, a voided event, a backfill and two attempts; and another account."""
    await open_accounts(edge, ("acme", "umbrella"))
    await define_tokens_meter(edge)
    answer = await edge.data(TELL, {"events": [told(1), told(2)]})
    await edge.data(VOID, {"position": answer["recordUsage"]["position"], "note": "seen"})
    await edge.data(VOID, {"position": answer["recordUsage"]["position"]})
    await edge.data(BACKFILL, {"events": [told(3)]})
    await edge.data('mutation { renameAccount(account: "acme", name: "Acme") { __typename } }')


async def history(edge: Edge, **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await edge.data(HISTORY, variables))["account"]["history"]
    return found


def topics(found: dict[str, Any]) -> list[str]:
    return [edge["node"]["topic"] for edge in found["edges"]]


DECIDED = ["AccountOpened", "UsageDismissed", "AttemptRefused", "UsageBackfilled", "AttemptRepeated"]


async def test_an_accounts_history_is_one_list_of_all_that_was_decided_or_tried(edge: Edge) -> None:
    await begin(edge)
    found = await history(edge)
    assert topics(found) == DECIDED
    nodes = [one["node"] for one in found["edges"]]
    assert [one["outcome"] for one in nodes] == ["DONE", "DONE", "REFUSED", "DONE", "REPEATED"]
    assert [one["operation"] for one in nodes] == [
        "openAccount",
        "voidUsage",
        "voidUsage",
        "backfillUsage",
        "renameAccount",
    ]
    voided = nodes[1]
    assert (voided["reason"], voided["note"]) == ("sent_twice", "seen")
    assert voided["links"] == [{"kind": "EVENT", "reference": str(voided["position"] - 1)}]
    assert voided["author"]["keyName"] == "test"
    assert (voided["author"]["role"], voided["author"]["source"]) == ("admin", "graphql")
    assert voided["sentence"].startswith("It was decided that the event at")
    assert nodes[2]["reason"] == "usage_settled_already"


async def test_usage_is_shown_event_by_event_where_asked_for(edge: Edge) -> None:
    await begin(edge)
    found = await history(edge, includeUsage=True)
    assert topics(found).count("UsageRecorded") == 3
    backfilled = [one["node"] for one in found["edges"] if one["node"]["causedBy"] is not None]
    [announced] = [one["node"] for one in found["edges"] if one["node"]["topic"] == "UsageBackfilled"]
    assert [one["causedBy"] for one in backfilled] == [announced["position"]]


async def test_the_pages_of_a_history_put_together_are_the_whole_both_ways(edge: Edge) -> None:
    await begin(edge)
    forwards: list[str] = []
    after = None
    while True:
        found = await history(edge, first=2, after=after)
        forwards += topics(found)
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    backwards: list[str] = []
    before = None
    while True:
        found = await history(edge, last=2, before=before)
        backwards = topics(found) + backwards
        before = found["pageInfo"]["startCursor"]
        if not found["pageInfo"]["hasPreviousPage"]:
            break
    assert forwards == backwards == DECIDED


async def test_a_history_needs_the_right_to_read_the_log(edge: Edge) -> None:
    await begin(edge)
    refused = await edge.graphql(HISTORY, key=await edge.key("viewer"))
    assert refused["errors"][0]["extensions"]["code"] == "forbidden"
    bound = await edge.key("auditor", account="acme")
    assert (await edge.data(HISTORY, key=bound))["account"]["history"]["edges"]
    other = await edge.graphql(HISTORY, key=await edge.key("auditor", account="umbrella"))
    assert other["errors"][0]["extensions"]["code"] == "out_of_scope"
    trail = await edge.graphql(TRAIL, key=bound)
    assert trail["errors"][0]["extensions"]["code"] == "out_of_scope"


async def test_the_trail_tells_who_was_refused_what(edge: Edge) -> None:
    await begin(edge)
    viewer = await edge.key("viewer")
    await edge.data('mutation { openAccount(account: "x", name: "X", zone: "UTC") { __typename } }', key=viewer)
    found = (await edge.data(TRAIL, {"outcome": "REFUSED"}))["auditTrail"]
    assert [one["node"]["operation"] for one in found["edges"]] == ["voidUsage", "openAccount"]
    [forbidden] = (await edge.data(TRAIL, {"actor": f"key:{viewer.split('_')[1]}"}))["auditTrail"]["edges"]
    assert forbidden["node"]["reason"] == "forbidden"
    opened = (await edge.data(TRAIL, {"operation": "openAccount", "outcome": "DONE"}))["auditTrail"]
    assert topics(opened) == ["AccountOpened", "AccountOpened"]


async def test_a_page_of_the_trail_looks_at_a_bounded_number_of_decisions(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.graphql.history.SCANNED_MAX", 3)
    await begin(edge)
    whole: list[str] = []
    turns, after = 0, None
    while True:
        found = (await edge.data(TRAIL, {"outcome": "REFUSED", "after": after}))["auditTrail"]
        whole += topics(found)
        turns, after = turns + 1, found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert whole == ["AttemptRefused"]
    assert turns > 1
    back: list[str] = []
    before = None
    while True:
        found = (await edge.data(TRAIL, {"last": 1, "before": before}))["auditTrail"]
        back = topics(found) + back
        before = found["pageInfo"]["startCursor"]
        if not found["pageInfo"]["hasPreviousPage"]:
            break
    forward = (await edge.data(TRAIL, {"first": 3}))["auditTrail"]
    assert back[:3] == topics(forward)
