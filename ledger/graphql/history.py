"""What was decided, and what was tried: an account's history, and the trail of everybody's decisions."""

from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from typing import Any, Final, NamedTuple, Self

import asyncpg
import strawberry
from strawberry import relay

from ledger.domain.adjustment_events import AdjustmentProposed
from ledger.domain.audit_events import AttemptRefused, AttemptRepeated
from ledger.domain.closing_events import LateUsageAssessed, PeriodClosed
from ledger.domain.events import Event, UsageConflicted, UsageDismissed, UsageMended
from ledger.domain.metadata import Metadata, decode_metadata
from ledger.domain.refusals import ArgumentInvalid
from ledger.domain.sentences import sentence
from ledger.domain.topics import decode
from ledger.graphql.context import Context
from ledger.graphql.log import positions_between
from ledger.graphql.pages import Connection, Edge, Page, cursor, edges_of, position_of
from ledger.graphql.scalars import SAFE_INTEGER_MAX, Position
from ledger.log_trail import decisions, decisions_on

SCANNED_MAX: Final = 5_000
"""The most decisions that one page of the trail looks at, however few of them are asked for."""
FILTER_LENGTH_MAX: Final = 256
KEY: Final = "key:"


@strawberry.enum(
    description="What became of what somebody asked for: DONE, REFUSED, or REPEATED where it was so already."
)
class Outcome(Enum):
    """By the topic of the event."""

    DONE = "done"
    REFUSED = "refused"
    REPEATED = "repeated"


@strawberry.enum(description="What a link of the history leads to: an EVENT by its position, the others by their keys.")
class LinkKind(Enum):
    """What is named in an event's content."""

    EVENT = "event"
    ADJUSTMENT = "adjustment"
    CASE = "case"
    INVOICE = "invoice"
    PERIOD = "period"


@strawberry.type(description="What an event of the history refers to.")
class HistoryLink:
    """`reference` is a position, the key of an adjustment, case or invoice, or the start of a period."""

    kind: LinkKind
    reference: str


@strawberry.type(description="Who asked for something, from where, and as what.")
class Author:
    """`actor` is "key:" with the key's id, "cli", "import" or "worker". What the log does not tell is null."""

    actor: str
    person: str | None = strawberry.field(description="Who holds the key, or was logged in at the command line.")
    key_name: str | None = strawberry.field(description="The key's name; null once it is revoked.")
    role: str | None = strawberry.field(description="The role of the key that granted the right.")
    source: str | None = strawberry.field(description="graphql, cli, import or worker; null for POST /v1/usage.")


@strawberry.type(description="One thing that was decided, tried, or told.")
class HistoryEntry:
    """`sentence` is for people; its words may change. The event itself, at `position`, never does."""

    position: Position
    recorded_at: datetime
    topic: str
    account_name: str | None
    outcome: Outcome
    sentence: str
    author: Author
    operation: str | None = strawberry.field(description="The mutation's, command's or job's name.")
    request_id: str | None
    caused_by: Position | None = strawberry.field(description="The position of what caused it.")
    reason: str | None
    note: str | None
    links: list[HistoryLink]

    @classmethod
    def of(cls, context: Context, row: asyncpg.Record) -> Self:
        """The entry that a row of the log is."""
        event = decode(row["topic"], row["state"])
        told = decode_metadata(row["metadata"])
        content: Any = event.adjustment if isinstance(event, AdjustmentProposed) else event
        return cls(
            position=Position(row["position"]),
            recorded_at=row["recorded_at"],
            topic=row["topic"],
            account_name=row["account"],
            outcome=_outcome(event),
            sentence=sentence(event),
            author=_author(context, told),
            operation=told.operation,
            request_id=told.request,
            caused_by=None if told.causation is None else Position(told.causation),
            reason=event.code if isinstance(event, AttemptRefused) else getattr(content, "reason", None) or None,
            note=getattr(content, "note", None) or None,
            links=list(_links(event)),
        )


@strawberry.type
class HistoryConnection(Connection[HistoryEntry]):
    """Entries in order of position; a page of the trail may be short, or empty, and others follow it."""


class TrailRequest(NamedTuple):
    """Which decisions; None is any. Recorded times are `[from, to)`."""

    actor: str | None
    operation: str | None
    outcome: Outcome | None
    recorded_from: datetime | None
    recorded_to: datetime | None


