"""The replay proof: equal on any untouched ledger at any moment, and whatever was altered is found and named."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ledger.commands.contracts import change_contract
from ledger.commands.plans import change_plan
from ledger.commands.platforms import Subject, keep_notifications, sync_object
from ledger.commands.replays import record_replay
from ledger.domain.accounts import AliasAccount, ChangeAccountZone, OpenAccount, RemoveAccountAlias
from ledger.domain.aggregation import Tally
from ledger.domain.agreements import ContractTerms, PlanChoice
from ledger.domain.contracting import PauseContract, StartContract
from ledger.domain.meters import ChangeMeter, DefineMeter
from ledger.domain.plans import DefinePlan
from ledger.domain.platform_events import PlatformNotified
from ledger.domain.platform_objects import Customer
from ledger.domain.pricing import PlanTerms
from ledger.domain.replay_events import Divergence, ReplayFinished
from ledger.domain.topics import decode, encode
from ledger.projections import replay as module
from ledger.projections import replay_shadow, runner, usage_lane
from ledger.projections.replay import MetersKeepChanging, replay
from ledger.projections.replay_models import MODELS
from ledger.projections.replay_shadow import ReplayUnderWay, open_shadow
from ledger.projections.usage_lane import rebuild
from tests.log.ledgers import METADATA, NOW, owner, usage
from tests.projections.histories import Happening, histories, live_through
from tests.projections.worlds import World, metered, open_world

_databases = count(1)


def clock() -> datetime:
    return datetime.now(UTC)


async def replayed(world: World, **how: Any) -> ReplayFinished:
    return await replay(world.ledger.pool, world.ledger.log, world.ledger.url, clock=clock, **how)


async def tell_much(world: World) -> None:
    """Usage of three accounts in two meters, some of it held, told before and after decisions that move it."""
    await world.define("n", aggregation="sum", property="n", dimensions=("model",))
    await world.define("users", aggregation="unique_count", property="user")
    await world.define("peak", aggregation="max", property="n")
    for account in ("a", "b"):
        await world.open_account(account)
    for batch in range(4):
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
        if batch == 1:
            await world.open_account("c", "Asia/Tokyo", "d")
        if batch == 2:
            await world.account(ChangeAccountZone("a", "America/New_York"))
            await world.account(RemoveAccountAlias("c", "d"))


@asynccontextmanager
async def tampering(world: World) -> AsyncIterator[Any]:
    """A superuser's connection, before whom the log's triggers sleep."""
    async with owner(world.ledger.url) as connection:
        await connection.execute("alter table events disable trigger user")
        yield connection
        await connection.execute("alter table events enable trigger user")


def found_in(outcome: ReplayFinished) -> dict[str, Divergence]:
    """The divergences by table; there is one account in each test that asks."""
    assert not outcome.is_equal
    return {one.projection: one for one in outcome.divergences}


async def hear_of_a_platform(world: World) -> None:
    """A customer there who changed, and the message that told it."""
    told = PlatformNotified(
        platform="stripe",
        event_id="evt_1",
        kind="customer.updated",
        object_kind="customer",
        object_id="cus_1",
        created_at=NOW,
        body="{}",
    )
    pool, log = world.ledger.pool, world.ledger.log
    await keep_notifications(log, [told], now=NOW, metadata=METADATA)
    for name in ("Acme", "Acme Ltd"):

        async def fetch(kind: str, object_id: str, name: str = name) -> Customer:
            return Customer(id=object_id, name=name)

        await sync_object(pool, log, Subject("stripe", "customer", "cus_1"), fetch, now=NOW, metadata=METADATA)


async def test_an_untouched_ledger_is_equal_and_every_table_is_compared(world: World) -> None:
    await tell_much(world)
    await hear_of_a_platform(world)
    await world.project()
    outcome = await replayed(world)
    assert outcome.is_equal
    assert outcome.divergences == ()
    assert [model.name for model in outcome.models] == [model.table for model in MODELS]
    assert {model.position for model in outcome.models} == {outcome.position} == {await world.ledger.count()}
    assert all(model.living_rows == model.replayed_rows for model in outcome.models)
    empty = {"adjustments", "cases", "sends", "credit_sends"}
    assert {model.name for model in outcome.models if not model.living_rows} == empty
    assert all(model.living_digest == model.replayed_digest for model in outcome.models)
    assert decode(outcome.TOPIC, encode(outcome)) == outcome


async def test_an_empty_ledger_is_equal(world: World) -> None:
    assert (await replayed(world)).is_equal


async def test_what_the_projector_has_yet_to_take_in_is_no_difference(world: World) -> None:
    await tell_much(world)
    await world.project()
    position = await world.ledger.count()
    await world.tell(usage(9_000, subject="a", n=1))
    outcome = await replayed(world)
    assert (outcome.is_equal, outcome.position) == (True, position)


async def test_a_replay_leaves_the_living_tables_alone(world: World) -> None:
    await tell_much(world)
    await world.project()
    before = await world.tables()
    cursors = await world.ledger.pool.fetch("select * from cursors order by name")
    await replayed(world)
    assert await world.tables() == before
    assert await world.ledger.pool.fetch("select * from cursors order by name") == cursors


async def test_the_shadow_folds_the_log_once_without_refolding_accounts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay knows from the first event on what was decided later: it is as fast as the projector's plain fold."""
    await tell_much(world)
    await world.project()
    refolded: list[int] = []

    async def refold(*_: Any, **__: Any) -> None:
        refolded.append(1)

    monkeypatch.setattr(usage_lane.Lane, "_refold", refold)
    assert (await replayed(world)).is_equal
    assert refolded == []


