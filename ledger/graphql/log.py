"""The log itself: events as they were written, by account, topic, time and position."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Self

import asyncpg
import msgspec
import strawberry

from ledger.domain.refusals import ArgumentInvalid
from ledger.domain.topics import EVENTS
from ledger.domain.values import EPOCH
from ledger.graphql.access import Needs
from ledger.graphql.context import Context, Info
from ledger.graphql.fields import field
from ledger.graphql.nodes import Node
from ledger.graphql.pages import Connection, Page, edges_of, position_of
from ledger.graphql.scalars import JSON, SAFE_INTEGER_MAX, Position

ACCOUNTS_MAX: Final = 100
TOPICS: Final = frozenset(event.TOPIC for event in EVENTS)

_MICROSECOND: Final = timedelta(microseconds=1)


@strawberry.type(description="One event of the log. It never changes.")
class Event(Node):
    """`account_name` is a decision's account key, or the subject of usage as its source told it."""

    position: Position
    stream_id: strawberry.ID
    stream_version: int
    topic: str
    account_name: str | None
    occurred_at: datetime
    recorded_at: datetime
    state: JSON = strawberry.field(description="What happened, as it was written.")
    metadata: JSON = strawberry.field(description="Who wrote it and in answer to what.")

    @field("The event that put it right or took it out, null where it stands.", needs=Needs("read_log"))
    def superseded_by(self, info: Info) -> Position | None:
        """Of usage only."""
        settled_by = info.context.catalogue.superseded.get(self.position)
        return None if settled_by is None else Position(settled_by)

    def node_key(self) -> str:
        """Its position."""
        return str(self.position)

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """A row of the log; its JSON goes out as the bytes that came in."""
        return cls(
            position=row["position"],
            stream_id=strawberry.ID(str(row["originator_id"])),
            stream_version=row["originator_version"],
            topic=row["topic"],
            account_name=row["account"],
            occurred_at=row["occurred_at"],
            recorded_at=row["recorded_at"],
            state=JSON(msgspec.Raw(row["state"].encode())),
            metadata=JSON(msgspec.Raw(row["metadata"].encode())),
        )


@strawberry.type
class EventConnection(Connection[Event]):
    """Events in order of position. Their number is not told: counting would read them all."""


class EventRequest(NamedTuple):
    """Which events to show; all bounds must hold. Positions are exclusive, recorded times `[from, to)`."""

    accounts: Sequence[str] | None
    topics: Sequence[str] | None
    recorded_from: datetime | None
    recorded_to: datetime | None
    after_position: int | None
    before_position: int | None


async def event(context: Context, position: int) -> Event | None:
    """The event at a position, where the key may see it."""
    rows = await context.log.page(after=position - 1, before=position + 1, names=context.names(None), limit=1)
    return Event.of(rows[0]) if rows else None


async def events(context: Context, page: Page, request: EventRequest) -> EventConnection:
    """A page of the log; raises `ArgumentInvalid`, `AccountUnknown`, `OutOfScope`."""
    _check(request)
    after, before = await _bounds(context, page, request)
    rows = await context.log.page(
        after=after,
        before=before,
        names=context.names(request.accounts),
        topics=request.topics,
        limit=page.limit + 1,
        is_backwards=page.is_backwards,
    )
    edges, edge_info = edges_of(page, [Event.of(row) for row in rows], lambda one: str(one.position))
    return EventConnection(edges=edges, page_info=edge_info)


def _check(request: EventRequest) -> None:
    if len(request.accounts or ()) > ACCOUNTS_MAX:
        raise ArgumentInvalid(argument="accounts", why=f"it names at most {ACCOUNTS_MAX} accounts")
    if not TOPICS.issuperset(request.topics or ()):
        raise ArgumentInvalid(argument="topics", why=f"they must be some of {', '.join(sorted(TOPICS))}")


async def _bounds(context: Context, page: Page, request: EventRequest) -> tuple[int, int]:
    """The positions between which all bounds of the request and the page's cursors hold, both exclusive."""
    after, before = await positions_between(context, page, request.recorded_from, request.recorded_to)
    upper = SAFE_INTEGER_MAX if request.before_position is None else request.before_position
    return max(after, request.after_position or 0), min(before, upper)


async def positions_between(
    context: Context, page: Page, recorded_from: datetime | None, recorded_to: datetime | None
) -> tuple[int, int]:
    """The positions, exclusive, between which the page's cursors and `[from, to)` of recorded times hold."""
    lower = [0, position_of("after", page.after) or 0]
    upper = [position_of("before", page.before)]
    if recorded_from is not None:
        lower.append(await _position_before(context, recorded_from))
    if recorded_to is not None:
        upper.append(await _position_before(context, recorded_to) + 1)
    return max(lower), min((bound for bound in upper if bound is not None), default=SAFE_INTEGER_MAX)


async def _position_before(context: Context, instant: datetime) -> int:
    """The last position recorded before an instant."""
    return 0 if instant <= EPOCH else await context.log.position_at(instant - _MICROSECOND)
