"""Migrations: each applied once, in order, whole or not at all, by however many processes."""

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from ledger import migrate as module
from ledger.migrate import MigrationChanged, migrate, migrations
from tests.log.ledgers import owner

Pretend = Callable[[dict[str, str]], None]

FIRST = {"0001_a.sql": "create table a (n integer); insert into a values (1);"}
SECOND = {"0002_b.sql": "insert into a values (2);"}


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Has the ledger bring other migrations than its own."""

    def bring(texts: dict[str, str]) -> None:
        monkeypatch.setattr(module, "migrations", lambda: sorted(texts.items()))

    return bring


async def rows(url: str) -> list[int]:
    async with owner(url) as connection:
        return [one["n"] for one in await connection.fetch("select n from a order by n")]


async def test_an_empty_database_gets_every_migration_and_then_none(empty_database_url: str) -> None:
    assert await migrate(empty_database_url) == [name for name, _ in migrations()]
    assert await migrate(empty_database_url) == []


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [int(name.split("_")[0]) for name, _ in migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_new_migration_is_applied_alone(empty_database_url: str, pretend: Pretend) -> None:
    pretend(FIRST)
    assert await migrate(empty_database_url) == ["0001_a.sql"]
    pretend(FIRST | SECOND)
    assert await migrate(empty_database_url) == ["0002_b.sql"]
    assert await rows(empty_database_url) == [1, 2]


async def test_an_edited_migration_is_refused_and_nothing_is_applied(empty_database_url: str, pretend: Pretend) -> None:
    pretend(FIRST)
    await migrate(empty_database_url)
    pretend({name: text + " -- edited" for name, text in FIRST.items()} | SECOND)
    with pytest.raises(MigrationChanged, match=r"0001_a\.sql"):
        await migrate(empty_database_url)
    assert await rows(empty_database_url) == [1]


async def test_a_migration_that_fails_leaves_nothing_behind(empty_database_url: str, pretend: Pretend) -> None:
    pretend(FIRST | {"0002_b.sql": "insert into a values (2); select 1 / 0;"})
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database_url)
    assert await rows(empty_database_url) == [1]
    pretend(FIRST | SECOND)
    assert await migrate(empty_database_url) == ["0002_b.sql"]


async def migrate_from_four_processes(url: str) -> list[list[str] | BaseException]:
    return await asyncio.gather(*(migrate(url) for _ in range(4)), return_exceptions=True)


SLOW = {"0001_a.sql": "select pg_sleep(0.1); create table a (n integer); insert into a values (1);"}


async def test_of_several_processes_one_migrates_and_the_others_wait(empty_database_url: str, pretend: Pretend) -> None:
    pretend(SLOW)
    applied = await migrate_from_four_processes(empty_database_url)
    assert sorted(applied, key=str) == [["0001_a.sql"], [], [], []]
    assert await rows(empty_database_url) == [1]


async def test_without_the_lock_they_collide(
    empty_database_url: str, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard of the test above is the advisory lock: on null nothing is locked, and they get in their way."""
    monkeypatch.setattr(module, "LOCK", None)
    pretend(SLOW)
    outcomes = await migrate_from_four_processes(empty_database_url)
    assert any(isinstance(outcome, asyncpg.PostgresError) for outcome in outcomes)
