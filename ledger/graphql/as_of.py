"""Accounts as the ledger knew them at a position of the log or at a moment."""

from datetime import UTC, date, datetime
from typing import Annotated, Final, Self

import strawberry

from ledger.domain import invoices
from ledger.domain.explanations import Explained, explain
from ledger.domain.refusals import (
    AccountUnknownThen,
    ArgumentInvalid,
    DimensionUndeclared,
    Forbidden,
    MeterUnknown,
    MomentInFuture,
    OutOfScope,
    PastBusy,
    PositionUnknown,
    RangeTooLarge,
)
from ledger.graphql.access import Needs
from ledger.graphql.adjustments import Adjustment
from ledger.graphql.cases import Case
from ledger.graphql.closings import ClosedPeriod
from ledger.graphql.context import Context, Info
from ledger.graphql.contract_inputs import billable
from ledger.graphql.contracts import Contract
from ledger.graphql.fields import field
from ledger.graphql.invoices import PROJECTING, CreditApplied, InvoiceSegment
from ledger.graphql.lines import PricedLine, facts
from ledger.graphql.money import Money
from ledger.graphql.scalars import Position
from ledger.graphql.usage import ROWS_DEFAULT, UsageFilter, UsageRequest, UsageSeries, UsageWindow, usage_as_of
from ledger.graphql.watermarks import Watermark
from ledger.projections import watermark
from ledger.projections.as_of import Moment, Past

LOOKING: Final = (PositionUnknown, MomentInFuture, AccountUnknownThen, ArgumentInvalid, OutOfScope, Forbidden)
"""What any look at the past may be refused for."""


@strawberry.input(description="A place in the past: give exactly one of the two.")
class AsOfInput:
    """A recorded time means the last event recorded at or before it."""

    position: Position | None = strawberry.field(default=None, description="0 is before the first event.")
    recorded_at: datetime | None = None


@strawberry.type(description="A line of an invoice as it was known. Its evidence is the log up to the position.")
class LineAsOf(PricedLine):
    """`segment` is the part of the period that it is for, null for what concerns all of it."""

    segment: int | None

    @classmethod
    def told(cls, explained: Explained) -> Self:
        """The line as the API shows it."""
        return cls(segment=explained.line.segment, **facts(explained))


@strawberry.type(description="What a billing period came to, as it was known.")
class InvoiceAsOf:
    """As `Invoice`. `is_final`: it had closed by then."""

    account_key: str
    start: datetime
    end: datetime
    closes_at: datetime
    is_final: bool
    currency: str
    segments: list[InvoiceSegment]
    lines: list[LineAsOf]
    credits: list[CreditApplied]
    subtotal: Money
    credited: Money
    total: Money
    watermark: Watermark

    @classmethod
    def of(cls, found: invoices.Invoice, moment: Moment) -> Self:
        """The invoice as the API shows it."""
        period, closes_at, account = found.period, found.closes_at, found.account
        assert period is not None and closes_at is not None and account is not None, "it was projected"  # noqa: PT018
        return cls(
            account_key=account,
            start=period.start,
            end=period.end,
            closes_at=closes_at,
            is_final=found.is_final,
            currency=found.currency,
            segments=[InvoiceSegment.of(segment) for segment in found.segments],
            lines=[LineAsOf.told(line) for line in explain(found)],
            credits=[CreditApplied.of(credit) for credit in found.credits],
            subtotal=Money.of(found.subtotal),
            credited=Money.of(found.credited),
            total=Money.of(found.total),
            watermark=mark_of(moment),
        )


@strawberry.type(description="An account as it was known at a position of the log.")
class AccountAsOf:
    """`recorded_at` is of the event at the position."""

    position: Position
    recorded_at: datetime | None
    key: str
    name: str
    zone: str
    aliases: list[str]
    past: strawberry.Private[Past]

    @field(
        "Quantities in one meter, as `Account.usage` would have told them then.",
        needs=Needs("read_usage"),
        refuses=(MeterUnknown, DimensionUndeclared, RangeTooLarge, ArgumentInvalid, PastBusy, Forbidden),
        name="usage",
    )
    async def usage_as_of(
        self,
        info: Info,
        meter: str,
        from_: Annotated[date, strawberry.argument(name="from")],
        to: date,
        window: UsageWindow = UsageWindow.DAY,
        group_by: list[str] | None = None,
        where: list[UsageFilter] | None = None,
        limit: int = ROWS_DEFAULT,
    ) -> UsageSeries:
        """At most 400 days and 10,000 rows, of at most 500,000 events."""
        request = UsageRequest(self.key, meter, from_, to, window, group_by or (), where or (), limit, None)
        return await usage_as_of(info.context.past, self.past, request, mark_of(self.past.moment))

    @field(
        "What the billing period of a moment came to, as it was known; the period of then where no moment is given.",
        needs=Needs("read_usage"),
        refuses=(*PROJECTING, PastBusy),
        name="projectedInvoice",
    )
    async def projected_invoice_as_of(self, info: Info, at: datetime | None = None) -> InvoiceAsOf:
        """Of at most 500,000 events."""
        instant = self.past.moment.now if at is None else billable("at", at)
        return InvoiceAsOf.of(await info.context.past.invoice(self.past, instant), self.past.moment)

    @field("The contracts that the account had, in order of start.", needs=Needs("read_usage"))
    def contracts(self) -> list[Contract]:
        """With phases, pauses, credit grants and entitlements."""
        return [Contract.of(one) for one in self.past.contracts]

    @field("The account's adjustments as they stood, in order of their proposal.", needs=Needs("read_usage"))
    def adjustments(self) -> list[Adjustment]:
        """At most as many as an account may have."""
        return [Adjustment.of(one, self.past.moment.now) for one in self.past.adjustments.values()]

    @field("The periods that were closed by then, in order of start.", needs=Needs("read_usage"))
    def closed_periods(self, info: Info) -> list[ClosedPeriod]:
        """With what was known of them."""
        known = self.past.adjustments
        return [ClosedPeriod.of(info.context, one, known) for _, one in sorted(self.past.closings.items())]

    @field("The account's cases as they stood, in order of their opening.", needs=Needs("read_usage"))
    async def cases(self, info: Info) -> list[Case]:
        """With their story up to then; what became of a resolution is told as of now."""
        found = await info.context.past.cases(self.past)
        return [Case.of(one, self.past.moment.position) for one in found]


async def account_as_of(context: Context, key: str, told: AsOfInput) -> AccountAsOf:
    """The account at a moment; raises those of `LOOKING`."""
    past = await context.past.account(key, await moment_of(context, "moment", told))
    account, moment = past.account, past.moment
    return AccountAsOf(
        position=Position(moment.position),
        recorded_at=moment.recorded_at,
        key=account.key,
        name=account.name,
        zone=account.zone,
        aliases=list(account.aliases),
        past=past,
    )


async def moment_of(context: Context, argument: str, told: AsOfInput) -> Moment:
    """The moment that is asked about; raises `ArgumentInvalid`, `PositionUnknown`, `MomentInFuture`."""
    if (told.position is None) == (told.recorded_at is None):
        raise ArgumentInvalid(argument=argument, why="give exactly one of `position` and `recordedAt`")
    return await context.past.moment(position=told.position, at=told.recorded_at, now=datetime.now(UTC))


def mark_of(moment: Moment) -> Watermark:
    """The watermark of what is told of a moment: nothing is missing up to it."""
    return Watermark.of(watermark.Watermark(moment.position, moment.recorded_at, 0))
