"""A connection lost at the worst moment: nothing is lost, nothing is written twice."""

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from ledger import event_log
from ledger.domain.refusals import LedgerUnavailable
from ledger.event_log import LOCK, EventLog
from ledger.log_plan import Appended, Plan, plan_all
from tests.log.ledgers import Ledger, owner, row, usage

TERMINATE_WRITERS = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name = 'ledger writer'
"""
CANCEL_WRITERS = TERMINATE_WRITERS.replace("pg_terminate_backend", "pg_cancel_backend")


class DiesAfterCommit:
    """A writer's connection that commits and is lost before the answer arrives, once."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, statement: str, *arguments: Any) -> str:
        status = await self._connection.execute(statement, *arguments)
        if statement == "commit":
            raise ConnectionResetError
        return str(status)


def lose_the_answer(log: EventLog) -> None:
    log._writer = DiesAfterCommit(log._writer)  # type: ignore[assignment]


async def test_a_writer_killed_before_the_commit_writes_once(ledger: Ledger) -> None:
    async with owner(ledger.url) as other:
        await other.execute("select pg_advisory_lock($1)", LOCK)
        append = asyncio.create_task(ledger.tell(usage(1), usage(2)))
        await asyncio.sleep(0.05)
        await other.execute(TERMINATE_WRITERS)
        await other.execute("select pg_advisory_unlock($1)", LOCK)
        assert list(await append) == [1, 2]
    assert await ledger.count() == 2


async def test_usage_committed_without_an_answer_is_found_and_not_written_again(ledger: Ledger) -> None:
    lose_the_answer(ledger.log)
    assert list(await ledger.tell(usage(1), usage(2))) == [1, 2]
    assert await ledger.count() == 2


async def test_a_decision_committed_without_an_answer_is_its_own_and_no_taken_version(ledger: Ledger) -> None:
    lose_the_answer(ledger.log)
    assert list((await ledger.log.append([row("a"), row("b")])).positions) == [1, 2]
    assert await ledger.count() == 2


async def test_without_looking_first_the_second_try_writes_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guards of the two tests above are the look before the second try, and behind it the unique key.

    With neither every event stands in the log twice.
    """

    async def plan_without_looking(_: EventLog, plan: Plan, appends: list[Any]) -> list[Appended | Any]:
        return plan_all(plan, appends)

    monkeypatch.setattr(EventLog, "_plan_around_taken", plan_without_looking)
    async with owner(ledger.url) as connection:
        await connection.execute("alter table events drop constraint events_one_per_version")
    lose_the_answer(ledger.log)
    await ledger.tell(usage(1), usage(2))
    assert await ledger.count() == 4


async def test_a_cancelled_statement_does_not_spoil_the_next_flush(ledger: Ledger) -> None:
    """Cancelled twice the append is given up; its half-done transaction must not stay on the connection."""
    async with owner(ledger.url) as other:
        await other.execute("select pg_advisory_lock($1)", LOCK)
        append = asyncio.create_task(ledger.tell(usage(1)))
        while not append.done():
            await asyncio.sleep(0.02)
            await other.execute(CANCEL_WRITERS)
        with pytest.raises(LedgerUnavailable, match="QueryCanceled"):
            await append
        await other.execute("select pg_advisory_unlock($1)", LOCK)
    assert list(await ledger.tell(usage(2))) == [1]


async def test_a_database_that_is_away_is_told_as_such_and_comes_back(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(event_log, "connect", refused)
        ledger.log._writer.terminate()
        with pytest.raises(LedgerUnavailable, match="ConnectionRefusedError"):
            await ledger.tell(usage(1))
    assert list(await ledger.tell(usage(1))) == [1]


async def keep_killing(url: str) -> None:
    chance = random.Random(7)
    async with owner(url) as connection:
        while True:
            await asyncio.sleep(chance.uniform(0.005, 0.05))
            await connection.execute(TERMINATE_WRITERS)


async def tell_until_stored(ledger: Ledger, writer: int) -> None:
    """What the API's clients do: repeat until an answer comes, which is safe."""
    for number in range(30):
        while True:
            try:
                await ledger.tell(usage(writer * 1000 + number), usage(writer * 1000 + number + 500))
                break
            except LedgerUnavailable:
                await asyncio.sleep(0.01)


async def test_writers_killed_at_random_lose_and_double_nothing(ledger: Ledger) -> None:
    killer = asyncio.create_task(keep_killing(ledger.url))
    await asyncio.gather(*(tell_until_stored(ledger, writer) for writer in range(6)))
    killer.cancel()
    await asyncio.gather(killer, return_exceptions=True)
    ids = await ledger.pool.fetch("select state ->> 'id' as id, position from events order by position")
    assert len({one["id"] for one in ids}) == len(ids) == 6 * 60
    assert [one["position"] for one in ids] == list(range(1, 6 * 60 + 1))


async def test_faults_that_pass_are_told_apart_from_bugs() -> None:
    assert issubclass(asyncpg.TooManyConnectionsError, event_log.UNAVAILABLE)
    assert issubclass(asyncpg.LockNotAvailableError, event_log.UNAVAILABLE)
    assert not issubclass(asyncpg.SyntaxOrAccessError, event_log.UNAVAILABLE)
    assert not issubclass(asyncpg.UniqueViolationError, event_log.UNAVAILABLE)
