"""`POST /v1/usage`: every event's fate, every limit, and nothing half stored."""

import gzip
import json
import tracemalloc
from datetime import timedelta
from typing import Any

import httpx
import pytest

from ledger.domain.refusals import LedgerBusy
from ledger.http.usage import BYTES_MAX, EVENTS_MAX
from tests.edges import NOW, Edge, cloud_event, define_tokens_meter, open_accounts

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"


def encoded(content: Any) -> bytes:
    return json.dumps(content).encode()


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    members: dict[str, Any] = response.json()
    assert (response.status_code, members["status"], members["code"]) == (status, status, code)
    assert members.keys() >= {"type", "title", "detail"}
    return members


async def test_a_single_event_is_stored_once_and_a_repeat_tells_where(edge: Edge) -> None:
    await open_accounts(edge)
    await define_tokens_meter(edge)
    first = await edge.post(encoded(cloud_event()), SINGLE)
    head = await edge.head()
    again = await edge.post(encoded(cloud_event()), SINGLE)
    assert first.status_code == again.status_code == 200
    assert first.json() == {"position": head, "stored": 1, "duplicates": [], "held": [], "refused": []}
    assert again.json()["stored"] == 0
    assert again.json()["duplicates"] == [{"index": 0, "id": "event-1", "position": head}]
    assert await edge.head() == head


@pytest.mark.parametrize(
    ("media_type", "is_lines"),
    [(BATCH, False), ("application/json", False), ("application/json; charset=utf-8", False), (LINES, True)],
)
async def test_every_event_of_a_batch_gets_its_own_fate(edge: Edge, media_type: str, is_lines: bool) -> None:
    await open_accounts(edge)
    await define_tokens_meter(edge)
    events = [
        cloud_event(1),
        cloud_event(2, subject="nobody"),
        cloud_event(3, time="2026-01-01T00:00:00"),
        cloud_event(1),
        cloud_event(5),
    ]
    body = b"\n".join(map(encoded, events)) + b"\n\n" if is_lines else encoded(events)
    answer = (await edge.post(body, media_type)).json()
    assert answer["stored"] == 3
    assert [(one["index"], one["code"]) for one in answer["held"]] == [(1, "account_unknown")]
    assert [(one["index"], one["code"]) for one in answer["refused"]] == [(2, "usage_unreadable")]
    assert [one["index"] for one in answer["duplicates"]] == [3]
    assert answer["position"] == await edge.head()


async def test_binary_content_mode_takes_attributes_from_headers(edge: Edge) -> None:
    attributes = {"ce-" + name: value for name, value in cloud_event(subject="caf%C3%A9", data=None).items()}
    response = await edge.post(b'{"tokens": 1.10}', headers=attributes)
    assert response.json()["stored"] == 1
    rows = await edge.log.page(after=0, before=10**9, names=["café"], limit=10)
    assert json.loads(rows[0]["state"])["data"] == {"tokens": 1.1}
    assert '"tokens":1.10' in rows[0]["state"]
    broken = await edge.post(b'{},"id":"other"', headers=attributes)
    problem(broken, 400, "usage_unreadable")


async def test_gzip_is_inflated(edge: Edge) -> None:
    body = gzip.compress(encoded([cloud_event(number) for number in range(100)]))
    response = await edge.post(body, headers={"content-encoding": "gzip"})
    assert response.json()["stored"] == 100


async def test_the_event_carries_who_told_it_and_the_requests_id(edge: Edge) -> None:
    response = await edge.post(encoded(cloud_event()), headers={"x-request-id": "request-7"})
    assert response.headers["x-request-id"] == "request-7"
    rows = await edge.log.page(after=0, before=10**9, names=["acme"], limit=1)
    key_id = (await edge.key("admin")).split("_")[1]
    assert json.loads(rows[0]["metadata"]) == {"actor": f"key:{key_id}", "request": "request-7"}
    other = await edge.post(encoded(cloud_event()), headers={"x-request-id": "not a token"})
    assert len(other.headers["x-request-id"]) == 24


