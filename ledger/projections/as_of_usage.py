"""One account's usage read model as of a position: private tables, filled from the log by the functions of the living.

The tables are temporary, of one transaction, and bear the names of the read model's own; the transaction looks them
up first, so the same statements write and read them. All else it can only read.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple

from ledger.database import Connection, Pool
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.metering import MeterDefinition
from ledger.domain.refusals import RangeTooLarge
from ledger.log_past import usage_between
from ledger.projections import usage_series, usage_tables
from ledger.projections.usage_fold import Fold, add_usage

EVENTS_MAX: Final = 500_000
"""The most usage events that one look at the past folds."""
SLICE_EVENTS: Final = 200
"""How many events are folded before the loop looks at its connections again."""
STATEMENT_TIMEOUT: Final = "20s"

_LIKE: Final = "including constraints including defaults including identity including indexes"
# A statement that was prepared for the living tables is prepared anew once the search path is another one. Whatever is
# not temporary can only be read from then on: nothing of the past gets into the living tables.
BEGIN = f"""
create temporary table usage_series (like public.usage_series {_LIKE}) on commit drop;
create temporary table usage_days (like public.usage_days {_LIKE}) on commit drop;
create temporary table usage_hours (like public.usage_hours {_LIKE}) on commit drop;
create temporary table usage_values (like public.usage_values {_LIKE}) on commit drop;
create temporary table held_usage (like public.held_usage {_LIKE}) on commit drop;
set local search_path = pg_temp, public;
set local statement_timeout = '{STATEMENT_TIMEOUT}';
set transaction read only
"""


class Looked(NamedTuple):
    """Which usage is looked at: that of some meters, occurred in `[start, end)`."""

    meters: frozenset[str]
    start: datetime
    end: datetime

    def includes(self, other: "Looked") -> bool:
        """Whether all that the other looks at is in this, too."""
        return other.meters <= self.meters and self.start <= other.start and other.end <= self.end


class PastUsage:
    """The private tables. Get them by `open_past_usage`, fill them by `fold`, then read them as the living ones."""

    def __init__(self, connection: Connection, *, keeps_hours: bool) -> None:
        self.connection = connection
        self.folded = 0
        """How many usage events were folded into them by now."""
        self._keeps_hours = keeps_hours
        self._series: dict[str | None, int] = {}
        self._view = Catalogue()

    async def fold(self, catalogue: Catalogue, account: Account, looked: Looked, *, up_to: int) -> None:
        """Count what the account used by a catalogue, from the first event up to a position, both its own.

        Whatever was counted before is passed over from now on. Raises `RangeTooLarge` beyond 500,000 events.
        """
        definitions = {meter: catalogue.meters[meter] for meter in sorted(looked.meters) if meter in catalogue.meters}
        await usage_series.start_building(self.connection, definitions, since=up_to)
        await usage_series.make_live(self.connection)
        rows = await usage_series.of_state(self.connection, "live")
        self._series = {row.meter: row.series for row in rows if row.meter is not None}
        self._view = _of_meters(catalogue, definitions)
        await self.fold_on(account, looked, after=0, up_to=up_to)

    async def fold_on(self, account: Account, looked: Looked, *, after: int, up_to: int) -> None:
        """Add the usage events between two positions, which changed nothing about those before them."""
        names = (account.key, *account.aliases)
        fold, seen = Fold(), 0
        while rows := await usage_between(
            self.connection, names, start=looked.start, end=looked.end, after=after, up_to=up_to
        ):
            seen += len(rows)
            if seen > EVENTS_MAX:
                start, end = looked.start, looked.end
                raise RangeTooLarge(start=start, end=end, unit="events", count=seen, count_max=EVENTS_MAX)
            for place in range(0, len(rows), SLICE_EVENTS):
                add_usage(fold, rows[place : place + SLICE_EVENTS], self._view, self._series)
                await asyncio.sleep(0)
            after = rows[-1]["position"]
        self.folded += seen
        if not self._keeps_hours:
            fold.hours.clear()
        await usage_tables.merge(self.connection, fold)


@asynccontextmanager
async def open_past_usage(pool: Pool, *, keeps_hours: bool = False) -> AsyncIterator[PastUsage]:
    """Empty tables on a connection of their own; nothing is left of them when the context ends.

    Days and distinct values are kept in any case, hours where they are asked for.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(BEGIN)
        yield PastUsage(connection, keeps_hours=keeps_hours)


def _of_meters(catalogue: Catalogue, definitions: dict[str, MeterDefinition]) -> Catalogue:
    """The catalogue with these meters alone: what others count or hold is not looked at."""
    view = replace(catalogue, meters={}, meters_by_type={}, parts={})
    for meter, definition in definitions.items():
        view.define(meter, definition)
    return view
