"""An account as the ledger knew it: its usage, invoice, contracts and adjustments as of a position of the log.

Everything is folded from the log up to there, by the functions that keep and read the living read models. So it is
what a ledger would answer that stopped there and caught up.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, NamedTuple, cast

import asyncpg

from ledger.database import Connection, Pool
from ledger.domain.adjustment_events import (
    AdjustmentApproved,
    AdjustmentProposed,
    AdjustmentRejected,
    AdjustmentWithdrawn,
)
from ledger.domain.adjustments import Adjustments
from ledger.domain.case_events import (
    CaseAssigned,
    CaseCommented,
    CaseEvent,
    CaseOpened,
    CaseReassessed,
    CaseReopened,
    CaseResolved,
    CaseSettled,
)
from ledger.domain.cases import Case, evolve
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.closing_events import LateUsageAssessed, PeriodClosed
from ledger.domain.closings import Closings
from ledger.domain.contracts import Contracts
from ledger.domain.differences import Decided
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountRenamed,
    AccountZoneChanged,
    ContractEnded,
    ContractPaused,
    ContractPlanChanged,
    ContractResumed,
    ContractStarted,
    CreditGranted,
    CreditRevoked,
    EntitlementChanged,
    MeterChanged,
    MeterDefined,
    MeterRetired,
    PlanDefined,
    PlanRetired,
    PlanRevised,
)
from ledger.domain.invoices import Invoice
from ledger.domain.refusals import AccountUnknownThen, MeterUnknown, MomentInFuture, PastBusy, PositionUnknown
from ledger.domain.topics import decode
from ledger.domain.values import EPOCH
from ledger.event_log import EventLog
from ledger.log_past import PAGE_EVENTS, decisions_about, recorded_at
from ledger.projections import usage_series
from ledger.projections.as_of_usage import Looked, PastUsage, open_past_usage
from ledger.projections.catalogue import CatalogueFollower
from ledger.projections.invoices import Asked, invoices_at, looked_at
from ledger.projections.usage import UsageAsked, checked, rows_at
from ledger.projections.usage_request import UsageRow

AT_ONCE_MAX: Final = 2
"""How many questions about the past a process works on at once; each holds a connection and folds."""
WAITING_MAX: Final = 20
RETRY_SECONDS: Final = 5

DECIDING_TOPICS: Final = tuple(
    event.TOPIC
    for event in (
        *(AccountOpened, AccountRenamed, AccountZoneChanged, AccountAliased, AccountAliasRemoved),
        *(MeterDefined, MeterChanged, MeterRetired, PlanDefined, PlanRevised, PlanRetired),
        *(ContractStarted, ContractPlanChanged, ContractPaused, ContractResumed, ContractEnded),
        *(CreditGranted, CreditRevoked, EntitlementChanged),
        *(AdjustmentProposed, AdjustmentApproved, AdjustmentRejected, AdjustmentWithdrawn),
        *(PeriodClosed, LateUsageAssessed),
    )
)
"""The decisions that an account's usage and invoices depend on, but for mends: those are known from all of the log."""

CASE_TOPICS: Final = tuple(
    event.TOPIC
    for event in (CaseOpened, CaseReassessed, CaseAssigned, CaseCommented, CaseResolved, CaseReopened, CaseSettled)
)


class Moment(NamedTuple):
    """A place in the past: a position (0: before the first event), its event's time, and what "now" means there."""

    position: int
    recorded_at: datetime | None
    now: datetime


class Past(NamedTuple):
    """An account as it was known at a moment. `catalogue` is the one of then, as far as it concerns the account."""

    moment: Moment
    account: Account
    catalogue: Catalogue

    @property
    def contracts(self) -> Contracts:
        """Its contracts as they stood."""
        return self.catalogue.contracts.get(self.account.key, ())

    @property
    def adjustments(self) -> Adjustments:
        """Its adjustments as they stood."""
        return self.catalogue.adjustments.get(self.account.key, {})

    @property
    def closings(self) -> Closings:
        """The periods of it that were closed by then."""
        return self.catalogue.closings.get(self.account.key, {})


