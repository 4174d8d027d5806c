"""Closed periods and late usage over GraphQL."""

from datetime import UTC, datetime
from typing import Any

from tests.edges import Edge, define_tokens_meter
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
    used,
)

CLOSE = """
mutation ($until: DateTime!, $account: String! = "acme") {
  closePeriods(account: $account, until: $until) {
    __typename
    ... on PeriodsClosed { position isMore closed { start end total { amount } } }
    ... on Refusal { code message }
    ... on PeriodNotEnded { accountKey start end }
  }
}
"""
ASSESS = """
mutation ($start: DateTime!) {
  assessLateUsage(account: "acme", start: $start) {
    __typename
    ... on LateUsageSettled {
      position
      assessment { position rated { amount } difference { amount } action adjustmentKey }
      period { balance { amount } }
    }
    ... on Refusal { code message }
    ... on PeriodNotClosed { accountKey start }
  }
}
"""
CLOSED = """
fragment closed on ClosedPeriod {
  id start end position closedPosition closedBy rated { amount } adjusted { amount } total { amount }
  ratedSince { amount } balance { amount }
  assessments { position rated { amount } difference { amount } action adjustmentKey }
  notes { adjustmentKey kind at reason note money { amount } }
  invoice { start end isFinal watermark { position } total { amount } lines { id kind key quantity money { amount } } }
  lateUsage { edges { node { position topic time eventId supersedes } } pageInfo { hasNextPage } }
}
query ($first: Int, $after: String, $last: Int, $at: DateTime!) {
  account(key: "acme") {
    closedPeriods(first: $first, after: $after, last: $last) {
      totalCount pageInfo { hasNextPage endCursor } edges { cursor node { ...closed } }
    }
    closedPeriod(at: $at) { id }
    projectedInvoice(at: $at) { ... on Invoice { total { amount } } }
  }
}
"""
JANUARY, FEBRUARY, APRIL = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 4))


async def close(
    edge: Edge, until: datetime = APRIL, *, account: str = "acme", key: str | None = None
) -> dict[str, Any]:
    await edge.key("admin")
    await edge.project()
    variables = {"until": until.isoformat(), "account": account}
    answer: dict[str, Any] = (await edge.data(CLOSE, variables, key=key))["closePeriods"]
    return answer


async def assess(edge: Edge, start: datetime) -> dict[str, Any]:
    await edge.project()
    answer: dict[str, Any] = (await edge.data(ASSESS, {"start": start.isoformat()}))["assessLateUsage"]
    return answer


async def closed(edge: Edge, at: datetime = MARCH, **page: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await edge.data(CLOSED, {"at": at.isoformat()} | page))["account"]
    return answer


async def count_closed(edge: Edge) -> int:
    """How many periods the log says to be closed."""
    return int(await edge.pool.fetchval("select count(*) from events where topic = 'PeriodClosed'"))


async def test_periods_are_closed_in_order_and_seen_beside_the_projected_invoice(edge: Edge) -> None:
    await agree(edge, charge("all", GRADUATED))
    await tell(edge, [used(1, MARCH, 120)])
    head = await edge.head()
    answer = await close(edge)
    assert answer["__typename"] == "PeriodsClosed", answer
    assert [(one["start"], one["total"]["amount"]) for one in answer["closed"]] == [
        ("2026-01-01T00:00:00Z", "0"),
        ("2026-02-01T00:00:00Z", "0"),
        ("2026-03-01T00:00:00Z", "11"),
    ]
    assert (answer["position"], answer["isMore"]) == (head + 5, False)
    seen = await closed(edge)
    assert seen["closedPeriods"]["totalCount"] == 3
    march = seen["closedPeriods"]["edges"][2]["node"]
    assert march["id"] == seen["closedPeriod"]["id"]
    assert march["invoice"]["lines"][0]["money"]["amount"] == "11"
    assert march["position"] == march["invoice"]["watermark"]["position"] == head
    assert seen["projectedInvoice"]["total"]["amount"] == march["total"]["amount"] == march["balance"]["amount"]


async def test_closing_again_answers_the_same_and_writes_nothing(edge: Edge) -> None:
    await agree(edge, charge("all"))
    first = await close(edge)
    again = await close(edge)
    assert again == first | {"closed": []}
    assert await count_closed(edge) == 3


async def test_late_usage_is_rated_with_the_whole_period_and_carried_forward(edge: Edge) -> None:
    await agree(edge, charge("all", GRADUATED))
    await tell(edge, [used(1, MARCH, 90)])
    await close(edge)
    before = (await closed(edge))["closedPeriods"]["edges"][2]["node"]["invoice"]
    [position] = await tell(edge, [used(2, MARCH, 20)])
    found = await assess(edge, datetime(2026, 3, 1, tzinfo=UTC))
    late = found["assessment"]
    assert late["difference"]["amount"] == "1.5", "ten units in the first tier and ten in the second"
    assert (late["action"], late["adjustmentKey"]) == ("CARRY_FORWARD", "late/2026-03-01T00:00:00Z/1")
    march = (await closed(edge))["closedPeriods"]["edges"][2]["node"]
    assert march["invoice"] == before
    assert (march["ratedSince"]["amount"], march["rated"]["amount"]) == ("10.5", "9")
    assert [one["node"]["position"] for one in march["lateUsage"]["edges"]] == [position]
    again = await assess(edge, datetime(2026, 3, 1, tzinfo=UTC))
    assert again["assessment"] is None


