"""HTTP/1.1 as uvicorn speaks it, with an answer's head and body in one write: half the system calls of a short one.

ASGI asks for it: a server "must not start sending the response to the client until it has received at least one
Response Body event" (ASGI HTTP specification 2.3, Response Start); uvicorn sends the head at once.
"""

from asyncio import Transport
from typing import cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class Protocol(HttpToolsProtocol):
    """One connection of a client, for `uvicorn.Config(http=...)`."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.scope["method"] != "HEAD":  # whose answer has no body to wait for
            cycle.transport = cast("Transport", _Answer(cycle))
        super()._start_asgi_task(cycle, app)


class _Answer:
    """What a request and its response use of their transport; holds back the head until the body begins."""

    __slots__ = ("_cycle", "_head", "_is_begun", "_transport")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self._is_begun = False
        self._head = b""

    def write(self, part: bytes) -> None:
        if self._is_begun:
            self._transport.write(self._head + part if self._head else part)
            self._head = b""
        elif self._cycle.response_started:
            self._is_begun = True
            self._head = part
        else:
            self._transport.write(part)  # 100 Continue, for which the client waits

    def close(self) -> None:
        if self._head:
            self.write(b"")
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
