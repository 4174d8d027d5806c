"""Cases as they are read: one with its findings and its story, the queue of those that wait, and what they come to."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Final, NamedTuple, Self, cast

import strawberry

from ledger.commands.cases import find_case
from ledger.domain import case_events, cases, reconciliation_facts
from ledger.domain.cases import quantity_gap, stream_of
from ledger.domain.refusals import ArgumentInvalid
from ledger.domain.sentences import sentence
from ledger.domain.topics import decode
from ledger.graphql.access import Needs
from ledger.graphql.adjustments import Adjustment, find_adjustments
from ledger.graphql.context import Context, Info
from ledger.graphql.fields import field
from ledger.graphql.log import Event, event
from ledger.graphql.money import Money
from ledger.graphql.nodes import Node
from ledger.graphql.pages import CountedConnection, Page, edges_of, position_of
from ledger.graphql.scalars import BigInt, Position
from ledger.graphql.sends import Send
from ledger.graphql.watermarks import Watermark
from ledger.projections import cases as model
from ledger.projections import sends

ENTRIES_MAX: Final = 1_000
CANDIDATES_MAX: Final = 20
FILTER_LENGTH_MAX: Final = 256


@strawberry.enum(description="What is compared: a QUANTITY or an AMOUNT; or what cannot be.")
class CaseSubject(Enum):
    """As `ledger.domain.reconciliation_facts.Subject`."""

    QUANTITY = "quantity"
    AMOUNT = "amount"
    UNBILLED_ACCOUNT = "unbilled_account"
    UNKNOWN_CUSTOMER = "unknown_customer"
    INEXPRESSIBLE_PRICE = "inexpressible_price"


@strawberry.enum(description="INVESTIGATING is open, and somebody's; SETTLED is once the numbers agree.")
class CaseState(Enum):
    """As `ledger.domain.cases.CaseState`."""

    OPEN = "open"
    INVESTIGATING = "investigating"
    RESOLVED = "resolved"
    SETTLED = "settled"


@strawberry.enum(description="What becomes of a difference. Those that accept leave the numbers apart; others act.")
class CaseChoice(Enum):
    """As `ledger.domain.case_events.CaseChoice`."""

    RESEND = "resend"
    CANCEL = "cancel"
    CREDIT = "credit"
    ADJUST_USAGE = "adjust_usage"
    ACCEPT_THEIRS = "accept_theirs"
    ACCEPT_OURS = "accept_ours"
    WRITE_OFF = "write_off"


@strawberry.enum(description="LARGEST is by currency, then by the money of the difference, whichever way it goes.")
class CaseOrder(Enum):
    """As `ledger.projections.cases.Order`."""

    OLDEST = "oldest"
    NEWEST = "newest"
    LARGEST = "largest"


@strawberry.type(description="One number that a finding rests on.")
class EvidenceNumber:
    """As the finding names it."""

    name: str
    value: str


@strawberry.type(description="A possible cause of a difference.")
class CaseFinding:
    """`share` is how much of the difference it explains: 1 is all of it. The events are candidates, not proof."""

    rank: int = strawberry.field(description="1 is the likeliest.")
    cause: str
    sentence: str
    share: Decimal
    is_exact: bool
    quantity: Decimal | None
    money: Money | None
    evidence: list[EvidenceNumber]
    positions: list[Position]

    @field("The first 20 of the events that it rests on.", needs=Needs("read_log"))
    async def events(self, info: Info) -> list[Event]:
        """Those that the key may see."""
        found = [await event(info.context, position) for position in self.positions[:CANDIDATES_MAX]]
        return [one for one in found if one is not None]

    @classmethod
    def of(cls, rank: int, one: reconciliation_facts.Finding) -> Self:
        """The finding as the API shows it."""
        return cls(
            rank=rank,
            cause=one.cause,
            sentence=one.sentence,
            share=one.share,
            is_exact=one.is_exact,
            quantity=one.quantity,
            money=None if one.money is None else Money.of(one.money),
            evidence=[EvidenceNumber(name=name, value=value) for name, value in one.evidence.items()],
            positions=[Position(position) for position in one.positions],
        )


@strawberry.type(description="What was decided on a case. What it brought about is as it stands now.")
class CaseResolution:
    """`positions` are those of usage that was sent again, or cancelled."""

    decision: CaseChoice
    reason: str
    comment: str
    resolved_by: str
    resolved_at: datetime
    positions: list[Position]
    account: strawberry.Private[str | None]
    platform: strawberry.Private[str]
    adjustment_key: str | None

    @field("The adjustment that it proposed.", needs=Needs("read_usage"))
    async def adjustment(self, info: Info) -> Adjustment | None:
        """As it stands now, null where it proposed none."""
        if self.account is None or self.adjustment_key is None:
            return None
        return next(iter(await find_adjustments(info.context, self.account, [self.adjustment_key])), None)

    @field(
        "The sends of the usage at its positions, in the order in which they were intended.", needs=Needs("read_usage")
    )
    async def sends(self, info: Info) -> list[Send]:
        """As the read model has them now."""
        rows = await sends.of_usage(info.context.pool, self.platform, self.positions) if self.positions else []
        return [Send.of(row) for row in rows]

    @classmethod
    def of(cls, one: case_events.CaseResolved, about: reconciliation_facts.Difference) -> Self:
        """The decision as the API shows it."""
        return cls(
            decision=CaseChoice(one.decision),
            reason=one.reason,
            comment=one.comment,
            resolved_by=one.resolved_by,
            resolved_at=one.resolved_at,
            positions=[] if one.action is None else [Position(at) for at in one.action.positions],
            account=about.account,
            platform=about.platform,
            adjustment_key=None if one.action is None else one.action.adjustment,
        )


@strawberry.type(description="One thing that happened to a case.")
class CaseEntry:
    """`topic` is the event's."""

    position: Position
    recorded_at: datetime
    topic: str
    sentence: str
    case_key: str