class PastReader:
    """Answers questions about the past, a bounded number at once."""

    def __init__(self, pool: Pool, log: EventLog, follower: CatalogueFollower) -> None:
        self.log = log
        self._pool = pool
        self._follower = follower
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)
        self._waiting = 0

    async def moment(self, *, position: int | None, at: datetime | None, now: datetime) -> Moment:
        """The moment that a position or a recorded time names, the last event's where both are None.

        Raises `PositionUnknown` beyond the log's end, `MomentInFuture`.
        """
        if at is not None and at > now:
            raise MomentInFuture(moment=at, now=now)
        head = await self.log.head()
        if at is not None:
            position = await self.log.position_at(at)
        elif position is None:
            position = head.position
        if position > head.position:
            raise PositionUnknown(position=position, head=head.position)
        async with self._pool.acquire() as connection:
            recorded = await recorded_at(connection, position)
        return Moment(position, recorded, at or recorded or now)

    async def account(self, key: str, moment: Moment) -> Past:
        """The account with a key at a moment; raises `AccountUnknownThen`."""
        await self._follower.refresh()
        catalogue = Catalogue()
        async with self._pool.acquire() as connection:
            for one in await decisions(connection, key, DECIDING_TOPICS, after=0, up_to=moment.position):
                catalogue.apply(one.event, one.position)
        account = catalogue.accounts.get(key)
        if account is None:
            raise AccountUnknownThen(account=key, position=moment.position)
        catalogue.superseded = self.superseded(moment.position)
        catalogue.position = moment.position
        return Past(moment, account, catalogue)

    async def cases(self, past: Past) -> list[Case]:
        """The account's cases as they stood, in order of their opening."""
        found: dict[str, Case] = {}
        key, moment = past.account.key, past.moment
        async with self._pool.acquire() as connection:
            told = await decisions(connection, key, CASE_TOPICS, after=0, up_to=moment.position)
        for one in told:
            event = cast("CaseEvent", one.event)
            found[event.case] = evolve(found.get(event.case), event)
        return [case for case in found.values() if case.difference.account == key]

    def superseded(self, up_to: int) -> dict[int, int]:
        """What had been mended or dismissed at a position, and by which event.

        Those decisions stand under the name that usage was told under or counts for now, which may be another
        account's: so the newest catalogue is asked. Nothing is superseded twice.
        """
        living = self._follower.catalogue.superseded
        return {position: settled for position, settled in living.items() if settled <= up_to}

    async def usage(self, past: Past, asked: UsageAsked) -> list[UsageRow]:
        """The quantities of the account in a meter, as `usage.usage` tells them; raises as it does, and `PastBusy`."""
        definition = past.catalogue.meters.get(asked.meter)
        if definition is None:
            raise MeterUnknown(meter=asked.meter)
        request = checked(past.account, asked, 0, definition)
        start, end = request.instants
        looked = Looked(frozenset({asked.meter}), EPOCH if definition.carries_over else start, end)
        async with self.open(past, looked, keeps_hours=asked.window == "HOUR") as told:
            living = await usage_series.living(told.connection, asked.meter)
            assert living is not None, "its series was just computed"
            request = request._replace(series=living[0])
            return await rows_at(told.connection, self.log, past.catalogue, request, past.moment.position)

    async def invoice(self, past: Past, instant: datetime) -> Invoice:
        """The projected invoice of the period that an instant is in; raises as `projected_invoice`, and `PastBusy`."""
        asked = Asked(past.account.key, instant)
        async with self.open(past, invoice_looks(past.catalogue, asked)) as told:
            return await invoice_at(told.connection, self.log, past, asked)

    @asynccontextmanager
    async def open(self, past: Past, looked: Looked, *, keeps_hours: bool = False) -> AsyncIterator[PastUsage]:
        """The usage of then, when its turn comes; raises `PastBusy`, `RangeTooLarge`."""
        if self._waiting >= WAITING_MAX:
            raise PastBusy(retry_after_seconds=RETRY_SECONDS)
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            async with open_past_usage(self._pool, keeps_hours=keeps_hours) as told:
                await told.fold(past.catalogue, past.account, looked, up_to=past.moment.position)
                yield told
        finally:
            self._turns.release()


async def decisions(
    connection: Connection, account: str, topics: Sequence[str], *, after: int, up_to: int
) -> list[Decided]:
    """What of some topics was decided between two positions on the account, or on every account, in order."""
    found: list[Decided] = []
    while rows := await decisions_about(connection, account, topics, after=after, up_to=up_to):
        found += map(decided, rows)
        if len(rows) < PAGE_EVENTS:
            break
        after = rows[-1]["position"]
    return found


def decided(row: asyncpg.Record) -> Decided:
    """The decision that a row of the log holds."""
    return Decided(row["position"], row["recorded_at"], decode(row["topic"], row["state"]))


async def invoice_at(connection: Connection, log: EventLog, past: Past, asked: Asked) -> Invoice:
    """The invoice from the usage of then."""
    moment = past.moment
    [invoice] = await invoices_at(connection, log, past.catalogue, [asked], now=moment.now, reached=moment.position)
    return invoice


def invoice_looks(catalogue: Catalogue, asked: Asked) -> Looked:
    """The usage that an invoice depends on: of its charges' meters, and back to the first event where one carries over.

    Raises as `projected_invoice`.
    """
    meters, period = looked_at(catalogue, asked)
    carries_over = any(catalogue.meters[meter].carries_over for meter in meters if meter in catalogue.meters)
    return Looked(meters, EPOCH if carries_over else period.start, period.end)
