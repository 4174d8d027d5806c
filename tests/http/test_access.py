"""Nothing answers without a good key but health; other faults are problems too."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest

from ledger.commands.keys import revoke_key
from ledger.domain.metadata import Metadata
from tests.edges import Edge

PLACES = [("POST", "/v1/usage"), ("POST", "/graphql"), ("GET", "/graphql?query={viewer{name}}"), ("GET", "/metrics")]


@pytest.mark.parametrize(("method", "path"), PLACES)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Basic bGs6eA==", "Bearer lk_x", "Bearer lk_000000000000_secret", "Bearer \xff_\xfe_\xfd"],
)
async def test_nothing_answers_without_a_good_key(
    edge: Edge, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization.encode("latin-1")}
    response = await edge.client.request(method, path, headers=headers)  # type: ignore[arg-type]
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="ledger"'
    assert response.json()["code"] == "unauthenticated"


async def test_another_secret_under_a_known_id_is_no_key(edge: Edge) -> None:
    key = await edge.key("admin")
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert (await edge.post(b"[]", key=wrong)).status_code == 401


async def test_an_expired_key_is_no_key(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    key = await edge.key("admin", expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert (await edge.post(b"[]", key=key)).status_code == 200

    class Later:
        @staticmethod
        def now(zone: tzinfo) -> datetime:
            return datetime.now(zone) + timedelta(hours=1)

    monkeypatch.setattr("ledger.http.access.datetime", Later)
    assert (await edge.post(b"[]", key=key)).status_code == 401


async def test_a_revoked_key_is_no_key(edge: Edge) -> None:
    key = await edge.key("admin")
    await revoke_key(edge.log, key.split("_")[1], now=datetime.now(UTC), metadata=Metadata(actor="test"))
    await edge.follower.refresh()
    assert (await edge.post(b"[]", key=key)).status_code == 401


@pytest.mark.parametrize("role", ["viewer", "ops", "approver", "auditor"])
async def test_only_keys_for_ingestion_tell_usage(edge: Edge, role: str) -> None:
    response = await edge.post(b"[]", key=await edge.key(role))
    assert response.status_code == 403
    assert response.json()["role"] == "ingest or admin"
    assert (await edge.post(b"[]", key=await edge.key("ingest"))).status_code == 200


async def test_health_needs_no_key(edge: Edge) -> None:
    assert (await edge.client.get("/health")).json() == {"status": "live"}
    ready = await edge.client.get("/health/ready")
    assert ready.json() == {"status": "ready", "position": 0}


async def test_an_unreachable_log_is_not_ready(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost() -> None:
        raise ConnectionResetError

    monkeypatch.setattr(edge.log, "head", lost)
    response = await edge.client.get("/health/ready")
    assert (response.status_code, response.json()["code"]) == (503, "ledger_unavailable")
    assert response.headers["retry-after"] == "1"


async def test_metrics_are_for_unbound_keys_that_may_read_the_log(edge: Edge) -> None:
    async def metrics(key: str) -> Any:
        return await edge.client.get("/metrics", headers={"authorization": f"Bearer {key}"})

    await edge.client.get("/health")
    answer = await metrics(await edge.key("auditor"))
    assert answer.status_code == 200
    assert 'ledger_request_seconds_count{method="GET",route="/health",status="200"} 1.0' in answer.text
    assert "ledger_projection_events_behind{projection=" in answer.text
    assert (await metrics(await edge.key("viewer"))).json()["code"] == "forbidden"
    assert (await metrics(await edge.key("auditor", account="acme"))).json()["code"] == "out_of_scope"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/usage", 405), ("DELETE", "/graphql", 405), ("GET", "/nothing", 404), ("GET", "/graphql/", 404)],
)
async def test_other_paths_and_methods_are_problems(edge: Edge, method: str, path: str, status: int) -> None:
    response = await edge.client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert ("allow" in response.headers) == (status == 405)


async def test_an_unexpected_fault_is_masked_under_the_requests_id(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(edge.log, "append_new", broken)
    response = await edge.post(b"[]", headers={"x-request-id": "r-1"})
    assert response.status_code == 500
    assert response.json()["request"] == "r-1"
    assert "secret" not in response.text


async def test_a_lost_database_is_unavailable_and_worth_a_repeat(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*_: object, **__: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(edge.log, "append_new", lost)
    response = await edge.post(b"[]")
    assert (response.status_code, response.json()["code"]) == (503, "ledger_unavailable")
