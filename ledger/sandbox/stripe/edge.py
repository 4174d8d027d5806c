"""One request through the sandbox: who asks, which version, was it answered before, does it fail on demand."""

import asyncio
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ledger.sandbox.stripe.arguments import Arguments, convert, read_form, read_json
from ledger.sandbox.stripe.errors import StripeError, malformed, unauthorised
from ledger.sandbox.stripe.expansion import expanded
from ledger.sandbox.stripe.faults import Fault, Faults, refuse
from ledger.sandbox.stripe.idempotency import IdempotencyKeys, Kept
from ledger.sandbox.stripe.operations import AnyOperation
from ledger.sandbox.stripe.outbox import ENCODER
from ledger.sandbox.stripe.rate_limits import STREAM, RateLimits
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import API_VERSION, Cause, State

VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")
VERSION_MIN: Final = "2025-03-31"
"""The version that did away with usage records: older ones speak of another billing. docs.stripe.com/changelog/basil"""


class Edge:
    """What all operations of a sandbox go through."""

    def __init__(self, state: State, api_keys: frozenset[str], faults: Faults) -> None:
        self._state = state
        self._api_keys = api_keys
        self._faults = faults
        self._limits = RateLimits(state.behaviour)
        self._answers = IdempotencyKeys()

    def route(self, operation: AnyOperation) -> "Endpoint":
        """The ASGI application of one operation."""
        return Endpoint(self, operation)

    async def answer(self, operation: AnyOperation, request: Request) -> Response | None:
        """The answer to a request; None when the connection drops instead."""
        request_id = self._state.ids.next("req")
        headers = {"request-id": request_id, "stripe-version": API_VERSION}
        fault = self._faults.take(operation.name)
        if fault == "timeout_before":
            return None
        self._state.agenda.run_until(self._state.now)
        body = await request.body()
        try:
            status, content, is_replayed = await self._answered(operation, request, body, fault, request_id)
        except StripeError as error:
            status, content = error.status, ENCODER.encode(_told(error, operation, request_id))
            if error.should_retry is not None:
                headers["stripe-should-retry"] = str(error.should_retry).lower()
        else:
            headers |= {"idempotent-replayed": "true"} if is_replayed else {}
        if key := request.headers.get("idempotency-key"):
            headers["idempotency-key"] = key
        if fault == "timeout_after":
            return None
        return Response(content, status, headers, media_type="application/json")

    async def _answered(
        self, operation: AnyOperation, request: Request, body: bytes, fault: Fault | None, request_id: str
    ) -> tuple[int, bytes, bool]:
        """Status and body, and whether both were kept from an earlier request."""
        self._authorise(operation, request.headers.get("authorization", ""))
        _check_version(operation, request.headers.get("stripe-version"))
        state = self._state
        # Only what writes is kept: docs.stripe.com/api/idempotent_requests
        key = None if operation.method == "GET" else request.headers.get("idempotency-key")
        asked = b"\0".join((request.url.path.encode(), request.url.query.encode(), body))
        if key is not None:
            kept = self._answers.find(key, operation.name, asked, state.now, is_second_api=operation.is_second_api)
            if kept is not None:
                return kept.status, kept.body, True
        self._limits.count(operation.name, state.now)
        try:
            refuse(fault)
            arguments = _arguments(operation, request, body)
            answer = await self._performed(operation, arguments, request, Cause(request_id, key))
            status, content = 200, ENCODER.encode(answer)
        except StripeError as error:
            # The second API runs what failed again; the first answers the same once it had begun.
            if key is not None and error.is_saved and not operation.is_second_api:
                failed = ENCODER.encode(_told(error, operation, request_id))
                self._answers.keep(key, Kept(operation.name, asked, error.status, failed, state.now))
            raise
        if key is not None:
            self._answers.keep(key, Kept(operation.name, asked, status, content, state.now))
        return status, content, False

    async def _performed(self, operation: AnyOperation, arguments: Arguments, request: Request, cause: Cause) -> Json:
        """What the operation answers; the events that it makes name the request."""
        lane = operation.lane(self._state, arguments) if operation.lane else None
        with self._limits.alone(lane):
            if lane is not None:
                await asyncio.sleep(self._state.behaviour.latency_seconds)
            self._state.cause = cause
            try:
                answer: Json = operation.perform(self._state, arguments, *request.path_params.values())
            finally:
                self._state.cause = Cause()
        return expanded(self._state, answer, arguments.expand)

    def _authorise(self, operation: AnyOperation, header: str) -> None:
        """A secret key, or for the stream a session's token of the last 15 minutes.

        docs.stripe.com/api/authentication and docs.stripe.com/api/v2/billing/meter-event-stream/create
        """
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise unauthorised("You did not provide an API key.")
        if operation.name == STREAM:
            expires_at = self._state.sessions.get(key)
            if expires_at is None:
                raise unauthorised("The stream takes the authentication token of a meter event session.")
            if expires_at <= self._state.now:
                raise StripeError(
                    "The meter event session has expired.",
                    kind="temporary_session_expired",
                    code="billing_meter_event_session_expired",
                    is_saved=False,
                    should_retry=False,
                )
        elif key not in self._api_keys:
            raise unauthorised(f"Invalid API Key provided: {key[:7]}***")


class Endpoint:
    """The ASGI application of one operation."""

    def __init__(self, edge: Edge, operation: AnyOperation) -> None:
        self._edge = edge
        self._operation = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or begin an answer and end without it, upon which the server closes the connection."""
        response = await self._edge.answer(self._operation, Request(scope, receive))
        if response is None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            return
        await response(scope, receive, send)


def _check_version(operation: AnyOperation, version: str | None) -> None:
    """A version that the sandbox speaks; the second API wants one. docs.stripe.com/api/versioning"""
    if version is None:
        if operation.is_second_api:
            raise malformed("The header Stripe-Version is required.", None, "missing_stripe_version")
        return
    if not VERSION.fullmatch(version) or version[:10] < VERSION_MIN:
        raise malformed(f"Invalid Stripe API version: {version}", None, "invalid_stripe_version")


def _arguments(operation: AnyOperation, request: Request, body: bytes) -> Arguments:
    """What the request says: JSON in the second API's bodies, a form or a query elsewhere."""
    kind: type[Arguments] = operation.arguments
    if operation.is_second_api and operation.method == "POST":
        return convert(read_json(body), kind, is_form=False)
    text = body.decode(errors="replace") if operation.method == "POST" else request.url.query
    tree = read_form(text)
    if "stripe-request-trigger" in request.headers:
        # Version 16 of the SDK for Python lets a note of its own slip into the query when it fetches an event.
        tree.pop("usage", None)
    return convert(tree, kind, is_form=True)


def _told(error: StripeError, operation: AnyOperation, request_id: str) -> Json:
    """The error in the shape of its API. docs.stripe.com/api/errors and docs.stripe.com/api-v2-overview#errors"""
    body = error.body(request_id)
    if operation.is_second_api:
        known = {"code": error.code or error.kind, "message": error.message, "type": error.kind}
        return {"error": known}
    return body


async def unknown_path(scope: Scope, receive: Receive, send: Send) -> None:
    """What is not an operation. docs.stripe.com/error-low-level"""
    request = Request(scope, receive)
    message = f"Unrecognized request URL ({request.method}: {request.url.path})."
    body = StripeError(message, status=404).body("req_unknown")
    await Response(ENCODER.encode(body), 404, media_type="application/json")(scope, receive, send)
