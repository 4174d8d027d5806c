"""Prepaid credit over time: what each grant of a contract paid in each period, and what is left of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from ledger.database import Pool
from ledger.domain.catalogue import Account, Catalogue
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
    chain = _periods(contract, catalogue.plans, account.zone, instant)
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
    invoices = _invoices(contract, catalogue.plans, account.zone, chain, metered, now)
    return mark, [_balance(granted, chain, invoices) for granted in contract.grants]


def _periods(contract: Contract, plans: Mapping[str, Plan], zone: str, instant: datetime) -> list[Period]:
    chain = [period_of(contract, plans, contract.started_at, zone)]
    while instant >= chain[-1].end:
        if len(chain) == PERIODS_MAX:
            start, count = chain[0].start, PERIODS_MAX + 1
            raise RangeTooLarge(start=start, end=instant, unit="periods", count=count, count_max=PERIODS_MAX)
        chain.append(period_of(contract, plans, chain[-1].end, zone))
    return chain


def _invoices(
    contract: Contract,
    plans: Mapping[str, Plan],
    zone: str,
    chain: list[Period],
    metered: list[list[Used]],
    now: datetime,
) -> list[Invoice]:
    """The invoice of each period, after what those before it took of credit and counted for commitments."""
    spent: dict[str, Money] = {}
    billed = Money(0, contract.terms.currency)
    found = []
    for period, members in zip(chain, metered, strict=True):
        invoice = project(
            contract, plans, period, members, zone=zone, as_of=now, spent=dict(spent), billed_before=billed
        )
        for credit in invoice.credits:
            spent[credit.grant] = spent.get(credit.grant, Money(0, invoice.currency)) + credit.money
        billed += invoice.subtotal
        found.append(invoice)
    return found


def _balance(granted: Granted, chain: list[Period], invoices: list[Invoice]) -> CreditBalance:
    grant = granted.grant
    paid = [
        (period, credit)
        for period, invoice in zip(chain, invoices, strict=True)
        for credit in invoice.credits
        if credit.grant == grant.grant
    ]
    spent = sum((credit.money for _, credit in paid), start=Money(0, grant.amount.currency))
    uses = tuple(CreditUse(period, credit.money, credit.left) for period, credit in paid)
    return CreditBalance(granted, spent, balance(grant, {grant.grant: spent}), uses)
