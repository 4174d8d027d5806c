"""Answers on the wire: head and body leave together, and nothing waits that a client waits for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from ledger.http.protocol import Protocol


class Written(Protocol):
    """Keeps what is written to the client, write by write."""

    writes: list[bytes]

    def connection_made(self, transport: Any) -> None:
        type(self).writes = writes = []
        write = transport.write

        class Recorded:
            def __getattr__(self, name: str) -> Any:
                return getattr(transport, name)

            def write(self, part: bytes) -> None:
                writes.append(part)
                write(part)

        super().connection_made(Recorded())  # type: ignore[arg-type]


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the application on a free port of this machine."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, http=Written, lifespan="off", log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer
        writer.close()
        await writer.wait_closed()
    finally:
        await server.shutdown()


def answering(*bodies: bytes, length: int | None = None) -> ASGIApp:
    """An application that reads a request and answers with these parts."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = [] if length is None else [(b"content-length", str(length).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number, body in enumerate(bodies, 1):
            await send({"type": "http.response.body", "body": body, "more_body": number < len(bodies)})

    return app


async def test_head_and_body_are_one_write() -> None:
    async with serving(answering(b"hello", length=5)) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert len(Written.writes) == 2


async def test_parts_of_an_answer_leave_as_they_come() -> None:
    async with serving(answering(b"one", b"two")) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        assert [part[-5:] for part in Written.writes] == [b"one\r\n", b"0\r\n\r\n"]


async def test_an_answer_without_a_body_is_sent() -> None:
    async with serving(answering(b"hello", length=5)) as (reader, writer):
        writer.write(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"content-length: 5" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    async with serving(answering(b"", length=0)) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"content-length: 0" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)


async def test_a_client_that_asks_before_it_sends_is_told_to_go_on_at_once() -> None:
    async with serving(answering(b"hello", length=5)) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        asked = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_an_answer_that_breaks_off_after_its_head_closes_the_connection() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        raise RuntimeError

    async with serving(app) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200 OK\r\n")
