"""Meters, usage, held usage and the log over GraphQL."""

import json
from datetime import timedelta
from typing import Any

import pytest

from ledger.graphql import usage as usage_module
from tests.edges import (
    DEFINE_METER,
    NOW,
    YESTERDAY,
    Edge,
    cloud_event,
    define_tokens_meter,
    open_accounts,
)

RECORD = """
mutation ($events: [UsageEventInput!]!) {
  recordUsage(events: $events) {
    __typename
    ... on UsageReceipt { position stored fates { index id fate position code } }
    ... on Refusal { code message }
  }
}
"""
USAGE = """
query ($meter: String!, $from: Date!, $to: Date!, $window: UsageWindow!, $groupBy: [String!], $where: [UsageFilter!],
       $limit: Int! = 1000, $atLeast: Position) {
  account(key: "acme") {
    usage(meter: $meter, from: $from, to: $to, window: $window, groupBy: $groupBy, where: $where, limit: $limit,
          atLeastPosition: $atLeast) {
      __typename
      ... on UsageSeries {
        unit zone isBuilding watermark { position }
        rows { start end dimensions { name value } quantity eventCount firstPosition lastPosition }
      }
      ... on Refusal { code message }
      ... on PositionNotReached { wanted reached }
    }
  }
}
"""
HELD = """
query ($first: Int, $after: String, $code: String, $account: String) {
  heldUsage(first: $first, after: $after, code: $code, account: $account) {
    totalCount pageInfo { hasNextPage endCursor }
    edges { node { position code meters subject accountKey eventId } }
  }
}
"""
MEND = """
mutation ($position: Position!, $correction: UsageCorrection!, $reason: String!) {
  mendHeldUsage(position: $position, correction: $correction, reason: $reason) {
    __typename ... on HeldUsageDecision { position } ... on Refusal { code message }
  }
}
"""
DISMISS = """
mutation ($position: Position!, $reason: String!) {
  dismissHeldUsage(position: $position, reason: $reason) {
    __typename ... on HeldUsageDecision { position } ... on Refusal { code message }
  }
}
"""
DAYS = {
    "meter": "tokens",
    "from": YESTERDAY.date().isoformat(),
    "to": (YESTERDAY.date() + timedelta(days=1)).isoformat(),
    "window": "DAY",
}


def told(number: int, **changes: Any) -> dict[str, Any]:
    return cloud_event(number, specversion=None, **changes)


