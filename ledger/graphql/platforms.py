"""What billing platforms hold of an account, and how well the ledger follows them."""

from datetime import datetime
from decimal import Decimal
from typing import Final, Self, cast

import strawberry

from ledger.domain import platform_objects as theirs
from ledger.domain.platform_objects import ObjectKind
from ledger.domain.refusals import ArgumentInvalid
from ledger.graphql.access import Needs
from ledger.graphql.context import Context, Info
from ledger.graphql.fields import field
from ledger.graphql.money import Money
from ledger.graphql.scalars import BigInt, Position
from ledger.graphql.watermarks import Watermark
from ledger.projections import platform_objects, watermark
from ledger.projections.platform_objects import Seen

OBJECTS_MAX: Final = 100
OBJECTS_DEFAULT: Final = 20
LOOKED_INTO: Final = "platform notifications"
"""The cursor of the worker that looks into what platforms tell."""


@strawberry.type(description="A customer there, who is this account because their id is one of its aliases.")
class PlatformCustomer:
    """`position` is that of the event that says so."""

    platform: str
    id: strawberry.ID
    name: str
    is_deleted: bool
    position: Position


@strawberry.type(description="One price that a subscription there bills.")
class PlatformSubscriptionItem:
    """`obstacle` says why the price alone does not tell what the item comes to."""

    id: strawberry.ID
    price: str
    quantity: Decimal | None = strawberry.field(description="Null where usage is metered.")
    obstacle: str | None


@strawberry.type(description="A subscription there.")
class PlatformSubscription:
    """The running period is from `period_start` up to `period_end`, exclusive."""

    platform: str
    id: strawberry.ID
    customer: str
    status: str
    currency: str
    started_at: datetime
    ended_at: datetime | None
    period_start: datetime
    period_end: datetime
    items: list[PlatformSubscriptionItem]
    position: Position

    @classmethod
    def of(cls, seen: Seen) -> Self:
        """The subscription as it was last seen."""
        one = cast("theirs.Subscription", seen.one)
        return cls(
            platform=seen.platform,
            id=strawberry.ID(one.id),
            customer=one.customer,
            status=one.status,
            currency=one.currency,
            started_at=one.started_at,
            ended_at=one.ended_at,
            period_start=one.period_start,
            period_end=one.period_end,
            items=[
                PlatformSubscriptionItem(
                    id=strawberry.ID(item.id), price=item.price, quantity=item.quantity, obstacle=item.obstacle
                )
                for item in one.items
            ],
            position=Position(seen.position),
        )


@strawberry.type(description="One line of an invoice there.")
class PlatformLine:
    """It is about usage or time from `start` up to `end`, exclusive."""

    id: strawberry.ID
    label: str
    money: Money
    start: datetime
    end: datetime
    quantity: Decimal | None
    price: str | None = strawberry.field(description="Null for what a person added by hand.")
    meter: str | None
    is_proration: bool

    @classmethod
    def of(cls, line: theirs.PlatformLine) -> Self:
        """The line as it was last seen."""
        return cls(
            id=strawberry.ID(line.id),
            label=line.label,
            money=Money.of(line.money),
            start=line.start,
            end=line.end,
            quantity=line.quantity,
            price=line.price,
            meter=line.meter,
            is_proration=line.is_proration,
        )


@strawberry.type(description="An invoice there, with all its lines.")
class PlatformInvoice:
    """`total` is what is left after discounts, credit and tax."""

    platform: str
    id: strawberry.ID
    customer: str
    subscription: str | None
    status: str
    start: datetime
    end: datetime
    subtotal: Money
    total: Money
    created_at: datetime
    finalized_at: datetime | None
    lines: list[PlatformLine]
    position: Position

    @classmethod
    def of(cls, seen: Seen) -> Self:
        """The invoice as it was last seen."""
        one = cast("theirs.PlatformInvoice", seen.one)
        return cls(
            platform=seen.platform,
            id=strawberry.ID(one.id),
            customer=one.customer,
            subscription=one.subscription,
            status=one.status,
            start=one.start,
            end=one.end,
            subtotal=Money.of(one.subtotal),
            total=Money.of(one.total),
            created_at=one.created_at,
            finalized_at=one.finalized_at,
            lines=[PlatformLine.of(line) for line in one.lines],
            position=Position(seen.position),
        )


