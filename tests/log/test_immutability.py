"""The log is append-only: by privilege for the service, by trigger for everybody."""

import asyncpg
import pytest

from ledger.database import connect
from tests.log.ledgers import Ledger, owner, usage

CHANGES = [
    "update events set account = 'other'",
    "update events set state = '{}' where position = 1",
    "delete from events",
    "delete from events where position = 2",
    "truncate events",
]
CHANGES_THAT_FIND_NOTHING = ["update events set account = 'x' where false", "delete from events where false"]


@pytest.mark.parametrize("change", [*CHANGES, *CHANGES_THAT_FIND_NOTHING])
async def test_the_service_has_no_right_to_change_the_log(ledger: Ledger, change: str) -> None:
    await ledger.tell(usage(1), usage(2))
    before = await ledger.events()
    connection = await connect(ledger.url, application="test")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(change)
    await connection.close()
    assert await ledger.events() == before


@pytest.mark.parametrize("change", CHANGES)
async def test_with_the_right_the_service_is_still_refused_by_the_trigger(ledger: Ledger, change: str) -> None:
    """Shows that privilege is a guard of its own: granted, another refusal comes, from the trigger."""
    await ledger.tell(usage(1), usage(2))
    async with owner(ledger.url) as connection:
        await connection.execute("grant update, delete, truncate on events to ledger_service")
    connection = await connect(ledger.url, application="test")
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await connection.execute(change)
    await connection.close()


@pytest.mark.parametrize("change", CHANGES)
async def test_a_superuser_is_refused_by_the_trigger(ledger: Ledger, change: str) -> None:
    await ledger.tell(usage(1), usage(2))
    before = await ledger.events()
    async with owner(ledger.url) as connection:
        assert await connection.fetchval("select rolsuper from pg_roles where rolname = current_user")
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await connection.execute(change)
    assert await ledger.events() == before


@pytest.mark.parametrize("change", CHANGES)
async def test_without_the_triggers_a_superuser_changes_the_log(ledger: Ledger, change: str) -> None:
    """The guard of the test above are the triggers: disabled, every change goes through."""
    await ledger.tell(usage(1), usage(2))
    before = await ledger.pool.fetch("select * from events order by position")
    async with owner(ledger.url) as connection:
        await connection.execute("alter table events disable trigger user")
        await connection.execute(change)
    assert await ledger.pool.fetch("select * from events order by position") != before


async def test_the_service_may_not_disable_the_triggers(ledger: Ledger) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ledger.pool.execute("alter table events disable trigger user")


async def test_the_service_works_in_its_own_role(ledger: Ledger) -> None:
    assert await ledger.pool.fetchval("select current_user") == "ledger_service"
    assert await ledger.log._writer.fetchval("select current_user") == "ledger_service"
