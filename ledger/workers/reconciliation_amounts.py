"""Compares what our invoices come to with a platform's, meter by meter and for all other lines, and says why they part.

Ours is the invoice as it is rated now, late usage included. Theirs are the lines of final invoices by the time that
they bill; lines that a person added, which bill no time, belong to the period of their invoice.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import structlog

from ledger.domain.charges import Charge
from ledger.domain.invoices import Invoice
from ledger.domain.money import Money, total
from ledger.domain.periods import Period, period_at
from ledger.domain.platform_objects import CreditNote, InvoiceStatus, PlatformInvoice, PlatformLine
from ledger.domain.reconciliation.evidence import AmountFacts, OurLine, OurPrice, QuantityFacts, Recount
from ledger.domain.reconciliation.ranking import explain_amount
from ledger.domain.reconciliation_facts import Difference
from ledger.domain.refusals import RangeTooLarge, Refusal
from ledger.domain.segments import cycle_of
from ledger.platforms.port import PlatformRefused
from ledger.projections.invoices import Asked, projected_invoices
from ledger.projections.platform_objects import objects, objects_overlapping
from ledger.projections.reconciling import FORMULAS, NOTHING, adjusted_of, usage_of
from ledger.workers.reconciliation_quantities import count, formula_of, price_of, totals_by_formula
from ledger.workers.reconciliation_run import Run
from ledger.workers.reconciliation_scope import Target

FINAL: frozenset[InvoiceStatus] = frozenset({"open", "paid", "uncollectible"})
_log = structlog.get_logger("worker")


class Billed(NamedTuple):
    """What the platform billed for a period: the lines of final invoices, and notes on those.

    `status` is that of the invoices that the lines are of, or of one that is not final; None where there is none.
    """

    lines: tuple[PlatformLine, ...]
    notes: tuple[CreditNote, ...]
    status: InvoiceStatus | None
    invoices: tuple[PlatformInvoice, ...]


async def compare_amounts(run: Run, targets: Sequence[Target]) -> int:
    """Compare the invoices of each target whose period is over, and return how many amounts were compared."""
    compared = 0
    for target in targets:
        if target.contract is None or target.period.end > run.settled_at or not target.subscriptions:
            continue
        asked = Asked(target.account.key, target.period.start)
        try:
            _, [invoice] = await projected_invoices(run.pool, run.log, run.catalogue, [asked], now=run.now)
        except Refusal as refusal:
            _log.warning("an invoice cannot be projected", account=target.account.key, refusal=refusal.code)
            run.unread += 1
            continue
        compared += await _compare(run, target, invoice, await _billed(run, target))
    return compared


async def _billed(run: Run, target: Target) -> Billed:
    period, name = target.period, run.platform.name
    customers = [target.customer, *target.others]
    seen = await objects_overlapping(run.pool, name, "invoice", customers, period.start, period.end)
    invoices = [one.one for one in seen if isinstance(one.one, PlatformInvoice)]
    by_invoice = [(one, [line for line in one.lines if _bills(one, line, period)]) for one in invoices]
    final = [(one, lines) for one, lines in by_invoice if one.status in FINAL and lines]
    other = [one.status for one, lines in by_invoice if lines and one.status in ("void", "deleted")]
    ids = {one.id for one, _ in final}
    notes = [one.one for one in await objects(run.pool, name, "credit_note", customers=customers)]
    return Billed(
        tuple(line for _, lines in final for line in lines),
        tuple(one for one in notes if isinstance(one, CreditNote) and one.invoice in ids and not one.is_void),
        final[0][0].status if final else other[0] if other else None,
        tuple(one for one, _ in final),
    )


def _bills(invoice: PlatformInvoice, line: PlatformLine, period: Period) -> bool:
    """Whether the middle of what the line bills lies in the period."""
    start, end = (line.start, line.end) if line.start < line.end else (invoice.start, invoice.end)
    return start + (end - start) / 2 in period


async def _compare(run: Run, target: Target, ours: Invoice, billed: Billed) -> int:
    """Compare meter by meter, and what is left of both."""
    meters = run.there.meters
    by_meter: dict[str, list[PlatformLine]] = {}
    rest: list[PlatformLine] = []
    for line in billed.lines:
        if line.meter is not None and line.meter in meters:
            by_meter.setdefault(meters[line.meter], []).append(line)
        else:
            rest.append(line)
    usage = {line.meter for line in ours.lines if line.kind == "usage" and line.meter is not None}
    compared = 0
    for meter in sorted(usage | set(by_meter)):
        facts = await _of_meter(run, target, ours, billed, meter, by_meter.get(meter, ()))
        compared += 1
        _conclude(run, facts)
    beside = [
        line for line in ours.lines if not (line.kind == "usage" and line.meter in usage) and line.money.minor_units
    ]
    notes = sum(note.money.minor_units for note in billed.notes)
    facts = _facts(
        target,
        None,
        tuple(OurLine(line.kind, line.label, line.money) for line in beside),
        Money(sum(line.money.minor_units for line in beside), ours.currency),
        tuple(rest),
        _sum(rest, billed, ours.currency, less=notes),
        billed,
    )
    if beside or rest or notes:
        compared += 1
        unrated = frozenset(one.id for one in run.there.prices.values() if one.obstacle is not None)
        _conclude(run, facts._replace(credit_notes=billed.notes, inexpressible=unrated))
    return compared


def _facts(
    target: Target,
    meter: str | None,
    our_lines: tuple[OurLine, ...],
    ours: Money,
    lines: tuple[PlatformLine, ...],
    theirs: Money,
    billed: Billed,
) -> AmountFacts:
    return AmountFacts(
        account=target.account.key,
        customer=target.customer,
        meter=meter,
        period=target.period,
        ours=ours,
        theirs=theirs,
        our_lines=our_lines,
        lines=lines,
        status=billed.status,
    )


def _sum(lines: Sequence[PlatformLine], billed: Billed, currency: str, *, less: int = 0) -> Money:
    """What lines come to, in their own currency."""
    found = [line.money for line in lines] or [invoice.total for invoice in billed.invoices]
    own = found[0].currency if found else currency
    return Money(sum(line.money.minor_units for line in lines) - less, own)


async def _of_meter(
    run: Run, target: Target, ours: Invoice, billed: Billed, meter: str, lines: Sequence[PlatformLine]
) -> AmountFacts:
    """What is known of one meter's amounts; of the quantities behind them only where the amounts part."""
    here = [line for line in ours.lines if line.kind == "usage" and line.meter == meter]
    facts = _facts(
        target,
        meter,
        tuple(OurLine(line.kind, line.label, line.money) for line in here),
        Money(sum(line.money.minor_units for line in here), ours.currency),
        tuple(lines),
        _sum(lines, billed, ours.currency),
        billed,
    )
    if run.tolerance.lets_money_pass(facts.ours, facts.theirs) or not lines:
        return facts
    price = price_of(run, target, meter)
    quantity = await _quantities(run, target, billed, meter, lines)
    there = {line.price: run.there.prices.get(line.price) for line in lines if line.price is not None}
    their_prices = [one.charge for one in there.values() if one is not None]
    invoices = {one.subscription for one in billed.invoices if any(line in one.lines for line in lines)}
    return facts._replace(
        used=total(line.quantity for line in here) if quantity is None else quantity.used,
        billed=total(line.quantity for line in lines if line.quantity is not None),
        price=price,
        other_prices=() if price is None else _other_prices(run, target, meter, price.charge),
        their_price=their_prices[0] if len(their_prices) == 1 else None,
        quantity=quantity,
        subscriptions=max(len(invoices), 1),
    )