@strawberry.type(description="Something there that the ledger cannot tell in its own words, and why.")
class PlatformObstacle:
    """It is never guessed at."""

    platform: str
    kind: str
    id: strawberry.ID
    obstacle: str
    position: Position


@strawberry.type(description="What billing platforms hold of an account, as it was last seen.")
class AccountPlatform:
    """Of the customers whose ids are aliases of the account."""

    names: strawberry.Private[list[str]]

    @field("The account's customers.", needs=Needs("read_usage"))
    async def customers(self, info: Info, first: int = OBJECTS_DEFAULT) -> list[PlatformCustomer]:
        """At most 100."""
        found = await _found(info.context, "customer", self.names, first)
        return [
            PlatformCustomer(
                platform=seen.platform,
                id=strawberry.ID(seen.one.id),
                name=seen.one.name,
                is_deleted=seen.one.is_deleted,
                position=Position(seen.position),
            )
            for seen in found
            if isinstance(seen.one, theirs.Customer)
        ]

    @field("Their subscriptions, the latest first.", needs=Needs("read_usage"))
    async def subscriptions(self, info: Info, first: int = OBJECTS_DEFAULT) -> list[PlatformSubscription]:
        """At most 100."""
        found = await _found(info.context, "subscription", self.names, first)
        return [PlatformSubscription.of(seen) for seen in found if isinstance(seen.one, theirs.Subscription)]

    @field("Their invoices, the latest first.", needs=Needs("read_usage"))
    async def invoices(self, info: Info, first: int = OBJECTS_DEFAULT) -> list[PlatformInvoice]:
        """At most 100."""
        found = await _found(info.context, "invoice", self.names, first)
        return [PlatformInvoice.of(seen) for seen in found if isinstance(seen.one, theirs.PlatformInvoice)]

    @field("What of theirs the ledger cannot tell in its own words.", needs=Needs("read_usage"))
    async def obstacles(self, info: Info, first: int = OBJECTS_DEFAULT) -> list[PlatformObstacle]:
        """At most 100."""
        kinds: tuple[ObjectKind, ...] = ("customer", "subscription", "invoice", "credit_note")
        found = [seen for kind in kinds for seen in await _found(info.context, kind, self.names, first)]
        return [
            PlatformObstacle(
                platform=seen.platform,
                kind=seen.one.kind,
                id=strawberry.ID(seen.one.id),
                obstacle=seen.one.obstacle,
                position=Position(seen.position),
            )
            for seen in found
            if isinstance(seen.one, theirs.Inexpressible)
        ][:first]


async def _found(context: Context, kind: ObjectKind, names: list[str], first: int) -> list[Seen]:
    if not 0 < first <= OBJECTS_MAX:
        raise ArgumentInvalid(argument="first", why=f"it is not within 1 to {OBJECTS_MAX}")
    return await platform_objects.objects_of_customers(context.pool, kind, names, limit=first)


@strawberry.type(description="A billing platform that tells the ledger what happens there.")
class Following:
    """`looked_into` is up to which event of the log its notifications were looked into."""

    platform: str
    notifications: BigInt
    last_event_id: str
    last_kind: str
    last_created_at: datetime = strawberry.field(description="When the last one happened there.")
    last_recorded_at: datetime = strawberry.field(description="When it was recorded here.")
    last_position: Position
    looked_into: Watermark


async def followings(context: Context) -> list[Following]:
    """Every platform that ever told something, by name."""
    mark = await watermark.watermark(context.pool, LOOKED_INTO)
    return [
        Following(
            platform=one.platform,
            notifications=BigInt(one.notifications),
            last_event_id=one.last_event_id,
            last_kind=one.last_kind,
            last_created_at=one.last_created_at,
            last_recorded_at=one.last_recorded_at,
            last_position=Position(one.position),
            looked_into=Watermark.of(mark),
        )
        for one in await platform_objects.news(context.pool)
    ]