async def test_an_altered_cell_is_found_with_the_first_event_behind_it(world: World) -> None:
    await world.define("n", aggregation="sum", property="n")
    await world.open_account()
    positions = await world.tell(*(usage(number, n=number) for number in range(1, 6)))
    await world.project()
    async with tampering(world) as connection:
        await connection.execute("update usage_days set total = total + 1")
    outcome = await replayed(world)
    [found] = outcome.divergences
    assert (found.projection, found.account) == ("usage_days", "acme")
    assert (found.first_position, found.last_position) == (positions[0], positions[-1])
    assert found.rows[0].living is not None
    assert found.rows[0].replayed is not None
    assert (found.rows[0].living["total"], found.rows[0].replayed["total"]) == ("16", "15")
    assert found.candidate is None


async def test_a_deleted_cell_is_found(world: World) -> None:
    await world.define("n", aggregation="sum", property="n")
    await world.open_account()
    await world.tell(usage(1, n=1))
    [position] = await world.tell(usage(2, n=2, time=NOW - timedelta(days=3)))
    await world.project()
    async with tampering(world) as connection:
        await connection.execute("delete from usage_hours where first_position = $1", position)
    outcome = await replayed(world)
    [found] = outcome.divergences
    assert (found.projection, found.first_position, found.last_position) == ("usage_hours", position, position)
    assert found.rows[0].living is None


async def test_an_added_cell_is_found(world: World) -> None:
    await world.define("n", aggregation="sum", property="n")
    await world.open_account()
    [position] = await world.tell(usage(1, n=1))
    await world.project()
    async with tampering(world) as connection:
        await connection.execute(
            "insert into usage_hours select series, 'nobody', hour, event_count, total, moment, minimum, maximum, "
            "latest, latest_at, latest_position, first_position, last_position from usage_hours"
        )
    [found] = (await replayed(world)).divergences
    assert (found.account, found.first_position, found.rows[0].replayed) == ("nobody", position, None)


async def test_an_altered_event_is_found_by_its_own_position(world: World) -> None:
    """Its day has earlier events, but only its hour differs beside the day: so it is not those."""
    await world.define("n", aggregation="sum", property="n")
    await world.open_account()
    await world.tell(*(usage(number, n=number, time=NOW - timedelta(hours=number)) for number in range(1, 9)))
    await world.project()
    position = 2 + 5
    async with tampering(world) as connection:
        await connection.execute(
            "update events set state = replace(state::text, '\"n\":5', '\"n\":50')::json where position = $1", position
        )
    found = found_in(await replayed(world))
    assert found.keys() == {"usage_days", "usage_hours"}
    assert {one.first_position for one in found.values()} == {position}
    assert {one.candidate for one in found.values()} == {position}


