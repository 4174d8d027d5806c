"""Every mutation leaves exactly one trace: its events, the attempt that was refused, or the one that changed nothing.

Without `leaving_traces` on `Mutation` the tests here fail: events bear no operation, and attempts leave nothing.
"""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
import strawberry
from graphql import GraphQLInputObjectType, GraphQLNonNull
from strawberry.types.field import StrawberryField
from structlog.testing import capture_logs

from ledger.commands.attempts import KEPT_PER_MINUTE_MAX, Attempts
from ledger.commands.keys import issue_key
from ledger.domain.audit_events import AttemptRefused, AttemptRepeated
from ledger.domain.metadata import Metadata
from ledger.domain.refusals import LedgerBusy
from ledger.domain.topics import decode
from ledger.graphql.mutations import Mutation
from ledger.graphql.schema import make_schema
from ledger.graphql.trail import LeavesTrace, leaving_traces
from tests.edges import YESTERDAY, Edge, define_tokens_meter, open_accounts

OPEN = 'mutation { openAccount(account: "acme", name: "Acme", zone: "UTC") { __typename } }'
TELL = """
mutation ($events: [UsageEventInput!]!) { recordUsage(events: $events) { ... on UsageReceipt { stored } } }
"""
FIELDS: list[StrawberryField] = Mutation.__strawberry_definition__.fields  # type: ignore[attr-defined]


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


async def after(edge: Edge, position: int) -> list[tuple[str, dict[str, Any], dict[str, Any], str | None]]:
    """What was written after a position: topics, contents, metadata and accounts."""
    rows = await edge.log.page(after=position, before=2**53, limit=1000)
    return [(row["topic"], json.loads(row["state"]), json.loads(row["metadata"]), row["account"]) for row in rows]


def arguments(name: str) -> str:
    """The least arguments that a mutation takes, none of which names anything that is there."""
    schema = make_schema(is_development=True)._schema
    assert schema.mutation_type is not None
    field = schema.mutation_type.fields[name]
    given = {key: value(one.type) for key, one in field.args.items() if isinstance(one.type, GraphQLNonNull)}
    inner = ", ".join(f"{key}: {text}" for key, text in given.items())
    return f"({inner})" if inner else ""


def value(kind: Any) -> str:
    if isinstance(kind, GraphQLNonNull):
        kind = kind.of_type
    if isinstance(kind, GraphQLInputObjectType):
        needed = {key: one.type for key, one in kind.fields.items() if isinstance(one.type, GraphQLNonNull)}
        return "{" + ", ".join(f"{key}: {value(one)}" for key, one in needed.items()) + "}"
    if hasattr(kind, "of_type"):
        return "[]"
    if hasattr(kind, "values"):
        return str(next(iter(kind.values)))
    known = {"DateTime": '"2026-01-01T00:00:00Z"', "Position": '"1"', "Decimal": '"1"', "Int": "1", "Boolean": "true"}
    return known.get(kind.name, '"EUR"')


def test_every_field_of_mutation_leaves_its_trace_around_all_else() -> None:
    for field in FIELDS:
        assert isinstance(field.extensions[-1], LeavesTrace), f"{field.python_name}: the last extension is outermost"
        assert sum(isinstance(one, LeavesTrace) for one in field.extensions) == 1


def test_a_field_without_declared_extensions_leaves_its_trace_too() -> None:
    @leaving_traces
    @leaving_traces
    @strawberry.type
    class Tomorrow:
        @strawberry.mutation
        async def new(self) -> str:
            return "x"

    [field] = Tomorrow.__strawberry_definition__.fields  # type: ignore[attr-defined]
    assert sum(isinstance(one, LeavesTrace) for one in field.extensions) == 1


async def test_every_mutation_that_is_forbidden_leaves_one_refused_attempt(edge: Edge) -> None:
    mutation = make_schema(is_development=True)._schema.mutation_type
    assert mutation is not None
    viewer = await edge.key("viewer")
    for name in mutation.fields:
        head = await edge.head()
        await edge.data(f"mutation {{ {name}{arguments(name)} {{ __typename }} }}", key=viewer)
        [(topic, content, metadata, _)] = await after(edge, head)
        assert (topic, content["operation"], content["code"]) == ("AttemptRefused", name, "forbidden")
        assert metadata["operation"] == name


