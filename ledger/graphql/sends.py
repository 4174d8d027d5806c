"""What billing platforms are told of usage: each send as it stands, and what a person may ask of them."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Final, NamedTuple, Self

import strawberry

from ledger.commands import sending
from ledger.commands.sends import map_meter, stop_sending
from ledger.domain.names import require_name
from ledger.domain.refusals import AccountUnknown, ArgumentInvalid, MeterUnknown, NameInvalid, UsageUnknown
from ledger.domain.send_events import MeterMapped, SendingStopped
from ledger.domain.send_refusals import (
    CustomerUnclear,
    DeadLetterUnknown,
    QueueUnavailable,
    SendingOff,
    SendingOnAlready,
    SendNotCancellable,
    SendNotRepeatable,
    SendUnknown,
)
from ledger.domain.sends import Told
from ledger.graphql import dead_letters
from ledger.graphql.access import Needs
from ledger.graphql.context import Context, Info
from ledger.graphql.dead_letters import Redriven
from ledger.graphql.fields import field
from ledger.graphql.held import require_own
from ledger.graphql.pages import Connection, Page, edges_of
from ledger.graphql.refusals import COMMON
from ledger.graphql.scalars import Position
from ledger.graphql.watermarks import Watermark
from ledger.projections import sends as rows
from ledger.projections.sends_fold import NAME, catch_up
from ledger.projections.watermark import watermark

STRIPE: Final = "stripe"


@strawberry.enum(description="How a send stands. DELIVERED_BEFORE counts like ACCEPTED: only the answer came late.")
class SendState(Enum):
    """As `ledger.domain.sends.SendState`."""

    INTENDED = "intended"
    ACCEPTED = "accepted"
    DELIVERED_BEFORE = "delivered_before"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


@strawberry.enum(
    description="How the cancel of a send stands. NEEDLESS: it never counted. UNDONE: another send takes its value "
    "back. IMPOSSIBLE: it counts there for good, and a person has to see to it."
)
class CancelState(Enum):
    """As `ledger.domain.sends.CancelState`."""

    INTENDED = "intended"
    UNKNOWN = "unknown"
    DONE = "done"
    NEEDLESS = "needless"
    UNDONE = "undone"
    IMPOSSIBLE = "impossible"


@strawberry.type(description="Usage as a platform's meter was told it.")
class Send:
    """`usage_position` is the usage event or the adjustment that it tells, or what voids what it undoes."""

    identifier: strawberry.ID
    usage_position: Position
    meter_key: str
    customer: str
    event_type: str
    value: Decimal
    timestamp: datetime
    state: SendState
    code: str | None
    message: str | None
    attempts: int
    intended_at: datetime
    settled_at: datetime | None
    cancel: CancelState | None
    repeats: strawberry.ID | None
    undoes: strawberry.ID | None

    @classmethod
    def of(cls, row: rows.SendRow) -> Self:
        """The send as the read model has it."""
        told, send = row.told, row.told.send
        return cls(
            identifier=strawberry.ID(send.identifier),
            usage_position=Position(send.position),
            meter_key=send.meter,
            customer=send.customer,
            event_type=send.event_type,
            value=send.value,
            timestamp=send.timestamp,
            state=SendState(told.state),
            code=told.code,
            message=row.message,
            attempts=told.attempts,
            intended_at=row.intended_at,
            settled_at=told.settled_at,
            cancel=None if told.cancel is None else CancelState(told.cancel),
            repeats=None if send.repeats is None else strawberry.ID(send.repeats),
            undoes=None if send.undoes is None else strawberry.ID(send.undoes),
        )


@strawberry.type
class SendConnection(Connection[Send]):
    """Sends in the order in which they were intended."""

    watermark: Watermark


class SendRequest(NamedTuple):
    """Which sends to show: of an account (key or alias), that stand so; None is any."""

    account: str
    state: SendState | None
    cancel: CancelState | None


async def sends(context: Context, page: Page, request: SendRequest) -> SendConnection:
    """A page of sends, forwards only; raises `ArgumentInvalid`, `AccountUnknown`, `OutOfScope`."""
    if page.is_backwards or page.before is not None:
        raise ArgumentInvalid(argument="last", why="sends are read forwards")
    account = context.account(request.account)
    mark = await watermark(context.pool, NAME)
    found = await rows.sends_of(
        context.pool,
        account.key,
        state=None if request.state is None else request.state.value,
        cancel=None if request.cancel is None else request.cancel.value,
        after=page.after,
        limit=page.limit + 1,
    )
    edges, edge_info = edges_of(page, [Send.of(row) for row in found], lambda one: str(one.identifier))
    return SendConnection(edges=edges, page_info=edge_info, watermark=Watermark.of(mark))


@strawberry.type(description="A decision on whether an account's usage is told to a platform.")
class SendingDecision:
    """`position` is of the decision, or of the last one where this changed nothing."""

    position: Position


@strawberry.type(description="Sends that are to leave, or to be taken back. A worker does it within minutes.")
class SendDecision:
    """`sends` shows what becomes of them."""

    identifiers: list[strawberry.ID]


@strawberry.type
class SendMutation:
    """The part of the mutations that is about what platforms are told, and about failed work."""

    @field(
        "Tell an account's usage to the billing platform from here on: what is recorded after this and occurred since "
        "`since`, now where none is given. `customer` is one of its aliases; it may be left out where only one is a "
        "customer there.",
        needs=Needs("operate", account="account"),
        refuses=(AccountUnknown, CustomerUnclear, SendingOnAlready, *COMMON),
    )
    async def start_sending(
        self, info: Info, account: str, customer: str | None = None, since: datetime | None = None
    ) -> SendingDecision:
        """Nothing that was recorded before is sent."""
        context = info.context
        await context.follower.refresh()
        position = await sending.start_sending_account(
            context.pool,
            context.log,
            STRIPE,
            context.account(account),
            customer=customer,
            since=_utc(since),
            now=datetime.now(UTC),
            metadata=context.metadata,
        )
        return SendingDecision(position=Position(position))

    @field(
        "Tell an account's usage to the billing platform no more.",
        needs=Needs("operate", account="account"),
        refuses=(AccountUnknown, SendingOff, *COMMON),
    )
    async def stop_sending(self, info: Info, account: str) -> SendingDecision:
        """What left already stays."""
        context = info.context
        await context.follower.refresh()
        event = SendingStopped(platform=STRIPE, account=context.account(account).key)
        position = await stop_sending(context.log, event, now=datetime.now(UTC), metadata=context.metadata)
        return SendingDecision(position=Position(position))

    @field(
        "Tell a meter's usage to the platform's meter of another event type; of the meter's own key where it is null.",
        needs=Needs("operate", is_global=True),
        refuses=(MeterUnknown, NameInvalid, *COMMON),
    )
    async def map_platform_meter(self, info: Info, meter: str, event_type: str | None = None) -> SendingDecision:
        """For usage that is recorded from here on."""
        context = info.context
        await context.follower.refresh()
        if meter not in context.catalogue.meters:
            raise MeterUnknown(meter=meter[:256])
        if event_type is not None:
            require_name(event_type, "an event type")
        event = MeterMapped(platform=STRIPE, meter=meter, event_type=event_type)
        position = await map_meter(context.log, event, now=datetime.now(UTC), metadata=context.metadata)
        return SendingDecision(position=Position(position))

    @field(
        "Tell the usage at a position to the platform, again where it was rejected, or although it was recorded before "
        "sending started.",
        needs=Needs("operate"),
        refuses=(UsageUnknown, SendNotRepeatable, *COMMON),
    )
    async def resend_usage(self, info: Info, position: Position) -> SendDecision:
        """Refused while it may count there already."""
        context = info.context
        await require_own(context, position, subject=None)

        async def find() -> list[Told]:
            await catch_up(context.pool, context.log)
            return [row.told for row in await rows.of_usage(context.pool, STRIPE, [position])]

        now = datetime.now(UTC)
        made = await sending.resend_usage(
            context.pool, context.log, STRIPE, position, find, now=now, metadata=context.metadata
        )
        return SendDecision(identifiers=[strawberry.ID(send.identifier) for send in made])

    @field(
        "Take back what a platform was told: cancelled within a day, undone by a send of the negative value later.",
        needs=Needs("operate", is_global=True),
        refuses=(SendUnknown, SendNotCancellable, *COMMON),
    )
    async def cancel_send(self, info: Info, identifier: strawberry.ID) -> SendDecision:
        """The usage counts here as before."""
        context = info.context

        async def find() -> list[Told]:
            await catch_up(context.pool, context.log)
            return [row.told for row in await rows.by_identifier(context.pool, STRIPE, [identifier])]

        now = datetime.now(UTC)
        send = await sending.cancel_send(
            context.pool, context.log, STRIPE, identifier, find, now=now, metadata=context.metadata
        )
        return SendDecision(identifiers=[strawberry.ID(send.identifier)])

    @field(
        "Put background work that failed for good into the queue again.",
        needs=Needs("operate", is_global=True),
        refuses=(DeadLetterUnknown, QueueUnavailable, *COMMON),
    )
    async def redrive_dead_letter(self, info: Info, id: strawberry.ID) -> Redriven:  # noqa: A002 - as in `DeadLetter`
        """It has all its attempts again."""
        return await dead_letters.redrive(info.context, id)


def _utc(moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise ArgumentInvalid(argument="since", why="it has no time zone")
    return None if moment is None else moment.astimezone(UTC)
