"""The shadow: read model tables of another schema, in which the projector's own functions fold the log anew.

Their SQL names no schema, so a pool whose connections search the shadow schema first runs them unchanged there.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, NamedTuple

from ledger.database import Connection, Pool, open_pool
from ledger.domain.metering import MeterDefinition
from ledger.domain.meters import MeterEvent, evolve
from ledger.domain.replaying import definitions
from ledger.domain.topics import decode
from ledger.event_log import PAGE_EVENTS_MAX, EventLog, LogHasHole
from ledger.projections import usage_series
from ledger.projections.decided import step
from ledger.projections.runner import DECIDED
from ledger.projections.usage_lane import MAIN, Lane
from ledger.projections.watermark import cursor

LOCK: Final = 7_301_003
"""The advisory lock of the one replay of this database, held by its connection."""
STEP_EVENTS: Final = 10_000
STATEMENT_TIMEOUT: Final = "30min"
"""A digest reads whole tables."""
SETTINGS: Final = {
    "search_path": 'ledger_shadow, "$user", public',
    "statement_timeout": STATEMENT_TIMEOUT,
    # What a crash takes from the shadow is folded again.
    "synchronous_commit": "off",
}

Progress = Callable[[int, int], None]
"""Told after every step: how many events are folded, and how many there are."""


TRY_LOCK = """
select pg_try_advisory_lock($1)
"""
CLEAR = """
select clear_shadow()
"""
INSERT_UNDER_WAY = """
insert into replay_under_way (started_at) values ($1)
"""
SELECT_UNDER_WAY = """
select started_at from replay_under_way limit 1
"""
DELETE_UNDER_WAY = """
delete from replay_under_way
"""

FOLLOWERS: Final = (MAIN, *(model.name for model in DECIDED))
METER_TOPICS: Final = frozenset({"MeterDefined", "MeterChanged", "MeterRetired"})


class ReplayUnderWay(Exception):
    """Another process replays this database. There is one shadow, so it is one at a time."""


class Standing(NamedTuple):
    """Where the living read models stand: the positions of their cursors, and by what each meter must count there.

    `decided_at` is the position of the last decision on each meter.
    """

    positions: dict[str, int]
    definitions: dict[str, MeterDefinition]
    decided_at: dict[str, int]


async def standing(connection: Connection, log: EventLog) -> Standing:
    """Where the read models stand in the snapshot of the caller's transaction."""
    positions = {name: (await cursor(connection, name)).position for name in FOLLOWERS}
    living = {
        row.meter: row.definition
        for row in await usage_series.of_state(connection, "live")
        if row.meter is not None and row.definition is not None
    }
    building = {row.meter for row in await usage_series.of_state(connection, "building") if row.meter is not None}
    decided = await _decided(log, up_to=positions[MAIN])
    versions = {meter: [definition for _, definition in past] for meter, past in decided.items()}
    decided_at = {meter: past[-1][0] for meter, past in decided.items()}
    return Standing(positions, definitions(versions, living, building), decided_at)


async def _decided(log: EventLog, *, up_to: int) -> dict[str, list[tuple[int, MeterDefinition]]]:
    """What was decided on every meter up to a position, oldest first, and where."""
    decided: dict[str, list[tuple[int, MeterDefinition]]] = {}
    after = 0
    while rows := await log.decisions_since(after):
        for position, topic, _, state, _ in rows:
            if position > up_to:
                return decided
            if topic in METER_TOPICS:
                event: MeterEvent = decode(topic, state)  # type: ignore[assignment]
                past = decided.setdefault(event.meter, [])
                definition = evolve(past[-1][1] if past else None, event)
                assert definition is not None, "a meter's events leave a definition"
                past.append((position, definition))
        if len(rows) < PAGE_EVENTS_MAX:
            break
        after = rows[-1]["position"]
    return decided


class Shadow:
    """The shadow tables; whoever has this object holds the lock of the one replay."""

    def __init__(self, pool: Pool, log: EventLog) -> None:
        self.pool = pool
        self._log = log

    async def started_at(self) -> datetime | None:
        """When the replay began that is in the tables; None where none is under way."""
        found: datetime | None = await self.pool.fetchval(SELECT_UNDER_WAY)
        return found

    async def agrees(self, with_: Standing) -> bool:
        """Whether what is in the tables can be folded on to where the living side stands."""
        rows = await usage_series.of_state(self.pool, "live")
        counted = {row.meter: row.definition for row in rows if row.meter is not None}
        is_behind = [(await cursor(self.pool, name)).position <= position for name, position in with_.positions.items()]
        return counted == with_.definitions and all(is_behind)

    async def begin(self, towards: Standing, started_at: datetime) -> None:
        """Empty the tables, and count every meter from the first event on as the living side does now."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(CLEAR)
            await connection.execute(INSERT_UNDER_WAY, started_at)
            since = towards.positions[MAIN]
            await usage_series.start_building(connection, towards.definitions, since=since)
            await usage_series.make_live(connection)

    async def fold(self, towards: Standing, progress: Progress) -> int:
        """Fold the log up to where the living side stands, and return how many events that took.

        Raises `LogHasHole` where the log ends before, and whatever an event brings about that cannot be folded.
        """
        target = towards.positions[MAIN]
        began = reached = (await cursor(self.pool, MAIN)).position
        lane: Lane | None = None
        try:
            while reached < target:
                lane = lane or await Lane.open(self.pool, self._log, MAIN)
                if not await lane.step(up_to=target, limit=STEP_EVENTS):
                    raise LogHasHole(f"after {reached}, where the living read model was further")
                reached = lane.seen.position
                if lane.is_outdated:  # a meter was decided on; here it goes on to count as on the living side
                    lane = None
                progress(reached, target)
        finally:
            if lane is not None:
                lane.close()
        for model in DECIDED:
            while await step(self.pool, self._log, [model], up_to=towards.positions[model.name]):
                pass
        return reached - began

    async def reached(self) -> int:
        """The position up to which every table is folded."""
        return min([(await cursor(self.pool, name)).position for name in FOLLOWERS])

    async def finish(self) -> None:
        """Let the next replay begin anew."""
        await self.pool.execute(DELETE_UNDER_WAY)


@asynccontextmanager
async def open_shadow(database_url: str, log: EventLog) -> AsyncIterator[Shadow]:
    """The shadow of a database until the context ends; raises `ReplayUnderWay`."""
    async with (
        await open_pool(database_url, application="replay", size=3, **SETTINGS) as pool,
        pool.acquire() as holder,
    ):
        if not await holder.fetchval(TRY_LOCK, LOCK):
            raise ReplayUnderWay
        yield Shadow(pool, log)
