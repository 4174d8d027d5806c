"""No operation asks for more than the limits, however it is written."""

import time

import pytest

from ledger.graphql.limits import ALIASES_MAX, COST_MAX, DEPTH_MAX, LISTED, WEIGHTS
from ledger.graphql.schema import make_schema
from tests.edges import Edge, open_accounts

USAGE = """usage(meter: "m", from: "2026-01-01", to: "2026-01-02", limit: %d) {
  ... on UsageSeries { rows { start end quantity } } }"""
SCHEMA = make_schema(is_development=True)._schema
NESTED = "{" + " ... on Query {" * 400 + " __typename " + "}" * 400 + "}"
BOMB = (
    "{ ...f0 } "
    + " ".join(f"fragment f{number} on Query {{ ...f{number + 1} ...f{number + 1} }}" for number in range(60))
    + " fragment f60 on Query { a: viewer { name } b: viewer { name } }"
)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("{" + " ".join(f"a{number}: __typename" for number in range(700)) + "}", "token"),
        ("{ viewer { " + "name " * 2_000 + "} }", "token"),
        ("{" + " ".join(f"a{number}: viewer {{ name }}" for number in range(ALIASES_MAX + 1)) + "}", "aliases"),
        (f"{{ accounts(first: 100) {{ edges {{ node {{ {USAGE % 1_000} }} }} }} }}", "cost"),
        (f"query q($n: Int = 100) {{ accounts(first: $n) {{ edges {{ node {{ {USAGE % 1_000} }} }} }} }}", "cost"),
        (f"{{ accounts(last: 99999999999999999999) {{ edges {{ node {{ key {USAGE % 9} }} }} }} }}", ""),
        (f"fragment f on Account {{ {USAGE % 10_000} }} {{ accounts {{ edges {{ node {{ ...f }} }} }} }}", "cost"),
        (BOMB, "aliases"),
        ("{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }", "itself"),
        ("{" * 5_000, ""),
        ('{ account(key: "' + "x" * 500_000 + '") { key } }', ""),
        ("{ accounts(first: " + "1" * 100_000 + ") { totalCount } }", ""),
    ],
    ids="wide tokens aliases cost variable huge fragment bomb cycle deep long-text long-number".split(),
)
async def test_an_operation_that_asks_for_too_much_is_refused_at_once(edge: Edge, query: str, says: str) -> None:
    await edge.key("admin")
    began = time.perf_counter()
    answer = await edge.graphql(query)
    assert time.perf_counter() - began < 5
    if query.startswith("{ account(key"):
        assert answer == {"data": {"account": None}}
        return
    assert "data" not in answer
    assert says in answer["errors"][0]["message"].lower()
    assert answer["errors"][0]["extensions"]["code"] in ("query_too_large", "query_invalid")


async def test_a_deep_operation_is_refused(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.graphql.limits.MAXIMA", (3, ALIASES_MAX, COST_MAX))
    answer = await edge.graphql("{ accounts { edges { node { key } } } }")
    assert answer["errors"][0]["message"].startswith("The operation's depth is 4, more than 3")
    assert (await edge.graphql("{ accounts { totalCount } }"))["data"]
    assert DEPTH_MAX >= 9  # the deepest path of the schema


async def test_deep_nesting_without_fields_costs_no_stack(edge: Edge) -> None:
    answer = await edge.graphql(NESTED)
    assert answer.get("data") == {"__typename": "Query"} or answer["errors"][0]["extensions"]["code"] == "query_invalid"


async def test_what_is_within_the_limits_passes(edge: Edge) -> None:
    await open_accounts(edge)
    await edge.project()
    answer = await edge.graphql(f"{{ accounts(first: 10) {{ edges {{ node {{ {USAGE % 1_000} }} }} }} }}")
    assert "errors" not in answer


@pytest.mark.parametrize("path", [*WEIGHTS, *LISTED])
def test_what_is_weighed_is_a_field_of_the_schema(path: str) -> None:
    """A field that is renamed would be taken for one that costs nothing."""
    parent, _, name = path.partition(".")
    assert name in SCHEMA.type_map[parent].fields  # type: ignore[attr-defined]


async def test_closed_periods_with_their_lines_cost_by_the_page(edge: Edge) -> None:
    """Fails where lines, notes or late usage of a closed period are reckoned as one field."""
    await open_accounts(edge)
    await edge.project()
    query = """{ accounts(first: 100) { edges { node { closedPeriods(first: %d) { edges { node {
        invoice { lines { key } } lateUsage(first: 10) { edges { cursor } } } } } } } } }"""
    assert "errors" not in await edge.graphql(query % 1)
    assert (await edge.graphql(query % 100))["errors"][0]["extensions"]["code"] == "query_too_large"
