"""Prepaid credit over time: what each grant of a contract paid in each period, and what is left of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ledger.database import Pool
from ledger.domain.adjusted_usage import adjustments_of
from ledger.domain.adjustment_events import Adjustment
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.closing import rated
from ledger.domain.closings import Closed, Settled, closed_before, settled
from ledger.domain.contracts import Contract, Granted, contract_at
from ledger.domain.credits import balance
from ledger.domain.invoices import Invoice, project
from ledger.domain.lines import Used
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.plans import Plan
from ledger.domain.pricing_refusals import ContractMissing
from ledger.domain.refusals import RangeTooLarge
from ledger.domain.segments import period_of, segments
from ledger.event_log import EventLog
from ledger.projections.metered import Job, used
from ledger.projections.watermark import Watermark, watermark

PERIODS_MAX: Final = 1_200


class CreditUse(NamedTuple):
    """What a grant paid in a period, and what was left of it then."""

    period: Period
    used: Money
    left: Money


class CreditBalance(NamedTuple):
    """What a grant paid up to a period, and the periods in which it paid."""

    granted: Granted
    used: Money
    left: Money
    periods: tuple[CreditUse, ...]


async def credit_balances(
    pool: Pool, log: EventLog, catalogue: Catalogue, account: Account, instant: datetime, *, now: datetime
) -> tuple[Watermark, list[CreditBalance]]:
    """The balances of the contract that runs at an instant, after the period that it is in, in order of granting.

    Raises `ContractMissing`, `RangeTooLarge` beyond 1,200 periods, and what the calculator raises.
    """
    contract = contract_at(catalogue.contracts.get(account.key, ()), instant)
    if contract is None:
        raise ContractMissing(account=account.key)
    closed = closed_before(catalogue.closings.get(account.key, {}), contract, instant + timedelta.resolution)
    chain = _periods(contract, closed, catalogue.plans, account.zone, instant)
    jobs = [
        (place, Job(account, segment))
        for place, period in enumerate(chain)
        for segment in segments(contract, catalogue.plans, period, account.zone)
    ]
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, "usage")
        told = await used(connection, log, catalogue, [job for _, job in jobs], reached=mark.position)
    metered: list[list[Used]] = [[] for _ in chain]
    for (place, _), one in zip(jobs, told, strict=True):
        metered[place] += one
    paid = [(period_of(contract, catalogue.plans, one.event.start, account.zone), one.event.credits) for one in closed]
    adjustments = [adjustments_of(contract, catalogue.adjustments.get(account.key, {}), period) for period in chain]
    rating = list(zip(chain, metered, adjustments, strict=True))
    for invoice in _invoices(contract, catalogue.plans, account.zone, settled(closed), rating, now):
        assert invoice.period is not None, "a projected invoice has a period"
        paid.append((invoice.period, {credit.grant: credit.money for credit in invoice.credits}))
    return mark, [_balance(granted, paid) for granted in contract.grants]


def _periods(
    contract: Contract, closed: Sequence[Closed], plans: Mapping[str, Plan], zone: str, instant: datetime
) -> list[Period]:
    """The periods that are not closed, up to the one that the instant is in."""
    start = closed[-1].event.end if closed else contract.started_at
    chain: list[Period] = []
    while instant >= start:
        if len(chain) == PERIODS_MAX:
            first, count = chain[0].start, PERIODS_MAX + 1
            raise RangeTooLarge(start=first, end=instant, unit="periods", count=count, count_max=PERIODS_MAX)
        chain.append(period_of(contract, plans, start, zone))
        start = chain[-1].end
    return chain


def _invoices(
    contract: Contract,
    plans: Mapping[str, Plan],
    zone: str,
    before: Settled,
    chain: Sequence[tuple[Period, list[Used], list[Adjustment]]],
    now: datetime,
) -> list[Invoice]:
    """The invoice of each period, after what those before it took of credit and counted for commitments."""
    spent = before.spent
    billed = before.billed or Money(0, contract.terms.currency)
    found = []
    for period, members, adjustments in chain:
        invoice = project(
            contract,
            plans,
            period,
            members,
            zone=zone,
            as_of=now,
            spent=dict(spent),
            billed_before=billed,
            adjustments=adjustments,
        )
        for credit in invoice.credits:
            spent[credit.grant] = spent.get(credit.grant, Money(0, invoice.currency)) + credit.money
        billed += rated(invoice)
        found.append(invoice)
    return found


def _balance(granted: Granted, paid: Sequence[tuple[Period, Mapping[str, Money]]]) -> CreditBalance:
    grant = granted.grant
    spent = Money(0, grant.amount.currency)
    uses = []
    for period, grants in paid:
        if grant.grant in grants:
            spent += grants[grant.grant]
            uses.append(CreditUse(period, grants[grant.grant], balance(grant, {grant.grant: spent})))
    return CreditBalance(granted, spent, balance(grant, {grant.grant: spent}), tuple(uses))
