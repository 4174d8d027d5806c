"""Whether the process lives and can serve: the only answers that need no key."""

import asyncio
from typing import Final

from starlette.types import Receive, Scope, Send

from ledger.domain.refusals import LedgerUnavailable
from ledger.event_log import CONNECTION_LOST, EventLog
from ledger.http.problems import answer

READY_TIMEOUT_SECONDS: Final = 2.0


class LiveEndpoint:
    """`GET /health`: 200 as long as the process answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Answer."""
        await answer(send, 200, b'{"status":"live"}')


class ReadyEndpoint:
    """`GET /health/ready`: 200 where the log can be read, else the problem 503."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Answer; raises `LedgerUnavailable`."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS):
                head = await self._log.head()
        except (*CONNECTION_LOST, TimeoutError) as fault:
            raise LedgerUnavailable(why=type(fault).__name__) from None
        await answer(send, 200, b'{"status":"ready","position":%d}' % head.position)
