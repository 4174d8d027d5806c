"""Walks from what was known at one position to what was known at another, and tells what each step changed."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final

from ledger.domain.catalogue import Catalogue
from ledger.domain.comparisons import compare
from ledger.domain.contracts import contract_at
from ledger.domain.differences import (
    DECISIONS_MAX,
    Decided,
    Difference,
    QuantityChange,
    Run,
    Step,
    concerns,
    recounts,
)
from ledger.domain.events import AccountAliased
from ledger.domain.invoices import Invoice
from ledger.domain.money import Money
from ledger.domain.pricing_refusals import ContractMissing, CurrencyMismatch
from ledger.domain.refusals import ArgumentInvalid, Refusal
from ledger.domain.segments import period_of, segments
from ledger.domain.values import EPOCH, ZERO
from ledger.log_past import positions_of, usage_counted
from ledger.projections.as_of import (
    DECIDING_TOPICS,
    Moment,
    Past,
    PastReader,
    decided,
    decisions,
    invoice_at,
    invoice_looks,
)
from ledger.projections.as_of_usage import Looked, PastUsage
from ledger.projections.invoices import Asked
from ledger.projections.metered import Job, used_of_meters

FOLDED_MAX: Final = 1_000_000
"""How many events a walk folds, again and again after decisions, before it puts what is left into one step."""
MENDED_MAX: Final = 1_000

_NOTHING: Final = Looked(frozenset(), EPOCH, EPOCH)


async def difference(reader: PastReader, key: str, instant: datetime, since: Moment, until: Moment) -> Difference:
    """Why the invoice of the account's period that an instant is in was another one at the later moment.

    Where there was no contract yet, or no more, the total was nothing. Raises `ArgumentInvalid` where the later moment
    is the earlier one, `AccountUnknownThen`, `ContractMissing` where there is one at neither, `CurrencyMismatch`, and
    as `PastReader.invoice`.
    """
    if until.position < since.position:
        raise ArgumentInvalid(argument="to", why="it must not lie before `from`")
    past = await reader.account(key, since)
    looked = _looks(past.catalogue, Asked(key, instant))
    async with reader.open(past, looked) as told:
        walk = _Walk(reader, told, past, Asked(key, instant), looked)
        await walk.go(until)
        return walk.found()


@dataclass(slots=True)
class _Waiting:
    """What happened since the last invoice that could be worked out."""

    decisions: list[Decided] = field(default_factory=list)
    usage: Run | None = None


class _Walk:
    """One private read model that is moved on; `past` moves with it."""

    def __init__(self, reader: PastReader, told: PastUsage, past: Past, asked: Asked, looked: Looked) -> None:
        self._reader = reader
        self._told = told
        self._past = past
        self._asked = asked
        self._looked = looked
        self._invoices: list[Invoice | None] = []
        self._told_apart: list[tuple[_Waiting, tuple[QuantityChange, ...]]] = []
        self._waiting = _Waiting()
        self._quantities: dict[str, Decimal] = {}
        self._fault: Refusal | None = None

    @property
    def _catalogue(self) -> Catalogue:
        return self._past.catalogue

    async def go(self, until: Moment) -> None:
        """Take every step; raises what the last invoice is refused for."""
        self._invoices.append(await self._invoice())
        self._quantities = await self._measured()
        reached, counted = self._past.moment.position, 0
        pending = await self._decided(until.position)
        while pending and counted < DECISIONS_MAX and self._told.folded <= FOLDED_MAX:
            one = pending.pop(0)
            if not self._concerns(one):
                self._catalogue.apply(one.event, one.position)
                continue
            await self._use(reached, one.position - 1)
            await self._decide([one], until=one.position)
            reached, counted = one.position, counted + 1
        if any(map(self._concerns, pending)):
            await self._count(reached, until.position)
            await self._decide(pending, until=until.position)
        else:
            await self._use(reached, until.position)
        if self._fault is not None:
            raise self._fault

    def found(self) -> Difference:
        """The whole walk."""
        known = [invoice for invoice in (self._invoices[-1], self._invoices[0]) if invoice is not None]
        if not known:
            raise ContractMissing(account=self._asked.account)
        currency, period = known[0].currency, known[0].period
        assert period is not None, "a projected invoice has a period"
        for invoice in self._invoices:
            if invoice is not None and invoice.currency != currency:
                raise CurrencyMismatch(what="The invoice in between", actual=invoice.currency, expected=currency)
        invoices = [_empty(currency) if invoice is None else invoice for invoice in self._invoices]
        steps = []
        for (happened, changed), (earlier, later) in zip(self._told_apart, pairwise(invoices), strict=True):
            compared = compare(earlier, later)
            lines = tuple(line for line in compared.lines if line.difference.minor_units)
            steps.append(Step(tuple(happened.decisions), happened.usage, changed, lines, compared.difference))
        return Difference(period, compare(invoices[0], invoices[-1]), tuple(steps))

    async def _decided(self, up_to: int) -> list[Decided]:
        """The decisions up to a position that the account's usage and invoice may depend on, in order."""
        connection, after = self._told.connection, self._past.moment.position
        found = await decisions(connection, self._past.account.key, DECIDING_TOPICS, after=after, up_to=up_to)
        names = {self._past.account.key, *self._past.account.aliases}
        names.update(one.event.alias for one in found if isinstance(one.event, AccountAliased))
        settled = {old: by for old, by in self._reader.superseded(up_to).items() if by > after}
        mine = {settled[old] for old in await positions_of(connection, list(settled), sorted(names))}
        mine.update(await positions_of(connection, sorted(set(settled.values())), sorted(names)))
        rows = await self._reader.log.at(sorted(mine)[:MENDED_MAX], connection=connection)
        return sorted([*found, *map(decided, rows)], key=lambda one: one.position)

    def _concerns(self, one: Decided) -> bool:
        return concerns(one.event, self._past.account.key, self._catalogue, self._looked.meters)

    async def _use(self, after: int, up_to: int) -> None:
        """A step for the usage told between two positions, where there was some."""
        if await self._count(after, up_to):
            await self._told.fold_on(self._past.account, self._looked, after=after, up_to=up_to)
            self._past = self._past._replace(moment=self._past.moment._replace(position=up_to))
            await self._settle()

    async def _count(self, after: int, up_to: int) -> bool:
        """Take note of the usage between two positions that the invoice looks at."""
        account, looked = self._past.account, self._looked
        names = (account.key, *account.aliases)
        count, first, last, sample = await usage_counted(
            self._told.connection, names, start=looked.start, end=looked.end, after=after, up_to=up_to
        )
        if not count:
            return False
        earlier = self._waiting.usage
        run = Run(count, first, last, tuple(sample))
        if earlier is not None:
            sampled = (*earlier.sample, *run.sample)[: len(max(earlier.sample, run.sample, key=len))]
            run = Run(earlier.event_count + count, earlier.first_position, last, sampled)
        self._waiting.usage = run
        return True

    async def _decide(self, taken: list[Decided], *, until: int) -> None:
        """A step for some decisions, all that happened up to a position among them."""
        self._waiting.decisions += filter(self._concerns, taken)
        for one in taken:
            self._catalogue.apply(one.event, one.position)
        account = self._catalogue.accounts[self._past.account.key]
        self._catalogue.superseded = self._reader.superseded(until)
        self._past = self._past._replace(account=account, moment=self._past.moment._replace(position=until))
        try:
            looked = _looks(self._catalogue, self._asked)
        except Refusal as refusal:
            self._fault = refusal
            return
        if any(recounts(one.event) for one in taken) or len(taken) > 1 or not self._looked.includes(looked):
            self._looked = looked
            await self._told.fold(self._catalogue, account, looked, up_to=until)
        await self._settle()

    async def _settle(self) -> None:
        """Work the invoice out; where it cannot be, what happened is told together with what happens next."""
        try:
            invoice = await self._invoice()
            measured = await self._measured()
        except Refusal as refusal:
            self._fault = refusal
            return
        meters = sorted({*self._quantities, *measured})
        changes = [QuantityChange(one, self._quantities.get(one, ZERO), measured.get(one, ZERO)) for one in meters]
        changed = tuple(change for change in changes if change.before != change.after)
        self._told_apart.append((self._waiting, changed))
        self._waiting, self._fault = _Waiting(), None
        self._invoices.append(invoice)
        self._quantities = measured

    async def _invoice(self) -> Invoice | None:
        try:
            return await invoice_at(self._told.connection, self._reader.log, self._past, self._asked)
        except ContractMissing:
            return None

    async def _measured(self) -> dict[str, Decimal]:
        """What each meter comes to in the period, whatever the charges."""
        account = self._past.account
        contract = contract_at(self._past.contracts, self._asked.instant)
        if contract is None:
            return {}
        period = period_of(contract, self._catalogue.plans, self._asked.instant, account.zone)
        jobs = [Job(account, one) for one in segments(contract, self._catalogue.plans, period, account.zone)]
        return await used_of_meters(self._told.connection, sorted(self._looked.meters), jobs)


def _looks(catalogue: Catalogue, asked: Asked) -> Looked:
    try:
        return invoice_looks(catalogue, asked)
    except ContractMissing:
        return _NOTHING


def _empty(currency: str) -> Invoice:
    nothing = Money(0, currency)
    return Invoice(currency=currency, lines=(), subtotal=nothing, credited=nothing, total=nothing)