async def test_an_event_moved_to_another_day_is_named_as_the_candidate(world: World) -> None:
    await world.define("n", aggregation="sum", property="n")
    await world.open_account()
    before = NOW - timedelta(days=1)
    await world.tell(*(usage(number, n=1, time=before) for number in range(3)))
    [position] = await world.tell(usage(7, n=7))
    await world.project()
    async with tampering(world) as connection:
        query = "update events set state = replace(state::text, '2026-03-01', '2026-02-28')::json where position = $1"
        await connection.execute(query, position)
    found = found_in(await replayed(world))
    assert {one.candidate for one in found.values()} == {position}


async def test_an_altered_definition_is_found_at_the_decision_on_its_meter(world: World) -> None:
    position = await world.meter(DefineMeter("users", metered(aggregation="unique_count", property="user")))
    await world.project()
    async with tampering(world) as connection:
        await connection.execute(OTHER_PROPERTY)
    [found] = (await replayed(world)).divergences
    assert (found.projection, found.account) == ("usage_series", None)
    assert (found.first_position, found.last_position) == (position, position)


async def test_a_log_that_ends_before_its_read_model_is_found(world: World) -> None:
    await tell_much(world)
    await world.project()
    head = await world.ledger.count()
    async with tampering(world) as connection:
        await connection.execute("delete from events where position >= $1", head - 2)
    outcome = await replayed(world)
    assert outcome.unreadable is not None
    assert (outcome.unreadable.position, outcome.unreadable.why) == (head - 2, "it is missing")


async def test_an_event_that_contradicts_those_before_it_is_an_outcome_and_no_crash(world: World) -> None:
    await world.open_account("a")
    position = await world.account(OpenAccount("b", "B", "UTC"))
    await world.project()
    async with tampering(world) as connection:
        query = "update events set state = replace(state::text, '\"b\"', '\"a\"')::json where position = $1"
        await connection.execute(query, position)
    outcome = await replayed(world)
    assert not outcome.is_equal
    assert outcome.unreadable is not None
    assert outcome.unreadable.position <= position
    assert "cannot be folded" in outcome.unreadable.why


async def test_an_alias_of_an_account_that_is_not_there_is_found_by_its_position(world: World) -> None:
    await world.open_account("a")
    position = await world.account(AliasAccount("a", "b"))
    await world.tell(usage(1, subject="b"))
    await world.project()
    async with tampering(world) as connection:
        query = "update events set state = replace(state::text, '\"a\"', '\"z\"')::json where position = $1"
        await connection.execute(query, position)
    outcome = await replayed(world)
    assert outcome.unreadable is not None
    assert outcome.unreadable.position == position


async def test_usage_by_parts_of_billing_periods_is_equal(world: World) -> None:
    """A contract and its pause cut days that were folded before into parts: the account is refolded each time."""
    await tell_much(world)
    await world.project()
    plan = DefinePlan("pro", PlanTerms(name="Pro", currency="EUR"))
    await world.follower.refresh()
    await change_plan(world.ledger.log, world.follower.catalogue, plan, now=NOW, metadata=METADATA)
    terms, choice = ContractTerms(currency="EUR"), PlanChoice(plan="pro")
    started_at = NOW + timedelta(hours=1)
    await world.tell(*(usage(600 + hour, subject="a", n=1, time=NOW + timedelta(hours=hour)) for hour in range(6)))
    for command in (StartContract("a", started_at, choice, terms), PauseContract("a", NOW + timedelta(hours=3))):
        await world.follower.refresh()
        await change_contract(world.ledger.log, world.follower.catalogue, command, now=NOW, metadata=METADATA)
        await world.project()
    await world.tell(usage(700, subject="a", n=3, time=NOW + timedelta(hours=4)))
    await world.project()
    assert (await replayed(world)).is_equal
    assert await world.ledger.pool.fetchval("select count(distinct part) from usage_days where account = 'a'") > 2