async def test_a_bound_key_may_tell_usage_of_its_own_account_only(edge: Edge) -> None:
    await open_accounts(edge, ["acme", "other"])
    await define_tokens_meter(edge)
    bound = await edge.key("ingest", account="acme")
    before = await edge.head()
    events = [
        cloud_event(0, subject="other"),
        cloud_event(1),
        cloud_event(2, time="soon"),
        cloud_event(3, subject="no"),
        cloud_event(1),
    ]
    answer = (await edge.post(encoded(events), key=bound)).json()
    assert answer["stored"] == 1
    assert await edge.head() == before + 1
    assert [(one["index"], one["code"]) for one in answer["refused"]] == [
        (0, "out_of_scope"),
        (2, "usage_unreadable"),
        (3, "out_of_scope"),
    ]
    assert [one["index"] for one in answer["duplicates"]] == [4]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time", "2026-01-01T00:00:00"),
        ("time", "yesterday"),
        ("time", "10000-01-01T00:00:00Z"),
        ("time", "9999-12-31T23:59:59-23:00"),
        ("time", 12),
        ("id", None),
        ("id", ""),
        ("id", "a\u0000b"),
        ("id", "x" * 257),
        ("id", 7),
        ("data", [1]),
        ("data", {str(number): number for number in range(129)}),
        ("specversion", "0.3"),
        ("quantity", 1),
    ],
)
async def test_an_event_that_is_none_is_refused_alone_or_in_company(edge: Edge, name: str, value: Any) -> None:
    bad = cloud_event(2, **{name: value})
    problem(await edge.post(encoded(bad), SINGLE), 400, "usage_unreadable")
    answer = (await edge.post(encoded([cloud_event(1), bad, cloud_event(3)]))).json()
    assert (answer["stored"], [one["index"] for one in answer["refused"]]) == (2, [1])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[",
        b"[1,",
        b'"text"',
        b"\xff\xfe",
        b'{"specversion":"1.0","id":NaN}',
        b'[{"id": Infinity}]',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
async def test_a_malformed_body_is_unreadable(edge: Edge, body: bytes) -> None:
    before = await edge.head()
    problem(await edge.post(body), 400, "usage_unreadable")
    assert await edge.head() == max(before, 1)  # the key's own event


async def test_numbers_beyond_all_bounds_are_kept_as_written_and_held(edge: Edge) -> None:
    await open_accounts(edge)
    await define_tokens_meter(edge)
    literals = ["1e400", "1" + "0" * 400, "-1E-4000", "0.1234567890123456789"]
    events = [
        encoded(cloud_event(number, data={"tokens": 0})).replace(b'"tokens": 0', b'"tokens": ' + literal.encode())
        for number, literal in enumerate(literals)
    ]
    answer = (await edge.post(b"[" + b",".join(events) + b"]")).json()
    assert answer["stored"] == 4
    assert [one["code"] for one in answer["held"]] == ["number_out_of_range"] * 4
    await edge.project()


async def test_the_year_9999_is_held_as_too_far_ahead(edge: Edge) -> None:
    await open_accounts(edge)
    await define_tokens_meter(edge)
    answer = (await edge.post(encoded(cloud_event(time="9999-12-31T23:59:59Z")))).json()
    assert [one["code"] for one in answer["held"]] == ["time_too_far_ahead"]
    late = (await edge.post(encoded(cloud_event(2, time=(NOW + timedelta(hours=25)).isoformat())))).json()
    assert [one["code"] for one in late["held"]] == ["time_too_far_ahead"]
    await edge.project()


async def test_one_byte_over_16_mebibytes_is_too_large_and_stores_nothing(edge: Edge) -> None:
    await edge.key("admin")
    before = await edge.head()
    body = encoded([cloud_event()]).ljust(BYTES_MAX + 1)
    facts = problem(await edge.post(body), 413, "body_too_large")
    assert facts["bytes_max"] == BYTES_MAX
    assert await edge.head() == before
    assert (await edge.post(body[:-1])).status_code == 200


async def test_a_body_without_length_is_cut_off_at_the_limit(edge: Edge) -> None:
    key = await edge.key("admin")
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65_536

    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    problem(await edge.client.post("/v1/usage", content=endless(), headers=headers), 413, "body_too_large")
    assert sent <= BYTES_MAX // 65_536 + 2


async def test_a_gzip_bomb_stops_inflating_at_the_limit(edge: Edge) -> None:
    await edge.key("admin")
    bomb = gzip.compress(b"0" * 400_000_000, compresslevel=9)
    tracemalloc.start()
    try:
        response = await edge.post(bomb, headers={"content-encoding": "gzip"})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    problem(response, 413, "body_too_large")
    assert peak < 5 * BYTES_MAX


@pytest.mark.parametrize(
    "body",
    [b"no gzip", gzip.compress(b"[]")[:-4], gzip.compress(b"[]") + b"more", gzip.compress(b"[]") * 2],
    ids=["other", "cut", "more", "twice"],
)
async def test_what_is_not_one_whole_gzip_stream_is_unreadable(edge: Edge, body: bytes) -> None:
    problem(await edge.post(body, headers={"content-encoding": "gzip"}), 400, "body_unreadable")


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (LINES, b"{}\n" * (EVENTS_MAX + 1)),
        (LINES, b"\n" * 16_000_000),
        (BATCH, b"[" + b",".join([b"{}"] * (EVENTS_MAX + 1)) + b"]"),
        (BATCH, b"[" + b",".join([b"1"] * 200_000) + b"]"),
        (BATCH, b"[" + b"1," * 8_000_000 + b"1]"),
    ],
    ids=["lines", "blank lines", "empty events", "numbers", "millions of numbers"],
)
async def test_more_than_ten_thousand_events_are_too_many(edge: Edge, media_type: str, body: bytes) -> None:
    facts = problem(await edge.post(body, media_type), 413, "too_many_events")
    assert facts["events_max"] == EVENTS_MAX


