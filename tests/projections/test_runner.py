"""The runner: any number of them, any size of step, a crash at any moment, and the rows are the same."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ledger.domain.accounts import AliasAccount, ChangeAccountZone, RemoveAccountAlias
from ledger.projections import accounts, runner, usage_lane, usage_tables, watermark
from ledger.projections.usage_lane import MAIN, Lane, rebuild
from ledger.projections.watermark import Cursor, CursorMoved, move, reach
from tests.log.ledgers import NOW, owner, usage
from tests.projections.worlds import World, open_world

DAY = NOW.date()
TOMORROW = DAY + timedelta(days=1)

Step = Callable[..., Awaitable[Any]]


async def tell_much(world: World) -> None:
    """400 events of four accounts, some held, told before and after decisions that move them."""
    await world.define("n", aggregation="sum", property="n", dimensions=("model",))
    await world.define("users", aggregation="unique_count", property="user")
    for account in ("a", "b"):
        await world.open_account(account)
    for batch in range(8):
        await world.tell(
            *(
                usage(
                    batch * 50 + number,
                    subject="abcd"[number % 4],
                    time=NOW - timedelta(hours=number),
                    n=number if number % 11 else "x",
                    user=f"u{number % 7}",
                    model=f"m{number % 3}",
                )
                for number in range(50)
            )
        )
        if batch == 3:
            await world.open_account("c", "Asia/Tokyo", "d")
        if batch == 5:
            await world.account(ChangeAccountZone("a", "America/New_York"))
            await world.account(RemoveAccountAlias("c", "d"))


async def project_racing(world: World) -> None:
    """Three runners, each with connections of its own, until each is done."""
    async with open_world(world.ledger.url) as second, open_world(world.ledger.url) as third:
        await asyncio.gather(world.project(), second.project(), third.project())


async def event_count(world: World) -> int:
    """How many events the cells of the meter `n` count."""
    query = (
        "select sum(event_count) from usage_days join usage_series using (series) where state = 'live' and meter = 'n'"
    )
    return int(await world.ledger.pool.fetchval(query))


async def counted_and_told(world: World) -> tuple[int, int]:
    """What racing runners make of usage that all of them fold in many small steps, and how much it is."""
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    await world.project()
    await world.tell(*(usage(number, n=1) for number in range(300)))
    await project_racing(world)
    return await event_count(world), 300


async def test_racing_runners_double_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "STEP_EVENTS", 10)
    counted, told = await counted_and_told(world)
    assert counted == told


async def step_both(world: World) -> int:
    """Two lanes that stand at the same place fold the same five events, one after the other; how many are counted."""
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    await world.project()
    await world.tell(*(usage(number, n=1) for number in range(5)))
    lanes = [await Lane.open(world.ledger.pool, world.ledger.log, MAIN) for _ in range(2)]
    await lanes[0].step(limit=10)
    with contextlib.suppress(CursorMoved):
        await lanes[1].step(limit=10)
        assert await event_count(world) > 5, "a step that added nothing says so"
    return await event_count(world)


async def test_of_two_lanes_at_one_place_the_second_adds_nothing(world: World) -> None:
    assert await step_both(world) == 5


async def test_without_compare_and_set_the_second_doubles(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard of the tests above is the comparison in `MOVE_CURSOR`: without it the same events are added twice."""
    # A guard that looks right and is not: never back, whoever folded what.
    forward = usage_tables.ADVANCE.replace(
        "position = $2 and epoch = $3", "position <= $4 and $2::bigint + $3::integer >= 0"
    )
    assert forward != usage_tables.ADVANCE
    monkeypatch.setattr(usage_tables, "ADVANCE", forward)
    assert await step_both(world) == 10


