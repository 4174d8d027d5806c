"""Order: positions are contiguous, become visible in order, and time does not run backwards along them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import asyncpg
import pytest

from ledger import event_log
from ledger.database import connect
from ledger.domain.refusals import LedgerUnavailable
from ledger.event_log import LOCK, LogHasHole
from ledger.log_rows import NewEvent, copy_rows
from tests.log.ledgers import NOW, Ledger, open_ledger, owner, row, usage

WRITERS = 8
APPENDS = 40


async def write_from_eight_processes(url: str) -> list[BaseException | None]:
    """What became of every append of eight processes that write at the same time, one event at a time."""
    async with AsyncExitStack() as stack:
        ledgers = [await stack.enter_async_context(open_ledger(url, pool_size=1)) for _ in range(WRITERS)]
        outcomes = await asyncio.gather(*(write(ledger, number) for number, ledger in enumerate(ledgers)))
    return [outcome for of_writer in outcomes for outcome in of_writer]


async def write(ledger: Ledger, writer: int) -> list[BaseException | None]:
    outcomes: list[BaseException | None] = []
    for number in range(APPENDS):
        try:
            await ledger.log.append([row(f"{writer} {number}")])
            outcomes.append(None)
        except asyncpg.PostgresError as fault:
            outcomes.append(fault)
    return outcomes


async def follow(ledger: Ledger, seen: list[int]) -> None:
    """A tail reader: asks for what comes after the last position it saw, for ever."""
    while True:
        seen += [one["position"] for one in await ledger.log.since(seen[-1] if seen else 0, limit=50)]
        await asyncio.sleep(0)


async def seen_while_eight_write(ledger: Ledger) -> list[int]:
    """The positions that a tail reader saw until it had as many as eight writers wrote, or for 5 s after them."""
    seen: list[int] = []
    reader = asyncio.create_task(follow(ledger, seen))
    await write_from_eight_processes(ledger.url)
    for _ in range(500):
        if len(seen) >= WRITERS * APPENDS:
            break
        await asyncio.sleep(0.01)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    return seen


async def test_a_tail_reader_behind_eight_writers_loses_nothing(ledger: Ledger) -> None:
    assert await seen_while_eight_write(ledger) == list(range(1, WRITERS * APPENDS + 1))
    assert await ledger.count() == WRITERS * APPENDS


async def slow_copy_rows(events: Sequence[NewEvent], *, head: int, recorded_at: datetime) -> AsyncIterator[bytes]:
    """As `copy_rows`, giving other writers the time to read the same head."""
    await asyncio.sleep(0.002)
    async for chunk in copy_rows(events, head=head, recorded_at=recorded_at):
        yield chunk


async def test_without_the_lock_writers_collide(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first guard of order is the lock: without it two processes number from one head, and appends fail."""
    monkeypatch.setattr(event_log, "BEGIN_UNDER_LOCK", "begin")
    monkeypatch.setattr(event_log, "copy_rows", slow_copy_rows)
    outcomes = await write_from_eight_processes(ledger.url)
    assert any(isinstance(outcome, asyncpg.UniqueViolationError) for outcome in outcomes)


