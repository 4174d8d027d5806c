"""Lines of invoices: each with its steps and their reasons, and the way to the usage behind it."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple, Self

import msgspec
import strawberry

from ledger.domain import proration
from ledger.domain.agreements import PlanChoice
from ledger.domain.catalogue import Account
from ledger.domain.explanations import Explained
from ledger.domain.segments import Segment
from ledger.domain.steps import Group
from ledger.graphql import explain
from ledger.graphql.access import Needs
from ledger.graphql.adjustments import Adjustment, find_adjustments
from ledger.graphql.context import Info
from ledger.graphql.conventions import BillingTerm
from ledger.graphql.explain import (
    DecidingEventConnection,
    EventsWanted,
    LevelIntervalConnection,
    LineDayConnection,
    LineEventConnection,
)
from ledger.graphql.fields import field
from ledger.graphql.line_kinds import LineKind, StepKind
from ledger.graphql.money import Money
from ledger.graphql.nodes import Node
from ledger.graphql.pages import EVENTS_PAGE_MAX, Page, page
from ledger.graphql.usage import DimensionValue
from ledger.projections.evidence_lines import Line

_AMOUNT: Final = "The exact amount in major units, not rounded yet."


@strawberry.type(description="A part of a whole, as two whole numbers: of days or of microseconds.")
class Share:
    """Of the billing period, 1 of 1 where nothing is prorated."""

    numerator: Decimal
    denominator: Decimal

    @classmethod
    def of(cls, share: proration.Share) -> Self:
        """The share as the API shows it."""
        return cls(numerator=Decimal(share.numerator), denominator=Decimal(share.denominator))


@strawberry.type(description="One addend of a line: the amounts of all steps add up exactly to the line's money.")
class LineStep:
    """`rate` is an amount per unit, or a percentage of a RATE; `dimensions` tell the cell of a dimensional price."""

    kind: StepKind
    quantity: Decimal | None
    rate: Decimal | None
    amount: Decimal = strawberry.field(description="In major units, exact.")
    tier: int | None
    dimensions: list[DimensionValue]
    why: str


@strawberry.interface(description="A line of an invoice or of a preview.")
class PricedLine:
    """`key` is that of the charge, fee, discount or commitment, or amount_min or amount_max of the plan."""

    kind: LineKind
    key: str
    label: str
    meter_key: str | None
    dimensions: list[DimensionValue] = strawberry.field(description="The values that the line alone is for.")
    quantity: Decimal = strawberry.field(description="What was billed: after conversion and included units.")
    adjusted_quantity: Decimal = strawberry.field(
        description="What adjustments made of what was metered, in the meter's unit; part of it."
    )
    amount: Decimal = strawberry.field(description=_AMOUNT)
    money: Money
    term: BillingTerm
    share: Share = strawberry.field(description="The share of an amount per period that the line stands for.")
    subtotal: Money | None = strawberry.field(description="What a discount or bound is reckoned on.")
    why: str
    steps: list[LineStep]


@strawberry.type(description="A line of a preview.")
class PreviewLine(PricedLine):
    """There is no usage behind it."""


class Place(NamedTuple):
    """Where a line stands: in the invoice of an account at an instant, as it is or (`choice`) on another plan.

    Or as the invoice was when its period was closed.
    """

    account: Account
    instant: datetime
    choice: PlanChoice | None
    segment: Segment | None
    is_closed: bool = False


class LineKey(msgspec.Struct, frozen=True, array_like=True):
    """What finds a line again: an invoice, and the line's place among its lines."""

    account: str
    instant: Annotated[datetime, msgspec.Meta(tz=True)]
    choice: PlanChoice | None
    kind: str
    key: str
    segment: int | None
    group: Group

    def is_of(self, kind: str, key: str, segment: int | None, group: Group) -> bool:
        """Whether it is the key of a line like this."""
        return (self.kind, self.key, self.segment, self.group) == (kind, key, segment, group)


