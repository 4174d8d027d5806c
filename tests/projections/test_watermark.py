"""Watermarks, waiting for a position, and how far every read model has come."""

import asyncio
from datetime import timedelta

import pytest

from ledger.domain.refusals import PositionNotReached
from ledger.projections.replay_models import MODELS
from ledger.projections.status import status
from ledger.projections.usage_lane import rebuild
from ledger.projections.watermark import reach, watermark
from tests.log.ledgers import NOW, usage
from tests.projections.worlds import World

DAY = NOW.date()
TOMORROW = DAY + timedelta(days=1)


async def test_an_empty_ledger_has_nothing_waiting(world: World) -> None:
    mark = await watermark(world.ledger.pool, "usage")
    assert (mark.position, mark.recorded_at, mark.lag_milliseconds) == (0, None, 0)


async def test_a_watermark_tells_position_time_and_how_long_the_next_event_has_waited(world: World) -> None:
    await world.open_account()
    await world.tell(usage(1))
    await asyncio.sleep(0.02)
    behind = await watermark(world.ledger.pool, "usage")
    assert (behind.position, behind.recorded_at) == (0, None)
    assert behind.lag_milliseconds >= 20
    await world.project()
    mark = await watermark(world.ledger.pool, "usage")
    head = await world.ledger.log.head()
    assert (mark.position, mark.recorded_at, mark.lag_milliseconds) == (head.position, head.recorded_at, 0)


async def test_an_answer_carries_the_watermark_of_its_rows(world: World) -> None:
    await world.open_account()
    await world.define("calls")
    await world.tell(usage(1))
    await world.project()
    before = await world.answer("acme", "calls", DAY, TOMORROW)
    await world.tell(usage(2))
    behind = await world.answer("acme", "calls", DAY, TOMORROW)
    assert behind.watermark.position == before.watermark.position == 3
    assert behind.rows == before.rows
    await world.project()
    after = await world.answer("acme", "calls", DAY, TOMORROW)
    assert after.watermark.position == 4
    assert after.rows[0].quantity == 2


async def test_who_asks_for_at_least_a_position_waits_until_it_is_there(world: World) -> None:
    await world.open_account()
    [position] = await world.tell(usage(1))
    waiting = asyncio.create_task(reach(world.ledger.pool, "usage", position, timeout_seconds=10))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await world.project()
    await asyncio.wait_for(waiting, 10)
    await reach(world.ledger.pool, "usage", position, timeout_seconds=0)


async def test_who_waits_too_long_is_told_how_far_it_came(world: World) -> None:
    await world.open_account()
    await world.project()
    with pytest.raises(PositionNotReached) as refused:
        await reach(world.ledger.pool, "usage", 9, timeout_seconds=0.05)
    assert refused.value.facts == {"wanted": 9, "reached": 1}


READ_MODELS = {model.cursor for model in MODELS}


async def test_status_names_every_read_model_and_a_build_while_it_runs(world: World) -> None:
    await world.open_account()
    await world.define("calls")
    await world.tell(usage(1))
    at_start = {one.name: one for one in await status(world.ledger.pool, world.ledger.log)}
    assert set(at_start) == READ_MODELS
    assert all((one.position, one.events_behind, one.state) == (0, 3, "live") for one in at_start.values())
    await world.project()
    done = await status(world.ledger.pool, world.ledger.log)
    assert {(one.position, one.events_behind, one.lag_milliseconds) for one in done} == {(3, 0, 0)}
    await rebuild(world.ledger.pool, world.ledger.log)
    states = {one.name: one.state for one in await status(world.ledger.pool, world.ledger.log)}
    assert states == dict.fromkeys(READ_MODELS, "live") | {"usage build": "building"}
