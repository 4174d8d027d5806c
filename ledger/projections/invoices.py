"""Projected invoices, worked out when they are asked for: the calculator over the usage read model, in one snapshot.

Nothing is stored, so nothing can lag behind the usage: an invoice is as new as its watermark.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from ledger.database import Connection, Pool
from ledger.domain.adjusted_usage import adjustments_of
from ledger.domain.adjustment_events import Adjustment
from ledger.domain.adjustments import Adjustments
from ledger.domain.agreements import ContractTerms, PlanChoice
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.closing import rated
from ledger.domain.closings import Closed, Closings, closed_before, settled
from ledger.domain.contracts import Contract, Phase, contract_at, with_plan
from ledger.domain.entitlements import EntitlementUse, entitlements_at, use_of
from ledger.domain.invoices import Invoice, project
from ledger.domain.lines import Used
from ledger.domain.periods import Period
from ledger.domain.plans import Plan
from ledger.domain.pricing_refusals import (
    ContractMissing,
    CurrencyMismatch,
    IntervalMismatch,
    PlanUnknown,
    PlanVersionUnknown,
)
from ledger.domain.refusals import AccountUnknown, RangeTooLarge
from ledger.domain.segments import period_of, segments
from ledger.domain.values import EPOCH, ZERO
from ledger.event_log import EventLog
from ledger.projections.metered import Job, used, used_of_meters
from ledger.projections.watermark import Watermark, watermark

MONTHLY: Final = frozenset({"month", "quarter", "half_year", "year"})
"""The intervals that usage without a contract, kept by calendar months, can be put together for."""
PERIODS_MAX: Final = 1_200
"""The most billing periods of a contract before the one asked for that credit or a commitment looks back on."""


class Projected(NamedTuple):
    """An invoice with what the read model had seen of the log."""

    watermark: Watermark
    account: Account
    invoice: Invoice


class Asked(NamedTuple):
    """Whose invoice of which period: the one that `instant` is in.

    For what-if, `choice` is another plan and `adjustment` one more that is taken for approved.
    """

    account: str
    instant: datetime
    choice: PlanChoice | None = None
    adjustment: Adjustment | None = None


async def projected_invoices(
    pool: Pool, log: EventLog, catalogue: Catalogue, asked: Sequence[Asked], *, now: datetime
) -> tuple[Watermark, list[Invoice]]:
    """The invoices of several accounts' periods as they stand, in one snapshot and with one read for each charge.

    Raises `AccountUnknown`, `ContractMissing`, `PlanUnknown`, `PlanVersionUnknown`, and what the calculator raises.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, "usage")
        return mark, await invoices_at(connection, log, catalogue, asked, now=now, reached=mark.position)


async def invoices_at(
    connection: Connection, log: EventLog, catalogue: Catalogue, asked: Sequence[Asked], *, now: datetime, reached: int
) -> list[Invoice]:
    """As `projected_invoices`, from a usage read model at position `reached` that the caller's transaction shows."""
    subjects = [_subject(catalogue, one) for one in asked]
    chains = [_periods(subject, catalogue.plans) for subject in subjects]
    metered = await _metered(connection, log, catalogue, list(zip(subjects, chains, strict=True)), reached)
    return [
        _last_of(subject, catalogue.plans, chain, by_period, now)
        for subject, chain, by_period in zip(subjects, chains, metered, strict=True)
    ]


def looked_at(catalogue: Catalogue, asked: Asked) -> tuple[frozenset[str], Period]:
    """The meters that an invoice is rated on, and the time that it looks at: its period, and those before that count.

    Raises as `projected_invoices`.
    """
    subject = _subject(catalogue, asked)
    chain = _periods(subject, catalogue.plans)
    meters = {
        charge.meter
        for period in chain
        for segment in segments(subject.contract, catalogue.plans, period, subject.account.zone)
        for charge in segment.terms.charges
    }
    return frozenset(meters), Period(chain[0].start, chain[-1].end)


async def projected_invoice(
    pool: Pool, log: EventLog, catalogue: Catalogue, asked: Asked, *, now: datetime
) -> Projected:
    """As `projected_invoices`, for one account."""
    mark, [invoice] = await projected_invoices(pool, log, catalogue, [asked], now=now)
    owner = catalogue.account_of(asked.account)
    assert owner is not None, "its invoice was projected"
    return Projected(mark, owner, invoice)


class _Subject(NamedTuple):
    account: Account
    contract: Contract
    instant: datetime
    closings: Closings
    adjustments: Adjustments
    tried: Adjustment | None

    def adjusted_by(self, period: Period) -> list[Adjustment]:
        """The adjustments of the contract's invoice of a period."""
        return adjustments_of(self.contract, self.adjustments, period, self.tried)


def _subject(catalogue: Catalogue, asked: Asked) -> _Subject:
    account = catalogue.account_of(asked.account)
    if account is None:
        raise AccountUnknown(account=asked.account)
    contract = contract_at(catalogue.contracts.get(account.key, ()), asked.instant)
    if asked.choice is not None:
        contract = _on_plan(catalogue.plans, account, contract, asked.choice)
    if contract is None:
        raise ContractMissing(account=account.key)
    return _Subject(
        account,
        contract,
        asked.instant,
        catalogue.closings.get(account.key, {}),
        catalogue.adjustments.get(account.key, {}),
        asked.adjustment,
    )