async def test_a_lost_event_is_found_as_a_hole(world: World) -> None:
    await tell_much(world)
    await world.project()
    async with tampering(world) as connection:
        await connection.execute("delete from events where position = 30")
    outcome = await replayed(world)
    assert not outcome.is_equal
    assert outcome.unreadable is not None
    assert outcome.unreadable.position == 30


async def test_an_event_that_cannot_be_read_is_found(world: World) -> None:
    await tell_much(world)
    await world.project()
    async with tampering(world) as connection:
        await connection.execute("update events set state = '{\"nonsense\":1}' where position = 31")
    outcome = await replayed(world)
    assert outcome.unreadable is not None
    assert outcome.unreadable.position == 31


def add_double(self: Any, value: Decimal, at: datetime, position: int, add: Any = Tally.add) -> None:
    add(self, value * 2 if position >= 7 else value, at, position)


async def test_a_changed_fold_is_found_at_the_first_event_that_it_folds_otherwise(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.define("n", aggregation="sum", property="n")
    await world.open_account()
    await world.tell(*(usage(number, n=1, time=NOW - timedelta(hours=number)) for number in range(8)))
    await world.project()
    monkeypatch.setattr(Tally, "add", add_double)
    found = found_in(await replayed(world))
    assert found["usage_hours"].first_position == 7
    assert found["usage_days"].first_position == 7


OTHER_PROPERTY = """
update usage_series set definition = replace(definition::text, '"property":"user"', '"property":"n"')::json
where meter = 'users'
"""
INSERT_ADJUSTMENT = """
insert into adjustments (
    account, key, kind, state, at, effect_minor_units, currency, reason, proposed_by, proposed_at, expires_at,
    proposed_position
) values ('a', 'gift', 'credit', 'proposed', now(), 1, 'EUR', 'goodwill', 'somebody', now(), now(), 5)
"""
DELETE_HELD = """
delete from held_usage h using usage_series s
where s.series = h.series and s.state = 'live' and s.meter = 'n' and h.subject = 'b'
"""


@pytest.mark.parametrize(
    ("table", "statement"),
    [
        ("accounts", "update accounts set name = 'Other' where key = 'a'"),
        ("accounts", "update accounts set aliases = '{z}' where key = 'b'"),
        ("held_usage", "update held_usage set message = '' where subject = 'b'"),
        ("adjustments", INSERT_ADJUSTMENT),
        ("held_usage", DELETE_HELD),
        ("usage_values", "update usage_values set is_present = not is_present where account = 'b'"),
        ("usage_days", "update usage_days set part = part - interval '1 day' where account = 'b'"),
        ("usage_days", "update usage_days set dimensions_key = dimensions_key || 'x' where account = 'b'"),
        ("usage_hours", "update usage_hours set latest_position = 1 where account = 'b' and latest is not null"),
        ("usage_series", OTHER_PROPERTY),
        ("usage_series", "delete from usage_series where meter = 'peak'"),
    ],
)
async def test_any_column_of_any_table_is_held_against_the_log(world: World, table: str, statement: str) -> None:
    await tell_much(world)
    await world.project()
    async with tampering(world) as connection:
        assert await connection.execute(statement) not in ("UPDATE 0", "DELETE 0")
    outcome = await replayed(world)
    assert not outcome.is_equal
    assert table in {one.projection for one in outcome.divergences}


async def test_every_column_of_a_shadowed_table_is_compared(world: World) -> None:
    """What a model leaves out of key and columns is left out of the proof: here is all that may be."""
    left_out = {
        "accounts": set[str](),
        "adjustments": set[str](),
        "cases": set(),
        "sends": set(),
        "credit_sends": set(),
        "platform_objects": set(),
        "platform_news": set(),
        "usage_series": {"series", "state", "since_position", "made_at"},
        "usage_days": {"series"},
        "usage_hours": {"series"},
        "usage_values": {"series"},
        "held_usage": {"series"},
    }
    query = "select column_name from information_schema.columns where table_schema = $1 and table_name = $2"
    async with owner(world.ledger.url) as connection:
        for model in MODELS:
            living = {row[0] for row in await connection.fetch(query, "public", model.table)}
            shadow = {row[0] for row in await connection.fetch(query, "ledger_shadow", model.table)}
            assert living == shadow, f"a migration changed {model.table} and not its shadow"
            assert living - model.key.keys() - model.columns.keys() == left_out[model.table]
        tables = {
            row[0]
            for row in await connection.fetch("select tablename from pg_tables where schemaname = $1", "ledger_shadow")
        }
    assert tables == {model.table for model in MODELS} | {"cursors", "replay_under_way"}


async def test_divergences_are_bounded_and_the_lowest_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DIVERGENCES_KEPT", 1)
    await tell_much(world)
    await world.project()
    async with tampering(world) as connection:
        await connection.execute(
            "update usage_hours set total = total + 1 where account = 'c' or first_position > "
            "(select min(first_position) from usage_hours where account = 'c')"
        )
    outcome = await replayed(world)
    assert outcome.divergences_found == 3
    assert [one.account for one in outcome.divergences] == ["c"]


async def test_numbers_written_with_more_zeros_are_equal(world: World) -> None:
    """Guard: numbers are trimmed before they are hashed."""
    await world.define("n", aggregation="max", property="n")
    await world.open_account()
    await world.tell(usage(1, n=Decimal("2.5")), usage(2, n=Decimal("2.50")))
    await world.project()
    async with tampering(world) as connection:
        await connection.execute("update usage_days set maximum = maximum * 1.000, total = total * 1.0")
    assert (await replayed(world)).is_equal


# What goes on meanwhile


async def test_a_replay_while_a_meter_is_computed_compares_what_queries_see(world: World) -> None:
    await tell_much(world)
    await world.project()
    await rebuild(world.ledger.pool, world.ledger.log)
    assert (await replayed(world)).is_equal
    await world.define("more", aggregation="sum", property="n")
    await world.projector.step()
    assert (await replayed(world)).is_equal
    await world.meter(ChangeMeter("n", metered(aggregation="max", property="n")))
    await world.projector.step()
    assert (await replayed(world)).is_equal
    async with tampering(world) as connection:
        await connection.execute("update usage_days set total = total + 1 where account = 'b'")
    assert not (await replayed(world)).is_equal


Step = Callable[..., Awaitable[Any]]


def meanwhile(step: Step, happen: Callable[[], Awaitable[None]]) -> Step:
    """The step, after which something happens on the living side, each time."""

    async def stepping(*arguments: Any, **options: Any) -> Any:
        outcome = await step(*arguments, **options)
        await happen()
        return outcome

    return stepping


async def test_a_replay_follows_a_ledger_that_moves_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_shadow, "STEP_EVENTS", 40)
    monkeypatch.setattr(module, "STEP_EVENTS", 40)
    await tell_much(world)
    await world.project()
    numbers = count(10_000)
    aliases = iter(f"alias-{number}" for number in range(100))

    async def happen() -> None:
        number = next(numbers)
        if number < 10_008:
            await world.tell(usage(number, subject="a", n=number, model="m1"))
            await world.account(AliasAccount("b", next(aliases)))
            if number == 10_001:
                await world.define("more", aggregation="sum", property="n")
        await world.project()

    monkeypatch.setattr(replay_shadow.Shadow, "fold", meanwhile(replay_shadow.Shadow.fold, happen))
    outcome = await replayed(world)
    assert outcome.is_equal
    assert outcome.position > 200