@strawberry.type(description="A difference to a billing platform, and the work on it: one for each subject, for ever.")
class Case(Node):
    """Numbers are ours less theirs, as the last run found them; of a SETTLED one, as they were before they agreed."""

    key: str
    state: CaseState
    platform: str
    subject: CaseSubject
    account_key: str | None = strawberry.field(description="Null for a customer that no account is.")
    customer: str | None = strawberry.field(description="The customer there.")
    meter_key: str | None
    start: datetime
    end: datetime
    ours: Decimal | None
    theirs: Decimal | None
    quantity: Decimal | None = strawberry.field(description="Ours less theirs.")
    money: Money | None = strawberry.field(description="What we would bill less what the platform does.")
    note: str
    minutes: list[datetime] = strawberry.field(description="In which the sums part, as far as they were found.")
    cause: str = strawberry.field(description="The likeliest, or unexplained.")
    findings: list[CaseFinding] = strawberry.field(description="Possible causes, the likeliest first.")
    run: str = strawberry.field(description="The run that told something new last.")
    opened_at: datetime
    seen_at: datetime = strawberry.field(description="When a run told something new last.")
    settled_at: datetime | None
    assignee: str | None
    reopenings: int
    comments: int
    resolution: CaseResolution | None
    until: strawberry.Private[int | None] = None

    @field("What happened to it, oldest first: the last entries.", needs=Needs("read_usage"))
    async def timeline(self, info: Info, last: int = 100) -> list[CaseEntry]:
        """At most 1,000."""
        return await timeline(info.context, self.key, last, self.until)

    def node_key(self) -> str:
        """Its own key."""
        return self.key

    @classmethod
    def of(cls, one: cases.Case, until: int | None = None) -> Self:
        """The case as the API shows it; with its story up to a position where one is given."""
        found = one.difference
        return cls(
            key=one.case,
            state=CaseState(one.state),
            platform=found.platform,
            subject=CaseSubject(found.subject),
            account_key=found.account,
            customer=found.customer,
            meter_key=found.meter,
            start=found.start,
            end=found.end,
            ours=found.ours,
            theirs=found.theirs,
            quantity=quantity_gap(found),
            money=None if found.money is None else Money.of(found.money),
            note=found.note,
            minutes=list(found.minutes),
            cause=one.cause,
            findings=[CaseFinding.of(rank, finding) for rank, finding in enumerate(found.findings, 1)],
            run=one.run,
            opened_at=one.opened_at,
            seen_at=one.seen_at,
            settled_at=one.settled_at,
            assignee=one.assignee,
            reopenings=one.reopenings,
            comments=one.comments,
            resolution=None if one.resolution is None else CaseResolution.of(one.resolution, found),
            until=until,
        )