async def test_every_mutation_that_is_carried_out_or_refused_leaves_one_trace(edge: Edge) -> None:
    mutation = make_schema(is_development=True)._schema.mutation_type
    assert mutation is not None
    await edge.key("admin")
    for name in mutation.fields:
        head = await edge.head()
        answer = await edge.graphql(
            f"mutation {{ {name}{arguments(name)} {{ __typename ... on Refusal {{ code }} }} }}"
        )
        if "errors" in answer:
            continue  # what GraphQL turns down is not tried
        written = await after(edge, head)
        assert {metadata["operation"] for _, _, metadata, _ in written} == {name}, name
        assert len({json.dumps(metadata) for _, _, metadata, _ in written}) == 1
        assert len(written) == 1 or not any(topic.startswith("Attempt") for topic, _, _, _ in written)


async def test_what_a_mutation_changed_is_its_trace(edge: Edge) -> None:
    fresh = await issue_key(
        edge.log, name="Olivia", roles=["viewer", "ops"], account=None, expires_at=None, person="olivia",
        now=datetime.now(UTC), metadata=Metadata(actor="test"),
    )  # fmt: skip
    await edge.follower.refresh()
    head = await edge.head()
    await edge.data(OPEN, key=fresh.text)
    [(topic, _, metadata, account)] = await after(edge, head)
    assert (topic, account) == ("AccountOpened", "acme")
    assert metadata.pop("request")
    assert metadata == {
        "actor": f"key:{fresh.key_id}",
        "person": "olivia",
        "role": "ops",
        "source": "graphql",
        "operation": "openAccount",
    }


async def test_what_was_so_already_leaves_a_repeated_attempt(edge: Edge) -> None:
    await open_accounts(edge)
    rename = 'mutation { renameAccount(account: "acme", name: "Acme") { __typename } }'
    head = await edge.head()
    await edge.data(rename)
    [(topic, content, _, account)] = await after(edge, head)
    assert (topic, account) == ("AttemptRepeated", "acme")
    assert content == {"operation": "renameAccount", "position": head, "account": "acme"}


async def test_a_refused_attempt_stands_with_the_account_that_it_is_about(edge: Edge) -> None:
    await open_accounts(edge)
    head = await edge.head()
    answer = await edge.data('mutation { changeAccountZone(account: "acme", zone: "Mars") { __typename } }')
    assert answer["changeAccountZone"]["__typename"] == "ZoneUnknown"
    [(topic, content, _, account)] = await after(edge, head)
    assert (topic, account, content["code"]) == ("AttemptRefused", "acme", "zone_unknown")
    assert content["message"].startswith('The text "Mars" is not a time zone')


async def test_a_text_that_is_no_account_is_not_taken_for_one(edge: Edge) -> None:
    await edge.key("admin")
    head = await edge.head()
    await edge.data('mutation { renameAccount(account: "nobody", name: "X") { __typename } }')
    [(_, content, _, account)] = await after(edge, head)
    assert (account, content["account"]) == (None, None)


async def test_another_account_than_the_keys_own_is_an_attempt_on_that_account(edge: Edge) -> None:
    await open_accounts(edge, ("acme", "umbrella"))
    bound = await edge.key("ops", account="umbrella")
    head = await edge.head()
    await edge.data('mutation { renameAccount(account: "acme", name: "X") { __typename } }', key=bound)
    [(topic, content, _, account)] = await after(edge, head)
    assert (topic, account, content["code"]) == ("AttemptRefused", "acme", "out_of_scope")


async def test_the_mutations_of_one_request_are_told_apart(edge: Edge) -> None:
    await open_accounts(edge)
    head = await edge.head()
    await edge.data(
        "mutation {"
        ' one: renameAccount(account: "acme", name: "One") { __typename }'
        ' two: renameAccount(account: "acme", name: "One") { __typename }'
        ' renameAccount(account: "nobody", name: "One") { __typename } }'
    )
    written = await after(edge, head)
    assert [topic for topic, _, _, _ in written] == ["AccountRenamed", "AttemptRepeated", "AttemptRefused"]
    assert [metadata.get("path") for _, _, metadata, _ in written] == ["one", "two", None]
    assert len({metadata["request"] for _, _, metadata, _ in written}) == 1