async def test_racing_runners_agree_with_one_on_everything(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "STEP_EVENTS", 17)
    monkeypatch.setattr(runner, "BUILD_STEP_EVENTS", 13)
    await tell_much(world)
    await project_racing(world)
    raced = await world.tables()
    await rebuild(world.ledger.pool, world.ledger.log)
    await project_racing(world)
    assert await world.tables() == raced
    assert sum(len(rows) for rows in raced.values()) > 100


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
async def test_any_size_of_step_gives_the_same_rows(world: World, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    await tell_much(world)
    await world.project()
    whole = await world.tables()
    monkeypatch.setattr(runner, "STEP_EVENTS", size)
    monkeypatch.setattr(runner, "BUILD_STEP_EVENTS", size)
    await rebuild(world.ledger.pool, world.ledger.log)
    await world.project()
    assert await world.tables() == whole


async def test_a_projector_that_starts_late_gets_the_same_rows(world: World) -> None:
    await world.define("n", aggregation="sum", property="n", dimensions=("model",))
    await tell_much_step_by_step(world)
    followed = await world.tables()
    await rebuild(world.ledger.pool, world.ledger.log)
    await world.project()
    assert await world.tables() == followed


async def tell_much_step_by_step(world: World) -> None:
    for number in range(30):
        await world.tell(usage(number, subject="ab"[number % 2], n=number, model="m"))
        if number == 10:
            await world.open_account("a", "Europe/Paris")
        if number == 20:
            await world.account(AliasAccount("a", "b"))
        await world.project()


class Crash(Exception):
    """The process dies here."""


def crash_once(step: Step) -> tuple[Step, list[int]]:
    """The step, which the first time does its work and then fails, as a process that dies before the commit."""
    crashes: list[int] = []

    async def crashing(*arguments: Any, **options: Any) -> Any:
        outcome = await step(*arguments, **options)
        if not crashes:
            crashes.append(1)
            raise Crash
        return outcome

    return crashing, crashes


async def everything(world: World) -> dict[str, list[Any]]:
    """All rows of all read models and their cursors."""
    pool = world.ledger.pool
    cursors = await pool.fetch("select name, position, epoch from cursors order by name")
    rows = await pool.fetch("select * from accounts order by key")
    series = await pool.fetch("select meter, state from usage_series order by series")
    return {**await world.tables(), "cursors": list(cursors), "accounts": list(rows), "series": list(series)}


@pytest.mark.parametrize(
    ("module", "name"),
    [(usage_tables, "merge"), (usage_tables, "forget"), (usage_tables, "release"), (accounts, "_take_in")],
)
async def test_a_crash_between_fold_and_commit_changes_nothing_and_the_next_step_repairs(
    world: World, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    """The same projector goes on: what it had taken in before the crash must not be taken in twice."""
    monkeypatch.setattr(runner, "DECIDED_SECONDS", 0)
    await world.open_account("acme", "UTC", "cus_1")
    await world.define("n", aggregation="sum", property="n")
    await world.tell(usage(1, n=1), usage(2, subject="cus_1", n=1), usage(3, subject="cus_2", n=1))
    await world.project()
    await world.account(RemoveAccountAlias("acme", "cus_1"))
    await world.account(AliasAccount("acme", "cus_2"))
    before = await everything(world)
    crashing, crashes = crash_once(getattr(module, name))
    monkeypatch.setattr(module, name, crashing)
    with pytest.raises(Crash):
        await world.projector.step()
    after = await everything(world)
    assert crashes
    if module is usage_tables:
        assert after == before
    assert after["accounts"] == before["accounts"]
    await world.project()
    assert await world.quantities("acme", "n", DAY, TOMORROW) == [2]
    assert [(held.subject, held.code) for held in await world.held()] == [("cus_1", "account_unknown")]
    [account] = await world.ledger.pool.fetch("select aliases from accounts")
    assert account["aliases"] == ["cus_2"]


@pytest.mark.parametrize("table", ["usage_days", "usage_hours", "usage_values", "held_usage"])
async def test_one_run_is_one_transaction(world: World, table: str) -> None:
    """Postgres fails in the middle of the writing, in each of the tables by turns."""
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    await world.define("users", aggregation="unique_count", property="user")
    await world.project()
    await world.tell(*(usage(number, n=1, user="u") for number in range(5)), usage(5, subject="nobody"))
    before = await everything(world)
    async with owner(world.ledger.url) as connection:
        await connection.execute(f"alter table {table} add constraint crash check (false) not valid")
    with pytest.raises(asyncpg.CheckViolationError):
        await world.projector.step()
    assert await everything(world) == before
    async with owner(world.ledger.url) as connection:
        await connection.execute(f"alter table {table} drop constraint crash")
    await world.project()
    assert await event_count(world) == 5
    assert len(await world.held()) == 1


async def test_what_was_folded_ahead_of_a_failed_write_is_thrown_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same lane goes on: without its look at where a batch begins, it would pass over what the failed step held."""
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    await world.project()
    await world.tell(*(usage(number, n=1) for number in range(45)))
    lane = await Lane.open(world.ledger.pool, world.ledger.log, MAIN)
    await lane.step(limit=10)
    advance = usage_tables.advance

    async def fail(*_: Any, **__: Any) -> None:
        await asyncio.sleep(0.05)  # the next batch is folded meanwhile
        raise Crash

    monkeypatch.setattr(usage_tables, "advance", fail)
    with pytest.raises(Crash):
        await lane.step(limit=10)
    monkeypatch.setattr(usage_tables, "advance", advance)
    while await lane.step(limit=10):
        pass
    assert await event_count(world) == 45


async def test_a_batch_folded_ahead_is_not_written_after_another_runner_went_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cursor's comparison refuses it: the same projector had folded the events that the other one wrote."""
    monkeypatch.setattr(runner, "STEP_EVENTS", 10)
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    await world.project()
    await world.tell(*(usage(number, n=1) for number in range(45)))
    await world.projector.step()
    async with open_world(world.ledger.url) as second:
        await second.project()
    await world.project()
    assert await event_count(world) == 45


async def test_a_crash_while_a_build_is_made_living_leaves_the_old_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    await world.tell(usage(1, n=1))
    await world.project()
    before = await world.tables()
    await rebuild(world.ledger.pool, world.ledger.log)
    crashing, crashes = crash_once(watermark.begin_epoch)
    monkeypatch.setattr(usage_lane, "begin_epoch", crashing)
    with pytest.raises(Crash):
        await world.project()
    assert crashes
    assert await world.tables() == before
    assert (await world.answer("acme", "n", DAY, TOMORROW)).is_building
    await world.project()
    assert await world.tables() == before
    assert not (await world.answer("acme", "n", DAY, TOMORROW)).is_building


async def test_a_cursor_that_is_not_where_it_was_seen_does_not_move(world: World) -> None:
    async with world.ledger.pool.acquire() as connection:
        for seen in (Cursor(1, 0), Cursor(0, 1)):
            with pytest.raises(CursorMoved):
                await move(connection, "usage", seen, position=5, recorded_at=None)
        await move(connection, "usage", Cursor(0, 0), position=5, recorded_at=NOW)
        with pytest.raises(CursorMoved):
            await move(connection, "usage", Cursor(0, 0), position=5, recorded_at=NOW)


async def test_a_running_projector_follows_the_log(world: World) -> None:
    running = asyncio.create_task(world.projector.run())
    await world.open_account()
    await world.define("calls")
    for number in range(3):
        [position] = await world.tell(usage(number))
        await reach(world.ledger.pool, "usage", position, timeout_seconds=10)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_running_projector_outlives_a_lost_connection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RETRY_SECONDS", 0.01)
    losing, losses = crash_once(usage_tables.advance)

    async def lose_connection(*arguments: Any, **options: Any) -> None:
        try:
            await losing(*arguments, **options)
        except Crash:
            raise asyncpg.ConnectionDoesNotExistError from None

    monkeypatch.setattr(usage_tables, "advance", lose_connection)
    await world.open_account()
    await world.define("calls")
    [position] = await world.tell(usage(1))
    running = asyncio.create_task(world.projector.run())
    await reach(world.ledger.pool, "usage", position, timeout_seconds=10)
    assert losses
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_a_build_replaced_is_swept_in_bounded_pieces(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_tables, "SWEEP_ROWS_MAX", 10)
    await tell_much(world)
    await world.project()
    await rebuild(world.ledger.pool, world.ledger.log)
    await world.project()
    living = await world.tables()
    deleted = []
    while count := await usage_tables.sweep(world.ledger.pool):
        deleted.append(count)
    assert len(deleted) > 1
    assert max(deleted) <= 4 * 10
    assert await world.tables() == living
    states = await world.ledger.pool.fetch("select distinct state from usage_series")
    assert [row["state"] for row in states] == ["live"]
    for table in living:
        strays = f"select count(*) from {table} where series not in (select series from usage_series)"
        assert await world.ledger.pool.fetchval(strays) == 0
