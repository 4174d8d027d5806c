"""The usage read model: every figure follows from the log, whatever was decided after it."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from ledger.domain.accounts import AliasAccount, ChangeAccountZone, RemoveAccountAlias
from ledger.domain.events import UsageRecorded
from ledger.domain.meters import ChangeMeter, DefineMeter, RetireMeter
from ledger.domain.refusals import (
    AccountUnknown,
    ArgumentInvalid,
    DimensionUndeclared,
    MeterUnknown,
    RangeTooLarge,
    UsageNotHeld,
    UsageSettledAlready,
)
from ledger.projections import runner
from ledger.projections.usage_lane import rebuild
from tests.log.ledgers import NOW, usage
from tests.projections.worlds import World, at, metered, open_world

DAY = NOW.date()
TOMORROW = DAY + timedelta(days=1)
MARCH = date(2026, 3, 1), date(2026, 4, 1)


def last_year(number: int, **properties: Any) -> UsageRecorded:
    return usage(number, time=NOW - timedelta(days=365), **properties)


async def test_a_meter_defined_today_shows_last_years_usage(world: World) -> None:
    await world.open_account()
    await world.tell(last_year(1, n=2), last_year(2, n=3), usage(3, n=4))
    await world.project()
    await world.define("n", aggregation="sum", property="n")
    await world.project()
    then = DAY - timedelta(days=365)
    assert await world.quantities("acme", "n", then, then + timedelta(days=1)) == [5]
    assert await world.quantities("acme", "n", DAY, TOMORROW) == [4]


async def test_until_a_new_meter_is_computed_its_answer_says_so(world: World) -> None:
    await world.open_account()
    await world.tell(usage(1), usage(2))
    await world.project()
    await world.define("calls")
    answer = await world.answer("acme", "calls", DAY, TOMORROW)
    assert (answer.rows, answer.is_building) == ([], True)
    await world.project()
    answer = await world.answer("acme", "calls", DAY, TOMORROW)
    assert [row.quantity for row in answer.rows] == [2]
    assert (answer.is_building, answer.progress) == (False, None)


async def test_while_a_change_is_computed_queries_show_the_old_definition(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "BUILD_STEP_EVENTS", 3)
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    await world.tell(*(usage(number, n=10) for number in range(20)))
    await world.project()
    await world.meter(ChangeMeter("n", metered(aggregation="max", property="n")))
    seen = []
    is_more = True
    while is_more:
        is_more = await world.projector.step()
        answer = await world.answer("acme", "n", DAY, TOMORROW)
        seen.append((answer.rows[0].quantity, answer.is_building, answer.progress))
    building = [one for one in seen if one[1]]
    assert all(quantity == 200 for quantity, _, _ in building), "never half of the new definition"
    assert len(building) > 5
    progress = [share for _, _, share in building if share is not None]
    assert progress == sorted(progress)
    assert seen[-1] == (Decimal(10), False, None)


async def test_usage_told_while_a_build_runs_is_in_both(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BUILD_STEP_EVENTS", 2)
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    await world.tell(*(usage(number, n=1) for number in range(9)))
    await world.project()
    await world.meter(ChangeMeter("n", metered(aggregation="sum", property="n", dimensions=("d",))))
    for number in range(20, 26):
        await world.projector.step()
        await world.tell(usage(number, n=1))
        [row] = await world.rows("acme", "n", DAY, TOMORROW)
        assert row.quantity is not None
        assert row.quantity >= 9
    await world.project()
    assert await world.quantities("acme", "n", DAY, TOMORROW) == [15]


async def test_a_second_change_during_a_build_wins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BUILD_STEP_EVENTS", 2)
    await world.open_account()
    await world.tell(*(usage(number, n=number) for number in range(1, 9)))
    await world.define("n", aggregation="sum", property="n")
    await world.define("calls")
    for _ in range(3):
        await world.projector.step()
    await world.meter(ChangeMeter("n", metered(aggregation="max", property="n")))
    await world.project()
    assert await world.quantities("acme", "n", DAY, TOMORROW) == [8]
    assert await world.quantities("acme", "calls", DAY, TOMORROW) == [8]


async def test_a_retired_meter_keeps_what_it_counted_before(world: World) -> None:
    await world.open_account()
    await world.define("calls")
    await world.tell(usage(1, time=NOW - timedelta(hours=2)), usage(2, time=NOW))
    await world.project()
    await world.meter(RetireMeter("calls", NOW - timedelta(hours=1)))
    await world.project()
    assert await world.quantities("acme", "calls", DAY, TOMORROW) == [1]


async def test_a_changed_zone_moves_days_past_ones_too(world: World) -> None:
    await world.open_account()
    await world.define("calls")
    await world.tell(
        usage(1, time=at("2026-03-10T23:30+00:00")),
        usage(2, time=at("2026-03-11T00:30+00:00")),
    )
    await world.project()
    days = await world.rows("acme", "calls", *MARCH)
    assert [row.quantity for row in days] == [1, 1]
    assert [row.start for row in days] == [at("2026-03-10T00:00Z"), at("2026-03-11T00:00Z")]
    await world.account(ChangeAccountZone("acme", "Europe/Paris"))
    await world.project()
    days = await world.rows("acme", "calls", *MARCH)
    assert [row.quantity for row in days] == [2]
    assert days[0].start == at("2026-03-10T23:00Z")


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
async def test_days_on_which_the_clock_is_put_have_all_their_hours(world: World, day: date, hours: int) -> None:
    await world.open_account("acme", "Europe/Paris")
    await world.define("calls")
    first = at(f"{day}T00:00+0{1 if hours == 23 else 2}:00")
    await world.tell(*(usage(hour, time=first + timedelta(hours=hour)) for hour in range(hours + 1)))
    await world.project()
    [row] = await world.rows("acme", "calls", day, day + timedelta(days=1))
    assert row.quantity == hours
    assert row.end - row.start == timedelta(hours=hours)
    by_hour = await world.rows("acme", "calls", day, day + timedelta(days=1), "HOUR")
    assert [one.quantity for one in by_hour] == [1] * hours
    assert all(before.end == after.start for before, after in pairwise(by_hour))


async def test_an_alias_added_later_brings_its_usage_and_removed_takes_it_away(world: World) -> None:
    await world.open_account()
    await world.define("calls")
    await world.tell(usage(1), usage(2, subject="cus_1"))
    await world.project()
    assert await world.quantities("acme", "calls", DAY, TOMORROW) == [1]
    assert [one.code for one in await world.held()] == ["account_unknown"]
    await world.account(AliasAccount("acme", "cus_1"))
    await world.project()
    assert await world.quantities("acme", "calls", DAY, TOMORROW) == [2]
    assert await world.quantities("cus_1", "calls", DAY, TOMORROW) == [2]
    assert await world.held() == []
    await world.account(RemoveAccountAlias("acme", "cus_1"))
    await world.project()
    assert await world.quantities("acme", "calls", DAY, TOMORROW) == [1]
    assert [(one.code, one.subject) for one in await world.held()] == [("account_unknown", "cus_1")]


async def test_an_account_opened_later_has_its_usage_from_before(world: World) -> None:
    await world.define("calls")
    await world.tell(usage(1), last_year(2))
    await world.project()
    await world.open_account()
    await world.project()
    assert await world.quantities("acme", "calls", DAY, TOMORROW) == [1]
    assert await world.held() == []


async def test_mended_usage_counts_with_its_original_time(world: World) -> None:
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    [position] = await world.tell(last_year(1, n="many"))
    await world.project()
    [held] = await world.held()
    assert (held.position, held.code, held.meters, held.account) == (position, "property_not_numeric", ("n",), "acme")
    mended = await world.mend(position, properties={"n": 7})
    await world.project()
    then = DAY - timedelta(days=365)
    [row] = await world.rows("acme", "n", then, then + timedelta(days=1))
    assert row.quantity == 7
    assert row.first_position == row.last_position == mended
    assert await world.held() == []
    with pytest.raises(UsageSettledAlready):
        await world.mend(position, properties={"n": 8})


async def test_mending_takes_an_event_out_of_the_meters_that_could_read_it(world: World) -> None:
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    await world.define("calls")
    [position] = await world.tell(usage(1, n="many"))
    await world.project()
    await world.mend(position, properties={"n": 7})
    await world.project()
    assert await world.quantities("acme", "calls", DAY, TOMORROW) == [1]
    assert await world.quantities("acme", "n", DAY, TOMORROW) == [7]


async def test_dismissed_usage_is_held_no_more_and_never_counts(world: World) -> None:
    await world.define("calls")
    [position] = await world.tell(usage(1))
    await world.project()
    await world.dismiss(position)
    await world.project()
    assert await world.held() == []
    await world.open_account()
    await world.project()
    assert await world.quantities("acme", "calls", DAY, TOMORROW) == []


async def test_a_conflict_counts_in_place_of_the_first_telling_once_a_person_says_so(world: World) -> None:
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    [first] = await world.tell(usage(1, n=1))
    [conflict] = await world.tell(usage(1, n=5))
    await world.project()
    assert await world.quantities("acme", "n", DAY, TOMORROW) == [1]
    assert [one.code for one in await world.held()] == ["key_conflict"]
    with pytest.raises(UsageNotHeld):
        await world.mend(first)
    await world.mend(conflict)
    await world.project()
    assert await world.quantities("acme", "n", DAY, TOMORROW) == [5]
    assert await world.held() == []


async def test_evidence_positions_bracket_the_events_behind_a_row(world: World) -> None:
    await world.open_account()
    await world.define("n", aggregation="sum", property="n", dimensions=("model",))
    await world.tell(
        *(usage(number, n=number, model="a" if number % 3 else "b", subject="acme" if number % 2 else "other")
          for number in range(30))
    )  # fmt: skip
    await world.project()
    for row in await world.rows("acme", "n", DAY, TOMORROW, group_by=("model",)):
        assert row.first_position is not None
        assert row.last_position is not None
        evidence = await world.ledger.log.usage_of(["acme"], after=row.first_position - 1, up_to=row.last_position)
        told = dict(await world.ledger.events())
        events = [event for one in evidence if isinstance(event := told[one["position"]], UsageRecorded)]
        mine = [event for event in events if (event.data["model"],) == row.dimensions]
        assert len(mine) == row.event_count
        assert sum(event.data["n"] for event in mine) == row.quantity
        assert {mine[0].data["n"] + 3, mine[-1].data["n"] + 3} == {row.first_position, row.last_position}


async def test_groups_and_filters_follow_the_declared_dimensions(world: World) -> None:
    await world.open_account()
    await world.define("n", aggregation="sum", property="n", dimensions=("model", "region"))
    await world.tell(
        usage(1, n=1, model="a", region="eu"),
        usage(2, n=2, model="a", region="us"),
        usage(3, n=4, model="b"),
        usage(4, n=8, region="eu"),
    )
    await world.project()

    async def groups(window: str, **how: object) -> dict[tuple[str | None, ...], Decimal | None]:
        rows = await world.rows("acme", "n", DAY, TOMORROW, window, **how)
        return {row.dimensions: row.quantity for row in rows}

    for window in ("DAY", "HOUR", "MONTH", "TOTAL"):
        assert await groups(window) == {(): 15}
        assert await groups(window, group_by=("model",)) == {("a",): 3, ("b",): 4, (None,): 8}
        by_both = await groups(window, group_by=("region", "model"))
        assert by_both == {("eu", "a"): 1, ("us", "a"): 2, (None, "b"): 4, ("eu", None): 8}
        assert await groups(window, where={"region": ["eu", None]}) == {(): 13}
        assert await groups(window, group_by=("model",), where={"model": [None]}) == {(None,): 8}
        assert await groups(window, where={"model": ["c"]}) == {}


async def test_a_request_that_makes_no_sense_is_refused(world: World) -> None:
    await world.open_account()
    await world.define("calls", dimensions=("model",))
    await world.define("users", aggregation="unique_count", property="user", carries_over=True)
    await world.tell(*(usage(number, time=NOW - timedelta(days=number)) for number in range(5)))
    await world.project()
    with pytest.raises(AccountUnknown):
        await world.rows("umbrella", "calls", DAY, TOMORROW)
    with pytest.raises(MeterUnknown):
        await world.rows("acme", "tokens", DAY, TOMORROW)
    with pytest.raises(DimensionUndeclared):
        await world.rows("acme", "calls", DAY, TOMORROW, group_by=("region",))
    with pytest.raises(DimensionUndeclared):
        await world.rows("acme", "calls", DAY, TOMORROW, where={"region": ["eu"]})
    for start, end in (
        (DAY, DAY),
        (TOMORROW, DAY),
        (date(1970, 1, 1), date(1970, 2, 1)),
        (date(9998, 12, 1), date.max),
    ):
        with pytest.raises(ArgumentInvalid):
            await world.rows("acme", "calls", start, end)
    with pytest.raises(RangeTooLarge):
        await world.rows("acme", "calls", DAY - timedelta(days=401), DAY)
    with pytest.raises(RangeTooLarge):
        await world.rows("acme", "calls", DAY - timedelta(days=9), TOMORROW, limit=4)
    with pytest.raises(RangeTooLarge):
        await world.rows("acme", "calls", DAY - timedelta(days=9), TOMORROW, "HOUR", limit=4)
    with pytest.raises(ArgumentInvalid):
        await world.rows("acme", "calls", DAY, TOMORROW, limit=0)
    with pytest.raises(ArgumentInvalid):
        await world.rows("acme", "users", DAY, TOMORROW, "HOUR")


@pytest.mark.parametrize("zone", ["America/New_York", "UTC", "Pacific/Kiritimati"])
async def test_what_happened_in_the_first_instant_is_carried_over(world: World, zone: str) -> None:
    await world.open_account("acme", zone)
    await world.define("seats", aggregation="sum", property="n", carries_over=True)
    await world.define("users", aggregation="unique_count", property="user", carries_over=True)
    await world.tell(usage(1, time=at("1970-01-01T00:00+00:00"), n=7, user="u"))
    await world.project()
    assert await world.quantities("acme", "seats", DAY, TOMORROW) == [7]
    assert await world.quantities("acme", "users", DAY, TOMORROW) == [1]


async def test_sums_are_exact_to_the_last_of_38_digits(world: World) -> None:
    await world.open_account()
    await world.define("n", aggregation="sum", property="n")
    largest = Decimal("99999999999999999999.999999999999999999")
    await world.tell(*(usage(number, n=largest) for number in range(7)), usage(8, n=Decimal("0.000000000000000001")))
    await world.project()
    assert await world.quantities("acme", "n", DAY, TOMORROW) == [Decimal("699999999999999999999.999999999999999994")]


async def test_no_property_can_stop_the_read_model(world: World) -> None:
    await world.open_account()
    await world.define("users", aggregation="unique_count", property="user", dimensions=("model",))
    odd = ["a\0b", "", " ", "x" * 10_000, "\\", '"', "{}", "🦊", [], {}, True, None, 10**400, Decimal("1E+400")]
    await world.tell(
        *(usage(number, user=one, model="m") for number, one in enumerate(odd)),
        *(usage(100 + number, user="u", model=one) for number, one in enumerate(odd)),
    )
    await world.project()
    [row] = await world.rows("acme", "users", DAY, TOMORROW)
    assert row.event_count + len(await world.held()) == 2 * len(odd)


async def test_one_connection_is_enough(database_url: str) -> None:
    """Who holds a connection and waits for another of the same pool waits for ever once all do the same."""
    async with open_world(database_url, pool_size=1) as world, asyncio.timeout(20):
        await world.define("calls", dimensions=("model",))
        await world.tell(usage(1, model="a", subject="cus_1"), usage(2, model=[]))
        await world.open_account("acme", "UTC", "cus_1")
        await world.project()
        await world.mend(3, properties={"model": "b"})
        await world.project()
        asked = [world.quantities("acme", "calls", DAY, TOMORROW, "HOUR", group_by=("model",)) for _ in range(8)]
        assert await asyncio.gather(*asked) == [[1, 1]] * 8


async def test_a_rebuild_changes_no_figure_and_queries_go_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BUILD_STEP_EVENTS", 5)
    await world.open_account("acme", "UTC", "cus_1")
    await world.define("n", aggregation="sum", property="n", dimensions=("model",))
    await world.tell(*(usage(number, n=number, model=f"m{number % 3}") for number in range(40)))
    await world.tell(usage(50, n="many"), usage(51, subject="nobody"))
    await world.project()
    before = await world.tables()
    series = await world.ledger.pool.fetchval("select max(series) from usage_series")
    await rebuild(world.ledger.pool, world.ledger.log)
    is_more, steps = True, 0
    while is_more:
        is_more = await world.projector.step()
        steps += 1
        assert await world.tables() == before
    assert steps > 8
    assert await world.ledger.pool.fetchval("select min(series) from usage_series where state = 'live'") > series


async def test_a_projector_at_rest_notices_a_rebuild_begun_elsewhere(world: World) -> None:
    await world.open_account()
    await world.define("calls")
    await world.project()
    assert not await world.projector.step()
    async with open_world(world.ledger.url) as other:
        await rebuild(other.ledger.pool, other.ledger.log)
    assert (await world.answer("acme", "calls", DAY, TOMORROW)).is_building
    await world.project()
    assert not (await world.answer("acme", "calls", DAY, TOMORROW)).is_building


async def test_the_same_key_may_be_defined_for_two_types_by_change(world: World) -> None:
    await world.open_account()
    await world.meter(DefineMeter("calls", metered()))
    await world.tell(usage(1), usage(2, event_type="other"), usage(3, event_type="other"))
    await world.project()
    assert [one.code for one in await world.held()] == ["type_unknown", "type_unknown"]
    await world.meter(ChangeMeter("calls", metered(event_type="other")))
    await world.project()
    assert await world.quantities("acme", "calls", DAY, TOMORROW) == [2]
    assert [one.position for one in await world.held()] == [3]