async def test_a_period_that_has_not_ended_is_named_and_not_closed(edge: Edge) -> None:
    await agree(edge, charge("all"))
    answer = await close(edge, JANUARY)
    assert (answer["__typename"], answer["start"], answer["end"]) == (
        "PeriodNotEnded",
        "2026-01-01T00:00:00Z",
        "2026-02-01T00:00:00Z",
    )
    assert await count_closed(edge) == 0


async def test_what_has_not_happened_yet_is_not_closed_however_late_the_moment(edge: Edge) -> None:
    await agree(edge, charge("all"))
    answer = await close(edge, LATER)
    assert all(datetime.fromisoformat(one["end"]) <= datetime.now(UTC) for one in answer["closed"])


async def test_without_a_contract_there_is_nothing_to_close(edge: Edge) -> None:
    await open_since(edge, "acme")
    assert (await close(edge))["__typename"] == "ContractMissing"
    assert (await close(edge, account="nobody"))["__typename"] == "AccountUnknown"


async def test_only_ops_and_admins_close_and_bound_keys_their_own_account_alone(edge: Edge) -> None:
    await agree(edge, charge("all"))
    viewer, bound = await edge.key("viewer"), await edge.key("ops", account="zeta")
    own = await edge.key("ops", account="acme")
    assert (await close(edge, key=viewer))["__typename"] == "Forbidden"
    assert (await close(edge, key=bound))["__typename"] == "OutOfScope"
    assert (await close(edge, key=own))["__typename"] == "PeriodsClosed"


async def test_a_period_that_is_not_closed_has_no_late_usage(edge: Edge) -> None:
    await agree(edge, charge("all"))
    assert (await assess(edge, FEBRUARY))["__typename"] == "PeriodNotClosed"


async def test_the_zone_of_an_account_stays_once_a_period_is_closed(edge: Edge) -> None:
    await agree(edge, charge("all"))
    await close(edge)
    change = 'mutation { changeAccountZone(account: "acme", zone: "Asia/Tokyo") { __typename } }'
    assert (await edge.data(change))["changeAccountZone"]["__typename"] == "ZoneFixed"


async def test_a_meter_that_is_being_computed_keeps_its_periods_open(edge: Edge) -> None:
    """Fails where `Ratings` does not look: a period would be closed with the usage of the old definition."""
    await agree(edge, charge("all"))
    await edge.key("admin")
    await edge.project()
    change = """mutation ($definition: MeterDefinitionInput!) {
      changeMeter(meter: "tokens", definition: $definition) { __typename }
    }"""
    definition = {"name": "T", "eventType": "request", "aggregation": "COUNT", "dimensions": ["model"]}
    await edge.data(change, {"definition": definition})
    while (await edge.pool.fetchval("select position from cursors where name = 'usage'")) < await edge.head():
        await edge.projector._step_usage()
    assert await edge.pool.fetchval("select count(*) from usage_series where state = 'building'")
    answer = (await edge.data(CLOSE, {"until": APRIL.isoformat()}))["closePeriods"]
    assert answer["__typename"] == "MeterBeingComputed", answer


async def test_pages_of_closed_periods_follow_each_other(edge: Edge) -> None:
    await agree(edge, charge("all"))
    await close(edge)
    page = (await closed(edge, first=2))["closedPeriods"]
    assert page["pageInfo"]["hasNextPage"]
    rest = (await closed(edge, first=2, after=page["pageInfo"]["endCursor"]))["closedPeriods"]
    starts = [one["node"]["start"][:7] for one in [*page["edges"], *rest["edges"]]]
    assert starts == ["2026-01", "2026-02", "2026-03"]
    last = (await closed(edge, last=1))["closedPeriods"]["edges"]
    assert [one["node"]["start"][:7] for one in last] == ["2026-03"]


async def test_closed_periods_and_their_lines_are_nodes(edge: Edge) -> None:
    await agree(edge, charge("all"))
    await tell(edge, [used(1, MARCH, 100)])
    await close(edge)
    march = (await closed(edge))["closedPeriods"]["edges"][2]["node"]
    await tell(edge, [used(2, MARCH, 100)])
    node = "query ($id: ID!) { node(id: $id) { ... on ClosedPeriod { start } ... on InvoiceLine { quantity } } }"
    assert (await edge.data(node, {"id": march["id"]}))["node"] == {"start": "2026-03-01T00:00:00Z"}
    line = {"id": march["invoice"]["lines"][0]["id"]}
    assert (await edge.data(node, line))["node"] == {"quantity": "100"}, "as it was closed, not as it is now"
    bound = await edge.key("viewer", account="zeta")
    for one in (line, {"id": march["id"]}):
        assert (await edge.data(node, one, key=bound))["node"] is None


async def test_late_usage_below_the_small_amount_is_absorbed(edge: Edge) -> None:
    await open_since(edge, "acme")
    await define_tokens_meter(edge)
    await define_plan(edge, "pro", terms(charge("all")))
    policy = {"action": "BILL_NOW", "smallAmount": "0.50"}
    await start_contract(edge, terms=CALENDAR | {"lateUsage": policy})
    await close(edge)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    await tell(edge, [used(1, MARCH, 50)])
    late = (await assess(edge, start))["assessment"]
    assert (late["action"], late["adjustmentKey"], late["difference"]["amount"]) == ("ABSORB", None, "0.5")
    await tell(edge, [used(2, MARCH, 51)])
    late = (await assess(edge, start))["assessment"]
    assert (late["action"], late["adjustmentKey"]) == ("BILL_NOW", "late/2026-03-01T00:00:00Z/2")
