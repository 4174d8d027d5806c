"""Any history, projected as it happens, rebuilt, or reckoned from the log, comes to the same figures."""

import asyncio
from collections.abc import Sequence
from datetime import date
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ledger.domain.calendar import WindowSize
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import AccountZoneChanged, Event, UsageDismissed, UsageMended
from ledger.projections import runner, usage_lane, usage_tables
from ledger.projections.usage_lane import rebuild
from ledger.projections.usage_request import Window
from tests.log.ledgers import owner
from tests.projections.histories import Happening, histories, live_through
from tests.projections.reference import Reference
from tests.projections.worlds import World, open_world

START, END = date(2026, 3, 28), date(2026, 4, 1)
WINDOWS: dict[Window, WindowSize | None] = {"DAY": "DAY", "HOUR": "HOUR", "TOTAL": None}

_databases = count(1)


async def reckon(world: World) -> Reference:
    reference = Reference()
    times = {row["position"]: row["recorded_at"] for row in await world.ledger.log.since(0)}
    for position, event in await world.ledger.events():
        reference.take(position, event, times[position])
    reference.settle()
    return reference


async def check_figures(world: World, reference: Reference) -> None:
    """Every meter of every account, by every window, as one and by all its dimensions."""
    for meter, definition in reference.meters.items():
        for account in reference.zones:
            for window, size in WINDOWS.items():
                if window == "HOUR" and definition.aggregation == "unique_count" and definition.carries_over:
                    continue
                for group in {(), definition.dimensions}:
                    shown = await world.rows(account, meter, START, END, window, group_by=group)
                    expected = reference.rows(meter, account, START, END, size, group)
                    assert set(map(tuple, shown)) == set(map(tuple, expected)), (meter, account, window, group)
                    assert len(shown) == len(expected)
                    assert [row.start for row in shown] == sorted(row.start for row in shown)


async def check_fates(world: World, reference: Reference) -> None:
    """Every stored event is counted, held, filtered or superseded, and the held ones are those that are shown."""
    query = "select meter, position, code from held_usage join usage_series using (series) where state = 'live'"
    shown = [tuple(row) for row in await world.ledger.pool.fetch(query)]
    assert len(shown) == len(set(shown))
    assert set(shown) == reference.held
    counted = {sample.position for samples in reference.samples.values() for sample in samples}
    held = {position for _, position, _ in reference.held}
    assert reference.contents.keys() == counted | held | reference.filtered | (
        reference.superseded & reference.contents.keys()
    )


async def check(url: str, history: Sequence[Happening], monkeypatch: pytest.MonkeyPatch) -> None:
    def resize(size: int) -> None:
        monkeypatch.setattr(runner, "STEP_EVENTS", size)
        monkeypatch.setattr(runner, "BUILD_STEP_EVENTS", size)

    async with open_world(url) as world:
        await live_through(world, history, resize)
        await world.project()
        reference = await reckon(world)
        await check_fates(world, reference)
        await check_figures(world, reference)
        incremental = await world.tables()
        await rebuild(world.ledger.pool, world.ledger.log)
        await world.project()
        assert await world.tables() == incremental


async def check_in_a_database_of_its_own(template_url: str, history: Sequence[Happening]) -> None:
    template, name = urlsplit(template_url), f"history_{next(_databases)}"
    async with owner(template._replace(path="/postgres").geturl()) as server:
        await server.execute(f"create database {name} template {template.path.strip('/')}")
        try:
            with pytest.MonkeyPatch.context() as monkeypatch:
                await check(template._replace(path=f"/{name}").geturl(), history, monkeypatch)
        finally:
            await server.execute(f"drop database {name} with (force)")


BOUNDED = settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@BOUNDED
@given(history=histories())
def test_incremental_rebuilt_and_reckoned_agree_on_any_history(database_url: str, history: list[Happening]) -> None:
    """`database_url` stays empty: each history gets a copy of it."""
    asyncio.run(check_in_a_database_of_its_own(database_url, history))


async def nothing(*_: object, **__: object) -> None:
    """In place of something that the read model does to stay right."""


def touch_all_but_zones(touched: Any, event: Event, touch: Any = usage_lane._touch) -> None:
    if not isinstance(event, AccountZoneChanged):
        touch(touched, event)


def supersede_nothing(catalogue: Catalogue, event: Event, position: int, apply: Any = Catalogue.apply) -> None:
    if not isinstance(event, UsageMended | UsageDismissed):
        apply(catalogue, event, position)


@pytest.mark.parametrize(
    ("owner_of_fault", "name", "fault"),
    [
        (usage_tables, "forget", nothing),
        (usage_tables, "release", nothing),
        (usage_lane.Lane, "_supersede", nothing),
        (usage_lane, "_touch", touch_all_but_zones),
        (Catalogue, "apply", supersede_nothing),
    ],
)
def test_a_planted_fault_is_found(database_url: str, owner_of_fault: Any, name: str, fault: Any) -> None:
    """Shows that the test above would fail: what keeps the rows right is taken away, and some history tells."""

    @settings(BOUNDED, phases=[Phase.generate], derandomize=True, max_examples=100)
    @given(history=histories())
    def hold(history: list[Happening]) -> None:
        asyncio.run(check_in_a_database_of_its_own(database_url, history))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner_of_fault, name, fault)
        with pytest.raises((AssertionError, asyncpg.UniqueViolationError, BaseExceptionGroup)):
            hold()
