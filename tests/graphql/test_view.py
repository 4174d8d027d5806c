"""GraphQL over HTTP: the audits of the draft specification, and how faults are shown."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from ledger.graphql import view
from tests.edges import Edge, open_edge

RESPONSE = "application/graphql-response+json"
JSON = "application/json"
WRONG: dict[str, list[object]] = {
    "query": [None, {}, 7, True, [], ""],
    "operationName": [{}, 7, True, []],
    "variables": ["x", 7, True, []],
    "extensions": ["x", 7, True, []],
}


async def send(edge: Edge, body: Any, *, accept: str | None = JSON, **headers: str) -> httpx.Response:
    """POST a body, JSON unless it is bytes; an accept of None sends no such header."""
    lines = {"authorization": f"Bearer {await edge.key('admin')}", "content-type": JSON} | headers
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = edge.client.build_request("POST", "/graphql", content=content, headers=lines)
    if accept is None:
        del request.headers["accept"]
    else:
        request.headers["accept"] = accept
    return await edge.client.send(request)


async def get(edge: Edge, accept: str = JSON, **parameters: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {await edge.key('admin')}", "accept": accept}
    return await edge.client.get("/graphql", params=parameters, headers=headers)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (RESPONSE, RESPONSE),
        (JSON, JSON),
        ("*/*", JSON),
        (None, JSON),
        ("application/*", JSON),
        (f"{JSON};q=0.5, {RESPONSE}", RESPONSE),
        (f"{RESPONSE}; charset=utf-8, {JSON}; charset=utf-8", RESPONSE),
        (f"{RESPONSE};q=0, */*", JSON),
        ("text/html, */*;q=0.1", JSON),
    ],
)
async def test_the_answers_media_type_is_the_one_accepted(edge: Edge, accept: str | None, media_type: str) -> None:
    response = await send(edge, {"query": "{ __typename }"}, accept=accept)
    assert response.json() == {"data": {"__typename": "Query"}}
    assert response.headers["content-type"] == f"{media_type}; charset=utf-8"


async def test_an_answer_in_neither_media_type_is_not_acceptable(edge: Edge) -> None:
    response = await send(edge, {"query": "{ __typename }"}, accept="text/html")
    assert response.status_code == 406


@pytest.mark.parametrize("accept", [JSON, RESPONSE])
@pytest.mark.parametrize(
    "changes",
    [{name: value} for name, values in WRONG.items() for value in values],
)
async def test_a_parameter_of_the_wrong_kind_is_a_bad_request(
    edge: Edge, accept: str, changes: dict[str, object]
) -> None:
    response = await send(edge, {"query": "{ __typename }", **changes}, accept=accept)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "request_invalid"


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"7", b"[]", b'[{"query":"{__typename}"}]', b"\xff", b"[" * 9999])
async def test_a_body_that_is_no_request_is_a_bad_request(edge: Edge, body: bytes) -> None:
    assert (await send(edge, body)).status_code == 400


async def test_null_and_empty_parameters_count_as_absent(edge: Edge) -> None:
    absent = {"operationName": None, "variables": None, "extensions": None}
    assert (await send(edge, {"query": "{ __typename }", **absent})).status_code == 200
    assert (await send(edge, {"query": "{ __typename }", "variables": {}, "extensions": {"a": 1}})).status_code == 200
    named = {"query": "query a { __typename } query b { viewer { name } }", "operationName": "b"}
    assert (await send(edge, named)).json() == {"data": {"viewer": {"name": "test"}}}


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", f"{JSON}; charset=latin-1"]
)
async def test_only_utf8_json_is_taken(edge: Edge, media_type: str) -> None:
    response = await send(edge, {"query": "{ __typename }"}, **{"content-type": media_type})
    assert response.status_code == 415
    assert (await send(edge, {"query": "{ __typename }"}, **{"content-type": f"{JSON}; charset=UTF-8"})).is_success


@pytest.mark.parametrize(
    "request_body",
    [
        {"query": "{"},
        {"query": "{ nothing }"},
        {"query": "{ viewer }"},
        {"query": "query ($n: Int!) { accounts(first: $n) { totalCount } }"},
        {"query": "query ($n: Int) { accounts(first: $n) { totalCount } }", "variables": {"n": "x"}},
        {"query": "query ($t: DateTime) { events(recordedTo: $t) { edges { cursor } } }", "variables": {"t": "x"}},
        {"query": '{ events(recordedTo: "2026-01-01T00:00:00") { edges { cursor } } }'},
        {"query": "{ account(key: 7) { key } }"},
    ],
    ids=["syntax", "validation", "leaf", "variable missing", "variable", "scalar variable", "naive literal", "type"],
)
async def test_a_request_error_has_no_data_and_its_status_follows_the_media_type(
    edge: Edge, request_body: dict[str, Any]
) -> None:
    plain = await send(edge, request_body)
    typed = await send(edge, request_body, accept=RESPONSE)
    assert (plain.status_code, typed.status_code) == (200, 400)
    for response in (plain, typed):
        assert "data" not in response.json()
        assert response.json()["errors"][0]["extensions"]["code"] == "query_invalid"


async def test_a_field_error_keeps_its_data_and_status(edge: Edge) -> None:
    response = await send(edge, {"query": "{ __typename accounts(first: 101) { totalCount } }"}, accept=RESPONSE)
    assert response.status_code == 200
    assert response.json()["data"] is None
    assert response.json()["errors"][0]["path"] == ["accounts"]


async def test_queries_may_come_by_get_and_mutations_may_not(edge: Edge) -> None:
    assert (await get(edge, query="{ viewer { name } }")).json() == {"data": {"viewer": {"name": "test"}}}
    variables = {"query": "query q($k: String!) { account(key: $k) { key } }", "variables": '{"k": "x"}'}
    assert (await get(edge, **variables, operationName="q")).json() == {"data": {"account": None}}
    assert (await get(edge, query="{ viewer { name } }", variables="{")).status_code == 400
    assert (await get(edge)).status_code == 400
    mutation = await get(edge, query='mutation { openAccount(account: "a", name: "A", zone: "UTC") { __typename } }')
    assert (mutation.status_code, mutation.headers["allow"]) == (405, "POST")
    assert "a" not in edge.follower.catalogue.accounts


async def test_an_unknown_operation_is_a_bad_request(edge: Edge) -> None:
    response = await send(edge, {"query": "query a { __typename }", "operationName": "b"})
    assert response.status_code == 400


async def test_one_byte_over_a_mebibyte_is_too_large(edge: Edge) -> None:
    body = json.dumps({"query": "{ __typename }"}).encode().ljust(1024 * 1024 + 1)
    assert (await send(edge, body)).status_code == 413
    assert (await send(edge, body[:-1])).status_code == 200


async def test_an_unexpected_fault_is_masked_under_the_requests_id(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("ledger.graphql.watermarks.status.status", broken)
    response = await send(edge, {"query": "{ projections { name } }"}, **{"x-request-id": "r-1"})
    assert response.status_code == 200
    assert response.json()["errors"][0]["extensions"] == {"code": "internal_error", "request": "r-1"}
    assert "secret" not in response.text


async def test_an_operation_that_takes_too_long_is_cut_off(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(*_: object, **__: object) -> None:
        await asyncio.sleep(5)

    monkeypatch.setattr("ledger.graphql.watermarks.status.status", slow)
    monkeypatch.setattr(view, "TIMEOUT_SECONDS", 0.05)
    response = await send(edge, {"query": "{ projections { name } }"})
    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (503, "timeout")


async def test_introspection_suggestions_and_graphiql_are_for_development_only(database_url: str) -> None:
    query = "{ __schema { queryType { name fields { type { ofType { ofType { ofType { name } } } } } } } }"
    for is_development in (True, False):
        async with open_edge(database_url, is_development=is_development) as edge:
            assert ("data" in await edge.graphql(query)) is is_development
            suggestion = (await edge.graphql("{ viewr { name } }"))["errors"][0]["message"]
            assert ("Did you mean" in suggestion) is is_development
            page = await edge.client.get("/graphql", headers={"accept": "text/html"})
            assert (page.status_code, "graphiql" in page.text.lower()) == (
                (200, True) if is_development else (401, False)
            )
