"""From a line of an invoice down to its days and exact events, adding up at each level, over GraphQL."""

import base64
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ledger.projections import evidence
from tests.edges import DEFINE_METER, Edge
from tests.graphql.billing import (
    CALENDAR,
    GRADUATED,
    LATER,
    MARCH,
    agree,
    charge,
    define_plan,
    open_since,
    start_contract,
    tell,
    terms,
    total,
    used,
)

LINES = """
query ($at: DateTime, $plan: PlanChoiceInput) {
  account(key: "acme") {
    projectedInvoice(at: $at, plan: $plan) {
      ... on Invoice { lines { id kind key quantity money { amount } dimensions { value } } } ... on Refusal { code }
    }
  }
}
"""
DAYS = """
query ($id: ID!, $first: Int, $after: String) {
  node(id: $id) { ... on InvoiceLine { days(first: $first, after: $after) {
    aggregation isAdditive quantity totalCount watermark { position } pageInfo { hasNextPage endCursor }
    edges { node { day quantity valueTotal eventCount firstPosition lastPosition dimensions { name value } } }
  } } }
}
"""
EVENTS = """
query ($id: ID!, $first: Int, $after: String, $day: Date, $all: Boolean! = false) {
  node(id: $id) { ... on InvoiceLine { events(first: $first, after: $after, day: $day, includeExcluded: $all) {
    pageInfo { hasNextPage endCursor } watermark { position }
    edges { node { position source eventId time value text isCounted reason message dimensions { name value } } }
  } } }
}
"""
DECIDING = """
query ($id: ID!, $first: Int, $after: String) {
  node(id: $id) { ... on InvoiceLine { deciding: decidingEvents(first: $first, after: $after) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { role position eventId value text time } }
  } } }
}
"""
LEVELS = """
query ($id: ID!) {
  node(id: $id) { ... on InvoiceLine { quantity levels(first: 100) { totalCount edges { node { start end level } } } } }
}
"""
DISMISS = """
mutation ($position: Position!) { dismissHeldUsage(position: $position, reason: "test_traffic") { __typename } }
"""
FIRST = datetime(2026, 3, 1, tzinfo=UTC)


async def lines(edge: Edge, at: datetime = MARCH, **more: Any) -> list[dict[str, Any]]:
    answer = await edge.data(LINES, {"at": at.isoformat()} | more)
    found: list[dict[str, Any]] = answer["account"]["projectedInvoice"]["lines"]
    return found


async def evidence_of(edge: Edge, query: str, line: dict[str, Any], **more: Any) -> dict[str, Any]:
    node = (await edge.data(query, {"id": line["id"]} | more))["node"]
    answer: dict[str, Any] = node[next(name for name in node if name != "quantity")]
    return answer