async def test_without_lock_and_key_a_tail_reader_loses_events(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second guard is the key on positions: without both the loss is silent, and the reader misses events."""
    monkeypatch.setattr(event_log, "BEGIN_UNDER_LOCK", "begin")
    monkeypatch.setattr(event_log, "copy_rows", slow_copy_rows)
    async with owner(ledger.url) as connection:
        await connection.execute("alter table events drop constraint events_pkey")
    await write_from_eight_processes(ledger.url)
    assert await ledger.count() == WRITERS * APPENDS
    seen = await ledger.pool.fetchval("select count(distinct position) from events")
    assert seen < WRITERS * APPENDS, "several events stand at one position: who follows positions sees one of them"


async def test_a_second_process_waits_for_the_first(ledger: Ledger) -> None:
    async with owner(ledger.url) as other:
        await other.execute("select pg_advisory_lock($1)", LOCK)
        append = asyncio.create_task(ledger.tell(usage(1)))
        await asyncio.sleep(0.15)
        assert not append.done()
        await other.execute("select pg_advisory_unlock($1)", LOCK)
        assert list(await append) == [1]


async def test_a_second_process_that_waits_too_long_is_told_to_repeat(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "BEGIN_UNDER_LOCK", event_log.BEGIN_UNDER_LOCK.replace("'20s'", "'50ms'"))
    async with owner(ledger.url) as other:
        await other.execute("select pg_advisory_lock($1)", LOCK)
        with pytest.raises(LedgerUnavailable, match="LockNotAvailable"):
            await ledger.tell(usage(1))
        await other.execute("select pg_advisory_unlock($1)", LOCK)
    assert list(await ledger.tell(usage(1))) == [1]


async def test_a_process_that_stalls_with_the_lock_is_fenced(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard is the bound on idling within the transaction: at 10 s the append would outlast the test's patience."""
    stalled = await connect(ledger.url, application="writer")
    await stalled.execute(event_log.BEGIN_UNDER_LOCK.replace("'10s'", "'100ms'"))
    async with asyncio.timeout(5):
        assert list(await ledger.tell(usage(1))) == [1]
    with pytest.raises(event_log.CONNECTION_LOST):
        await stalled.execute("commit")


async def test_appends_of_several_processes_never_interleave(ledger: Ledger) -> None:
    async with AsyncExitStack() as stack:
        ledgers = [await stack.enter_async_context(open_ledger(ledger.url, pool_size=1)) for _ in range(4)]
        appended = await asyncio.gather(
            *(
                one.log.append([row(f"{process} {batch} {number}") for number in range(300)])
                for process, one in enumerate(ledgers)
                for batch in range(3)
            )
        )
    firsts = sorted(append.positions[0] for append in appended)
    assert all(list(append.positions) == list(range(append.positions[0], append.position + 1)) for append in appended)
    assert firsts == list(range(1, 12 * 300, 300))


INSERT_AT = """
insert into events (position, originator_id, originator_version, topic, occurred_at, recorded_at, state, metadata)
values ($1, gen_random_uuid(), 1, 'Tested', $2, $2, '{}', '{}')
"""


async def append_after_a_clock_that_was_ahead(ledger: Ledger) -> list[datetime]:
    """When each event was recorded: the first by a clock that was an hour ahead and is put right now."""
    async with owner(ledger.url) as connection:
        now = await connection.fetchval("select clock_timestamp()")
        await connection.execute(INSERT_AT, 1, now + timedelta(hours=1))
    for number in range(3):
        await ledger.tell(usage(number))
    return [one["recorded_at"] for one in await ledger.log.since(0)]


async def test_time_of_recording_never_decreases_even_when_the_clock_does(ledger: Ledger) -> None:
    times = await append_after_a_clock_that_was_ahead(ledger)
    assert times == sorted(times)
    assert (await ledger.log.head()).recorded_at == times[-1]


async def test_by_the_clock_alone_it_would(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard of the test above is `greatest` in the statement that reads the head."""
    by_clock = event_log.SELECT_HEAD_AND_CLOCK.replace("greatest(recorded_at, clock_timestamp())", "clock_timestamp()")
    monkeypatch.setattr(event_log, "SELECT_HEAD_AND_CLOCK", by_clock)
    times = await append_after_a_clock_that_was_ahead(ledger)
    assert times != sorted(times)


async def test_who_follows_a_log_with_a_hole_is_stopped(ledger: Ledger) -> None:
    async with owner(ledger.url) as connection:
        for position in (1, 2, 4):
            await connection.execute(INSERT_AT, position, NOW)
    assert len(await ledger.log.since(0, limit=2)) == 2
    with pytest.raises(LogHasHole, match="between 2 and 4"):
        await ledger.log.since(2)


async def test_pages_go_both_ways_between_positions_by_name_and_topic(ledger: Ledger) -> None:
    await ledger.tell(*(usage(number, subject="acme" if number % 2 else "umbrella") for number in range(1, 7)))
    await ledger.log.append([row("a")])

    async def page(**how: object) -> list[int]:
        asked = {"after": 0, "before": 100, "limit": 10} | how
        return [one["position"] for one in await ledger.log.page(**asked)]  # type: ignore[arg-type]

    assert await page() == [1, 2, 3, 4, 5, 6, 7]
    assert await page(after=2, before=6) == [3, 4, 5]
    assert await page(limit=2) == [1, 2]
    assert await page(limit=2, is_backwards=True) == [7, 6]
    assert await page(names=["acme"]) == [1, 3, 5]
    assert await page(topics=["Tested"]) == [7]
    assert await page(names=["acme"], topics=["Tested"]) == []


async def test_usage_of_names_is_read_in_order_up_to_a_position(ledger: Ledger) -> None:
    await ledger.tell(*(usage(number, subject=f"s{number % 3}") for number in range(9)))
    rows = await ledger.log.usage_of(["s0", "s2"], after=1, up_to=8)
    assert [one["position"] for one in rows] == [3, 4, 6, 7]
    assert [one["position"] for one in await ledger.log.usage_of(["s0"], after=0, up_to=9, limit=2)] == [1, 4]
    assert [one["position"] for one in await ledger.log.at([5, 2, 99])] == [2, 5]
    assert [one["position"] for one in await ledger.log.decisions_since(0)] == []


async def test_a_moment_names_the_last_position_recorded_by_then(ledger: Ledger) -> None:
    async with owner(ledger.url) as connection:
        for position, minute in enumerate((0, 0, 1, 5, 5, 9), 1):
            await connection.execute(INSERT_AT, position, NOW + timedelta(minutes=minute))
    asked = [-1, 0, 1, 4, 5, 8, 9, 10]
    found = [await ledger.log.position_at(NOW + timedelta(minutes=minute)) for minute in asked]
    assert found == [0, 2, 3, 3, 5, 5, 6, 6]
