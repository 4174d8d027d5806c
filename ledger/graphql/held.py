"""Held usage: events in the log that do not count (yet), and why."""

from datetime import datetime
from typing import Final, NamedTuple, Self

import strawberry

from ledger.domain.mending import MendUsage
from ledger.domain.refusals import ArgumentInvalid, OutOfScope
from ledger.domain.usage import PROPERTIES_MAX
from ledger.graphql.context import Context
from ledger.graphql.pages import CountedConnection, Page, edges_of, position_of
from ledger.graphql.scalars import JSON, BigInt, Position
from ledger.graphql.watermarks import Watermark
from ledger.projections.held import HeldRow, held

NOTE_LENGTH_MAX: Final = 2_000


@strawberry.type(description="A usage event that does not count, at least not in some meters.")
class HeldUsage:
    """It counts from its own time on as soon as nothing holds it, or once a person mends it.

    `code` is permanent, e.g. account_unknown; `meters` are those that cannot take it, empty where none of all can.
    """

    position: Position
    code: str
    message: str
    meters: list[str]
    subject: str
    account_key: str | None
    event_type: str
    source: str
    event_id: str
    occurred_at: datetime
    recorded_at: datetime

    @classmethod
    def of(cls, row: HeldRow) -> Self:
        """The event as the read model has it."""
        facts = row._asdict()
        account_key = facts.pop("account")
        return cls(**{**facts, "meters": list(row.meters)}, account_key=account_key)


@strawberry.type
class HeldUsageConnection(CountedConnection[HeldUsage]):
    """Held events in order of position."""

    watermark: Watermark


@strawberry.input(description="What to put in place of an event's own; null keeps it.")
class UsageCorrection:
    """`properties` replace the event's properties as a whole."""

    subject: str | None = None
    event_type: str | None = None
    time: datetime | None = None
    properties: JSON | None = None

    def command(self, position: int, reason: str, note: str) -> MendUsage:
        """The command on the event at a position; raises `ArgumentInvalid`."""
        properties = self.properties
        if properties is not None and not (isinstance(properties, dict) and len(properties) <= PROPERTIES_MAX):
            raise ArgumentInvalid(argument="properties", why=f"it is an object of at most {PROPERTIES_MAX} properties")
        return MendUsage(
            position=position,
            reason=reason,
            note=bounded(note),
            subject=self.subject,
            event_type=self.event_type,
            time=self.time,
            properties=properties,
        )


class HeldRequest(NamedTuple):
    """Which held events to show: of an account (key or alias), of a code; None is all."""

    account: str | None
    code: str | None


async def held_usage(context: Context, page: Page, request: HeldRequest) -> HeldUsageConnection:
    """A page of held events, forwards only; raises `ArgumentInvalid`, `AccountUnknown`, `OutOfScope`."""
    if request.code is not None and "\0" in request.code:
        raise ArgumentInvalid(argument="code", why="it has a NUL character")
    names = context.names(None if request.account is None else [request.account])
    after = position_of("after", page.after) or 0
    mark, rows, total = await held(
        context.pool, after=after, limit=page.limit + 1, account_names=names, code=request.code
    )
    edges, edge_info = edges_of(page, [HeldUsage.of(row) for row in rows], lambda one: str(one.position))
    return HeldUsageConnection(
        edges=edges, page_info=edge_info, total_count=BigInt(total), watermark=Watermark.of(mark)
    )


def bounded(note: str) -> str:
    """The note; raises `ArgumentInvalid` where it is too long to keep."""
    if len(note) > NOTE_LENGTH_MAX:
        raise ArgumentInvalid(argument="note", why=f"it has more than {NOTE_LENGTH_MAX} characters")
    return note


async def require_own(context: Context, position: int, *, subject: str | None) -> None:
    """Raise `OutOfScope` where the key is bound to an account and the event, or its new subject, is not that one's."""
    names = context.names(None)
    if names is None:
        return
    rows = await context.log.page(after=position - 1, before=position + 1, names=names, limit=1)
    if not rows or (subject is not None and subject not in names):
        raise OutOfScope