@pytest.mark.parametrize("media_type", ["text/plain", "", "application/xml", "multipart/form-data; boundary=x"])
async def test_another_media_type_is_unsupported(edge: Edge, media_type: str) -> None:
    problem(await edge.post(b"{}", media_type), 415, "media_type_unsupported")


async def test_another_content_encoding_is_unsupported(edge: Edge) -> None:
    response = await edge.post(b"{}", headers={"content-encoding": "br"})
    problem(response, 415, "encoding_unsupported")
    assert response.headers["accept-encoding"] == "gzip"


async def test_overload_is_told_before_the_body_is_read(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    key = await edge.key("admin")

    def busy() -> None:
        raise LedgerBusy(retry_after_seconds=1)

    was_read = False

    async def body() -> Any:
        nonlocal was_read
        was_read = True
        yield b"[]"

    monkeypatch.setattr(edge.log, "require_room", busy)
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    response = await edge.client.post("/v1/usage", content=body(), headers=headers)
    assert not was_read
    problem(response, 503, "ledger_busy")
    assert response.headers["retry-after"] == "1"


async def test_fates_are_counted(edge: Edge) -> None:
    await edge.post(encoded([cloud_event(1), cloud_event(1), cloud_event(2, time="no")]))
    counted = {fate: edge.telemetry.usage_events.labels(fate)._value.get() for fate in ("stored", "duplicate")}
    assert counted == {"stored": 1, "duplicate": 1}


async def test_a_caller_that_goes_away_leaves_nothing_behind(edge: Edge) -> None:
    key = await edge.key("admin")
    before = await edge.head()
    messages = iter([{"type": "http.request", "body": b"[", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    transport = edge.client._transport
    assert isinstance(transport, httpx.ASGITransport)
    headers = [(b"authorization", f"Bearer {key}".encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/usage", "headers": headers, "query_string": b""}
    await transport.app(scope, receive, send)
    assert (sent, await edge.head()) == ([], before)
