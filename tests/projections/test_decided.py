"""The read models that are made of decisions follow the log together, and each misses nothing and doubles nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from ledger.database import Connection
from ledger.domain.accounts import AliasAccount, RenameAccount
from ledger.projections import decided
from ledger.projections.decided import DecidedModel, step
from ledger.projections.runner import DECIDED
from ledger.projections.watermark import CursorMoved, cursors
from tests.log.ledgers import usage
from tests.projections.worlds import World


class Crash(Exception):
    """What a fold dies of."""


class Taken:
    """A read model that keeps no table: the positions that it was given, in the order of giving."""

    def __init__(self, name: str, *topics: str) -> None:
        self.positions: list[int] = []
        self.model = DecidedModel(name, frozenset(topics), self._fold)

    async def _fold(self, connection: Connection, rows: Sequence[Any]) -> None:
        self.positions += [row["position"] for row in rows]


async def positions(world: World, *models: DecidedModel) -> list[int]:
    found = await cursors(world.ledger.pool, [model.name for model in models])
    return [found[model.name].position for model in models]


async def test_models_that_stand_apart_meet_and_are_told_everything_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the bound at where others wait, both would leap from head to head and never be read for together."""
    monkeypatch.setattr(decided, "STEP_EVENTS", 2)
    names, aliases = Taken("accounts", "AccountRenamed"), Taken("cases", "AccountAliased")
    await world.open_account()
    for number in range(3):
        await world.account(RenameAccount("acme", f"name {number}"))
    while await step(world.ledger.pool, world.ledger.log, [names.model]):
        pass
    for number in range(3):
        await world.account(AliasAccount("acme", f"cus_{number}"))
    await world.account(RenameAccount("acme", "last"))
    both = [names.model, aliases.model]
    assert await positions(world, *both) == [4, 0]
    while await step(world.ledger.pool, world.ledger.log, both):
        if (await positions(world, *both))[1] == 4:
            assert await positions(world, *both) == [4, 4]
    assert await positions(world, *both) == [8, 8]
    assert (names.positions, aliases.positions) == ([2, 3, 4, 8], [5, 6, 7])


async def test_usage_alone_moves_every_cursor_in_one_transaction(world: World) -> None:
    await world.open_account()
    await world.project()
    [position] = await world.tell(usage(1))
    await world.project()
    names = [model.name for model in DECIDED]
    rows = await world.ledger.pool.fetch("select position, xmin::text from cursors where name = any($1)", names)
    assert {row["position"] for row in rows} == {position}
    assert len({row["xmin"] for row in rows}) == 1


async def test_of_two_runners_one_folds_and_the_other_is_told(world: World) -> None:
    """Both have read the same rows when both write. Without compare-and-set the positions come twice."""
    names = Taken("accounts", "AccountOpened")
    await world.open_account()
    both_read = asyncio.Barrier(2)
    log = world.ledger.log
    whole = log.of_topics

    async def read(*asked: Any, **where: Any) -> list[Any]:
        rows = await whole(*asked, **where)
        await both_read.wait()
        return rows

    log.of_topics = read  # type: ignore[method-assign]
    ended = await asyncio.gather(
        *(step(world.ledger.pool, log, [names.model]) for _ in range(2)), return_exceptions=True
    )
    assert sorted(map(type, ended), key=str) == sorted((bool, CursorMoved), key=str)
    assert names.positions == [1]


async def test_a_fold_that_fails_takes_back_what_the_others_wrote(world: World) -> None:
    """One transaction for all of them: without it, accounts would be inserted twice at the second try."""

    async def crash(connection: Connection, rows: Sequence[Any]) -> None:
        raise Crash

    await world.open_account()
    crashing = DecidedModel("cases", frozenset({"AccountOpened"}), crash)
    with pytest.raises(Crash):
        await step(world.ledger.pool, world.ledger.log, [DECIDED[0], crashing])
    assert await world.ledger.pool.fetchval("select count(*) from accounts") == 0
    assert await positions(world, *DECIDED) == [0] * len(DECIDED)
    await world.project()
    assert await world.ledger.pool.fetchval("select count(*) from accounts") == 1
