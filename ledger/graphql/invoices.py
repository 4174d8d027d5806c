"""Projected invoices: what an account comes to in a period, as it is or on another plan."""

from datetime import UTC, datetime
from typing import Final, NamedTuple, Self

import strawberry

from ledger.domain import credits as crediting
from ledger.domain import invoices
from ledger.domain.agreements import PlanChoice, check_overrides
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.contracts import Contracts, contract_at
from ledger.domain.explanations import credit_reason, explain
from ledger.domain.periods import Period
from ledger.domain.plans import version_at
from ledger.domain.pricing_refusals import (
    AmountTooLarge,
    ChargeUnknown,
    ContractInvalid,
    ContractMissing,
    CurrencyMismatch,
    IntervalMismatch,
    LastTierExceeded,
    PlanUnknown,
    PlanVersionUnknown,
    QuantityNegative,
    YearOutOfRange,
)
from ledger.domain.refusals import (
    AccountUnknown,
    ArgumentInvalid,
    DimensionUndeclared,
    Forbidden,
    OutOfScope,
    PositionNotReached,
    RangeTooLarge,
)
from ledger.domain.segments import Segment
from ledger.graphql.agreements import PRICING
from ledger.graphql.context import Context
from ledger.graphql.contract_inputs import PlanChoiceInput, billable
from ledger.graphql.lines import InvoiceLine, LineKey, Place, Share
from ledger.graphql.money import Money
from ledger.graphql.scalars import BigInt
from ledger.graphql.usage import POSITION_TIMEOUT_SECONDS
from ledger.graphql.watermarks import Watermark
from ledger.projections.invoices import Asked, projected_invoice
from ledger.projections.watermark import reach

READING: Final = (
    *(AccountUnknown, OutOfScope, Forbidden, ArgumentInvalid, PositionNotReached, ContractMissing),
    *(DimensionUndeclared, RangeTooLarge, YearOutOfRange),
)
"""What any reading of a contract's period may be refused for."""
PROJECTING: Final = (
    *READING,
    *(LastTierExceeded, QuantityNegative, AmountTooLarge),
    *(PlanUnknown, PlanVersionUnknown, IntervalMismatch, CurrencyMismatch, ChargeUnknown, ContractInvalid),
    *PRICING,
)
"""What a projected invoice may be refused for."""


@strawberry.type(description="A stretch of time that is billed.")
class BilledSpan:
    """Half-open: `[start, end)`."""

    start: datetime
    end: datetime


@strawberry.type(description="The part of a period in which one version of one plan was in force.")
class InvoiceSegment:
    """`index` is what lines name it by; pauses are left out of its spans."""

    index: int
    plan_key: str
    version: int
    spans: list[BilledSpan]
    share: Share

    @classmethod
    def of(cls, segment: Segment) -> Self:
        """The segment as the API shows it."""
        return cls(
            index=segment.index,
            plan_key=segment.plan,
            version=segment.version,
            spans=[BilledSpan(start=span.start, end=span.end) for span in segment.spans],
            share=Share.of(segment.share),
        )


@strawberry.type(description="What a credit grant pays of one line.")
class CreditedLine:
    """`line` is the line's place among the invoice's, from 0."""

    line: BigInt
    money: Money


@strawberry.type(description="What a credit grant pays of an invoice, and what is left of it then.")
class CreditApplied:
    """Grants are listed in the order in which they are used."""

    grant_id: str
    label: str
    money: Money
    left: Money
    why: str
    lines: list[CreditedLine]

    @classmethod
    def of(cls, credit: crediting.CreditApplied) -> Self:
        """The credit as the API shows it."""
        return cls(
            grant_id=credit.grant,
            label=credit.label,
            money=Money.of(credit.money),
            left=Money.of(credit.left),
            why=credit_reason(credit),
            lines=[CreditedLine(line=BigInt(place), money=Money.of(money)) for place, money in credit.lines],
        )


@strawberry.type(description="What a billing period comes to, as it stands: what is due if nothing more is used.")
class Invoice:
    """`subtotal` is the sum of the lines' money, `total` that less the credit applied."""

    account_key: str
    start: datetime
    end: datetime
    closes_at: datetime = strawberry.field(description="When the period ends, or the contract if that is sooner.")
    is_final: bool = strawberry.field(description="It has closed: only late usage can change it.")
    currency: str
    segments: list[InvoiceSegment]
    lines: list[InvoiceLine]
    credits: list[CreditApplied]
    subtotal: Money
    credited: Money
    total: Money
    watermark: Watermark


class InvoiceRequest(NamedTuple):
    """Whose invoice of which period: the one that `at` is in, now where it is None; `choice` for what-if."""

    account: str
    at: datetime | None
    choice: PlanChoiceInput | None = None
    at_least_position: int | None = None