@strawberry.type
class CaseConnection(CountedConnection[Case]):
    """Cases in the order that was asked for."""

    watermark: Watermark


@strawberry.input(description="Which cases to list; null is any.")
class CaseFilterInput:
    """`isUnassigned` leaves those that are nobody's."""

    account: str | None = strawberry.field(default=None, description="Its key or alias.")
    states: list[CaseState] | None = None
    platform: str | None = None
    cause: str | None = strawberry.field(default=None, description="The likeliest one, or unexplained.")
    assignee: str | None = strawberry.field(default=None, description="However the name is written.")
    is_unassigned: bool = False


class Listed(NamedTuple):
    """Which cases, and in which order."""

    filter: CaseFilterInput
    order: CaseOrder


async def case_page(context: Context, page: Page, wanted: Listed) -> CaseConnection:
    """A page of cases, forwards only; raises `ArgumentInvalid`, `AccountUnknown`, `OutOfScope`."""
    told = wanted.filter
    asked = model.CaseFilter(
        context.key.account if told.account is None else context.account(told.account).key,
        None if told.states is None else tuple(state.value for state in told.states),
        bounded("platform", told.platform),
        bounded("cause", told.cause),
        bounded("assignee", told.assignee),
        told.is_unassigned,
    )
    after = position_of("after", page.after)
    mark, rows, total = await model.cases(
        context.pool, asked, order=wanted.order.value, after=after, limit=page.limit + 1
    )
    places = {row.case.case: str(row.opened_position) for row in rows}
    edges, edge_info = edges_of(page, [Case.of(row.case) for row in rows], lambda one: places[one.key])
    return CaseConnection(edges=edges, page_info=edge_info, total_count=BigInt(total), watermark=Watermark.of(mark))


async def visible_case(context: Context, key: str) -> cases.Case | None:
    """The case with a key as the log has it now, where the API key may see it."""
    found = await find_case(context.log, key)
    return found if found is not None and context.key.account in (None, found.difference.account) else None


async def case_node(context: Context, key: str) -> Case | None:
    """The case with a key, null for what the API key may not see."""
    found = await visible_case(context, key)
    return None if found is None else Case.of(found)


async def timeline(context: Context, key: str, last: int, until: int | None) -> list[CaseEntry]:
    """The last entries of a case's story, up to a position where one is given; raises `ArgumentInvalid`."""
    if not 0 <= last <= ENTRIES_MAX:
        raise ArgumentInvalid(argument="last", why=f"it must be 0 to {ENTRIES_MAX}")
    stream = stream_of(key)
    assert stream is not None, "the case was found by its key"
    told = await context.log.stream(stream)
    positions = [one.position for one in told if until is None or one.position <= until]
    rows = await context.log.at(positions[-last:] if last else [])
    return [entry(row["position"], row["recorded_at"], row["topic"], row["state"]) for row in rows]


def entry(position: int, recorded_at: datetime, topic: str, state: str) -> CaseEntry:
    """An event of a case as its story tells it."""
    told = cast("case_events.CaseEvent", decode(topic, state))
    return CaseEntry(
        position=Position(position), recorded_at=recorded_at, topic=topic, sentence=sentence(told), case_key=told.case
    )


def bounded(argument: str, text: str | None) -> str | None:
    """A filter's text; raises `ArgumentInvalid`."""
    if text is not None and (len(text) > FILTER_LENGTH_MAX or "\0" in text):
        raise ArgumentInvalid(argument=argument, why=f"it is at most {FILTER_LENGTH_MAX} characters, none of them NUL")
    return text