def _on_plan(plans: Mapping[str, Plan], account: Account, contract: Contract | None, choice: PlanChoice) -> Contract:
    """The contract as if it were on another plan; where there is none, one by the calendar, ever since."""
    plan = plans.get(choice.plan)
    if plan is None:
        raise PlanUnknown(plan=choice.plan)
    if choice.version is not None and not 0 < choice.version <= len(plan.versions):
        raise PlanVersionUnknown(plan=choice.plan, version=choice.version, latest=len(plan.versions))
    offered = plan.versions[0].terms
    if contract is None:
        if offered.interval not in MONTHLY:
            raise IntervalMismatch(plan=choice.plan, actual=offered.rhythm, expected="months")
        terms = ContractTerms(currency=offered.currency, alignment="calendar")
        return Contract(account.key, EPOCH, terms, (Phase(EPOCH, choice),))
    held = plans[contract.phases[0].choice.plan].versions[0].terms
    if offered.rhythm != held.rhythm:
        raise IntervalMismatch(plan=choice.plan, actual=offered.rhythm, expected=held.rhythm)
    if offered.currency != held.currency:
        raise CurrencyMismatch(what=f"The plan {choice.plan}", actual=offered.currency, expected=held.currency)
    return with_plan(contract, choice)


def _periods(subject: _Subject, plans: Mapping[str, Plan]) -> list[Period]:
    """The period asked for, behind those not closed yet that its credit and commitments look back on."""
    zone, contract = subject.account.zone, subject.contract
    last = period_of(contract, plans, subject.instant, zone)
    looks_back = contract.grants or any(commitment.per == "total" for commitment in contract.terms.commitments)
    if not looks_back:
        return [last]
    closed = _closed(subject, last)
    first = closed[-1].event.end if closed else contract.started_at
    chain = [period_of(contract, plans, first, zone)]
    while chain[-1].start < last.start:
        if len(chain) > PERIODS_MAX:
            count = len(chain)
            raise RangeTooLarge(start=chain[0].start, end=last.end, unit="periods", count=count, count_max=PERIODS_MAX)
        chain.append(period_of(contract, plans, chain[-1].end, zone))
    return chain


def _closed(subject: _Subject, period: Period) -> list[Closed]:
    """The contract's closed periods before one: what they were billed is not rated anew."""
    return closed_before(subject.closings, subject.contract, max(period.start, subject.contract.started_at))


async def _metered(
    connection: Connection,
    log: EventLog,
    catalogue: Catalogue,
    chains: Sequence[tuple[_Subject, list[Period]]],
    reached: int,
) -> list[list[list[Used]]]:
    """By subject and period, what its charges are rated on."""
    jobs: list[Job] = []
    places: list[tuple[int, int]] = []
    for number, (subject, chain) in enumerate(chains):
        for place, period in enumerate(chain):
            for segment in segments(subject.contract, catalogue.plans, period, subject.account.zone):
                jobs.append(Job(subject.account, segment))
                places.append((number, place))
    found: list[list[list[Used]]] = [[[] for _ in chain] for _, chain in chains]
    for (number, place), one in zip(places, await used(connection, log, catalogue, jobs, reached=reached), strict=True):
        found[number][place] += one
    return found


def _last_of(
    subject: _Subject,
    plans: Mapping[str, Plan],
    chain: Sequence[Period],
    metered: Sequence[Sequence[Used]],
    now: datetime,
) -> Invoice:
    """The invoice of the last period, after what those before it took of credit and counted for commitments."""
    spent, billed = settled(_closed(subject, chain[-1]))
    invoice: Invoice | None = None
    for period, members in zip(chain, metered, strict=True):
        invoice = project(
            subject.contract,
            plans,
            period,
            members,
            zone=subject.account.zone,
            as_of=now,
            spent=spent,
            billed_before=billed,
            adjustments=subject.adjusted_by(period),
        )
        for credit in invoice.credits:
            spent[credit.grant] = spent[credit.grant] + credit.money if credit.grant in spent else credit.money
        billed = rated(invoice) if billed is None else billed + rated(invoice)
    assert invoice is not None, "there is a period that was asked for"
    return invoice


async def entitlement_use(
    pool: Pool, catalogue: Catalogue, asked: Asked
) -> tuple[Watermark, Period, list[EntitlementUse]]:
    """How much of what the contract includes was used in the period; raises as `projected_invoices`."""
    subject = _subject(catalogue, asked)
    zone = subject.account.zone
    period = period_of(subject.contract, catalogue.plans, asked.instant, zone)
    included = entitlements_at(subject.contract, min(asked.instant, period.end))
    parts = segments(subject.contract, catalogue.plans, period, zone)
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, "usage")
        totals = await used_of_meters(connection, list(included), [Job(subject.account, part) for part in parts])
    return mark, period, [use_of(one, totals.get(meter, ZERO)) for meter, one in included.items()]
