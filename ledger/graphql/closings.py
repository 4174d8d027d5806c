"""Closed billing periods: what was billed, and everything that came later."""

from datetime import UTC, datetime
from typing import Annotated, Final, Self, cast

import msgspec
import strawberry
from strawberry import relay

from ledger.commands.closings import AssessLateUsage, ClosePeriods, assess_late_usage, close_periods
from ledger.domain.adjustment_events import Adjustment
from ledger.domain.adjustments import Adjustments, signed
from ledger.domain.closing_events import InvoiceClosed, LateUsageAssessed
from ledger.domain.closing_refusals import (
    InvoiceTooLong,
    MeterBeingComputed,
    PeriodNotClosed,
    PeriodNotEnded,
    PeriodOutOfOrder,
    PeriodsAllClosed,
)
from ledger.domain.closings import Closed, balance, closed_at, notes
from ledger.domain.events import UsageDismissed, UsageMended
from ledger.domain.topics import decode
from ledger.graphql.access import Needs
from ledger.graphql.context import Context, Info
from ledger.graphql.contract_inputs import billable
from ledger.graphql.conventions import LateAction
from ledger.graphql.fields import field
from ledger.graphql.invoices import PROJECTING, Invoice, line_of, shown
from ledger.graphql.lines import InvoiceLine, LineKey, Place
from ledger.graphql.money import Money
from ledger.graphql.nodes import Node
from ledger.graphql.pages import (
    EVENTS_PAGE_MAX,
    Connection,
    CountedConnection,
    Edge,
    Page,
    cursor,
    edges_of,
    page,
    position_of,
)
from ledger.graphql.refusals import COMMON
from ledger.graphql.scalars import BigInt, Position
from ledger.graphql.watermarks import Watermark
from ledger.projections import late_usage, watermark
from ledger.projections.ratings import Ratings

RATING: Final = (*PROJECTING, MeterBeingComputed)
"""What the rating of a whole period may be refused for."""


@strawberry.type(description="A closed period, rated anew: the whole of it, never what came late alone.")
class LateAssessment:
    """`difference` is to what it came to before, at its closing or at the assessment before this one."""

    position: Position = strawberry.field(description="Up to where the log was looked at.")
    rated: Money
    difference: Money
    action: LateAction
    adjustment_key: str | None = strawberry.field(description="The adjustment that was proposed for the difference.")

    @classmethod
    def of(cls, late: LateUsageAssessed) -> Self:
        """The assessment as the API shows it."""
        return cls(
            position=Position(late.position),
            rated=Money.of(late.rated),
            difference=Money.of(late.difference),
            action=LateAction(late.action),
            adjustment_key=late.adjustment,
        )


@strawberry.type(description="A credit or debit on a closed invoice: an adjustment approved after it was closed.")
class InvoiceNote:
    """`money` is below zero in the customer's favour."""

    adjustment_key: str
    kind: str
    at: datetime
    reason: str
    note: str
    money: Money

    @classmethod
    def of(cls, adjustment: Adjustment) -> Self:
        """The note as the API shows it."""
        return cls(
            adjustment_key=adjustment.adjustment,
            kind=adjustment.kind,
            at=adjustment.at,
            reason=adjustment.reason,
            note=adjustment.note,
            money=Money.of(signed(adjustment)),
        )


@strawberry.type(description="Usage of a closed period that was told, or put right, after it was billed.")
class LateEvent:
    """A dismissal has no content of its own; `supersedes` are the events whose place it, or a mending, takes."""

    position: Position
    topic: str
    recorded_at: datetime
    time: datetime | None
    source: str | None
    event_id: str | None
    event_type: str | None
    subject: str | None
    supersedes: list[Position]

    @classmethod
    def of(cls, late: late_usage.LateEvent) -> Self:
        """The event as the API shows it."""
        event = late.event
        told = None if isinstance(event, UsageDismissed) else event
        superseded = event.supersedes if isinstance(event, UsageMended | UsageDismissed) else ()
        return cls(
            position=Position(late.position),
            topic=event.TOPIC,
            recorded_at=late.recorded_at,
            time=None if told is None else told.time,
            source=None if told is None else told.source,
            event_id=None if told is None else told.id,
            event_type=None if told is None else told.type,
            subject=None if told is None else told.subject,
            supersedes=[Position(position) for position in superseded],
        )


@strawberry.type
class LateEventConnection(Connection[LateEvent]):
    """Events in order of position. Where few are of the period, a page may be empty and others follow it."""

    watermark: Watermark