async def test_the_same_request_id_again_hides_no_attempt(edge: Edge) -> None:
    await open_accounts(edge)
    head = await edge.head()
    headers = {"authorization": f"Bearer {await edge.key('admin')}", "x-request-id": "mine"}
    for _ in range(3):
        await edge.client.post("/graphql", json={"query": OPEN.replace("Acme", "Other")}, headers=headers)
    assert [topic for topic, _, _, _ in await after(edge, head)] == ["AttemptRefused"] * 3


async def test_recorded_usage_is_its_own_trace_and_duplicates_leave_one(edge: Edge) -> None:
    await open_accounts(edge)
    await define_tokens_meter(edge)
    head = await edge.head()
    await edge.data(TELL, {"events": [told(1), told(2)]})
    written = await after(edge, head)
    assert [topic for topic, _, _, _ in written] == ["UsageRecorded", "UsageRecorded"]
    assert {metadata["operation"] for _, _, metadata, _ in written} == {"recordUsage"}
    await edge.data(TELL, {"events": [told(1), told(2)]})
    assert [topic for topic, _, _, _ in await after(edge, head + 2)] == ["AttemptRepeated"]
    await edge.data(TELL, {"events": [told(1, id="")]})
    [(topic, content, _, _)] = await after(edge, head + 3)
    assert (topic, content["code"]) == ("AttemptRefused", "usage_unreadable")


async def test_a_query_leaves_nothing(edge: Edge) -> None:
    viewer = await edge.key("viewer")
    head = await edge.head()
    await edge.graphql("{ events { edges { cursor } } }", key=viewer)
    assert await edge.head() == head


async def test_a_flood_of_refused_attempts_does_not_fill_the_log(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.commands.attempts.KEPT_PER_MINUTE_MAX", 3)
    viewer, ingest = await edge.key("viewer"), await edge.key("ingest")
    head = await edge.head()
    for _ in range(8):
        answer = await edge.data(OPEN, key=viewer)
        assert answer["openAccount"]["__typename"] == "Forbidden"
    counts = {name: edge.telemetry.attempts.labels(name)._value.get() for name in ("refused", "beyond_bound")}
    assert await edge.head() - head == counts["refused"]
    assert sum(counts.values()) == 8
    assert counts["refused"] in range(3, 7), "three a minute, and the minute may have ended in between"
    await edge.data(OPEN, key=ingest)
    assert (await after(edge, head))[-1][0] == "AttemptRefused", "one key's flood keeps no other's trace out"


async def test_one_line_tells_how_many_attempts_were_not_kept(edge: Edge) -> None:
    counted: list[str] = []
    attempts = Attempts(edge.log, count=counted.append)
    minute = datetime(2026, 3, 1, 12, 0, 59, 990_000, tzinfo=UTC)
    attempt = AttemptRepeated(operation="openAccount")
    metadata = Metadata(actor="key:a", request="r")
    with capture_logs() as logs:
        for number in range(KEPT_PER_MINUTE_MAX + 5):
            at = minute.replace(microsecond=number)
            await attempts.keep(attempt, key_id="a", account=None, now=at, metadata=metadata)
        await asyncio.sleep(1.1)
    lines = [line for line in logs if line["event"] == "attempts beyond the bound"]
    assert [line["count"] for line in lines] == [5]
    assert counted.count("beyond_bound") == 5
    assert counted.count("repeated") == KEPT_PER_MINUTE_MAX


@pytest.mark.parametrize("fault", [LedgerBusy(retry_after_seconds=1), asyncpg.InterfaceError("gone"), TimeoutError()])
async def test_a_refusal_reaches_the_caller_where_its_trace_cannot_be_kept(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    viewer = await edge.key("viewer")

    async def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(edge.log, "append", fail)
    answer = await edge.data(OPEN, key=viewer)
    assert answer["openAccount"]["__typename"] == "Forbidden"
    assert edge.telemetry.attempts.labels("not_kept")._value.get() == 1


async def test_messages_are_bounded(edge: Edge) -> None:
    await edge.key("admin")
    head = await edge.head()
    alias = "a" * 200
    await edge.data(f'mutation {{ {alias}: renameAccount(account: "{"x" * 5000}", name: "X") {{ __typename }} }}')
    [row] = await edge.log.page(after=head, before=head + 2, limit=1)
    attempt = decode(row["topic"], row["state"])
    assert isinstance(attempt, AttemptRefused)
    assert len(attempt.message) <= 500
    assert len(json.loads(row["metadata"])["path"]) == 64
