"""A lane folds the log into some series of the usage read model, behind a cursor of its own.

The main lane keeps the living series; the build lane computes new ones from the first event on, beside it, and makes
them the living ones in the moment it has caught up. Queries see a meter's old definition until then, never half of
the new one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, NamedTuple, cast

import asyncpg

from ledger.database import Connection, Pool
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountZoneChanged,
    ContractEnded,
    ContractPaused,
    ContractPlanChanged,
    ContractResumed,
    ContractStarted,
    Event,
    MeterChanged,
    MeterDefined,
    MeterRetired,
    UsageDismissed,
    UsageMended,
)
from ledger.domain.metering import MeterDefinition
from ledger.domain.meters import evolve
from ledger.domain.topics import decode
from ledger.domain.usage import UsageEvent
from ledger.event_log import EventLog
from ledger.projections import usage_series, usage_tables
from ledger.projections.catalogue import catch_up
from ledger.projections.usage_fold import Fold, add_usage, fold_usage
from ledger.projections.watermark import Cursor, CursorMoved, begin_epoch, cursor, lock, move, restart

MAIN: Final = "usage"
BUILD: Final = "usage build"
STATE_OF_LANE: Final[dict[str, usage_series.State]] = {MAIN: "live", BUILD: "building"}
TOLD_TOPICS: Final = frozenset({"UsageRecorded", "UsageConflicted"})
AHEAD_EVENTS_MIN: Final = 500
"""From so many events in a step on, more will have come by now: they are read and folded while these are written."""
SLICE_EVENTS: Final = 100
"""How many events are folded before the loop looks at its connections again."""


class _Batch(NamedTuple):
    """The rows after a position, and what they add to the cells where all of them are plain."""

    after: int
    rows: list[asyncpg.Record]
    fold: Fold | None


@dataclass(slots=True)
class _Touched:
    """What a run of decisions changes about events before it."""

    accounts: set[str] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)
    meters: set[str] = field(default_factory=set)
    released: list[int] = field(default_factory=list)
    mended: list[asyncpg.Record] = field(default_factory=list)


class Lane:
    """One cursor and the series it keeps. Make it with `open`; after `CursorMoved` make a new one."""

    def __init__(
        self,
        pool: Pool,
        log: EventLog,
        *,
        name: str,
        seen: Cursor,
        catalogue: Catalogue,
        decided: dict[str, MeterDefinition],
        series: dict[str | None, int],
    ) -> None:
        self._pool = pool
        self._log = log
        self._catalogue = catalogue
        self.name = name
        self.seen = seen
        self.decided = decided
        """The meters as they were decided on, of which the series may count by older definitions."""
        self.series = series
        """The series by meter; by None that of the events which no meter can take."""
        self._ahead: asyncio.Task[_Batch] | None = None
        self.is_outdated = False
        """Set once the build lane has new work: both lanes must be opened anew."""

    @classmethod
    async def open(cls, pool: Pool, log: EventLog, name: str) -> "Lane":
        """The lane as the tables say it stands, with the catalogue of its position."""
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            seen = await cursor(connection, name)
            rows = await usage_series.of_state(connection, STATE_OF_LANE[name])
        # Of living series that is behind the cursor, but in a replay, which computes those beside the living ones.
        since = max((row.since_position for row in rows), default=0)
        catalogue = Catalogue()
        await catch_up(catalogue, log, up_to=max(seen.position, since))
        catalogue.position = max(seen.position, since)
        decided = dict(catalogue.meters)
        if name == MAIN:
            # The living series count by the definitions they were computed with, until the build lane is done.
            catalogue.meters.clear()
            catalogue.meters_by_type.clear()
            for row in rows:
                if row.meter is not None and row.definition is not None:
                    catalogue.define(row.meter, row.definition)
        series = {row.meter: row.series for row in rows}
        return cls(pool, log, name=name, seen=seen, catalogue=catalogue, decided=decided, series=series)

    async def step(self, *, limit: int, up_to: int | None = None) -> int:
        """Fold the next events, at or before `up_to` where given, and return how many they were.

        Each run of told events and each run of decisions is one transaction. While plain events are written, those
        after them are read and folded. Raises `CursorMoved` where another runner got there first, and where there is
        nothing to fold but a new epoch has begun.
        """
        _, rows, fold = await self._next(limit=limit, up_to=up_to)
        if not rows:
            if await cursor(self._pool, self.name) != self.seen:
                raise CursorMoved(self.name)
            return 0
        start = self.seen.position
        if fold is not None:
            # Nothing among the rows changes what those after them count for.
            if len(rows) >= min(limit, AHEAD_EVENTS_MIN):
                self._ahead = asyncio.create_task(self._prepare(rows[-1]["position"], limit=limit, up_to=up_to))
                self._ahead.add_done_callback(_look_at)
            await self._write(rows, fold)
            return self.seen.position - start
        for is_plain, run in groupby(rows, key=self._is_plain):
            part = list(run)
            await self._write(part, await self._fold(part) if is_plain else None)
            if self.is_outdated:
                break
        return self.seen.position - start

    def close(self) -> None:
        """Give up what is folded ahead: a lane that is not stepped on with has no use for it."""
        if self._ahead is not None:
            self._ahead.cancel()

    async def _next(self, *, limit: int, up_to: int | None) -> _Batch:
        """The next batch, which the step before this one has begun to prepare while it was writing."""
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            batch = await ahead
            if batch.after == self.seen.position and batch.rows:
                return batch
        return await self._prepare(self.seen.position, limit=limit, up_to=up_to)

    async def _prepare(self, after: int, *, limit: int, up_to: int | None) -> _Batch:
        rows = await self._log.since(after, limit=limit if up_to is None else min(limit, up_to - after))
        return _Batch(after, rows, await self._fold(rows) if all(map(self._is_plain, rows)) else None)

    async def _fold(self, rows: Sequence[asyncpg.Record]) -> Fold:
        """What plain rows add, folded in slices between which Postgres gets its next statement."""
        fold = Fold()
        for start in range(0, len(rows), SLICE_EVENTS):
            add_usage(fold, rows[start : start + SLICE_EVENTS], self._catalogue, self.series)
            await asyncio.sleep(0)
        return fold

    async def _write(self, run: Sequence[asyncpg.Record], fold: Fold | None) -> None:
        """Move the cursor over a run and, in the same transaction, add what it folds to, or take its decisions in."""
        position, recorded_at = run[-1]["position"], run[-1]["recorded_at"]
        if fold is not None:
            await usage_tables.advance(
                self._pool, self.name, self.seen, position=position, recorded_at=recorded_at, fold=fold
            )
        else:
            async with self._pool.acquire() as connection, connection.transaction():
                await move(connection, self.name, self.seen, position=position, recorded_at=recorded_at)
                await self._take_in(connection, run)
        self.seen = self.seen._replace(position=position)

    def _is_plain(self, row: asyncpg.Record) -> bool:
        """Whether a row adds to the cells and changes nothing about others."""
        return row["topic"] in TOLD_TOPICS or row["position"] <= self._catalogue.position

    async def _take_in(self, connection: Connection, rows: Sequence[asyncpg.Record]) -> None:
        """Let decisions take effect on what was folded before them."""
        touched = _Touched()
        for row in rows:
            event = decode(row["topic"], row["state"])
            if isinstance(event, UsageMended | UsageDismissed):
                await self._supersede(connection, touched, event, row)
            _touch(touched, event)
            if isinstance(event, MeterDefined | MeterChanged | MeterRetired):
                self._decide_meter(event)
            else:
                self._catalogue.apply(event, row["position"])
        last = rows[-1]["position"]
        self._catalogue.position = last
        series = list(self.series.values())
        await usage_tables.release(connection, series, touched.released)
        if touched.accounts or touched.subjects:
            await self._refold(connection, touched, up_to=last)
        alone = [row for row in touched.mended if row["account"] not in touched.subjects]
        await usage_tables.merge(connection, fold_usage(alone, self._catalogue, self.series))
        if touched.meters and self.name == MAIN:
            await self.start_build(connection, touched.meters, since=last)

    async def _supersede(
        self, connection: Connection, touched: _Touched, event: UsageMended | UsageDismissed, row: asyncpg.Record
    ) -> None:
        """An event that counted must be taken out of its cells: refold its account. One that was held just goes."""
        touched.released.extend(event.supersedes)
        for original in await self._log.at(event.supersedes, connection=connection):
            usage = cast("UsageEvent", decode(original["topic"], original["state"]))
            assessment = self._catalogue.assess(usage, original["recorded_at"])
            if assessment.counted and assessment.account is not None:
                touched.accounts.add(assessment.account.key)
        if isinstance(event, UsageMended):
            touched.mended.append(row)

    async def _refold(self, connection: Connection, touched: _Touched, *, up_to: int) -> None:
        """Compute some accounts anew from the log, and what is told under names that are nobody's now."""
        for key in touched.accounts:
            touched.subjects.update((key, *self._catalogue.accounts[key].aliases))
        subjects = sorted(touched.subjects)
        series = list(self.series.values())
        await usage_tables.forget(connection, series, accounts=sorted(touched.accounts), subjects=subjects)
        after = 0
        while rows := await self._log.usage_of(subjects, after=after, up_to=up_to, connection=connection):
            await usage_tables.merge(connection, fold_usage(rows, self._catalogue, self.series))
            after = rows[-1]["position"]

    def _decide_meter(self, event: MeterDefined | MeterChanged | MeterRetired) -> None:
        definition = evolve(self.decided.get(event.meter), event)
        assert definition is not None, "a meter's events leave a definition"
        self.decided[event.meter] = definition

    async def start_build(self, connection: Connection, meters: set[str], *, since: int) -> None:
        """Begin new series for some meters, and for what no meter can take; a build under way joins this one."""
        meters = meters | await usage_series.abandon_building(connection)
        definitions = {meter: self.decided[meter] for meter in sorted(meters)}
        await usage_series.start_building(connection, definitions, since=since)
        await restart(connection, BUILD)
        self.is_outdated = True

    async def finish(self) -> bool:
        """Make the build's series the living ones if it is where the main lane is; raises `CursorMoved`."""
        async with self._pool.acquire() as connection, connection.transaction():
            if await lock(connection, MAIN) != self.seen.position:
                return False
            await move(connection, self.name, self.seen, position=self.seen.position, recorded_at=None)
            await usage_series.make_live(connection)
            await begin_epoch(connection, [MAIN, BUILD])
        return True


def _look_at(ahead: asyncio.Task[_Batch]) -> None:
    """Take note of how work ahead ended that may never be awaited: who needs its rows meets the fault again."""
    if not ahead.cancelled():
        ahead.exception()


async def rebuild(pool: Pool, log: EventLog) -> None:
    """Begin to compute every meter anew beside what queries see now; the projectors see it and carry it out."""
    lane = await Lane.open(pool, log, MAIN)
    async with pool.acquire() as connection, connection.transaction():
        await move(connection, MAIN, lane.seen, position=lane.seen.position, recorded_at=None)
        await lane.start_build(connection, set(lane.decided), since=lane.seen.position)
        await begin_epoch(connection, [MAIN])


def _touch(touched: _Touched, event: Event) -> None:
    match event:
        case AccountOpened() | AccountZoneChanged() | AccountAliased():
            touched.accounts.add(event.account)
        case ContractStarted() | ContractPlanChanged() | ContractPaused() | ContractResumed() | ContractEnded():
            touched.accounts.add(event.account)
        case AccountAliasRemoved():
            touched.accounts.add(event.account)
            touched.subjects.add(event.alias)
        case MeterDefined() | MeterChanged() | MeterRetired():
            touched.meters.add(event.meter)
        case _:
            pass