@strawberry.type(description="A billing period that was closed. What it was closed with never changes.")
class ClosedPeriod(Node):
    """`[start, end)` is what was billed: the period, or what the contract had of it."""

    account_key: str
    start: datetime
    end: datetime
    position: Position = strawberry.field(description="The last of the log that was billed; what came later is late.")
    closed_position: Position = strawberry.field(description="Where the log says that it was closed.")
    closed_by: str
    rated: Money = strawberry.field(description="What its lines came to, without adjustments in money.")
    adjusted: Money = strawberry.field(description="What adjustments in money came to.")
    total: Money = strawberry.field(description="What was left to pay after credit.")
    rated_since: Money = strawberry.field(description="What its lines come to by the latest assessment.")
    assessments: list[LateAssessment] = strawberry.field(description="Of late usage, in order.")
    notes: list[InvoiceNote] = strawberry.field(description="Adjustments in money approved since.")
    balance: Money = strawberry.field(description="The total with all notes.")
    closed: strawberry.Private[Closed]

    def node_key(self) -> str:
        """The account and the start."""
        return msgspec.json.encode((self.account_key, self.start)).decode()

    @field("The invoice as it was closed, read from the log.", needs=Needs("read_usage"))
    async def invoice(self, info: Info) -> Invoice:
        """Its watermark is the position that it was rated at."""
        return await _invoice(info.context, self.closed)

    @field("Usage of the period that was told, or put right, after it was billed.", needs=Needs("read_usage"))
    async def late_usage(self, info: Info, first: int | None = None, after: str | None = None) -> LateEventConnection:
        """At most 1,000 a page, in order of position."""
        wanted = page(first=first, after=after, last=None, before=None, limit_max=EVENTS_PAGE_MAX)
        return await _late_usage(info.context, self.closed, wanted)

    @classmethod
    def of(cls, context: Context, closed: Closed, known: Adjustments | None = None) -> Self:
        """The period as the API shows it, by the adjustments that are known: today's where none are given."""
        event = closed.event
        adjustments = context.catalogue.adjustments.get(event.account, {}) if known is None else known
        return cls(
            account_key=event.account,
            start=event.start,
            end=event.end,
            position=Position(event.position),
            closed_position=Position(closed.at_position),
            closed_by=event.closed_by,
            rated=Money.of(event.rated),
            adjusted=Money.of(event.adjusted),
            total=Money.of(event.total),
            rated_since=Money.of(closed.rated),
            assessments=[LateAssessment.of(late) for late in closed.late],
            notes=[InvoiceNote.of(note) for note in notes(closed, adjustments)],
            balance=Money.of(balance(closed, adjustments)),
            closed=closed,
        )


@strawberry.type
class ClosedPeriodConnection(CountedConnection[ClosedPeriod]):
    """Closed periods in order of start."""


@strawberry.type(description="What `closePeriods` closed.")
class PeriodsClosed:
    """`position` is of the last closing up to the moment asked for, whoever made it."""

    position: Position
    closed: list[ClosedPeriod] = strawberry.field(description="The periods closed now, in order.")
    is_more: bool = strawberry.field(description="More periods are due: ask again.")


@strawberry.type(description="What late usage of a closed period comes to.")
class LateUsageSettled:
    """`position` is of the assessment, or of the last decision on the period where nothing differs."""

    position: Position
    assessment: LateAssessment | None = strawberry.field(description="Null where nothing differs.")
    period: ClosedPeriod


@strawberry.type
class ClosingMutation:
    """The part of the mutations that is about closed periods."""

    @field(
        "Close the billing periods of an account that have ended by a moment, in order.",
        needs=Needs("close_periods", account="account"),
        refuses=(PeriodNotEnded, PeriodOutOfOrder, PeriodsAllClosed, InvoiceTooLong, *RATING, *COMMON),
    )
    async def close_periods(self, info: Info, account: str, until: datetime) -> PeriodsClosed:
        """At most 24 at once. Asked again it answers the same and closes nothing twice."""
        context = info.context
        await context.follower.refresh()
        now = datetime.now(UTC)
        command = ClosePeriods(account, billable("until", until), context.metadata.actor)
        rate = Ratings(context.pool, context.log, now=now).rate
        done = await close_periods(context.log, context.catalogue, rate, command, now=now, metadata=context.metadata)
        await context.follower.refresh()
        state = context.catalogue.closings[account]
        closed = [ClosedPeriod.of(context, state[start]) for start in done.starts]
        return PeriodsClosed(position=Position(done.position), closed=closed, is_more=done.is_more)

    @field(
        "Rate a closed period anew and propose what its contract wants done with the difference.",
        needs=Needs("close_periods", account="account"),
        refuses=(PeriodNotClosed, *RATING, *COMMON),
    )
    async def assess_late_usage(
        self,
        info: Info,
        account: str,
        start: Annotated[datetime, strawberry.argument(description="When the closed period begins.")],
    ) -> LateUsageSettled:
        """Where nothing differs, nothing is written."""
        context = info.context
        await context.follower.refresh()
        now = datetime.now(UTC)
        rate = Ratings(context.pool, context.log, now=now).rate
        command = AssessLateUsage(account, start)
        found = await assess_late_usage(
            context.log, context.catalogue, rate, command, now=now, metadata=context.metadata
        )
        await context.follower.refresh()
        late = found.assessment
        return LateUsageSettled(
            position=Position(found.position),
            assessment=None if late is None else LateAssessment.of(late),
            period=ClosedPeriod.of(context, context.catalogue.closings[account][start]),
        )


