"""The log: one table, one order, owner of positions.

Positions are contiguous because they are assigned under one lock that is held to the commit, so the order of
positions is the order of visibility: a reader that follows them can miss nothing. Every waiting append of a process
shares one transaction and one fsync (DESIGN sections 2 and 4).
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from ledger.database import Connection, Pool, connect
from ledger.domain.refusals import LedgerBusy, LedgerUnavailable, VersionTaken
from ledger.log_plan import Append, Appended, Conflict, Left, Plan, Taken, plan_all, plan_one
from ledger.log_rows import COLUMNS, NewEvent, copy_rows

LOCK: Final = 7_301_001
"""The advisory lock of every append to this database."""
CONNECTION_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver's, where the server ends a connection in the middle of a COPY
    asyncpg.OperatorInterventionError,
    ConnectionError,
    OSError,
)
UNAVAILABLE: Final = (*CONNECTION_LOST, asyncpg.LockNotAvailableError, asyncpg.InsufficientResourcesError)
"""What passes by itself: those who wait are asked to repeat."""
RECONNECT_PAUSE_SECONDS: Final = 0.2
FLUSH_EVENTS_MAX: Final = 20_000
WAITING_EVENTS_MAX: Final = 200_000
PAGE_EVENTS_MAX: Final = 10_000
STREAM_PAGE: Final = 1_000

# The lock is its own statement: the next one then sees all that its former holder committed. A process that stalls
# with the lock in its hands loses its connection, so that others go on; it finds out what became of its flush.
BEGIN_UNDER_LOCK = f"""
begin; set local lock_timeout = '20s'; set local idle_in_transaction_session_timeout = '10s';
select pg_advisory_xact_lock({LOCK})
"""
# All in one message, so in one transaction that ends with it: two round trips instead of five. It suits who left the
# head where it is; who is wrong about that collides with the key on positions, and nothing is written.
COPY_UNDER_LOCK = f"""
set local lock_timeout = '20s'; select pg_advisory_xact_lock({LOCK});
copy events ({", ".join(COLUMNS)}) from stdin (format binary)
"""
SELECT_HEAD_AND_CLOCK = """
select position, greatest(recorded_at, clock_timestamp()) as recorded_at, clock_timestamp() as clock
from events order by position desc limit 1
"""
SELECT_CLOCK = """
select clock_timestamp()
"""
# What is already there of the keys that are about to be written.
SELECT_TAKEN = """
select e.originator_id, e.originator_version, e.position, e.state, e.metadata
from unnest($1::uuid[], $2::integer[]) as k (originator_id, originator_version)
join events e using (originator_id, originator_version)
"""
SELECT_HEAD = """
select position, recorded_at from events order by position desc limit 1
"""
SELECT_STREAM = """
select position, topic, state from events
where originator_id = $1 and originator_version > $2 order by originator_version limit $3
"""
SELECT_SINCE = """
select position, topic, recorded_at, state, account from events
where position > $1 order by position limit $2
"""
SELECT_DECISIONS_SINCE = """
select position, topic, recorded_at, state, account from events
where position > $1 and topic <> 'UsageRecorded'
  and topic not in ('InvoiceClosed', 'UsageSendIntended', 'UsageSendSettled') order by position limit $2
"""
SELECT_OF_TOPICS = """
select position, topic, recorded_at, state, account from events
where position > $1 and position <= $2 and topic <> 'UsageRecorded' and topic = any($3::text[])
order by position limit $4
"""
SELECT_OF_NAMES = """
select position, topic, recorded_at, state, account from events
where account = any($1::text[]) and position > $2 and position <= $3
  and topic in ('UsageRecorded', 'UsageConflicted', 'UsageMended', 'UsageDismissed')
order by position limit $4
"""
SELECT_AT = """
select position, topic, recorded_at, state, account from events
where position = any($1::bigint[]) order by position limit 10000
"""
SELECT_RECORDED_AT = """
select recorded_at from events where position = $1
"""
SELECT_PAGE = """
select position, originator_id, originator_version, topic, account, occurred_at, recorded_at, state, metadata
from events
where position > $1 and position < $2
  and ($3::text[] is null or account = any($3)) and ($4::text[] is null or topic = any($4))
