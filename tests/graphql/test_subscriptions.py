"""Subscriptions over a WebSocket of a real server: resumed without a loss, bounded, and for good keys alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ledger.commands.cases import observe
from ledger.commands.keys import revoke_key
from ledger.domain.cases import Observation, key_of
from ledger.domain.metadata import Metadata
from ledger.domain.reconciliation_facts import Difference
from ledger.graphql import socket
from ledger.http.protocol import Protocol
from tests.domain.case_examples import DIFFERENCE, LEAST
from tests.edges import Edge

FOLLOW = "subscription ($after: Position) { caseChanged(after: $after) { position topic caseKey case { state } } }"
SECONDS = 5


@asynccontextmanager
async def serving(edge: Edge) -> AsyncIterator[str]:
    """The address of the edge's application on a free port of this machine."""
    config = uvicorn.Config(
        edge.client._transport.app,  # type: ignore[attr-defined]
        host="127.0.0.1",
        port=0,
        http=Protocol,
        ws="websockets-sansio",
        ws_max_size=socket.MESSAGE_BYTES_MAX,
        lifespan="off",
        log_config=None,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/graphql"
    finally:
        await server.shutdown()


@asynccontextmanager
async def opened(edge: Edge, url: str, *, key: str | None = None, by_header: bool = False) -> AsyncIterator[Any]:
    """A connection that has said who asks, by its first message or by a header."""
    bearer = f"Bearer {key or await edge.key('admin')}"
    headers = {"authorization": bearer} if by_header else {}
    protocols: Any = [socket.PROTOCOL]
    async with connect(url, subprotocols=protocols, additional_headers=headers) as client:
        payload = {} if by_header else {"authorization": bearer}
        await tell(client, type="connection_init", payload=payload)
        assert await hear(client) == {"type": "connection_ack"}
        yield client


async def tell(client: ClientConnection, **message: Any) -> None:
    await client.send(json.dumps(message))


async def hear(client: ClientConnection) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), SECONDS))
    return said


async def follow(client: ClientConnection, after: int | None = None, *, name: str = "1", query: str = FOLLOW) -> None:
    await tell(client, type="subscribe", id=name, payload={"query": query, "variables": {"after": after}})


async def change(client: ClientConnection) -> dict[str, Any]:
    """The next change that the client hears of."""
    message = await hear(client)
    assert message["type"] == "next", message
    told: dict[str, Any] = message["payload"]["data"]["caseChanged"]
    return told


async def ends_with(client: ClientConnection) -> int | None:
    """The code with which the server ends the connection."""
    try:
        while True:
            await asyncio.wait_for(client.recv(), SECONDS)
    except ConnectionClosed as ended:
        return None if ended.rcvd is None else ended.rcvd.code


async def saw(edge: Edge, *differences: Difference, agreed: tuple[Difference, ...] = ()) -> None:
    """Let a run find these differences, and this process know of it."""
    observation = Observation("run", datetime.now(UTC), frozenset(map(key_of, agreed)))
    await observe(edge.log, edge.follower.catalogue, differences, observation, metadata=Metadata(actor="test"))
    await edge.follower.refresh()


async def test_a_client_hears_of_changes_and_resumes_where_it_stopped(edge: Edge) -> None:
    """Guard: begin after the head whatever `after` says, and what happened while nobody listened is lost."""
    async with serving(edge) as url:
        async with opened(edge, url) as client:
            await follow(client)
            await asyncio.sleep(0.2)
            await saw(edge, DIFFERENCE)
            first = await change(client)
            assert (first["topic"], first["caseKey"], first["case"]) == (
                "CaseOpened",
                key_of(DIFFERENCE),
                {"state": "OPEN"},
            )
        await saw(edge, LEAST)
        async with opened(edge, url, by_header=True) as client:
            await follow(client, first["position"])
            second = await change(client)
            assert (second["topic"], second["caseKey"]) == ("CaseOpened", key_of(LEAST))
            await saw(edge, agreed=(DIFFERENCE,))
            third = await change(client)
            assert (third["topic"], third["case"]) == ("CaseSettled", {"state": "SETTLED"})
            assert first["position"] < second["position"] < third["position"]
            await follow(client, 0, name="all")
            heard = [await hear(client) for _ in range(3)]
            assert [one["id"] for one in heard] == ["all"] * 3