async def _quantities(
    run: Run, target: Target, billed: Billed, meter: str, lines: Sequence[PlatformLine]
) -> QuantityFacts | None:
    """What is known of the quantity that was billed; None where that cannot be counted."""
    platform_meter = lines[0].meter
    if platform_meter is None or run.catalogue.meters[meter].aggregation not in FORMULAS:
        return None
    try:
        own = target.period
        usage = await usage_of(run.log, run.catalogue, target.account, meter, own)
        usage += await adjusted_of(run.log, run.catalogue, target.account, meter, own)
        live = (await count(run, target, meter, platform_meter, own.end, NOTHING)).facts
    except (RangeTooLarge, PlatformRefused):
        return None
    by_formula = totals_by_formula(usage)
    finals = [one.finalized_at for one in billed.invoices if one.finalized_at is not None]
    return live._replace(
        used=by_formula[live.formula],
        theirs=total(line.quantity for line in lines if line.quantity is not None),
        usage=tuple(usage),
        by_formula=by_formula,
        finalized_at=max(finals, default=None),
        recounts=await _recounts(run, target, meter, lines),
    )


async def _recounts(run: Run, target: Target, meter: str, lines: Sequence[PlatformLine]) -> tuple[Recount, ...]:
    """Our quantity by the bounds of their lines, and by those of our contract in UTC."""
    assert target.contract is not None, "its invoice was projected"
    middle = target.period.start + (target.period.end - target.period.start) / 2
    in_utc = period_at(cycle_of(target.contract, run.catalogue.plans, "UTC"), middle)
    theirs = Period(min(line.start for line in lines), max(line.end for line in lines))
    bounds: Mapping[Period, tuple[str, str]] = {theirs: ("anchor", "the platform's anchor"), in_utc: ("zone", "UTC")}
    found = []
    for period, (rule, name) in bounds.items():
        if period != target.period:
            usage = await usage_of(run.log, run.catalogue, target.account, meter, period)
            quantity: Decimal = totals_by_formula(usage)[formula_of(run, meter)]
            found.append(Recount("zone" if rule == "zone" else "anchor", name, period, quantity))
    return tuple(found)


def _other_prices(run: Run, target: Target, meter: str, own: Charge) -> tuple[OurPrice, ...]:
    """The prices of the meter in all versions of the contract's plans, and of no others."""
    assert target.contract is not None, "a price is of a contract"
    return tuple(
        OurPrice(f"{version.terms.name}, version {number}", charge.price)
        for plan in dict.fromkeys(phase.choice.plan for phase in target.contract.phases)
        for number, version in enumerate(run.catalogue.plans[plan].versions, start=1)
        for charge in version.terms.charges
        if charge.meter == meter and charge.price != own
    )


def _conclude(run: Run, facts: AmountFacts) -> None:
    """Keep the difference, or that there is none."""
    if run.tolerance.lets_money_pass(facts.ours, facts.theirs):
        run.agree("amount", facts.account, facts.meter, facts.period)
        return
    run.differences.append(
        Difference(
            platform=run.platform.name,
            subject="amount",
            start=facts.period.start,
            end=facts.period.end,
            account=facts.account,
            customer=facts.customer,
            meter=facts.meter,
            ours=facts.ours.amount,
            theirs=facts.theirs.amount,
            money=facts.gap,
            findings=explain_amount(facts, run.tolerance) if facts.gap.minor_units else (),
            minutes=() if facts.quantity is None else tuple(one.start for one in facts.quantity.minutes),
            note="" if facts.ours.currency == facts.theirs.currency else f"theirs is in {facts.theirs.currency}",
        )
    )
