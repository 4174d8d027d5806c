"""A process that is alone writes on from where it left the log, in one statement: every guard of order still holds."""

import asyncio
from typing import Any

import asyncpg
import pytest

from ledger import event_log, log_plan
from ledger.domain.refusals import LedgerUnavailable
from ledger.event_log import BEGIN_UNDER_LOCK, COPY_UNDER_LOCK, LOCK, EventLog
from ledger.log_plan import Left
from tests.log.ledgers import NOW, Ledger, open_ledger, owner, row, usage


class Watched:
    """A writer's connection that tells whether it writes on, and may be lost right after doing so."""

    def __init__(self, connection: Any, *, is_lost: bool = False) -> None:
        self._connection = connection
        self._is_lost = is_lost
        self.written_on = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def _copy_in(self, statement: str, *arguments: Any) -> str:
        status = str(await self._connection._copy_in(statement, *arguments))
        self.written_on += 1
        if self._is_lost:
            raise ConnectionResetError
        return status


def watch(log: EventLog, *, is_lost: bool = False) -> Watched:
    watched = Watched(log._writer, is_lost=is_lost)
    log._writer = watched  # type: ignore[assignment]
    return watched


async def be_alone(ledger: Ledger) -> None:
    """After two flushes with nobody between them, at positions 1 and 2, the next is written on."""
    for number in (-1, -2):
        await ledger.tell(usage(number))


async def test_who_is_alone_writes_on_after_two_flushes(ledger: Ledger) -> None:
    watched = watch(ledger.log)
    await be_alone(ledger)
    assert watched.written_on == 0
    for number in range(5):
        assert list(await ledger.tell(usage(number))) == [number + 3]
    assert watched.written_on == 5


async def test_what_another_process_wrote_meanwhile_is_numbered_around(ledger: Ledger) -> None:
    async with open_ledger(ledger.url) as other:
        await be_alone(ledger)
        assert list(await other.tell(usage(1), usage(2))) == [3, 4]
        assert list(await ledger.tell(usage(3))) == [5]
        assert list(await other.tell(usage(4))) == [6]
    assert [position for position, _ in await ledger.events()] == [1, 2, 3, 4, 5, 6]


async def test_who_found_another_process_looks_at_the_head_again(ledger: Ledger) -> None:
    async with open_ledger(ledger.url) as other:
        await be_alone(ledger)
        await other.tell(usage(1))
        await ledger.tell(usage(2))
        watched = watch(ledger.log)
        await other.tell(usage(3))
        assert list(await ledger.tell(usage(4))) == [6]
        assert watched.written_on == 0


async def test_a_repeat_is_found_when_writing_on(ledger: Ledger) -> None:
    await be_alone(ledger)
    assert list(await ledger.tell(usage(-1), usage(1))) == [1, 3]
    assert await ledger.count() == 3


async def writes_on_beside_a_holder_of_the_lock(ledger: Ledger) -> bool:
    """Whether a process that writes on is done while another one holds the lock."""
    await be_alone(ledger)
    async with owner(ledger.url) as other:
        await other.execute(BEGIN_UNDER_LOCK)
        append = asyncio.create_task(ledger.tell(usage(1)))
        await asyncio.wait([append], timeout=0.15)
        is_done = append.done()
        await other.execute("commit")
    assert list(await append) == [3]
    return is_done


async def test_who_writes_on_waits_for_the_lock(ledger: Ledger) -> None:
    assert not await writes_on_beside_a_holder_of_the_lock(ledger)


async def test_without_the_lock_in_its_statement_it_would_not(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard of the test above is the lock in the statement: who holds it would number from a head that moves."""
    unlocked = COPY_UNDER_LOCK.replace(f"select pg_advisory_xact_lock({LOCK});", "")
    monkeypatch.setattr(event_log, "COPY_UNDER_LOCK", unlocked)
    assert await writes_on_beside_a_holder_of_the_lock(ledger)


async def test_without_the_key_two_would_stand_at_one_position(ledger: Ledger) -> None:
    """The guard of who is wrong about the head is the key on positions."""
    async with owner(ledger.url) as connection:
        await connection.execute("alter table events drop constraint events_pkey")
    async with open_ledger(ledger.url) as other:
        await be_alone(ledger)
        await other.tell(usage(1))
        assert list(await ledger.tell(usage(2))) == [3]
    assert await ledger.pool.fetchval("select count(*) from events where position = 3") == 2


async def test_who_writes_on_and_waits_too_long_is_told_to_repeat(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "COPY_UNDER_LOCK", COPY_UNDER_LOCK.replace("'20s'", "'50ms'"))
    await be_alone(ledger)
    async with owner(ledger.url) as other:
        await other.execute("select pg_advisory_lock($1)", LOCK)
        with pytest.raises(LedgerUnavailable, match="LockNotAvailable"):
            await ledger.tell(usage(1))
        await other.execute("select pg_advisory_unlock($1)", LOCK)
    assert list(await ledger.tell(usage(1))) == [3]


async def test_what_was_written_on_without_an_answer_is_found_and_not_written_again(ledger: Ledger) -> None:
    await be_alone(ledger)
    watched = watch(ledger.log, is_lost=True)
    assert list(await ledger.tell(usage(1), usage(2))) == [3, 4]
    assert watched.written_on == 1
    assert await ledger.count() == 4


async def test_a_new_connection_looks_at_the_head_first(ledger: Ledger) -> None:
    """It may lead to a standby whose log is shorter: to write on there would leave a hole."""
    await be_alone(ledger)
    async with owner(ledger.url) as connection:
        await connection.execute("alter table events disable trigger events_are_immutable")
        await connection.execute("delete from events where position = 2")
    ledger.log._writer.terminate()
    assert list(await ledger.tell(usage(1))) == [2]


async def test_the_clock_is_read_again_after_a_second(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = watch(ledger.log)
    monkeypatch.setattr(log_plan, "CLOCK_AGE_SECONDS_MAX", 0)
    await be_alone(ledger)
    await ledger.tell(usage(1))
    assert watched.written_on == 0


def test_the_clock_is_told_by_what_passed_and_never_steps_back() -> None:
    left = Left(7, recorded_at=NOW, clock=NOW, read_at=100.0, is_alone=True)
    assert (left.recorded_at_next(100.5) - NOW).total_seconds() == 0.5
    behind = left._replace(recorded_at=left.recorded_at_next(101.0))
    assert behind.recorded_at_next(100.5) == behind.recorded_at


async def test_what_cannot_be_written_on_fails_alone(ledger: Ledger) -> None:
    await be_alone(ledger)
    good, bad = await asyncio.gather(
        ledger.tell(usage(1)), ledger.log.append([row("bad", state=b"no JSON")]), return_exceptions=True
    )
    assert list(good) == [3]  # type: ignore[arg-type]
    assert isinstance(bad, asyncpg.DataError)
