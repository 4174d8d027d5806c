"""Accounts over GraphQL: commands with their refusals, pages, search, nodes, scopes."""

from typing import Any

import pytest

from tests.edges import OPEN_ACCOUNT, Edge, open_accounts

ACCOUNTS = """
query ($search: String, $first: Int, $after: String, $last: Int, $before: String) {
  accounts(search: $search, first: $first, after: $after, last: $last, before: $before) {
    totalCount edges { cursor node { key openedAt } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    watermark { position lagMilliseconds }
  }
}
"""
REFUSAL = "__typename ... on AccountDecision { position account { name zone aliases } } ... on Refusal { code message }"


def keys(answer: dict[str, Any]) -> list[str]:
    return [edge["node"]["key"] for edge in answer["accounts"]["edges"]]


async def test_an_account_is_opened_and_read_at_once(edge: Edge) -> None:
    answer = await edge.data(OPEN_ACCOUNT, {"account": "acme", "name": "Acme", "zone": "Europe/Paris"})
    decision = answer["openAccount"]
    assert decision["position"] == await edge.head()
    read = await edge.data('{ account(key: "acme") { id key name zone aliases } }')
    assert read["account"] == {name: decision["account"][name] for name in read["account"]}


@pytest.mark.parametrize(
    ("variables", "typename"),
    [
        ({"account": "acme", "name": "Again", "zone": "UTC"}, "NameTaken"),
        ({"account": " x", "name": "X", "zone": "UTC"}, "NameInvalid"),
        ({"account": "x\u0000", "name": "X", "zone": "UTC"}, "NameInvalid"),
        ({"account": "x", "name": "", "zone": "UTC"}, "NameInvalid"),
        ({"account": "x", "name": "X", "zone": "Mars/Olympus"}, "ZoneUnknown"),
        ({"account": "x", "name": "X", "zone": "../../etc/passwd"}, "ZoneUnknown"),
    ],
)
async def test_a_refusal_is_a_type_with_its_facts(edge: Edge, variables: dict[str, str], typename: str) -> None:
    await open_accounts(edge)
    head = await edge.head()
    answer = (await edge.data(OPEN_ACCOUNT, variables))["openAccount"]
    assert answer["__typename"] == typename
    assert answer["code"] == "".join("_" + c.lower() if c.isupper() else c for c in typename).strip("_")
    if typename == "NameTaken":
        assert answer["accountKey"] == "acme"
    assert await edge.head() == head + 1, "the attempt, and nothing else"


async def test_accounts_change_by_their_commands(edge: Edge) -> None:
    await open_accounts(edge, ["acme", "other"])
    answer = await edge.data(
        f"""mutation {{
          renameAccount(account: "acme", name: "Acme Ltd") {{ {REFUSAL} }}
          changeAccountZone(account: "acme", zone: "Asia/Tokyo") {{ {REFUSAL} }}
          aliasAccount(account: "acme", alias: "cus_1") {{ {REFUSAL} }}
          taken: aliasAccount(account: "other", alias: "cus_1") {{ {REFUSAL} }}
          unknown: renameAccount(account: "nobody", name: "N") {{ {REFUSAL} }}
        }}"""
    )
    assert answer["aliasAccount"]["account"] == {"name": "Acme Ltd", "zone": "Asia/Tokyo", "aliases": ["cus_1"]}
    assert (answer["taken"]["__typename"], answer["unknown"]["__typename"]) == ("NameTaken", "AccountUnknown")
    assert (await edge.data('{ account(key: "cus_1") { key } }'))["account"] == {"key": "acme"}
    removed = await edge.data(
        f"""mutation {{
          removeAccountAlias(account: "acme", alias: "cus_1") {{ {REFUSAL} }}
          again: removeAccountAlias(account: "acme", alias: "cus_1") {{ {REFUSAL} }}
        }}"""
    )
    assert removed["removeAccountAlias"]["account"]["aliases"] == []
    assert removed["again"]["__typename"] == "AliasUnknown"


async def test_pages_go_forwards_and_backwards_without_gap_or_repeat(edge: Edge) -> None:
    names = [f"account-{number}" for number in range(5)]
    await open_accounts(edge, names)
    await edge.project()
    first = await edge.data(ACCOUNTS, {"first": 2})
    info = first["accounts"]["pageInfo"]
    second = await edge.data(ACCOUNTS, {"first": 2, "after": info["endCursor"]})
    third = await edge.data(ACCOUNTS, {"first": 2, "after": second["accounts"]["pageInfo"]["endCursor"]})
    assert keys(first) + keys(second) + keys(third) == names
    assert (info["hasNextPage"], info["hasPreviousPage"]) == (True, False)
    assert third["accounts"]["pageInfo"]["hasNextPage"] is False
    assert first["accounts"]["totalCount"] == 5
    assert first["accounts"]["watermark"] == {"position": await edge.head(), "lagMilliseconds": 0}
    last = await edge.data(ACCOUNTS, {"last": 2})
    assert keys(last) == names[3:]
    assert last["accounts"]["pageInfo"]["hasPreviousPage"] is True
    before = await edge.data(ACCOUNTS, {"last": 2, "before": last["accounts"]["pageInfo"]["startCursor"]})
    assert keys(before) == names[1:3]