async def test_meters_that_never_rest_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await tell_much(world)
    await world.project()
    numbers = count(1)

    async def happen() -> None:
        await world.define(f"m{next(numbers)}", aggregation="sum", property="n")
        await world.project()

    monkeypatch.setattr(replay_shadow.Shadow, "fold", meanwhile(replay_shadow.Shadow.fold, happen))
    with pytest.raises(MetersKeepChanging):
        await replayed(world)


async def test_there_is_one_replay_at_a_time(world: World) -> None:
    async with open_shadow(world.ledger.url, world.ledger.log):
        with pytest.raises(ReplayUnderWay):
            await replayed(world)
    assert (await replayed(world)).is_equal


class Interrupted(Exception):
    """The process ends here."""


def interrupting(after: int) -> tuple[Callable[[int, int], None], list[int]]:
    told: list[int] = []

    def progress(done: int, _: int) -> None:
        told.append(done)
        if len(told) == after:
            raise Interrupted

    return progress, told


async def test_an_interrupted_replay_goes_on_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_shadow, "STEP_EVENTS", 20)
    await tell_much(world)
    await world.project()
    progress, first = interrupting(4)
    with pytest.raises(Interrupted):
        await replayed(world, progress=progress)
    progress, second = interrupting(0)
    outcome = await replayed(world, progress=progress)
    assert outcome.is_equal
    assert first == [20, 40, 60, 80]
    assert second[0] == 100
    progress, third = interrupting(0)
    assert (await replayed(world, progress=progress)).is_equal
    assert third[0] == 20, "a new replay starts from the first event"


