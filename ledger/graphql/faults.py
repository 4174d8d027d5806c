"""Errors as the client may see them: rules and mistakes in full, everything else masked and logged once."""

from typing import Any, Final

import structlog
from graphql import GraphQLError

from ledger.domain.refusals import LedgerUnavailable, Refusal
from ledger.event_log import CONNECTION_LOST

MESSAGE_LENGTH_MAX: Final = 1_000
"""A message repeats what was sent; not all of it."""

_log = structlog.get_logger("graphql")


def shown(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """The error in the GraphQL response format, with a permanent `code` among its extensions."""
    cause = _cause(error)
    if isinstance(cause, CONNECTION_LOST):
        _log.warning("the database is not reachable", request=request_id, fault=repr(cause))
        cause = LedgerUnavailable(why=type(cause).__name__)
    formatted: dict[str, Any] = {**error.formatted, "message": error.message[:MESSAGE_LENGTH_MAX]}
    if cause is None:
        formatted["extensions"] = {"code": "query_invalid", **(error.extensions or {})}
    elif isinstance(cause, Refusal):
        formatted["message"] = cause.message
        formatted["extensions"] = {**cause.facts, "code": cause.code}
    else:
        _log.error("field failed", request=request_id, path=error.path, exc_info=cause)
        formatted["message"] = "Something went wrong on our side; it was logged under this request's id."
        formatted["extensions"] = {"code": "internal_error", "request": request_id}
    return formatted


def _cause(error: GraphQLError) -> Exception | None:
    """What a resolver raised; None where GraphQL itself found the fault, by an exception of its own or Python's."""
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    is_reading = error.path is None and isinstance(cause, ValueError | RecursionError)
    return None if is_reading else cause
