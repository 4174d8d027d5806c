"""GraphQL over WebSocket: subscriptions by the protocol graphql-transport-ws (enisdenjo/graphql-ws, PROTOCOL.md)."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

import msgspec
import structlog
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ledger.domain.values import exact_number
from ledger.graphql.context import Context
from ledger.graphql.faults import shown
from ledger.graphql.schema import Schema

PROTOCOL: Final = "graphql-transport-ws"
SOCKETS_MAX: Final = 200
"""Connections of a process."""
OPERATIONS_MAX: Final = 10
"""Subscriptions of a connection."""
MESSAGE_BYTES_MAX: Final = 64 * 1024
INIT_SECONDS_MAX: Final = 10.0
"""How long a connection may take to say who asks."""
SEND_SECONDS_MAX: Final = 30.0
"""How long a client may take nothing of what it is sent."""
ID_LENGTH_MAX: Final = 128

_decode = msgspec.json.Decoder(float_hook=exact_number).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_log = structlog.get_logger("graphql")

Admit = Callable[[Scope, str | None], Context | None]
"""(the connection, the authorization of its first message) -> the context of a good key, None for any other."""


class Closed(Exception):
    """The connection ends by a rule of the protocol; `code` and `reason` are what the client is told."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class GraphQLSocket:
    """The endpoint `/graphql` for WebSockets. A client that is one too many is told to try again later."""

    def __init__(self, schema: Schema, *, admit: Admit) -> None:
        self._schema = schema
        self._admit = admit
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until either side ends it."""
        socket = WebSocket(scope, receive, send)
        if PROTOCOL not in scope.get("subprotocols", ()):
            await socket.close(4406, "Subprotocol not acceptable")
            return
        if self._count >= SOCKETS_MAX:
            await socket.close(1013, "Try again later")
            return
        self._count += 1
        try:
            await socket.accept(PROTOCOL)
            await _Conversation(socket, self._schema, self._admit).run()
        finally:
            self._count -= 1


class _Conversation:
    """One connection: who asks, and the subscriptions that are under way by their ids."""

    def __init__(self, socket: WebSocket, schema: Schema, admit: Admit) -> None:
        self._socket = socket
        self._schema = schema
        self._admit = admit
        self._context: Context | None = None
        self._is_begun = False
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        try:
            async with asyncio.timeout(INIT_SECONDS_MAX):
                while self._context is None:
                    await self._take(await self._message())
            while True:
                await self._take(await self._message())
        except WebSocketDisconnect:
            pass
        except TimeoutError:
            await self._close(4408, "Connection initialisation timeout")
        except Closed as fault:
            await self._close(fault.code, fault.reason)
        finally:
            tasks = list(self._under_way.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            await self._socket.close(code, reason)

    async def _message(self) -> dict[str, Any]:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if text is None or len(text.encode()) > MESSAGE_BYTES_MAX:
            raise Closed(4400, f"Send text of at most {MESSAGE_BYTES_MAX} bytes")
        try:
            told = _decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise Closed(4400, "The message is not JSON") from None
        if not isinstance(told, dict):
            raise Closed(4400, "The message is no object")
        return told

    async def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "connection_init"}:
                await self._begin(message.get("payload"))
            case {"type": "ping"}:
                await self._send({"type": "pong"})
            case {"type": "pong"}:
                pass
            case {"type": "subscribe", "id": str(name), "payload": {"query": str(query), **others}}:
                self._subscribe(name, query, dict(others))
            case {"type": "complete", "id": str(name)}:
                task = self._under_way.pop(name, None)
                if task is not None:
                    task.cancel()
            case _:
                raise Closed(4400, "The message is none of the protocol")

    async def _begin(self, payload: object) -> None:
        if self._is_begun:
            raise Closed(4429, "Too many initialisation requests")
        self._is_begun = True
        authorization = payload.get("authorization") if isinstance(payload, dict) else None
        context = self._admit(self._socket.scope, authorization if isinstance(authorization, str) else None)
        if context is None:
            raise Closed(4403, "Forbidden")
        await self._send({"type": "connection_ack"})
        self._context = context

    def _subscribe(self, name: str, query: str, others: dict[Any, Any]) -> None:
        if self._context is None:
            raise Closed(4401, "Unauthorized")
        if name in self._under_way:
            raise Closed(4409, f"Subscriber for {name[:ID_LENGTH_MAX]} already exists")
        if len(self._under_way) >= OPERATIONS_MAX:
            raise Closed(4429, f"At most {OPERATIONS_MAX} subscriptions a connection")
        variables, operation = others.get("variables"), others.get("operationName")
        is_read = isinstance(variables, dict | None) and isinstance(operation, str | None)
        if not is_read or len(name) > ID_LENGTH_MAX:
            raise Closed(4400, "The message is none of the protocol")
        follow = self._follow(name, query, variables, operation, self._context)
        self._under_way[name] = asyncio.create_task(follow, name="graphql subscription")

    async def _follow(
        self, name: str, query: str, variables: dict[str, Any] | None, operation: str | None, context: Context
    ) -> None:
        """Send each result, then that there are no more; an error before the first is told as such."""
        is_first = True
        try:
            results = await self._schema.subscribe(
                query, variable_values=variables, operation_name=operation, context_value=context
            )
            async with aclosing(results):
                async for result in results:
                    errors = [shown(error, context.request_id) for error in result.errors or ()]
                    if errors and result.data is None and is_first:
                        await self._send({"type": "error", "id": name, "payload": errors})
                        return
                    is_first = False
                    payload = {"data": result.data} | ({"errors": errors} if errors else {})
                    await self._send({"type": "next", "id": name, "payload": payload})
            await self._send({"type": "complete", "id": name})
        except (WebSocketDisconnect, RuntimeError, TimeoutError) as fault:
            _log.info("a subscriber went away", request=context.request_id, fault=repr(fault))
        finally:
            if self._under_way.get(name) is asyncio.current_task():
                del self._under_way[name]

    async def _send(self, message: dict[str, Any]) -> None:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            await self._socket.send_text(_encode(message).decode())