async def test_search_looks_in_keys_names_and_aliases_and_takes_its_text_literally(edge: Edge) -> None:
    await open_accounts(edge, ["acme", "bolt", "100%"])
    await edge.data('mutation { aliasAccount(account: "bolt", alias: "cus_9") { __typename } }')
    await edge.project()
    for search, found in (("ACM", ["acme"]), ("cus_", ["bolt"]), ("%", ["100%"]), ("", ["100%", "acme", "bolt"])):
        assert keys(await edge.data(ACCOUNTS, {"search": search})) == found


@pytest.mark.parametrize(
    "arguments",
    [
        {"first": 101},
        {"first": -1},
        {"first": 1, "last": 1},
        {"last": 101},
        {"after": "no cursor"},
        {"after": "AA=="},
        {"after": "é"},
        {"search": "x" * 257},
        {"search": "\u0000"},
    ],
)
async def test_page_arguments_are_bounded(edge: Edge, arguments: dict[str, Any]) -> None:
    answer = await edge.graphql(ACCOUNTS, arguments)
    assert answer["errors"][0]["extensions"]["code"] == "argument_invalid"


async def test_a_node_is_found_by_its_id_and_only_by_who_may_see_it(edge: Edge) -> None:
    await open_accounts(edge, ["acme", "other"])
    ids = await edge.data(
        '{ a: account(key: "acme") { id } b: account(key: "other") { id } events(first: 9) { edges { node { id } } } }'
    )
    node = "query ($id: ID!) { node(id: $id) { __typename id } }"
    events = [one["node"]["id"] for one in ids["events"]["edges"]]
    everything = [ids["a"]["id"], ids["b"]["id"], *events]
    for one in everything:
        assert (await edge.data(node, {"id": one}))["node"]["id"] == one
    for one in ("", "é", "QWNjb3VudA==", "QWNjb3VudDpub2JvZHk=", "UXVlcnk6MQ==", "RXZlbnQ6OTk5OQ=="):
        assert (await edge.data(node, {"id": one}))["node"] is None
    bound = await edge.key("auditor", account="acme")
    seen = [one for one in everything if (await edge.data(node, {"id": one}, key=bound))["node"]]
    assert len(seen) == 2  # its account and the event that opened it
    assert seen[0] == ids["a"]["id"]
    ingest = await edge.key("ingest")
    assert not any([(await edge.data(node, {"id": one}, key=ingest))["node"] for one in everything])


async def test_a_bound_key_sees_and_changes_its_own_account_only(edge: Edge) -> None:
    await open_accounts(edge, ["acme", "other"])
    await edge.project()
    bound = await edge.key("ops", account="acme")
    assert keys(await edge.data(ACCOUNTS, {}, key=bound)) == ["acme"]
    for name in ("other", "nobody"):
        answer = await edge.graphql(f'{{ account(key: "{name}") {{ key }} }}', key=bound)
        assert answer["data"] == {"account": None}
        assert answer["errors"][0]["extensions"]["code"] == "out_of_scope"
    head = await edge.head()
    answer = await edge.data(
        f"""mutation {{
          renameAccount(account: "other", name: "Mine") {{ {REFUSAL} }}
          openAccount(account: "new", name: "New", zone: "UTC") {{ {REFUSAL} }}
          aliasAccount(account: "acme", alias: "stolen") {{ {REFUSAL} }}
        }}""",
        key=bound,
    )
    assert {one["__typename"] for one in answer.values()} == {"OutOfScope"}
    assert await edge.head() == head + 3, "the attempts, and nothing else"
    viewer = await edge.data("{ viewer { name roles account { key } } }", key=bound)
    assert viewer["viewer"] == {"name": "test", "roles": ["ops"], "account": {"key": "acme"}}


async def test_a_command_without_the_right_is_forbidden(edge: Edge) -> None:
    answer = await edge.data(OPEN_ACCOUNT, {"account": "x", "name": "X", "zone": "UTC"}, key=await edge.key("viewer"))
    assert answer["openAccount"]["__typename"] == "Forbidden"
    assert answer["openAccount"]["message"] == "This needs the role ops or admin, which the API key does not have."