async def all_events(edge: Edge, line: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """The events of all pages; however few are on each, they end."""
    found: list[dict[str, Any]] = []
    after = None
    for _ in range(200):
        page = await evidence_of(edge, EVENTS, line, after=after, **more)
        found += [one["node"] for one in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]
    raise AssertionError("the pages do not end")


async def define_meter(edge: Edge, aggregation: str, **changes: Any) -> None:
    """Another meter under the key `tokens`, of the same events."""
    definition = {"name": "T", "eventType": "request", "aggregation": aggregation, "property": "tokens"}
    definition |= {"dimensions": ["model"]} | changes
    answer = await edge.data(DEFINE_METER, {"meter": "tokens", "definition": definition})
    assert answer["defineMeter"]["__typename"] == "MeterDecision", answer


async def agree_on(edge: Edge, aggregation: str, *charges: dict[str, Any], **changes: Any) -> None:
    """As `agree`, with a meter of another aggregation."""
    await open_since(edge, "acme")
    await define_meter(edge, aggregation, **changes)
    defined = await define_plan(edge, "pro", terms(*(charges or [charge("a")])))
    assert defined["__typename"] == "PlanDecision", defined
    await start_contract(edge, terms=CALENDAR)
    await edge.project()


@pytest.mark.parametrize("first", [3, 1_000])
async def test_a_line_its_days_and_its_events_add_up_exactly(edge: Edge, first: int) -> None:
    await agree(edge, charge("all", GRADUATED), charge("big", groupBy=["model"]), zone="America/New_York")
    events = [
        used(number, FIRST + timedelta(hours=5 * number), f"{number}.5", data={"model": "big" if number % 3 else None})
        for number in range(60)
    ]
    await tell(edge, events)
    shown = await lines(edge)
    assert len(shown) == 3
    for line in shown:
        parts, after = [], None
        while True:
            days = await evidence_of(edge, DAYS, line, first=first, after=after)
            parts += [one["node"] for one in days["edges"]]
            after = days["pageInfo"]["endCursor"]
            if not days["pageInfo"]["hasNextPage"]:
                break
        assert (days["isAdditive"], days["quantity"], days["totalCount"]) == (True, line["quantity"], len(parts))
        assert total([part["quantity"] for part in parts]) == Decimal(line["quantity"])
        counted = await all_events(edge, line, first=first)
        assert total([one["value"] for one in counted]) == Decimal(line["quantity"])
        assert [one["position"] for one in counted] == sorted(one["position"] for one in counted)
        for part in parts[:4]:
            of_day = await all_events(edge, line, first=first, day=part["day"])
            assert total([one["value"] for one in of_day]) == Decimal(part["quantity"])
            assert len(of_day) == part["eventCount"]
            assert (of_day[0]["position"], of_day[-1]["position"]) == (part["firstPosition"], part["lastPosition"])
    by_key = {(line["key"], *(one["value"] for one in line["dimensions"])): line["quantity"] for line in shown}
    assert Decimal(by_key["big", "big"]) + Decimal(by_key["big", None]) == Decimal(by_key["all",])


async def test_what_does_not_count_is_shown_with_its_reason(edge: Edge) -> None:
    filters = [{"property": "kind", "values": [None, "good"]}]
    await agree_on(edge, "SUM", charge("a", filters=[{"dimension": "model", "values": ["small"]}]), filters=filters)
    far = datetime.now(UTC) + timedelta(days=3)
    told = [
        used(0, MARCH, 1),
        used(1, MARCH, "nothing"),
        used(2, MARCH, 2, data={"tokens": 2, "kind": "bad"}),
        used(3, MARCH, 3, data={"tokens": 3, "model": "large"}),
        used(4, MARCH - timedelta(days=20), 4),
        used(0, MARCH, 7),
        used(5, far, 5),
        used(6, MARCH, "dismissed"),
        used(7, MARCH, 8, type="other"),
        used(0, MARCH, 1),
        used(8, MARCH, 9),
    ]
    positions = await tell(edge, told)
    dismissed = await edge.data(DISMISS, {"position": positions[7]})
    assert dismissed["dismissHeldUsage"]["__typename"] == "HeldUsageDecision", positions
    await edge.project()
    [line] = await lines(edge)
    assert line["quantity"] == "10"
    counted = await all_events(edge, line)
    assert [one["value"] for one in counted] == ["1", "9"]
    everything = await all_events(edge, line, all=True)
    reasons = {(one["eventId"], one["position"]): one["reason"] for one in everything}
    assert [reason for _, reason in sorted(reasons.items(), key=lambda one: one[0][1])] == [
        *(None, "property_not_numeric", "filtered_out", "filtered_out", "other_period", "key_conflict"),
        *("time_too_far_ahead", "superseded", None),
    ]
    assert all(one["isCounted"] == (one["reason"] is None) for one in everything)
    assert all(one["message"] for one in everything if one["reason"])
    assert total([one["value"] for one in everything if one["isCounted"]]) == Decimal(line["quantity"])


async def test_held_events_are_shown_where_nothing_counts(edge: Edge) -> None:
    await agree(edge, charge("a"))
    await tell(edge, [used(1, MARCH, "x"), used(2, MARCH - timedelta(days=40), "x")])
    [line] = await lines(edge)
    assert (line["quantity"], await all_events(edge, line)) == ("0", [])
    assert [one["eventId"] for one in await all_events(edge, line, all=True)] == ["event-1"]


async def test_a_maximum_is_explained_by_its_winner_and_runner_up(edge: Edge) -> None:
    await agree_on(edge, "MAX")
    values = [(1, 5), (2, 90), (3, 7), (4, 80), (5, 90)]
    await tell(edge, [used(number, MARCH + timedelta(hours=9 * number), value) for number, value in values])
    [line] = await lines(edge)
    deciding = await evidence_of(edge, DECIDING, line)
    found = {one["node"]["role"]: (one["node"]["eventId"], one["node"]["value"]) for one in deciding["edges"]}
    assert found == {"WINNER": ("event-2", "90"), "RUNNER_UP": ("event-5", "90")}
    days = await evidence_of(edge, DAYS, line)
    assert (line["quantity"], days["isAdditive"], days["quantity"]) == ("90", False, None)
    assert max(Decimal(one["node"]["quantity"]) for one in days["edges"]) == 90


async def test_the_latest_value_is_explained_by_the_last_event(edge: Edge) -> None:
    await agree_on(edge, "LATEST")
    hours = [(1, 5), (2, 30), (3, 20)]
    await tell(edge, [used(number, MARCH + timedelta(hours=hour), number) for number, hour in hours])
    [line] = await lines(edge)
    [last] = (await evidence_of(edge, DECIDING, line))["edges"]
    assert (last["node"]["role"], last["node"]["eventId"], line["quantity"]) == ("LAST", "event-2", "2")


async def test_a_unique_count_is_explained_by_the_first_event_of_each_value(edge: Edge) -> None:
    await agree_on(edge, "UNIQUE_COUNT", property="user")
    told = [("ann", 1), ("bob", 2), ("ann", 30), ("eve", 50), ("bob", 51)]
    events = [
        used(number, FIRST + timedelta(hours=hour), data={"user": user}) for number, (user, hour) in enumerate(told)
    ]
    events.append(used(9, FIRST + timedelta(hours=60), data={"user": "eve", "operation_type": "remove"}))
    await tell(edge, events)
    [line] = await lines(edge)
    first = await evidence_of(edge, DECIDING, line, first=1)
    rest = await evidence_of(edge, DECIDING, line, after=first["pageInfo"]["endCursor"])
    nodes = [one["node"] for one in (*first["edges"], *rest["edges"])]
    assert [(one["eventId"], one["text"]) for one in nodes] == [("event-0", "ann"), ("event-1", "bob")]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"], first["totalCount"]) == (True, False, 2)
    days = await evidence_of(edge, DAYS, line)
    assert (days["isAdditive"], days["quantity"], line["quantity"]) == (True, "2", "2")
    assert [one["node"]["quantity"] for one in days["edges"]] == ["2", "0", "0"]


@pytest.mark.parametrize("carries_over", [False, True])
async def test_a_time_weighted_sum_is_the_mean_of_its_levels(edge: Edge, carries_over: bool) -> None:
    await agree_on(edge, "TIME_WEIGHTED_SUM", carriesOver=carries_over)
    changes = [(-48, 4), (24, 10), (240, -3), (240, 1), (600, 2)]
    events = [used(n, FIRST + timedelta(hours=hour), value) for n, (hour, value) in enumerate(changes)]
    await tell(edge, events)
    [line] = await lines(edge)
    levels = await evidence_of(edge, LEVELS, line)
    shown = [one["node"] for one in levels["edges"]]
    base = 4 if carries_over else 0
    assert [Decimal(one["level"]) for one in shown] == [base, base + 10, base + 8, base + 10]
    lengths = [datetime.fromisoformat(one["end"]) - datetime.fromisoformat(one["start"]) for one in shown]
    whole = sum(lengths, start=timedelta())
    assert (shown[0]["start"], whole) == ("2026-03-01T00:00:00Z", timedelta(days=31))
    seconds = [Decimal(length // timedelta(seconds=1)) for length in lengths]
    areas = [Decimal(one["level"]) * length for one, length in zip(shown, seconds, strict=True)]
    assert abs(sum(areas, start=Decimal(0)) / (31 * 86_400) - Decimal(line["quantity"])) < Decimal("1e-20")
    assert (await evidence_of(edge, DECIDING, line))["edges"] == []


async def test_priced_events_and_dimensional_prices_add_up_too(edge: Edge) -> None:
    percentage = charge("pct", {"percentage": {"ratePercent": "1", "fixedAmount": "0.1"}})
    cells = [{"match": [{"dimension": "model", "values": ["big"]}], "price": {"perUnit": {"unitAmount": "3"}}}]
    dimensional = charge("dim", {"dimensional": {"cells": cells}}, groupBy=["model"])
    await agree(edge, percentage, dimensional)
    sizes = ("big", "small")
    await tell(edge, [used(n, FIRST + timedelta(hours=9 * n), n, data={"model": sizes[n % 2]}) for n in range(12)])
    for line in await lines(edge):
        days = await evidence_of(edge, DAYS, line)
        parts = [one["node"] for one in days["edges"]]
        assert total([one["quantity"] for one in parts]) == Decimal(line["quantity"]) == 66
        assert any(one["dimensions"] for one in parts) == (line["key"] == "dim")
        assert len(await all_events(edge, line)) == 12


async def test_a_line_of_another_plan_is_found_again_by_its_id(edge: Edge) -> None:
    await agree(edge, charge("a"), fees=[{"key": "base", "label": "Base", "amount": "5"}])
    await tell(edge, [used(1, MARCH, 7)])
    override = {"plan": "pro", "overrides": [{"charge": "a", "price": {"model": {"perUnit": {"unitAmount": "2"}}}}]}
    usage, fee = await lines(edge, plan=override)
    query = "query ($id: ID!) { node(id: $id) { ... on InvoiceLine { key money { amount } } } }"
    assert (await edge.data(query, {"id": usage["id"]}))["node"] == {"key": "a", "money": {"amount": "14"}}
    assert usage["id"] == (await lines(edge, MARCH + timedelta(days=3), plan=override))[0]["id"]
    assert usage["id"] != (await lines(edge))[0]["id"]
    assert (await evidence_of(edge, DAYS, fee))["edges"] == []
    assert await all_events(edge, fee) == []
    bound = await edge.data(query, {"id": usage["id"]}, key=await edge.key("viewer", account="other"))
    assert bound["node"] is None
    for key in ("InvoiceLine:[]", "InvoiceLine:x", 'InvoiceLine:["acme","2026-03-01T00:00:00",null,"usage","a",0,[]]'):
        assert (await edge.data(query, {"id": base64.urlsafe_b64encode(key.encode()).decode()}))["node"] is None
    gone = '["acme","2026-03-01T00:00:00Z",null,"usage","gone",0,[]]'
    assert (await edge.data(query, {"id": base64.urlsafe_b64encode(f"InvoiceLine:{gone}".encode()).decode()}))[
        "node"
    ] is None


async def test_a_line_of_a_plan_tried_after_the_contracts_end_is_found_again(edge: Edge) -> None:
    """Fails where the id names the period's beginning, at which the old contract runs."""
    await agree(edge, charge("a"))
    fees = [{"key": "base", "label": "Base", "amount": "62"}]
    await define_plan(edge, "max", terms(fees=fees))
    ends = LATER.replace(day=15, hour=0)
    await edge.data(f'mutation {{ endContract(account: "acme", effectiveAt: "{ends.isoformat()}") {{ __typename }} }}')
    [before] = await lines(edge, ends - timedelta(days=5), plan={"plan": "max"})
    [tried] = await lines(edge, ends + timedelta(days=5), plan={"plan": "max"})
    assert tried["money"]["amount"] == "62" != before["money"]["amount"]
    query = "query ($id: ID!) { node(id: $id) { ... on InvoiceLine { money { amount } } } }"
    for line in (before, tried):
        assert (await edge.data(query, {"id": line["id"]}))["node"] == {"money": line["money"]}


async def test_a_page_looks_at_a_bounded_number_of_events(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails without the bound: the one page would find all."""
    monkeypatch.setattr(evidence, "SCAN_EVENTS_MAX", 50)
    await agree(edge, charge("a", filters=[{"dimension": "model", "values": ["big"]}]))
    events = [used(n, MARCH, 1, data={"model": "big" if n in (0, 599) else "small"}) for n in range(600)]
    await tell(edge, events)
    [line] = await lines(edge)
    page = await evidence_of(edge, EVENTS, line, first=10)
    assert (len(page["edges"]), page["pageInfo"]["hasNextPage"]) == (1, True)
    assert [one["value"] for one in await all_events(edge, line, first=10)] == ["1", "1"]


async def test_the_first_page_of_a_long_line_comes_quickly(edge: Edge) -> None:
    await agree(edge, charge("a"))
    await tell(edge, [used(n, FIRST + timedelta(minutes=n), 1) for n in range(6_000)])
    [line] = await lines(edge)
    began = time.perf_counter()
    page = await evidence_of(edge, EVENTS, line, first=25)
    assert time.perf_counter() - began < 0.5
    assert len(page["edges"]) == 25
    assert page["pageInfo"]["hasNextPage"] is True


async def test_the_evidence_of_many_lines_at_once_costs_too_much(edge: Edge) -> None:
    """Fails without the weights of fields that work things out."""
    query = """{ account(key: "acme") { projectedInvoice { ... on Invoice { lines { events(first: %d) {
      edges { node { position source eventId time value text reason message isCounted } } } } } } } }"""
    await open_since(edge, "acme")
    answer = await edge.graphql(query % 1_000)
    assert answer["errors"][0]["extensions"]["code"] == "query_too_large"
    assert "errors" not in await edge.graphql(query % 100)
    many = (
        '{ accounts(first: 100) { edges { node { projectedInvoice { __typename } invoiceComparison(plan: {plan: "p"})'
    )
    answer = await edge.graphql(many + " { __typename } creditBalances { __typename } } } } }")
    assert answer["errors"][0]["extensions"]["code"] == "query_too_large"