async def test_a_fresh_replay_throws_an_interrupted_one_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_shadow, "STEP_EVENTS", 20)
    await tell_much(world)
    await world.project()
    progress, _ = interrupting(4)
    with pytest.raises(Interrupted):
        await replayed(world, progress=progress)
    progress, told = interrupting(0)
    assert (await replayed(world, is_fresh=True, progress=progress)).is_equal
    assert told[0] == 20


async def test_outcomes_are_events_of_one_stream_and_change_no_later_outcome(world: World) -> None:
    await tell_much(world)
    await world.project()
    for _ in range(2):
        outcome = await replayed(world)
        await record_replay(world.ledger.log, outcome, now=NOW, metadata=METADATA)
        await world.project()
        assert outcome.is_equal
    stored = [event for _, event in await world.ledger.events() if isinstance(event, ReplayFinished)]
    assert len(stored) == 2


# Any history, at any moment


async def check(url: str, history: Sequence[Happening]) -> None:
    """Equal wherever the projector stands, mid-way and at the end, and a tampered cell is never overlooked."""

    async with open_world(url) as world:
        with pytest.MonkeyPatch.context() as patch:

            def resize(size: int) -> None:
                patch.setattr(runner, "STEP_EVENTS", size)
                patch.setattr(runner, "BUILD_STEP_EVENTS", size)

            half = len(history) // 2
            for part in (history[:half], history[half:]):
                await live_through(world, part, resize)
                await expect_equal(world)
        await world.project()
        await expect_equal(world)


async def expect_equal(world: World) -> None:
    outcome = await replayed(world)
    assert outcome.unreadable is None
    assert outcome.divergences == ()
    assert outcome.is_equal


async def check_in_a_database_of_its_own(template_url: str, history: Sequence[Happening]) -> None:
    template, name = urlsplit(template_url), f"replay_{next(_databases)}"
    async with owner(template._replace(path="/postgres").geturl()) as server:
        await server.execute(f"create database {name} template {template.path.strip('/')}")
        try:
            await check(template._replace(path=f"/{name}").geturl(), history)
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
def test_any_history_is_equal_at_any_moment(database_url: str, history: list[Happening]) -> None:
    """`database_url` stays empty: each history gets a copy of it."""
    asyncio.run(check_in_a_database_of_its_own(database_url, history))


def take_the_latest(decided: Any, living: Any, building: Any) -> Any:
    """In place of `definitions`: what the log decided, as if no meter was ever under construction."""
    return {meter: versions[-1] for meter, versions in decided.items()}


def test_without_heed_of_what_is_under_construction_there_are_false_alarms(database_url: str) -> None:
    """Shows that the test above would fail: what keeps the replay from crying wolf is taken away."""

    @settings(BOUNDED, phases=[Phase.generate], derandomize=True, max_examples=60)
    @given(history=histories())
    def hold(history: list[Happening]) -> None:
        asyncio.run(check_in_a_database_of_its_own(database_url, history))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_shadow, "definitions", take_the_latest)
        with pytest.raises((AssertionError, BaseExceptionGroup)):
            hold()
