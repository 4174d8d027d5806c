"""The projected invoice: what an account comes to in a period, by its contract and by what was metered.

One pure function serves projection, preview, what-if and period close. It tells what is due if nothing more is used:
minimums and commitments are trued up in a period that still runs, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from ledger.domain.adjusted_usage import adjusted
from ledger.domain.adjustment_events import Adjustment
from ledger.domain.adjustments import signed
from ledger.domain.agreements import Commitment
from ledger.domain.contracts import Contract
from ledger.domain.credits import CreditApplied, applied
from ledger.domain.lines import InvoiceLine, Part, Used, lines_of, rounded, sum_of
from ledger.domain.money import Money, subtract
from ledger.domain.periods import Period
from ledger.domain.plans import Plan
from ledger.domain.pricing import Convention, PlanTerms, Term
from ledger.domain.proration import WHOLE, Share
from ledger.domain.segments import NOTHING, Segment, segments, shares
from ledger.domain.steps import Step

_TERMS: Final[tuple[Term, ...]] = ("in_advance", "in_arrears")


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """What a period comes to: `subtotal` is the sum of the lines, `total` that less the credit applied.

    All of it is in one currency; `sums` puts the totals of several invoices side by side. Once `is_final`, its period
    has closed and only late usage can change it. A preview has no account, period or segments.
    """

    currency: str
    lines: tuple[InvoiceLine, ...]
    credits: tuple[CreditApplied, ...] = ()
    subtotal: Money
    credited: Money
    total: Money
    account: str | None = None
    period: Period | None = None
    segments: tuple[Segment, ...] = ()
    closes_at: datetime | None = None
    is_final: bool = False


def project(
    contract: Contract,
    plans: Mapping[str, Plan],
    period: Period,
    used: Iterable[Used],
    *,
    zone: str,
    as_of: datetime,
    spent: Mapping[str, Money],
    billed_before: Money | None = None,
    adjustments: Sequence[Adjustment] = (),
) -> Invoice:
    """The invoice of a period as it stands at `as_of`.

    `used` is what was metered by charge, segment (as `segments` numbers them) and group. `spent` is what invoices
    of earlier periods used of each credit grant, `billed_before` the sum of what they were rated (None: nothing), which
    counts for a commitment in total. `adjustments` are the approved ones of the contract in the period: those of usage
    change what is rated, those in money come after commitments and before credit. Raises `LastTierExceeded` or
    `QuantityNegative` where a charge says so.
    """
    parts = segments(contract, plans, period, zone)
    currency = contract.terms.currency
    by_segment: dict[int, list[Used]] = {}
    for one in adjusted(used, parts, adjustments):
        by_segment.setdefault(one.segment, []).append(one)
    lines: list[InvoiceLine] = []
    for part in _priced(contract, parts, period, zone):
        lines += lines_of(part, by_segment.get(part.segment, []))
    lines += _true_ups(contract, parts, period, zone, lines, billed_before or Money(0, currency))
    lines += [_adjustment_line(one, currency) for one in adjustments if one.amount is not None]
    closes_at = period.end if contract.ended_at is None else min(period.end, contract.ended_at)
    paid = applied(lines, contract.grants, closes_at=closes_at, spent=spent, currency=currency)
    return msgspec.structs.replace(
        _summed(currency, lines, paid),
        account=contract.account,
        period=period,
        segments=tuple(parts),
        closes_at=closes_at,
        is_final=as_of >= closes_at,
    )


def preview(terms: PlanTerms, used: Iterable[Used]) -> Invoice:
    """What given quantities come to in a whole period on a plan, before any contract."""
    return _summed(terms.currency, lines_of(Part(0, terms, "none", {}), used), [])


def sums(invoices: Iterable[Invoice]) -> dict[str, Money]:
    """The invoices' totals by currency, which never mix."""
    by_currency: dict[str, Money] = {}
    for invoice in invoices:
        by_currency[invoice.currency] = by_currency.get(invoice.currency, Money(0, invoice.currency)) + invoice.total
    return by_currency


def _summed(currency: str, lines: Sequence[InvoiceLine], paid: Sequence[CreditApplied]) -> Invoice:
    subtotal = sum_of(lines, currency)
    credited = sum((credit.money for credit in paid), start=Money(0, currency))
    return Invoice(
        currency=currency,
        lines=tuple(lines),
        credits=tuple(paid),
        subtotal=subtotal,
        credited=credited,
        total=subtotal - credited,
    )


def _priced(contract: Contract, parts: Sequence[Segment], period: Period, zone: str) -> list[Part]:
    """The segments with their shares of the period, by each convention and term that their fees ask for."""
    own = contract.terms.proration
    conventions: set[Convention] = {own}
    for segment in parts:
        conventions.update(fee.proration for fee in segment.terms.fees if fee.proration is not None)
    spans = [segment.spans for segment in parts]
    by_rule: dict[tuple[Convention, Term], list[Share]] = {
        (convention, term): shares(spans, period, zone, convention, term)
        for convention in conventions
        for term in _TERMS
    }
    return [
        Part(segment.index, segment.terms, own, {rule: of_parts[index] for rule, of_parts in by_rule.items()})
        for index, segment in enumerate(parts)
    ]


def _true_ups(
    contract: Contract,
    parts: Sequence[Segment],
    period: Period,
    zone: str,
    lines: Sequence[InvoiceLine],
    billed_before: Money,
) -> list[InvoiceLine]:
    """What is missing to each commitment, those before it counted: together they come to the highest."""
    currency = contract.terms.currency
    found: list[InvoiceLine] = []
    for commitment in sorted(contract.terms.commitments, key=lambda commitment: (commitment.per, commitment.key)):
        share = _share_committed(contract, commitment, parts, period, zone)
        reached = sum_of((*lines, *found), currency)
        if commitment.per == "total":
            reached += billed_before
        missing = subtract(share.of(commitment.amount), reached.amount)
        if share.numerator and missing > 0:
            step = Step(kind="minimum", rate=commitment.amount, amount=missing)
            found.append(
                rounded(
                    "commitment",
                    commitment.key,
                    commitment.label,
                    step,
                    currency,
                    share=share,
                    subtotal=reached,
                )
            )
    return found


def _adjustment_line(adjustment: Adjustment, currency: str) -> InvoiceLine:
    """What an adjustment in money does to the invoice, whatever was used."""
    money = signed(adjustment)
    step = Step(kind="adjustment", amount=money.amount)
    label = f"{adjustment.kind.replace('_', '-').capitalize()}: {adjustment.reason.replace('_', ' ')}"
    line = rounded("adjustment", adjustment.adjustment, label, step, currency, share=WHOLE)
    return msgspec.structs.replace(line, adjustments=(adjustment.adjustment,))


def _share_committed(
    contract: Contract, commitment: Commitment, parts: Sequence[Segment], period: Period, zone: str
) -> Share:
    """The share of a commitment that is due with the period: of one in total, all with the period it ends in."""
    if commitment.until is not None:
        end = commitment.until if contract.ended_at is None else min(commitment.until, contract.ended_at)
        return WHOLE if period.start < end <= period.end else NOTHING
    spans = [span for segment in parts for span in segment.spans]
    if not spans:
        return NOTHING
    [share] = shares([spans], period, zone, contract.terms.proration)
    return share
