"""The trail of mutations: each leaves exactly one trace in the log, whatever becomes of it.

What it changed is its trace: the events that bear its request and its name. What it was refused is one
`AttemptRefused`, what was so already is one `AttemptRepeated`. No resolver does any of it.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
from strawberry.extensions import FieldExtension
from strawberry.types.field import StrawberryField

from ledger.domain.access import granting
from ledger.domain.audit_events import AttemptRefused, AttemptRepeated
from ledger.domain.metadata import Metadata
from ledger.domain.refusals import LedgerBusy, LedgerUnavailable, Refusal
from ledger.event_log import CONNECTION_LOST
from ledger.graphql.access import Needs
from ledger.graphql.context import Context, Info
from ledger.graphql.recording import Receipt
from ledger.log_trail import trace_after

MESSAGE_LENGTH_MAX: Final = 500
PATH_LENGTH_MAX: Final = 64
UNTRIED: Final = (LedgerBusy, LedgerUnavailable)
"""Refusals that say nothing of who asks, at a time when the log takes nothing."""

Type = TypeVar("Type")


class LeavesTrace(FieldExtension):
    """Gives a mutation's events their metadata, and keeps what it tried where it wrote none."""

    def __init__(self) -> None:
        self._right: str | None = None

    def apply(self, field: StrawberryField) -> None:
        """Learn the right that the field needs, which tells the role of who uses it."""
        self._right = next((one.right for one in field.extensions if isinstance(one, Needs)), None)

    async def resolve_async(
        self,
        next_: Callable[..., Awaitable[Any]],
        source: object,
        info: Info,
        **kwargs: Any,  # noqa: ANN401 - whatever arguments the field has
    ) -> object:
        """Carry the mutation out, then see to its trace; raises what it raises."""
        context = info.context
        context.metadata = self._metadata(info)
        before = await _head(context)
        try:
            result = await next_(source, info, **kwargs)
        except Refusal as refusal:
            if not isinstance(refusal, UNTRIED):
                account = await _account(context, kwargs)
                await _keep(context, _refused(context.metadata, refusal.code, refusal.message, account), account)
            raise
        await _see_to_trace(context, result, before, kwargs)
        return result

    def _metadata(self, info: Info) -> Metadata:
        """As the request's, with the mutation's name; and with its path where two of a request must be told apart."""
        path = str(info.path.key)
        return msgspec.structs.replace(
            info.context.metadata,
            operation=info.field_name,
            path=None if path == info.field_name else path[:PATH_LENGTH_MAX],
            role=None if self._right is None else granting(info.context.key, self._right),
        )


def leaving_traces(mutation: type[Type]) -> type[Type]:
    """Lets every field of a GraphQL type leave its trace, around all that the field does."""
    fields: list[StrawberryField] = mutation.__strawberry_definition__.fields  # type: ignore[attr-defined]
    for field in fields:
        if not any(isinstance(one, LeavesTrace) for one in field.extensions):
            field.extensions = [*field.extensions, LeavesTrace()]
    return mutation


async def _head(context: Context) -> int:
    """Where the log ends; where it cannot be asked, the last position that is known, and the mutation finds out."""
    try:
        return (await context.log.head()).position
    except CONNECTION_LOST:
        return context.catalogue.position


async def _see_to_trace(context: Context, result: object, before: int, kwargs: dict[str, Any]) -> None:
    """Keep the attempt of a mutation that wrote nothing."""
    metadata = context.metadata
    if isinstance(result, Receipt):
        is_traced = result.stored > 0
    else:
        is_traced = await trace_after(context.pool, before, metadata.encode()) is not None
    if is_traced:
        return
    account = await _account(context, kwargs)
    refused = result.refused_wholly() if isinstance(result, Receipt) else None
    if refused is not None:
        await _keep(context, _refused(metadata, refused.code or "", refused.message or "", account), account)
        return
    position: int = getattr(result, "position", 0)
    attempt = AttemptRepeated(operation=metadata.operation or "", position=position or None, account=account)
    await _keep(context, attempt, account)


def _refused(metadata: Metadata, code: str, message: str, account: str | None) -> AttemptRefused:
    return AttemptRefused(
        operation=metadata.operation or "", code=code, message=message[:MESSAGE_LENGTH_MAX], account=account
    )


async def _keep(context: Context, attempt: AttemptRefused | AttemptRepeated, account: str | None) -> None:
    await context.attempts.keep(
        attempt, key_id=context.key.key_id, account=account, now=datetime.now(UTC), metadata=context.metadata
    )


async def _account(context: Context, kwargs: dict[str, Any]) -> str | None:
    """The key of the account that a mutation is about: by its argument, by the event it names, or as the key is bound.

    None where there is no such account: a text is not taken for one.
    """
    name = kwargs.get("account")
    position = kwargs.get("position")
    if not isinstance(name, str) and isinstance(position, int):
        try:
            rows = await context.log.at([position])
        except CONNECTION_LOST:
            rows = []
        name = rows[0]["account"] if rows else None
    found = context.catalogue.account_of(name) if isinstance(name, str) else None
    return context.key.account if found is None else found.key
