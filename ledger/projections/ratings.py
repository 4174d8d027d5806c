"""Ratings of whole periods that bear being written down: with exactly the decisions that the read model had seen."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from ledger.database import Pool
from ledger.domain.adjustments import approved_in
from ledger.domain.catalogue import Catalogue
from ledger.domain.closing import Asked as PeriodAsked
from ledger.domain.closing import Rating
from ledger.domain.closing_refusals import MeterBeingComputed
from ledger.domain.invoices import Invoice
from ledger.domain.periods import Period
from ledger.domain.refusals import LedgerBusy
from ledger.event_log import EventLog
from ledger.projections import usage_series
from ledger.projections.catalogue import catch_up
from ledger.projections.invoices import Asked, looked_at, projected_invoice
from ledger.projections.late_usage import first_and_last
from ledger.projections.watermark import reach, watermark

ATTEMPTS_MAX: Final = 5
REACH_SECONDS: Final = 5.0


class Ratings:
    """Rates periods one after another with a catalogue of its own, which never is ahead of the read model."""

    def __init__(self, pool: Pool, log: EventLog, *, now: datetime) -> None:
        self._pool = pool
        self._log = log
        self._now = now
        self._catalogue = Catalogue()
        self._begun_at = 0

    async def rate(self, asked: PeriodAsked) -> Rating:
        """What a period comes to with all that the log held at the first call, or more.

        `asked.closings` take the place of those that the read model had seen: what was just closed counts at once.
        Raises `PositionNotReached`, `MeterBeingComputed`, what the calculator raises, and `LedgerBusy` where
        decisions come faster than it can look.
        """
        if not self._begun_at:
            head = (await self._log.head()).position
            await reach(self._pool, "usage", head, timeout_seconds=REACH_SECONDS)
            self._begun_at = head
        for _ in range(ATTEMPTS_MAX):
            mark = await watermark(self._pool, "usage")
            if mark.position < self._catalogue.position:
                self._catalogue = Catalogue()  # the read model was begun anew
            await catch_up(self._catalogue, self._log, up_to=mark.position)
            seen = replace(self._catalogue, closings={**self._catalogue.closings, asked.account: asked.closings})
            await self._require_computed(seen, asked)
            wanted = Asked(asked.account, asked.start)
            found = await projected_invoice(self._pool, self._log, seen, wanted, now=self._now)
            decided = self._catalogue.position
            await catch_up(self._catalogue, self._log, up_to=found.watermark.position)
            if self._catalogue.position == decided:
                return await self._rating(seen, asked, found.invoice, found.watermark.position)
        raise LedgerBusy(retry_after_seconds=1)

    async def _require_computed(self, catalogue: Catalogue, asked: PeriodAsked) -> None:
        """Raise `MeterBeingComputed` where a meter of the period has no usage yet, or that of an old definition."""
        meters, _ = looked_at(catalogue, Asked(asked.account, asked.start))
        async with self._pool.acquire() as connection:
            for meter in sorted(meters):
                living = await usage_series.living(connection, meter)
                if living is None or await usage_series.is_building(connection, meter):
                    raise MeterBeingComputed(meter=meter)

    async def _rating(self, catalogue: Catalogue, asked: PeriodAsked, invoice: Invoice, position: int) -> Rating:
        assert invoice.closes_at is not None, "a projected invoice has a period"
        span = Period(asked.start, invoice.closes_at)
        taken = approved_in(catalogue.adjustments.get(asked.account, {}), span)
        late: tuple[int, ...] = ()
        if asked.late_after is not None:
            account = catalogue.accounts[asked.account]
            late = await first_and_last(self._log, account, span, after=asked.late_after, up_to=position)
        return Rating(position, invoice, tuple(one.adjustment for one in taken), late)