async def test_a_subscription_ends_when_it_is_completed_and_its_id_is_free_again(edge: Edge) -> None:
    await saw(edge, DIFFERENCE)
    async with serving(edge) as url, opened(edge, url) as client:
        for _ in range(2):
            await follow(client, 0)
            assert (await change(client))["topic"] == "CaseOpened"
            await tell(client, type="complete", id="1")
        await tell(client, type="ping")
        assert await hear(client) == {"type": "pong"}


async def test_a_bound_key_hears_of_its_accounts_cases_alone(edge: Edge) -> None:
    await saw(edge, msgspec.structs.replace(DIFFERENCE, account="globex"), LEAST, DIFFERENCE)
    key = await edge.key("viewer", account="acme")
    async with serving(edge) as url, opened(edge, url, key=key) as client:
        await follow(client, 0)
        assert (await change(client))["caseKey"] == key_of(DIFFERENCE)
        await tell(client, type="ping")
        assert await hear(client) == {"type": "pong"}


async def test_a_key_without_the_right_is_refused_and_a_revoked_one_hears_nothing_more(edge: Edge) -> None:
    async with serving(edge) as url:
        async with opened(edge, url, key=await edge.key("ingest")) as client:
            await follow(client)
            message = await hear(client)
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "forbidden")
        key = await edge.key("viewer")
        async with opened(edge, url, key=key) as client:
            await follow(client)
            await asyncio.sleep(0.2)
            key_id = key.split("_")[1]
            await revoke_key(edge.log, key_id, now=datetime.now(UTC), metadata=Metadata(actor="test"))
            await edge.follower.refresh()
            message = await hear(client)
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "key_unknown")


async def test_only_subscriptions_are_taken_and_they_are_measured(edge: Edge) -> None:
    async with serving(edge) as url, opened(edge, url) as client:
        for query in ("{ viewer { name } }", "subscription { nothing }", "subscription {", "mutation { x }"):
            await follow(client, query=query)
            assert (await hear(client))["type"] == "error"
        deep = "subscription { caseChanged { " + "case { id " * 0 + "position " * 2_100 + "} }"
        await follow(client, query=deep)
        assert (await hear(client))["type"] == "error"


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (['{"type":"subscribe","id":"1","payload":{"query":"{x}"}}'], 4401),
        (['{"type":"connection_init"}'], 4403),
        (['{"type":"connection_init","payload":{"authorization":"Bearer lk_x_y"}}'], 4403),
        (["not json"], 4400),
        (["[]"], 4400),
        (['{"type":"shout"}'], 4400),
    ],
)
async def test_a_client_that_does_not_say_who_asks_is_sent_away(edge: Edge, messages: list[str], code: int) -> None:
    protocols: Any = [socket.PROTOCOL]
    async with serving(edge) as url, connect(url, subprotocols=protocols) as client:
        for message in messages:
            await client.send(message)
        assert await ends_with(client) == code


async def test_what_breaks_the_protocol_ends_the_connection(edge: Edge) -> None:
    async with serving(edge) as url:
        async with opened(edge, url) as client:
            await tell(client, type="connection_init")
            assert await ends_with(client) == 4429
        async with opened(edge, url) as client:
            await follow(client)
            await follow(client)
            assert await ends_with(client) == 4409
        async with opened(edge, url) as client:
            for number in range(socket.OPERATIONS_MAX + 1):
                await follow(client, name=str(number))
            assert await ends_with(client) == 4429
        async with opened(edge, url) as client:
            await client.send("x" * (socket.MESSAGE_BYTES_MAX + 1))
            assert await ends_with(client) == 1009


async def test_a_client_that_says_nothing_and_one_too_many_are_sent_away(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "INIT_SECONDS_MAX", 0.1)
    protocols: Any = [socket.PROTOCOL]
    async with serving(edge) as url:
        async with connect(url, subprotocols=protocols) as client:
            assert await ends_with(client) == 4408
        monkeypatch.setattr(socket, "SOCKETS_MAX", 0)
        with pytest.raises(Exception, match="403"):
            await connect(url, subprotocols=protocols)
        with pytest.raises(Exception, match="403"):
            await connect(url)
