"""GraphQL over HTTP (GraphQL-over-HTTP draft specification): one operation a request, POST or, to read, GET."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send
from strawberry.http.ides import get_graphql_ide_html
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from ledger.domain.values import exact_number
from ledger.graphql.context import Context
from ledger.graphql.faults import shown
from ledger.graphql.schema import Schema

TIMEOUT_SECONDS: Final = 30.0
RESPONSE: Final = "application/graphql-response+json"
JSON: Final = "application/json"
READING: Final = frozenset({OperationType.QUERY})
EVERYTHING: Final = frozenset({OperationType.QUERY, OperationType.MUTATION})

Headers = Mapping[bytes, bytes]

_decode = msgspec.json.Decoder(float_hook=exact_number).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Operation(NamedTuple):
    """A well-formed request."""

    query: str
    variables: dict[str, Any] | None
    name: str | None


class Answer(NamedTuple):
    """A response before its media type is chosen. `is_request_error`: nothing was executed."""

    status: int
    body: dict[str, Any]
    is_request_error: bool = False


class NotWellFormed(Exception):
    """The HTTP request is none of GraphQL over HTTP; `status` says in which way."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class GraphQLView:
    """The endpoint `/graphql`. In development a browser gets GraphiQL, which asks for nothing but its page."""

    def __init__(
        self,
        schema: Schema,
        *,
        make_context: Callable[[Scope], Context],
        read_body: Callable[[Headers, Receive], Awaitable[bytes]],
        is_development: bool,
    ) -> None:
        self._schema = schema
        self._make_context = make_context
        self._read_body = read_body
        self._page = get_graphql_ide_html().encode() if is_development else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. Whatever `make_context` and `read_body` raise is the caller's to show."""
        headers: Headers = dict(scope["headers"])
        accepted = headers.get(b"accept", b"*/*").decode("latin-1").lower()
        is_reading = scope["method"] in ("GET", "HEAD")
        if self._page is not None and is_reading and not scope["query_string"] and "text/html" in accepted:
            await _send(send, 200, "text/html; charset=utf-8", self._page)
            return
        context = self._make_context(scope)
        media_type = _media_type(accepted)
        try:
            if is_reading:
                operation = _from_url(scope["query_string"])
            else:
                _require_json(headers)
                operation = _from_body(await self._read_body(headers, receive))
            _require_acceptable(media_type)
            answer = await self._execute(operation, context, READING if is_reading else EVERYTHING)
        except NotWellFormed as fault:
            answer = Answer(fault.status, {"errors": [_error(fault.message, "request_invalid")]})
        status = answer.status
        if answer.is_request_error and media_type == RESPONSE:
            status = 400  # as plain JSON the same answer is 200 (draft, section 6.4)
        await _send(send, status, f"{media_type or JSON}; charset=utf-8", _encode(answer.body))

    async def _execute(self, operation: Operation, context: Context, allowed: frozenset[OperationType]) -> Answer:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                result = await self._schema.execute(
                    operation.query,
                    variable_values=operation.variables,
                    operation_name=operation.name,
                    context_value=context,
                    allowed_operation_types=allowed,
                )
        except TimeoutError:
            message = f"The operation took longer than {TIMEOUT_SECONDS:.0f} s. Ask for less at once."
            return Answer(503, {"errors": [_error(message, "timeout")]})
        except CannotGetOperationTypeError as fault:
            raise NotWellFormed(400, fault.as_http_error_reason()) from None
        except InvalidOperationTypeError:
            raise NotWellFormed(405, "Send this operation by POST.") from None
        return _answer(result, context.request_id)


def _answer(result: ExecutionResult, request_id: str) -> Answer:
    if not result.errors:
        return Answer(200, {"data": result.data})
    errors = [shown(error, request_id) for error in result.errors]
    if result.data is None and all(error.path is None for error in result.errors):
        return Answer(200, {"errors": errors}, is_request_error=True)
    return Answer(200, {"data": result.data, "errors": errors})


def _from_url(query_string: bytes) -> Operation:
    try:
        parameters = dict(parse_qsl(query_string.decode("ascii"), keep_blank_values=True, max_num_fields=16))
    except ValueError:
        raise NotWellFormed(400, "The query string cannot be read.") from None
    for name in ("variables", "extensions"):
        if parameters.get(name):
            parameters[name] = _json(parameters[name].encode())
        else:
            parameters.pop(name, None)
    return _operation({**parameters, "operationName": parameters.get("operationName") or None})


def _from_body(body: bytes) -> Operation:
    parameters = _json(body)
    if isinstance(parameters, list):
        raise NotWellFormed(400, "Send one operation a request: batches are not taken.")
    return _operation(parameters)


def _json(text: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise NotWellFormed(400, "The request is not JSON.") from None


def _operation(parameters: object) -> Operation:
    if not isinstance(parameters, dict):
        raise NotWellFormed(400, "The request must be a JSON object.")
    query, name = parameters.get("query"), parameters.get("operationName")
    if not isinstance(query, str) or not query:
        raise NotWellFormed(400, "`query` must be the text of a GraphQL document.")
    if not isinstance(name, str | None):
        raise NotWellFormed(400, "`operationName` must be text or null.")
    for key in ("variables", "extensions"):
        if not isinstance(parameters.get(key), dict | None):
            raise NotWellFormed(400, f"`{key}` must be an object or null.")
    return Operation(query, parameters.get("variables"), name)


def _require_json(headers: Headers) -> None:
    media_type, _, parameters = headers.get(b"content-type", b"").decode("latin-1").lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    if media_type.strip() != JSON or charset not in ("", "charset=utf-8"):
        raise NotWellFormed(415, f"Send {JSON} in UTF-8.")


def _require_acceptable(media_type: str | None) -> None:
    if media_type is None:
        raise NotWellFormed(406, f"Accept {RESPONSE} or {JSON}.")


def _media_type(accepted: str) -> str | None:
    """The media type to answer in: the caller's most wanted of the two; plain JSON where it has no preference."""
    wanted: list[tuple[Decimal, str]] = []
    for part in accepted.split(","):
        media_range, _, parameters = part.partition(";")
        chosen = {RESPONSE: RESPONSE, JSON: JSON, "application/*": JSON, "*/*": JSON, "": JSON}.get(media_range.strip())
        quality = parameters.replace(" ", "").removeprefix("charset=utf-8").lstrip(";")
        if chosen is not None and quality not in ("q=0", "q=0.0"):
            wanted.append((_quality(quality), chosen))
    return max(wanted, key=lambda one: one[0])[1] if wanted else None


def _quality(parameter: str) -> Decimal:
    """The weight of a media range, 1 where none is told (RFC 9110 section 12.4.2)."""
    digits = parameter.removeprefix("q=")
    return Decimal(digits) if digits.replace(".", "", 1).isdecimal() and len(digits) <= 5 else Decimal(1)


def _error(message: str, code: str) -> dict[str, Any]:
    return {"message": message, "extensions": {"code": code}}


async def _send(send: Send, status: int, media_type: str, body: bytes) -> None:
    lines = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
    if status == 405:
        lines.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
