"""The shell around every request: an id, one log line, its time, and a problem for whatever was raised."""

import random
import re
import time
from http import HTTPStatus
from typing import Final

import structlog
from prometheus_client import Histogram
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.domain.refusals import LedgerUnavailable, Refusal
from ledger.event_log import CONNECTION_LOST
from ledger.http.problems import Problem, problem_of
from ledger.telemetry import Telemetry

REQUEST_ID: Final = "ledger.request_id"
"""Where a request's id is in its ASGI scope."""
FAULT_STATUS: Final = 500

_REQUEST_ID_GIVEN: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

_log = structlog.get_logger("http")
_numbers: Final = random.Random()  # noqa: S311 - an id tells requests apart and keeps no secret


class Requests:
    """Wraps the router. Answers carry `X-Request-Id`: the caller's own where it is a plain token, else a new one."""

    def __init__(self, router: ASGIApp, telemetry: Telemetry, *, routes: frozenset[str]) -> None:
        self._router = router
        self._telemetry = telemetry
        self._routes = routes
        self._timers: dict[tuple[str, str, int], Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        tracer = self._telemetry.tracer
        if tracer is None:
            await self._serve(scope, receive, send)
            return
        with tracer.start_as_current_span(f"{scope['method']} {self._route(scope)}"):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request_id = request_id_of(scope)
        scope[REQUEST_ID] = request_id
        scope["app"] = self  # then the router raises 404 and 405 instead of answering them in plain text
        id_line = (b"x-request-id", request_id.encode())
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), id_line]
            await send(message)

        try:
            await self._router(scope, receive, send_with_id)
        except ClientDisconnect:
            status = 499  # the code that proxies log for a client that went away; there is nobody to answer
        except Exception as fault:
            if status:
                raise
            await _problem(fault, request_id).send(send_with_id)
        self._observe(scope, status, time.perf_counter() - began)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        route, method = self._route(scope), scope["method"]
        timer = self._timers.get((route, method, status))
        if timer is None:
            timer = self._timers[route, method, status] = self._telemetry.request_seconds.labels(route, method, status)
        timer.observe(seconds)
        if status >= HTTPStatus.BAD_REQUEST:
            _log.info(
                "request turned down",
                request=scope[REQUEST_ID],
                method=method,
                route=route,
                status=status,
                milliseconds=round(seconds * 1000, 1),
            )

    def _route(self, scope: Scope) -> str:
        path: str = scope["path"]
        return path if path in self._routes else "other"


def request_id_of(scope: Scope) -> str:
    """The id that a request or connection brought along, else a new one."""
    for name, text in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID_GIVEN.fullmatch(text):
            return str(text, "ascii")
    return f"{_numbers.getrandbits(96):024x}"


def _problem(fault: Exception, request_id: str) -> Problem:
    if isinstance(fault, Problem):
        return fault
    if isinstance(fault, Refusal):
        return problem_of(fault)
    if isinstance(fault, HTTPException):
        phrase = HTTPStatus(fault.status_code).phrase
        return Problem(fault.status_code, phrase.lower().replace(" ", "_"), f"{phrase}.", headers=fault.headers)
    if isinstance(fault, CONNECTION_LOST):
        _log.warning("the database is not reachable", request=request_id, fault=repr(fault))
        return problem_of(LedgerUnavailable(why=type(fault).__name__))
    _log.error("request failed", request=request_id, exc_info=fault)
    detail = "Something went wrong on our side; it was logged under this request's id."
    return Problem(FAULT_STATUS, "internal_error", detail, facts={"request": request_id})