async def closed_periods(context: Context, account: str, page: Page) -> ClosedPeriodConnection:
    """A page of an account's closed periods; raises `ArgumentInvalid`."""
    await context.follower.refresh()
    state = context.catalogue.closings.get(account, {})
    keys = {_key(closed): closed for _, closed in sorted(state.items())}
    chosen = [
        closed
        for key, closed in keys.items()
        if (page.after is None or key > page.after) and (page.before is None or key < page.before)
    ]
    if page.is_backwards:
        chosen.reverse()
    found = [ClosedPeriod.of(context, closed) for closed in chosen[: page.limit + 1]]
    edges, edge_info = edges_of(page, found, lambda one: _key(one.closed))
    return ClosedPeriodConnection(edges=edges, page_info=edge_info, total_count=BigInt(len(keys)))


async def closed_period(context: Context, account: str, at: datetime) -> ClosedPeriod | None:
    """The closed period that a moment is in."""
    await context.follower.refresh()
    closed = closed_at(context.catalogue.closings.get(account, {}), at)
    return None if closed is None else ClosedPeriod.of(context, closed)


async def closed_period_node(context: Context, key: str) -> ClosedPeriod | None:
    """The closed period with a node's key, where the key may see it."""
    try:
        account, start = msgspec.json.decode(key, type=tuple[str, Annotated[datetime, msgspec.Meta(tz=True)]])
    except (msgspec.MsgspecError, ValueError):
        return None
    if context.key.account not in (None, account):
        return None
    await context.follower.refresh()
    closed = context.catalogue.closings.get(account, {}).get(start)
    return None if closed is None else ClosedPeriod.of(context, closed)


async def closed_line(context: Context, key: LineKey) -> InvoiceLine | None:
    """The line with a key on the invoice of a closed period; None where there is none."""
    await context.follower.refresh()
    closed = context.catalogue.closings.get(key.account, {}).get(key.instant)
    return None if closed is None else line_of(await _invoice(context, closed), key)


def _key(closed: Closed) -> str:
    """What orders closed periods in time, as a cursor's text."""
    return closed.event.start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def _invoice(context: Context, closed: Closed) -> Invoice:
    rows = {row["position"]: row for row in await context.log.at([closed.event.position, closed.at_position + 1])}
    row = rows[closed.at_position + 1]
    found = cast("InvoiceClosed", decode(row["topic"], row["state"])).invoice
    billed = rows.get(closed.event.position)
    mark = watermark.Watermark(closed.event.position, None if billed is None else billed["recorded_at"], 0)
    account = context.catalogue.accounts[closed.event.account]
    return shown(found, Place(account, closed.event.start, None, None, is_closed=True), Watermark.of(mark))


async def _late_usage(context: Context, closed: Closed, page: Page) -> LateEventConnection:
    account = context.catalogue.accounts[closed.event.account]
    head = await context.log.head()
    after = max(closed.event.position, position_of("after", page.after) or 0)
    found = await late_usage.late_events(
        context.log, account, closed.period, after=after, up_to=head.position, limit=page.limit
    )
    edges = [Edge(cursor=cursor(str(one.position)), node=LateEvent.of(one)) for one in found.events]
    edge_info = relay.PageInfo(
        has_next_page=found.is_more,
        has_previous_page=page.after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=cursor(str(found.looked_at)) if edges or found.is_more else None,
    )
    mark = watermark.Watermark(head.position, head.recorded_at, 0)
    return LateEventConnection(edges=edges, page_info=edge_info, watermark=Watermark.of(mark))