async def account_history(context: Context, account: str, page: Page, *, includes_usage: bool) -> HistoryConnection:
    """A page of what was decided on an account, or tried; raises `ArgumentInvalid`, `OutOfScope`."""
    owner = context.account(account)
    names = [owner.key, *owner.aliases]
    after = position_of("after", page.after) or 0
    before = position_of("before", page.before) or SAFE_INTEGER_MAX
    limit, is_backwards = page.limit + 1, page.is_backwards
    if includes_usage:
        rows = await context.log.page(after=after, before=before, names=names, limit=limit, is_backwards=is_backwards)
    else:
        rows = await decisions_on(
            context.pool, names, after=after, before=before, limit=limit, is_backwards=is_backwards
        )
    edges, edge_info = edges_of(page, [HistoryEntry.of(context, row) for row in rows], lambda one: str(one.position))
    return HistoryConnection(edges=edges, page_info=edge_info)


async def trail(context: Context, page: Page, request: TrailRequest) -> HistoryConnection:
    """A page of everybody's decisions and attempts, of as many as it may look at; raises `ArgumentInvalid`."""
    for argument, text in (("actor", request.actor), ("operation", request.operation)):
        if text is not None and len(text) > FILTER_LENGTH_MAX:
            raise ArgumentInvalid(argument=argument, why=f"it is at most {FILTER_LENGTH_MAX} characters")
    after, before = await positions_between(context, page, request.recorded_from, request.recorded_to)
    rows = await decisions(
        context.pool, after=after, before=before, limit=SCANNED_MAX + 1, is_backwards=page.is_backwards
    )
    scanned = rows[:SCANNED_MAX]
    found = [row for row in scanned if _is_asked_for(row, request)]
    is_more = len(rows) > SCANNED_MAX or len(found) > page.limit
    shown = found[: page.limit]
    last = shown[-1] if len(found) > page.limit and shown else (scanned[-1] if scanned else None)
    reached = None if last is None else cursor(str(last["position"]))
    edges = [Edge(cursor=cursor(str(row["position"])), node=HistoryEntry.of(context, row)) for row in shown]
    if page.is_backwards:
        edges.reverse()
    first = edges[0].cursor if edges else reached
    edge_info = relay.PageInfo(
        has_next_page=page.before is not None if page.is_backwards else is_more,
        has_previous_page=is_more if page.is_backwards else page.after is not None,
        start_cursor=reached if page.is_backwards else first,
        end_cursor=(edges[-1].cursor if edges else reached) if page.is_backwards else reached,
    )
    return HistoryConnection(edges=edges, page_info=edge_info)


def _is_asked_for(row: asyncpg.Record, request: TrailRequest) -> bool:
    told = decode_metadata(row["metadata"])
    attempted = {AttemptRefused.TOPIC: Outcome.REFUSED, AttemptRepeated.TOPIC: Outcome.REPEATED}
    return (
        request.actor in (None, told.actor, told.person)
        and request.operation in (None, told.operation)
        and request.outcome in (None, attempted.get(row["topic"], Outcome.DONE))
    )


def _outcome(event: Event) -> Outcome:
    match event:
        case AttemptRefused():
            return Outcome.REFUSED
        case AttemptRepeated():
            return Outcome.REPEATED
        case _:
            return Outcome.DONE


def _author(context: Context, told: Metadata) -> Author:
    key = context.catalogue.keys.get(told.actor.removeprefix(KEY)) if told.actor.startswith(KEY) else None
    return Author(
        actor=told.actor,
        person=told.person,
        key_name=None if key is None else key.name,
        role=told.role,
        source=told.source,
    )


def _links(event: Event) -> Iterator[HistoryLink]:
    """What the event's content names."""
    match event:
        case UsageMended() | UsageDismissed():
            yield from (HistoryLink(kind=LinkKind.EVENT, reference=str(position)) for position in event.supersedes)
        case UsageConflicted():
            yield HistoryLink(kind=LinkKind.EVENT, reference=str(event.first_position))
        case AttemptRepeated(position=int() as position):
            yield HistoryLink(kind=LinkKind.EVENT, reference=str(position))
        case AdjustmentProposed():
            told = event.adjustment
            yield HistoryLink(kind=LinkKind.ADJUSTMENT, reference=told.adjustment)
            if told.reverses is not None:
                yield HistoryLink(kind=LinkKind.ADJUSTMENT, reference=told.reverses)
            yield from (HistoryLink(kind=LinkKind(one.kind), reference=one.reference) for one in told.evidence)
        case PeriodClosed() | LateUsageAssessed():
            yield HistoryLink(kind=LinkKind.PERIOD, reference=event.start.isoformat().replace("+00:00", "Z"))
            yield HistoryLink(kind=LinkKind.EVENT, reference=str(event.position))
            if isinstance(event, LateUsageAssessed) and event.adjustment is not None:
                yield HistoryLink(kind=LinkKind.ADJUSTMENT, reference=event.adjustment)
        case _:
            adjustment = getattr(event, "adjustment", None)
            if isinstance(adjustment, str):
                yield HistoryLink(kind=LinkKind.ADJUSTMENT, reference=adjustment)