async def invoice(context: Context, request: InvoiceRequest) -> Invoice:
    """The invoice as it stands; raises those of `PROJECTING`."""
    if request.at_least_position is not None:
        await reach(context.pool, "usage", request.at_least_position, timeout_seconds=POSITION_TIMEOUT_SECONDS)
    await context.follower.refresh()
    account = context.account(request.account)
    now = datetime.now(UTC)
    instant = now if request.at is None else billable("at", request.at)
    choice = checked_choice(context.catalogue, account, request.choice, instant)
    return await _projected(context, account, instant, choice, now)


async def invoice_line(context: Context, key: LineKey) -> InvoiceLine | None:
    """The line with a key as it stands; None where there is none any more."""
    await context.follower.refresh()
    account = context.account(key.account)
    if key.choice is not None:
        _check(context.catalogue, account, key.choice, key.instant)
    now = datetime.now(UTC)
    return line_of(await _projected(context, account, billable("id", key.instant), key.choice, now), key)


def line_of(invoice: Invoice, key: LineKey) -> InvoiceLine | None:
    """The invoice's line with a key; None where it has none."""
    found = [line for line in invoice.lines if key.is_of(line.kind.value, line.key, line.segment, line.group)]
    return found[0] if found else None


async def _projected(
    context: Context, account: Account, instant: datetime, choice: PlanChoice | None, now: datetime
) -> Invoice:
    asked = Asked(account.key, instant, choice)
    found = await projected_invoice(context.pool, context.log, context.catalogue, asked, now=now)
    period = found.invoice.period
    assert period is not None, "a projected invoice has a period"
    anchor = anchor_of(context.catalogue.contracts.get(account.key, ()), period, instant)
    return shown(found.invoice, Place(found.account, anchor, choice, None), Watermark.of(found.watermark))


def anchor_of(contracts: Contracts, period: Period, instant: datetime) -> datetime:
    """The instant that names the period and its contract for good, whichever of its instants was asked about."""
    contract = contract_at(contracts, instant)
    if contract is not None:
        return max(period.start, contract.started_at)
    return max([period.start, *(one.ended_at for one in contracts if one.ended_at and one.ended_at <= instant)])


def shown(found: invoices.Invoice, place: Place, mark: Watermark) -> Invoice:
    """An invoice of an account's period as the API shows it."""
    period, closes_at, account = found.period, found.closes_at, place.account.key
    assert period is not None and closes_at is not None, "a projected invoice has a period"  # noqa: PT018
    return Invoice(
        account_key=account,
        start=period.start,
        end=period.end,
        closes_at=closes_at,
        is_final=found.is_final,
        currency=found.currency,
        segments=[InvoiceSegment.of(segment) for segment in found.segments],
        lines=[
            InvoiceLine.at(one, place._replace(segment=_segment_of(found, one.line.segment))) for one in explain(found)
        ],
        credits=[CreditApplied.of(credit) for credit in found.credits],
        subtotal=Money.of(found.subtotal),
        credited=Money.of(found.credited),
        total=Money.of(found.total),
        watermark=mark,
    )


def _segment_of(found: invoices.Invoice, index: int | None) -> Segment | None:
    return next((segment for segment in found.segments if segment.index == index), None)


def checked_choice(
    catalogue: Catalogue, account: Account, told: PlanChoiceInput | None, at: datetime
) -> PlanChoice | None:
    """The plan that is asked about; raises `PlanUnknown`, `PlanVersionUnknown` and what `check_overrides` raises."""
    if told is None:
        return None
    choice: PlanChoice = told.struct()
    _check(catalogue, account, choice, at)
    return choice


def _check(catalogue: Catalogue, account: Account, choice: PlanChoice, at: datetime) -> None:
    plan = catalogue.plans.get(choice.plan)
    if plan is None:
        raise PlanUnknown(plan=choice.plan[:256])
    version = version_at(plan, at) if choice.version is None else choice.version
    if not 0 < version <= len(plan.versions):
        raise PlanVersionUnknown(plan=choice.plan, version=version, latest=len(plan.versions))
    check_overrides(account.key, choice, plan.versions[version - 1].terms)


def comparable(catalogue: Catalogue, account: Account, choice: PlanChoice, at: datetime) -> bool:
    """Whether the account has a contract then whose currency and rhythm are the plan's."""
    contract = contract_at(catalogue.contracts.get(account.key, ()), at)
    if contract is None:
        return False
    held = catalogue.plans[contract.phases[0].choice.plan].versions[0].terms
    offered = catalogue.plans[choice.plan].versions[0].terms
    return (held.currency, held.rhythm) == (offered.currency, offered.rhythm)