@strawberry.type(description="A line of a projected or closed invoice, with the way to its evidence as it is now.")
class InvoiceLine(PricedLine, Node):
    """`segment` is the part of the period that it is for, null for what concerns all of it."""

    segment: int | None
    place: strawberry.Private[Place]
    group: strawberry.Private[Group]
    adjustment_keys: strawberry.Private[tuple[str, ...]]

    def node_key(self) -> str:
        """The account, the invoice and the line within it."""
        where = self.place
        instant, choice = where.instant, where.choice
        key = LineKey(where.account.key, instant, choice, self.kind.value, self.key, self.segment, self.group)
        return (CLOSED if where.is_closed else "") + _encode(key).decode()

    @field("The local days and dimensions that the line is made of.", needs=Needs("read_usage"))
    async def days(self, info: Info, first: int | None = None, after: str | None = None) -> LineDayConnection:
        """At most 1,000 a page; none for a line without usage."""
        return await explain.days(info.context, self._line(), _page(first, after))

    @field("The events that decide a maximum, minimum, latest or unique count.", needs=Needs("read_usage"))
    async def deciding_events(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> DecidingEventConnection:
        """At most 1,000 a page; none where each event adds its part."""
        return await explain.deciding(info.context, self._line(), _page(first, after))

    @field("The levels that a time-weighted sum is the mean of.", needs=Needs("read_usage"))
    async def levels(self, info: Info, first: int | None = None, after: str | None = None) -> LevelIntervalConnection:
        """At most 1,000 a page; none for other meters."""
        return await explain.intervals(info.context, self._line(), _page(first, after))

    @field("The exact events of the line, in order of position.", needs=Needs("read_usage"))
    async def events(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        day: date | None = None,
        include_excluded: bool = False,
    ) -> LineEventConnection:
        """At most 1,000 a page, of one local day where it is given; with those beside them that do not count."""
        wanted = EventsWanted(day, include_excluded)
        return await explain.events(info.context, self._line(), _page(first, after), wanted)

    @field("The adjustments that changed the line's quantity, or that it is.", needs=Needs("read_usage"))
    async def adjustments(self, info: Info) -> list[Adjustment]:
        """In order of their proposal."""
        return await find_adjustments(info.context, self.place.account.key, self.adjustment_keys)

    def _line(self) -> Line | None:
        """What was metered; None for a line without usage."""
        segment = self.place.segment
        if segment is None or self.kind is not LineKind.USAGE:
            return None
        [charge] = [charge for charge in segment.terms.charges if charge.key == self.key]
        return Line(self.place.account, segment, charge, self.group)

    @classmethod
    def at(cls, explained: Explained, place: Place) -> Self:
        """The line as the API shows it."""
        line = explained.line
        return cls(
            segment=line.segment, place=place, group=line.group, adjustment_keys=line.adjustments, **facts(explained)
        )


CLOSED: Final = "closed"
"""What the key of a line begins with that stands on a closed invoice."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LineKey).decode


def line_key(key: str) -> LineKey | None:
    """What a node's key stands for; None where it is none of a line."""
    try:
        return _decode(key.removeprefix(CLOSED))
    except (msgspec.MsgspecError, ValueError, ArithmeticError):
        return None


def _page(first: int | None, after: str | None) -> Page:
    return page(first=first, after=after, last=None, before=None, limit_max=EVENTS_PAGE_MAX)


def facts(explained: Explained) -> Mapping[str, Any]:
    """The fields of `PricedLine` by name."""
    line = explained.line
    return {
        "kind": LineKind(line.kind),
        "key": line.key,
        "label": line.label,
        "meter_key": line.meter,
        "dimensions": _named(line.group),
        "quantity": line.quantity,
        "adjusted_quantity": line.adjusted,
        "amount": line.amount,
        "money": Money.of(line.money),
        "term": BillingTerm(line.term),
        "share": Share.of(line.share),
        "subtotal": None if line.subtotal is None else Money.of(line.subtotal),
        "why": explained.why,
        "steps": [
            LineStep(
                kind=StepKind(step.kind),
                quantity=step.quantity,
                rate=step.rate,
                amount=step.amount,
                tier=step.tier,
                dimensions=_named(step.group or ()),
                why=why,
            )
            for step, why in explained.steps
        ],
    }


def _named(group: Group) -> list[DimensionValue]:
    return [DimensionValue(name=name, value=value) for name, value in group]
