"""The Stripe sandbox as a server: over HTTP, on a clock that runs, and with a journal that outlives the process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import uvicorn
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.sandbox.stripe import Sandbox

DELIVERY_SECONDS_MAX: Final = 10
PLANT: Final = "PLANT"
INSIDE: Final = "http://sandbox.invalid"
"""Where a sandbox is asked within its own process; nothing is resolved."""


class StartableClock:
    """A clock that stands at a moment until it is started; then it tells the time."""

    def __init__(self, moment: datetime) -> None:
        self._stands_at = moment
        self._behind: timedelta | None = None

    def __call__(self) -> datetime:
        """The moment, as a sandbox reads it."""
        return self._stands_at if self._behind is None else datetime.now(UTC) - self._behind

    async def start(self, sandbox: Sandbox) -> None:
        """Let the sandbox live through the time up to now, and tell it the time from then on."""
        await sandbox.advance(datetime.now(UTC))
        self._behind = sandbox.clock.moment - self._stands_at


class Asked(msgspec.Struct, frozen=True):
    """A request to a sandbox, and when it came; a hand that planted something has the method `PLANT`."""

    at: datetime
    method: str
    target: str
    headers: dict[str, str]
    body: str


class Journal:
    """A file of the requests that a sandbox was asked, one a line: asked the same again, another one becomes it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def relive(self, sandbox: Sandbox) -> None:
        """Ask a fresh sandbox what the journal holds, each at its time; webhooks are not told again."""
        deliver, sandbox.deliver = sandbox.deliver, _nobody
        async with inside(sandbox.app()) as client:
            for line in self._path.read_bytes().splitlines():
                asked = msgspec.json.decode(line, type=Asked)
                await sandbox.advance(asked.at)
                if asked.method == PLANT:
                    _plant(sandbox, asked.target, msgspec.json.decode(asked.body))
                else:
                    await client.request(asked.method, asked.target, headers=asked.headers, content=asked.body)
        sandbox.deliver = deliver

    def keeping(self, sandbox: Sandbox) -> ASGIApp:
        """The sandbox's application, which writes down each request before it answers."""
        app = sandbox.app()

        async def kept(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            body = await request.body()
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            headers = {name: value for name, value in request.headers.items() if name != "host"}
            self._keep(Asked(sandbox.clock.moment, request.method, target, headers, body.decode()))
            await app(scope, _again(body), send)

        return kept

    def plant(self, sandbox: Sandbox, name: str, *arguments: str | int) -> None:
        """Do what `sandbox.plants` calls by this name, and write it down."""
        self._keep(Asked(sandbox.clock.moment, PLANT, name, {}, msgspec.json.encode(arguments).decode()))
        _plant(sandbox, name, arguments)

    def _keep(self, asked: Asked) -> None:
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(asked) + b"\n")


def _plant(sandbox: Sandbox, name: str, arguments: Sequence[Any]) -> None:
    match name:
        case "add_usage":
            meter, customer, value, timestamp = arguments
            sandbox.plants.add_usage(meter, customer, Decimal(value), timestamp)
        case "drop_usage":
            sandbox.plants.drop_usage(*arguments)
        case "double_usage":
            sandbox.plants.double_usage(*arguments)
        case _:
            raise ValueError(f"a journal cannot plant {name}")


def _again(body: bytes) -> Receive:
    """What a request that was read already says to the next reader."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _nobody(_url: str, _body: bytes, _headers: dict[str, str]) -> int:
    """Takes a webhook and drops it."""
    return 200


@asynccontextmanager
async def inside(app: ASGIApp, key: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application in this process."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=INSIDE, headers=headers) as client:
        yield client


async def post_webhook(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Deliver a webhook and answer the receiver's status; raises OSError where nobody answers."""
    async with httpx.AsyncClient(timeout=DELIVERY_SECONDS_MAX) as client:
        try:
            return (await client.post(url, content=body, headers=headers)).status_code
        except httpx.TransportError as fault:
            raise OSError(repr(fault)) from fault


class _Server(uvicorn.Server):
    """A server that leaves signals to the process that it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(sandbox: Sandbox, app: ASGIApp, *, host: str, port: int) -> AsyncIterator[str]:
    """The address at which the sandbox answers until the context ends; port 0 is any that is free.

    Meanwhile what comes due is done, webhooks among it. Raises OSError where the port is taken.
    """
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, port)))
        server = _Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="stripe sandbox")
        living = asyncio.create_task(sandbox.run(), name="stripe sandbox's clock")
        try:
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            living.cancel()
            server.should_exit = True
            await asyncio.gather(serving, living, return_exceptions=True)