order by position limit $5
"""
SELECT_PAGE_BACKWARDS = SELECT_PAGE.replace("order by position", "order by position desc")


class Head(NamedTuple):
    """The last position of the log and when it was recorded; position 0 (and no time) before the first event."""

    position: int
    recorded_at: datetime | None


class StreamEvent(NamedTuple):
    """One event of a stream, still encoded."""

    position: int
    topic: str
    state: str


class EventLog:
    """Appends to the log and reads it. Start it with `open`, end it with `close`."""

    def __init__(self, pool: Pool, writer: Connection, database_url: str) -> None:
        self._pool = pool
        self._writer = writer
        self._database_url = database_url
        self._waiting: list[Append] = []
        self._waiting_events = 0
        self._flushing: list[Append] = []
        self._is_closing = False
        self._work = asyncio.Event()
        self._is_probing = False
        self._left: Left | None = None
        self.appended = asyncio.Event()
        """Set after every commit of this process; a follower in it waits on it and clears it."""
        self.decided = asyncio.Event()
        """As `appended`, but only after commits that hold more than usage."""
        self._task = asyncio.create_task(self._write_forever(), name="event log writer")

    @classmethod
    async def open(cls, pool: Pool, database_url: str) -> "EventLog":
        """A log on the pool's database with a writer connection of its own."""
        return cls(pool, await connect(database_url, application="writer"), database_url)

    async def close(self) -> None:
        """Write what waits, then stop."""
        self._is_closing = True
        while unwritten := [append.done for append in (*self._flushing, *self._waiting) if not append.done.done()]:
            await asyncio.wait(unwritten)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._writer.close()

    def require_room(self) -> None:
        """Raise `LedgerBusy` where so much waits to be written that more would only wait longer."""
        if self._waiting_events >= WAITING_EVENTS_MAX:
            raise LedgerBusy(retry_after_seconds=1)

    async def append(self, events: Sequence[NewEvent]) -> Appended:
        """Write all the events or none; durable when it returns.

        Raises `VersionTaken` where the log has another event of the same stream and version, `LedgerBusy`.
        """
        return await self._enqueue(events, None)

    async def append_new(self, events: Sequence[NewEvent], conflict: Conflict) -> Appended:
        """Write those events whose key the log does not have; durable when it returns.

        A key that is there with other content is kept as what `conflict` makes of it. Raises `LedgerBusy`.
        """
        return await self._enqueue(events, conflict)

    async def _enqueue(self, events: Sequence[NewEvent], conflict: Conflict | None) -> Appended:
        if not events:
            return Appended(())
        self.require_room()
        if self._is_closing:
            raise LedgerUnavailable(why="it is shutting down")
        append = Append(events, conflict, asyncio.get_running_loop().create_future())
        self._waiting.append(append)
        self._waiting_events += len(events)
        self._work.set()
        return await append.done

    async def _write_forever(self) -> None:
        while True:
            await self._work.wait()
            self._flushing = self._take()
            await self._answer(self._flushing)

    async def _answer(self, appends: list[Append]) -> None:
        """Flush the appends; whatever goes wrong, those who wait hear of it, and the next flush begins afresh."""
        try:
            await self._flush(appends)
        except UNAVAILABLE as fault:
            self._writer.terminate()
            for append in appends:
                append.answer(LedgerUnavailable(why=type(fault).__name__))
            await asyncio.sleep(RECONNECT_PAUSE_SECONDS)
        except Exception as fault:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            self._writer.terminate()
            if len(appends) == 1:
                appends[0].answer(fault)
            # One of them cannot be written: alone, each gets an answer of its own.
            for append in appends if len(appends) > 1 else ():
                await self._answer([append])
        finally:
            self.appended.set()

    def _take(self) -> list[Append]:
        """The appends of the next transaction, in order of arrival."""
        count, events = 0, 0
        for append in self._waiting:
            if count and events + len(append.events) > FLUSH_EVENTS_MAX:
                break
            count += 1
            events += len(append.events)
        appends, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_events -= events
        if not self._waiting:
            self._work.clear()
        return appends

    async def _flush(self, appends: list[Append]) -> None:
        """Optimistic first: most flushes repeat nothing. After a repeat, look before writing until none is found."""
        left, self._left = self._left, None  # until this flush is known to be committed
        if self._writer.is_closed():
            self._writer = await connect(self._database_url, application="writer")
            left = None  # it may be another server by now, with a shorter log
        if not self._is_probing:
            try:
                if left and left.may_be_written_on(time.monotonic()):
                    await self._write_on(appends, left)
                else:
                    await self._write(appends, probe=False, left=left)
                return
            except asyncpg.UniqueViolationError:
                if self._writer.is_in_transaction():
                    await self._writer.execute("rollback")
            except CONNECTION_LOST:
                # Whether it was committed is unknown; looking first makes a second try safe.
                self._writer.terminate()
                self._writer = await connect(self._database_url, application="writer")
                left = None
        await self._write(appends, probe=True, left=left)

    async def _write_on(self, appends: list[Append], left: Left) -> None:
        """Write on from where this process left the log, as long as nobody else wrote since.

        Raises `UniqueViolationError` where somebody did, or where a key is taken.
        """
        plan = Plan(left.position)
        outcomes = plan_all(plan, appends)
        recorded_at = left.recorded_at_next(time.monotonic())
        rows = copy_rows(plan.events, head=plan.head, recorded_at=recorded_at)
        # What `copy_to_table` calls with a statement of its own making, in which there is no room for the lock.
        await self._writer._copy_in(COPY_UNDER_LOCK, rows, None)  # type: ignore[union-attr] # noqa: SLF001
        self._left = left._replace(position=plan.head + len(plan.events), recorded_at=recorded_at)
        for append, outcome in zip(appends, outcomes, strict=True):
            append.answer(outcome)

    async def _write(self, appends: list[Append], *, probe: bool, left: Left | None) -> None:
        connection = self._writer
        await connection.execute(BEGIN_UNDER_LOCK)
        row = await connection.fetchrow(SELECT_HEAD_AND_CLOCK)
        read_at = time.monotonic()
        head, recorded_at, clock = row or (0, *2 * [await connection.fetchval(SELECT_CLOCK)])
        plan = Plan(head)
        if probe:
            outcomes = await self._plan_around_taken(plan, appends)
        else:
            outcomes = plan_all(plan, appends)
        if plan.events:
            rows = copy_rows(plan.events, head=head, recorded_at=recorded_at)
            await connection.copy_to_table("events", source=rows, columns=COLUMNS, format="binary")
        await connection.execute("commit")
        is_alone = left is not None and left.position == head
        self._left = Left(head + len(plan.events), recorded_at, clock, read_at, is_alone)
        for append, outcome in zip(appends, outcomes, strict=True):
            append.answer(outcome)

    async def _plan_around_taken(self, plan: Plan, appends: list[Append]) -> list[Appended | VersionTaken]:
        events = [event for append in appends for event in append.events]
        await self._probe(plan, events)
        conflicts = [
            kept
            for append in appends
            if append.conflict is not None
            for event in append.events
            if (taken := plan.taken.get(event.key)) is not None
            and (kept := append.conflict(taken.position, taken.state, event)) is not None
        ]
        is_known = bool(plan.taken)
        await self._probe(plan, conflicts)
        outcomes = [plan_one(plan, append) for append in appends]
        self._is_probing = is_known or len(plan.events) < len(events)
        return outcomes

    async def _probe(self, plan: Plan, events: Sequence[NewEvent]) -> None:
        if events:
            plan.taken.update(await _taken(self._writer, events))

    async def taken(self, events: Sequence[NewEvent]) -> dict[tuple[bytes, int], Taken]:
        """What the log has already of the keys of some events."""
        return await _taken(self._pool, events)

    async def head(self) -> Head:
        """How far the log goes."""
        row = await self._pool.fetchrow(SELECT_HEAD)
        return Head(row["position"], row["recorded_at"]) if row else Head(0, None)

    async def stream(self, originator_id: bytes) -> list[StreamEvent]:
        """All events of one stream, in order of version, read page by page."""
        events: list[StreamEvent] = []
        while True:
            rows = await self._pool.fetch(SELECT_STREAM, UUID(bytes=originator_id), len(events), STREAM_PAGE)
            events += [StreamEvent(*row) for row in rows]
            if len(rows) < STREAM_PAGE:
                return events

    async def since(self, position: int, *, limit: int = PAGE_EVENTS_MAX) -> list[asyncpg.Record]:
        """The next events after a position: rows (position, topic, recorded_at, state, account)."""
        rows: list[asyncpg.Record] = await self._pool.fetch(SELECT_SINCE, position, limit)
        if rows and rows[-1]["position"] - position != len(rows):
            raise LogHasHole(f"between {position} and {rows[-1]['position']}")
        return rows

    async def decisions_since(self, position: int, *, limit: int = PAGE_EVENTS_MAX) -> list[asyncpg.Record]:
        """As `since`, but without usage as first told or as sent, and closed invoices, whose periods tell enough."""
        return await self._pool.fetch(SELECT_DECISIONS_SINCE, position, limit)

    async def of_topics(
        self, topics: Collection[str], *, after: int, up_to: int, limit: int = PAGE_EVENTS_MAX
    ) -> list[asyncpg.Record]:
        """As `since`, but only decisions of some topics, up to a position; no usage is read on the way."""
        return await self._pool.fetch(SELECT_OF_TOPICS, after, up_to, list(topics), limit)

    async def usage_of(
        self,
        names: Sequence[str],
        *,
        after: int,
        up_to: int,
        limit: int = PAGE_EVENTS_MAX,
        connection: Connection | None = None,
    ) -> list[asyncpg.Record]:
        """As `since`, but only usage events told under one of the names, up to a position.

        Whoever holds a connection gives it: to wait for a second one of the same pool may be to wait for ever.
        """
        return await (connection or self._pool).fetch(SELECT_OF_NAMES, names, after, up_to, limit)

    async def at(self, positions: Sequence[int], *, connection: Connection | None = None) -> list[asyncpg.Record]:
        """As `since`, but the events at some positions; `connection` as for `usage_of`."""
        return await (connection or self._pool).fetch(SELECT_AT, positions)

    async def page(
        self,
        *,
        after: int,
        before: int,
        names: Sequence[str] | None = None,
        topics: Sequence[str] | None = None,
        limit: int,
        is_backwards: bool = False,
    ) -> list[asyncpg.Record]:
        """Whole rows strictly between two positions, of some names and topics where given."""
        query = SELECT_PAGE_BACKWARDS if is_backwards else SELECT_PAGE
        return await self._pool.fetch(query, after, before, names, topics, limit)

    async def position_at(self, recorded_at: datetime) -> int:
        """The last position recorded at or before an instant; 0 where none is. Halves the log, 64 reads at most."""
        low, high = 0, (await self.head()).position
        while low < high:
            middle = (low + high + 1) // 2
            if await self._pool.fetchval(SELECT_RECORDED_AT, middle) <= recorded_at:
                low = middle
            else:
                high = middle - 1
        return low


class LogHasHole(Exception):
    """Positions are missing from the log. It must not be followed further: something was lost or removed."""


async def _taken(connection: Connection | Pool, events: Sequence[NewEvent]) -> dict[tuple[bytes, int], Taken]:
    ids = [UUID(bytes=event.originator_id) for event in events]
    versions = [event.originator_version for event in events]
    return {
        (row["originator_id"].bytes, row["originator_version"]): Taken(
            row["position"], row["state"].encode(), row["metadata"].encode()
        )
        for row in await connection.fetch(SELECT_TAKEN, ids, versions)
    }
