"""Closing billing periods: which one is next, and what it is closed with.

Periods close in order, whole contracts one after another, so that what credit and commitments of one period rest on
is settled before it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from ledger.domain.closing_events import InvoiceClosed, PeriodClosed
from ledger.domain.closing_refusals import InvoiceTooLong, PeriodNotEnded, PeriodOutOfOrder, PeriodsAllClosed
from ledger.domain.closings import Closings
from ledger.domain.contracts import Contract, Contracts
from ledger.domain.invoices import Invoice
from ledger.domain.lines import sum_of
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.plans import Plan
from ledger.domain.pricing_refusals import ContractMissing
from ledger.domain.segments import period_of

LINES_MAX: Final = 10_000


class Asked(NamedTuple):
    """Which period is to be rated: the account's that begins at `start`, behind those closed before it.

    `late_after` is the position after which its usage is late, None where that is not asked.
    """

    account: str
    start: datetime
    closings: Closings
    late_after: int | None = None


class Rating(NamedTuple):
    """What a period comes to with exactly what the log holds up to `position`.

    `adjustments` are the keys of those that the invoice takes in; `late` the first and the last position of usage
    that was asked for as late.
    """

    position: int
    invoice: Invoice
    adjustments: tuple[str, ...]
    late: tuple[int, ...] = ()


class ClosePeriod(NamedTuple):
    """Bill the account's period that begins at `start`, or with the contract in it, as it stands."""

    account: str
    start: datetime
    closed_by: str


def next_due(contracts: Contracts, plans: Mapping[str, Plan], zone: str, state: Closings) -> Period | None:
    """The first period that is not closed, or what a contract has of it; None where all contracts have ended."""
    until = max((closed.event.end for closed in state.values()), default=None)
    for contract in contracts:
        start = contract.started_at if until is None else max(contract.started_at, until)
        if contract.ended_at is None or start < contract.ended_at:
            return _billed(contract, plans, zone, start)
    return None


def _billed(contract: Contract, plans: Mapping[str, Plan], zone: str, start: datetime) -> Period:
    end = period_of(contract, plans, start, zone).end
    return Period(start, end if contract.ended_at is None else min(end, contract.ended_at))


def require_due(command: ClosePeriod, contracts: Contracts, due: Period | None, *, until: datetime) -> Period:
    """The period that can be closed: it is the next and has ended by `until`, now or before.

    Raises `ContractMissing`, `PeriodsAllClosed`, `PeriodOutOfOrder`, `PeriodNotEnded`.
    """
    if not contracts:
        raise ContractMissing(account=command.account)
    if due is None:
        ended_at = contracts[-1].ended_at
        assert ended_at is not None, "a contract that runs has a next period"
        raise PeriodsAllClosed(account=command.account, ended_at=ended_at)
    if command.start != due.start:
        raise PeriodOutOfOrder(account=command.account, start=command.start, next_start=due.start)
    if due.end > until:
        raise PeriodNotEnded(account=command.account, start=due.start, end=due.end)
    return due


def close(command: ClosePeriod, due: Period, rating: Rating) -> tuple[PeriodClosed, InvoiceClosed]:
    """The two events that close a period, to be written together. Raises `InvoiceTooLong`."""
    invoice = rating.invoice
    if len(invoice.lines) > LINES_MAX:
        raise InvoiceTooLong(account=command.account, lines=len(invoice.lines), lines_max=LINES_MAX)
    closed = PeriodClosed(
        account=command.account,
        start=due.start,
        end=due.end,
        position=rating.position,
        rated=rated(invoice),
        adjusted=adjusted(invoice),
        total=invoice.total,
        credits={credit.grant: credit.money for credit in invoice.credits},
        adjustments=rating.adjustments,
        closed_by=command.closed_by,
    )
    return closed, InvoiceClosed(account=command.account, invoice=invoice)


def rated(invoice: Invoice) -> Money:
    """What the invoice's lines come to without those of adjustments in money."""
    return sum_of((line for line in invoice.lines if line.kind != "adjustment"), invoice.currency)


def adjusted(invoice: Invoice) -> Money:
    """What adjustments in money come to on the invoice."""
    return sum_of((line for line in invoice.lines if line.kind == "adjustment"), invoice.currency)


def instant_text(instant: datetime) -> str:
    """The instant as the names of streams and adjustments have it: RFC 3339, UTC."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