async def record(edge: Edge, *events: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = (await edge.data(RECORD, {"events": events}, key=key))["recordUsage"]
    return answer


async def usage(edge: Edge, **changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await edge.data(USAGE, DAYS | changes))["account"]["usage"]
    return answer


async def test_usage_told_over_graphql_gets_its_fates_and_is_shown(edge: Edge) -> None:
    await open_accounts(edge)
    await define_tokens_meter(edge)
    before = await edge.head()
    receipt = await record(
        edge, told(1), told(2, subject="nobody"), told(1), told(4, id=""), told(5, data=[1]), told(6)
    )
    assert [fate["fate"] for fate in receipt["fates"]] == "STORED HELD DUPLICATE REFUSED REFUSED STORED".split()
    positions = [fate["position"] for fate in receipt["fates"]]
    assert positions == [before + 1, before + 2, before + 1, None, None, before + 3]
    assert (receipt["position"], receipt["stored"]) == (before + 3, 3)
    await edge.project()
    shown = await usage(edge, atLeast=receipt["position"], groupBy=["model"])
    assert shown["watermark"]["position"] == await edge.head()
    row = shown["rows"][0]
    assert (row["quantity"], row["eventCount"], shown["unit"], shown["zone"]) == ("7", 2, "token", "UTC")
    assert row["dimensions"] == [{"name": "model", "value": "small"}]
    assert (row["firstPosition"], row["lastPosition"]) == (before + 1, before + 3)


async def test_numbers_stay_exact_from_body_and_from_query_text(edge: Edge) -> None:
    await open_accounts(edge)
    await define_tokens_meter(edge)
    body = json.dumps({"query": RECORD, "variables": {"events": [told(1, data={"tokens": 0})]}})
    key = await edge.key("admin")
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    body = body.replace('"tokens": 0', '"tokens": 0.100000000000000001')
    await edge.client.post("/graphql", content=body, headers=headers)
    literal = f'time: "{YESTERDAY.isoformat()}", data: {{tokens: 12345678901234567.000000000000000003}}'
    await edge.data(
        f'mutation {{ recordUsage(events: [{{source: "s", id: "2", type: "request", subject: "acme", {literal}}}])'
        " { __typename } }"
    )
    await edge.project()
    shown = await usage(edge)
    assert shown["rows"][0]["quantity"] == "12345678901234567.100000000000000004"
    log = await edge.data('{ events(topics: ["UsageRecorded"]) { edges { node { state } } } }')
    assert len(log["events"]["edges"]) == 2
    raw = await edge.client.post(
        "/graphql",
        json={"query": '{ events(topics: ["UsageRecorded"]) { edges { node { state } } } }'},
        headers=headers,
    )
    assert '"tokens":0.100000000000000001' in raw.text


async def test_a_filter_value_keeps_its_kind_and_digits(edge: Edge) -> None:
    values = '"200", 200, 1.50, true, null, 123456789012345678901234567890'
    answer = await edge.client.post(
        "/graphql",
        json={
            "query": f"""mutation {{ defineMeter(meter: "m", definition: {{
                name: "M", eventType: "t", aggregation: COUNT, filters: [{{property: "p", values: [{values}]}}]
            }}) {{ ... on MeterDecision {{ meter {{ filters {{ values }} }} }} }} }}"""
        },
        headers={"authorization": f"Bearer {await edge.key('admin')}"},
    )
    expected = '[{"values":["200",200,1.50,true,null,123456789012345678901234567890]}]'
    assert expected in answer.text
    stored = (await edge.log.page(after=0, before=10**9, topics=["MeterDefined"], limit=1))[0]["state"]
    assert '"values":["200",200,1.50,true,null,123456789012345678901234567890]' in stored


async def test_usage_is_grouped_and_filtered_by_declared_dimensions(edge: Edge) -> None:
    await open_accounts(edge)
    await define_tokens_meter(edge)
    await record(edge, told(1), told(2, data={"tokens": 2, "model": "large"}), told(3, data={"tokens": 3}), told(4))
    await edge.project()
    groups = await usage(edge, groupBy=["model"], window="TOTAL")
    assert {row["dimensions"][0]["value"]: row["quantity"] for row in groups["rows"]} == {
        "small": "5",
        "large": "2",
        None: "3",
    }
    kept = await usage(edge, where=[{"dimension": "model", "values": ["large", None]}], window="TOTAL")
    assert [row["quantity"] for row in kept["rows"]] == ["5"]


@pytest.mark.parametrize(
    ("changes", "typename"),
    [
        ({"meter": "nothing"}, "MeterUnknown"),
        ({"groupBy": ["user"]}, "DimensionUndeclared"),
        ({"where": [{"dimension": "user", "values": ["x"]}]}, "DimensionUndeclared"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "RangeTooLarge"),
        ({"from": "2026-01-02", "to": "2026-01-02"}, "ArgumentInvalid"),
        ({"from": "0001-01-01", "to": "0001-01-02"}, "ArgumentInvalid"),
        ({"from": "9999-12-30", "to": "9999-12-31"}, "ArgumentInvalid"),
        ({"limit": 0}, "ArgumentInvalid"),
        ({"limit": 10_001}, "ArgumentInvalid"),
        ({"groupBy": ["model", "model"]}, "ArgumentInvalid"),
        ({"where": [{"dimension": "model", "values": ["x"] * 101}]}, "ArgumentInvalid"),
        ({"where": [{"dimension": "model", "values": ["\0"]}]}, "ArgumentInvalid"),
    ],
)
async def test_a_request_for_usage_that_cannot_be_answered_is_a_typed_refusal(
    edge: Edge, changes: dict[str, Any], typename: str
) -> None:
    await open_accounts(edge)
    await define_tokens_meter(edge)
    await edge.project()
    assert (await usage(edge, **changes))["__typename"] == typename


async def test_waiting_for_a_position_is_bounded(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_module, "POSITION_TIMEOUT_SECONDS", 0.05)
    await open_accounts(edge)
    await define_tokens_meter(edge)
    answer = await usage(edge, atLeast=10**9)
    assert (answer["__typename"], answer["wanted"]) == ("PositionNotReached", 10**9)


async def test_meters_are_defined_changed_and_retired(edge: Edge) -> None:
    await define_tokens_meter(edge)
    definition = {"name": "T", "eventType": "request", "aggregation": "COUNT"}
    again = await edge.data(DEFINE_METER, {"meter": "tokens", "definition": definition})
    assert again["defineMeter"]["__typename"] == "MeterExists"
    invalid = await edge.data(DEFINE_METER, {"meter": "x", "definition": definition | {"aggregation": "SUM"}})
    assert invalid["defineMeter"]["__typename"] == "MeterInvalid"
    changed = await edge.data(
        """mutation ($definition: MeterDefinitionInput!) {
          changeMeter(meter: "tokens", definition: $definition) { ... on MeterDecision { meter { aggregation } } }
          retireMeter(meter: "tokens") { ... on MeterDecision { meter { retiredAt } } }
          again: retireMeter(meter: "tokens") { __typename }
        }""",
        {"definition": definition},
    )
    assert changed["changeMeter"]["meter"]["aggregation"] == "COUNT"
    assert changed["retireMeter"]["meter"]["retiredAt"] >= NOW.isoformat()[:19]
    assert changed["again"]["__typename"] == "MeterRetiredAlready"
    listed = await edge.data('{ meters(first: 1) { totalCount edges { node { key name } } } meter(key: "no") { key } }')
    assert listed == {"meters": {"totalCount": 1, "edges": [{"node": {"key": "tokens", "name": "T"}}]}, "meter": None}


async def test_held_usage_is_listed_mended_and_dismissed(edge: Edge) -> None:
    await open_accounts(edge)
    await define_tokens_meter(edge)
    receipt = await record(
        edge, told(1, data={}), told(2, subject="typo"), told(3, subject="test"), told(4), told(5, type="no")
    )
    await edge.project()
    first, second, third, fourth, _ = (fate["position"] for fate in receipt["fates"])
    page = (await edge.data(HELD, {"first": 2}))["heldUsage"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (4, True)
    assert [one["node"]["code"] for one in page["edges"]] == ["property_missing", "account_unknown"]
    assert page["edges"][0]["node"] == {
        "position": first,
        "code": "property_missing",
        "meters": ["tokens"],
        "subject": "acme",
        "accountKey": "acme",
        "eventId": "event-1",
    }
    rest = (await edge.data(HELD, {"first": 9, "after": page["pageInfo"]["endCursor"]}))["heldUsage"]
    assert [one["node"]["position"] for one in rest["edges"]] == [third, receipt["position"]]
    mend = {"position": first, "correction": {"properties": {"tokens": 10}}, "reason": "wrong_value"}
    assert (await edge.data(MEND, mend))["mendHeldUsage"]["position"] == await edge.head()
    assert (await edge.data(MEND, mend))["mendHeldUsage"]["__typename"] == "UsageSettledAlready"
    corrected = mend | {"position": second, "correction": {"subject": "acme"}}
    assert (await edge.data(MEND, corrected))["mendHeldUsage"]["__typename"] == "HeldUsageDecision"
    dismissed = await edge.data(DISMISS, {"position": third, "reason": "test_traffic"})
    assert dismissed["dismissHeldUsage"]["__typename"] == "HeldUsageDecision"
    for changes, typename in (
        ({"position": fourth}, "UsageNotHeld"),
        ({"position": 10**15}, "UsageUnknown"),
        ({"reason": "because"}, "ReasonInvalid"),
        ({"correction": {"properties": [1]}}, "ArgumentInvalid"),
        ({"correction": {"subject": " x"}}, "NameInvalid"),
    ):
        refused = await edge.data(MEND, {**mend, "position": receipt["position"], **changes})
        assert refused["mendHeldUsage"]["__typename"] == typename
    await edge.project()
    assert (await edge.data(HELD, {}))["heldUsage"]["totalCount"] == 1
    assert (await usage(edge))["rows"][0]["quantity"] == "16"


async def test_a_bound_key_mends_and_lists_its_own_accounts_usage_only(edge: Edge) -> None:
    await open_accounts(edge, ["acme", "other"])
    await define_tokens_meter(edge)
    receipt = await record(edge, told(1, data={}), told(2, data={}, subject="other"))
    await edge.project()
    own, foreign = (fate["position"] for fate in receipt["fates"])
    bound = await edge.key("ops", account="acme")
    listed = (await edge.data(HELD, {}, key=bound))["heldUsage"]
    assert [one["node"]["position"] for one in listed["edges"]] == [own]
    assert (await edge.graphql(HELD, {"account": "other"}, key=bound))["errors"]
    mend = {"position": foreign, "correction": {"properties": {"tokens": 1}}, "reason": "wrong_value"}
    assert (await edge.data(MEND, mend, key=bound))["mendHeldUsage"]["__typename"] == "OutOfScope"
    moved = mend | {"position": own, "correction": {"subject": "other"}}
    assert (await edge.data(MEND, moved, key=bound))["mendHeldUsage"]["__typename"] == "OutOfScope"
    dismissed = await edge.data(DISMISS, {"position": foreign, "reason": "other"}, key=bound)
    assert dismissed["dismissHeldUsage"]["__typename"] == "OutOfScope"
    assert (await edge.data(MEND, mend | {"position": own}, key=bound))["mendHeldUsage"]["position"]


async def test_the_log_is_read_by_account_topic_time_and_position_in_pages(edge: Edge) -> None:
    await open_accounts(edge, ["acme", "other"])
    await edge.data('mutation { aliasAccount(account: "acme", alias: "cus_1") { __typename } }')
    await record(edge, told(1, subject="cus_1"), told(2, subject="other"), told(3))
    query = """query ($accounts: [String!], $topics: [String!], $from: DateTime, $to: DateTime, $first: Int,
        $last: Int, $after: String, $afterPosition: Position, $beforePosition: Position) {
      events(accounts: $accounts, topics: $topics, recordedFrom: $from, recordedTo: $to, first: $first, last: $last,
             after: $after, afterPosition: $afterPosition, beforePosition: $beforePosition) {
        pageInfo { hasNextPage hasPreviousPage endCursor }
        edges { node { position topic accountName recordedAt metadata } }
      }
    }"""

    async def events(**variables: Any) -> list[dict[str, Any]]:
        found = (await edge.data(query, variables))["events"]["edges"]
        return [one["node"] for one in found]

    everything = await events()
    assert [one["position"] for one in everything] == list(range(1, await edge.head() + 1))
    of_acme = await events(accounts=["acme"])
    assert [one["accountName"] for one in of_acme] == ["acme", "acme", "cus_1", "acme"]
    assert [one["topic"] for one in await events(topics=["AccountAliased"])] == ["AccountAliased"]
    between = await events(afterPosition=2, beforePosition=5)
    assert [one["position"] for one in between] == [3, 4]
    assert [one["position"] for one in await events(last=2)] == [one["position"] for one in everything[-2:]]
    third = everything[2]["recordedAt"]
    assert (await events(**{"from": third}))[0]["recordedAt"] == third
    assert all(one["recordedAt"] < third for one in await events(to=third))
    assert await events(to="0001-01-01T00:00:00Z") == []
    assert len(await events(**{"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"})) == len(everything)
    page = (await edge.data(query, {"first": 3}))["events"]["pageInfo"]
    assert (page["hasNextPage"], len(await events(first=1_000, after=page["endCursor"]))) == (True, len(everything) - 3)
    for variables in ({"topics": ["Nothing"]}, {"first": 1_001}, {"accounts": ["nobody"]}, {"accounts": ["x"] * 101}):
        assert (await edge.graphql(query, variables))["errors"][0]["extensions"]["code"]


async def test_a_bound_auditor_reads_the_events_of_its_account_only(edge: Edge) -> None:
    await open_accounts(edge, ["acme", "other"])
    await record(edge, told(1), told(2, subject="other"))
    bound = await edge.key("auditor", account="acme")
    query = "query ($a: [String!]) { events(accounts: $a) { edges { node { accountName } } } }"
    seen = (await edge.data(query, {}, key=bound))["events"]["edges"]
    assert [one["node"]["accountName"] for one in seen] == ["acme", "acme"]
    refused = await edge.graphql(query, {"a": ["other"]}, key=bound)
    assert refused["errors"][0]["extensions"]["code"] == "out_of_scope"


async def test_every_read_model_tells_how_far_it_has_come(edge: Edge) -> None:
    await open_accounts(edge)
    await edge.project()
    shown = (await edge.data("{ projections { name state position eventsBehind lagMilliseconds } }"))["projections"]
    assert {"accounts", "usage"} <= {one["name"] for one in shown}
    assert {one["eventsBehind"] for one in shown if one["state"] == "live"} == {0}


@pytest.mark.parametrize(
    "time", ["2026-01-01T00:00:00", "2026-01-01", "now", "10000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", 7]
)
async def test_a_naive_or_impossible_time_refuses_the_whole_request(edge: Edge, time: object) -> None:
    await edge.key("admin")
    before = await edge.head()
    answer = await edge.graphql(RECORD, {"events": [told(1), told(2, time=time)]})
    assert "data" not in answer
    assert "with its zone" in answer["errors"][0]["message"]
    assert await edge.head() == before


async def test_a_thousand_events_a_request_and_no_more(edge: Edge) -> None:
    assert (await record(edge, *(told(number) for number in range(1_000))))["stored"] == 1_000
    assert (await record(edge, *(told(number) for number in range(1_001))))["__typename"] == "ArgumentInvalid"


async def test_a_bound_key_tells_usage_of_its_account_only(edge: Edge) -> None:
    await open_accounts(edge, ["acme", "other"])
    receipt = await record(edge, told(1, subject="other"), told(2), key=await edge.key("ingest", account="acme"))
    assert [(fate["fate"], fate["code"]) for fate in receipt["fates"]] == [
        ("REFUSED", "out_of_scope"),
        ("HELD", "type_unknown"),
    ]
    assert [fate["position"] for fate in receipt["fates"]] == [None, receipt["position"]]
