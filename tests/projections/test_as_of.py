"""What the ledger tells of a past position is what it told when it really stood there."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count, pairwise
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.commands.contracts import change_contract
from ledger.commands.plans import change_plan
from ledger.domain.accounts import AliasAccount, ChangeAccountZone, OpenAccount
from ledger.domain.agreements import Commitment, ContractTerms, CreditGrant, PlanChoice
from ledger.domain.charges import Charge, PerUnit
from ledger.domain.contracting import (
    ChangePlan,
    ContractCommand,
    EndContract,
    GrantCredit,
    PauseContract,
    ResumeContract,
    StartContract,
)
from ledger.domain.events import UsageRecorded
from ledger.domain.meters import DefineMeter
from ledger.domain.money import Money
from ledger.domain.percentage import Percentage
from ledger.domain.plans import DefinePlan, PlanCommand, RevisePlan
from ledger.domain.pricing import FixedFee, PlanCharge, PlanTerms
from ledger.domain.pricing_refusals import ContractMissing
from ledger.domain.refusals import AccountUnknownThen, MomentInFuture, PastBusy, PositionUnknown, RangeTooLarge, Refusal
from ledger.log_past import usage_between
from ledger.projections import as_of, as_of_differences, as_of_usage
from ledger.projections.as_of import PastReader
from ledger.projections.as_of_differences import difference
from ledger.projections.invoices import Asked, projected_invoice
from ledger.projections.usage import UsageAsked
from ledger.projections.usage_request import Window
from tests.log.ledgers import METADATA, NOW, owner, usage
from tests.projections.histories import ACCOUNTS, FIRST, Dismiss, Happening, Mend, Told, histories, live_through
from tests.projections.worlds import World, metered, open_world

START, END = date(2026, 3, 28), date(2026, 4, 1)
WINDOWS: tuple[Window, ...] = ("DAY", "HOUR", "TOTAL")
OPENED = datetime(2026, 1, 1, tzinfo=UTC)
STARTED = FIRST + timedelta(hours=5)
INSTANTS = (STARTED + timedelta(hours=2), STARTED + timedelta(days=2))

Agreed = PlanCommand | ContractCommand
Step = Happening | Agreed | None
"""None is a stop: the ledger catches up, and what it tells is kept."""

_databases = count(1)


def plan(*charges: PlanCharge, fee: int = 30) -> PlanTerms:
    fees = (FixedFee(key="base", label="Base", amount=Decimal(fee)),)
    return PlanTerms(name="Plan", currency="EUR", interval="day", charges=charges, fees=fees)


def charge(key: str, meter: str, model: Any, **more: Any) -> PlanCharge:
    return PlanCharge(key=key, label=key, meter=meter, price=Charge(model=model), **more)


PER_UNIT = PerUnit(unit_amount=Decimal("0.37"))
PLANS: dict[str, PlanTerms] = {
    "p": plan(charge("m", "m", PER_UNIT), charge("n", "n", PER_UNIT)),
    "q": plan(charge("n", "n", Percentage(rate_percent=Decimal(3), fixed_amount=Decimal("0.10"))), fee=7),
    "r": plan(charge("m", "m", PER_UNIT, group_by=("d",))),
}
moments = st.integers(0, 4 * 24).map(lambda hour: STARTED + timedelta(hours=hour))
choices = st.sampled_from("ppqqr").map(lambda key: PlanChoice(plan=key))
agreements: st.SearchStrategy[Agreed] = st.one_of(
    st.builds(ChangePlan, st.sampled_from(ACCOUNTS), moments, choices),
    st.builds(PauseContract, st.sampled_from(ACCOUNTS), moments),
    st.builds(ResumeContract, st.sampled_from(ACCOUNTS), moments),
    st.builds(EndContract, st.sampled_from(ACCOUNTS), moments),
    st.builds(RevisePlan, st.just("p"), st.just(plan(charge("n", "n", PER_UNIT), fee=11)), moments),
    st.builds(
        GrantCredit,
        st.sampled_from(ACCOUNTS),
        st.builds(
            CreditGrant,
            grant=st.sampled_from("xy"),
            label=st.just("Prepaid"),
            amount=st.just(Money(5_000, "EUR")),
            effective_at=moments,
        ),
    ),
)
terms = st.builds(
    ContractTerms,
    currency=st.just("EUR"),
    alignment=st.sampled_from(("calendar", "anniversary")),
    commitments=st.sampled_from(
        ((), (), (Commitment(key="c", label="C", amount=Decimal(90), per="total", until=FIRST + timedelta(days=3)),))
    ),
)


@st.composite
def stopped_histories(draw: st.DrawFn) -> list[Step]:
    """Histories in which contracts begin and change, too, and in which the ledger stops here and there."""
    history: list[Step] = [
        one._replace(opened_at=OPENED) if isinstance(one, OpenAccount) else one for one in draw(histories())
    ]
    begun: list[Agreed] = [DefinePlan(key, one) for key, one in PLANS.items()]
    begun += [StartContract(account, STARTED, draw(choices), draw(terms)) for account in ACCOUNTS]
    for place, one in zip(sorted(draw(st.lists(st.integers(4, 9), min_size=5, max_size=5))), begun, strict=True):
        history.insert(min(place, len(history)), one)
    for one in draw(st.lists(agreements, max_size=6)):
        history.insert(draw(st.integers(8, len(history))), one)
    for place in sorted(draw(st.sets(st.integers(1, len(history)), min_size=2, max_size=5)), reverse=True):
        history.insert(place, None)
    return history


async def agree(world: World, command: Agreed) -> None:
    await world.follower.refresh()
    change: Any = change_plan if isinstance(command, PlanCommand) else change_contract
    await change(world.ledger.log, world.follower.catalogue, command, now=NOW, metadata=METADATA)


class Answers(NamedTuple):
    """What a ledger tells of its accounts when it stands at a position."""

    position: int
    answers: dict[tuple[Any, ...], Any]


async def outcome(answer: Awaitable[Any]) -> Any:
    """An answer, or the code of the refusal in its place."""
    try:
        return await answer
    except Refusal as refusal:
        return refusal.code


async def asked_of_living(world: World) -> Answers:
    """Everything that can be asked about the past, asked now."""
    await world.project()
    await world.follower.refresh()
    ledger, catalogue = world.ledger, world.follower.catalogue
    position = (await ledger.log.head()).position
    moment = await reader(world).moment(position=position, at=None, now=NOW)
    answers: dict[tuple[Any, ...], Any] = {}
    for account in sorted(catalogue.accounts):
        answers[account, "account"] = catalogue.accounts[account]._replace(opened_at=NOW)
        answers[account, "contracts"] = catalogue.contracts.get(account, ())
        answers[account, "adjustments"] = catalogue.adjustments.get(account, {})
        answers[account, "closed"] = catalogue.closings.get(account, {})
        for question, asked in questions(catalogue.meters):
            answers[account, *question] = await outcome(world.rows(account, asked.meter, *asked[1:4], **how(asked)))
        for instant in INSTANTS:
            answers[account, instant] = await outcome(
                projected_invoice(ledger.pool, ledger.log, catalogue, Asked(account, instant), now=moment.now)
            )
            if not isinstance(answers[account, instant], str):
                answers[account, instant] = answers[account, instant].invoice
    return Answers(position, answers)


async def asked_of_past(world: World, told: Answers) -> Answers:
    """The same of the ledger as of a position."""
    read = reader(world)
    moment = await read.moment(position=told.position, at=None, now=NOW)
    answers: dict[tuple[Any, ...], Any] = {}
    for account in world.follower.catalogue.accounts:
        try:
            past = await read.account(account, moment)
        except AccountUnknownThen:
            continue
        answers[account, "account"] = past.account._replace(opened_at=NOW)
        answers[account, "contracts"] = past.contracts
        answers[account, "adjustments"], answers[account, "closed"] = past.adjustments, past.closings
        for question, asked in questions(past.catalogue.meters):
            answers[account, *question] = await outcome(read.usage(past, asked))
        for instant in INSTANTS:
            answers[account, instant] = await outcome(read.invoice(past, instant))
    return Answers(told.position, answers)


def reader(world: World) -> PastReader:
    return PastReader(world.ledger.pool, world.ledger.log, world.follower)


def questions(meters: Any) -> list[tuple[tuple[Any, ...], UsageAsked]]:
    """Every meter by every window, as one and by its dimensions."""
    return [
        ((meter, window, group), UsageAsked(meter, START, END, window, group))
        for meter, definition in sorted(meters.items())
        for window in WINDOWS
        for group in sorted({(), definition.dimensions})
    ]


def how(asked: UsageAsked) -> dict[str, Any]:
    return {"group_by": asked.group_by}


async def hold(url: str, history: Sequence[Step], resize: Any = lambda size: None) -> None:
    """Let a history happen with its stops; afterwards each is told as it was told then."""
    async with open_world(url) as world:
        seen: list[Answers] = []
        for step in [*history, None]:
            if step is None:
                seen.append(await asked_of_living(world))
            elif isinstance(step, Agreed):
                await outcome(agree(world, step))
            else:
                await live_through(world, [step], resize)
        for told in seen:
            past = await asked_of_past(world, told)
            assert past.answers.keys() == told.answers.keys()
            for question, answer in told.answers.items():
                assert past.answers[question] == answer, (told.position, question)
        assert await asked_of_living(world) == seen[-1], "looking back changes nothing"
        for earlier, later in pairwise(seen):
            await hold_differences(world, earlier.position, later.position)
        await hold_differences(world, seen[0].position, seen[-1].position)


async def hold_differences(world: World, since: int, until: int) -> None:
    """The steps from one position to another lead from its total to the other's, each to the one of its own place."""
    read = reader(world)
    first, last = [await read.moment(position=position, at=None, now=NOW) for position in (since, until)]
    for account in ACCOUNTS:
        for instant in INSTANTS:
            try:
                found = await difference(read, account, instant, first, last)
            except Refusal:
                continue
            totals = [await total(read, account, instant, position) for position in (since, until)]
            assert (found.comparison.before, found.comparison.after) == tuple(totals)
            reached = found.comparison.before
            for step in found.steps:
                reached += step.effect
                assert sum((line.difference for line in step.lines), start=Money(0, "EUR")) == step.effect
                assert reached == await total(read, account, instant, step.positions[1]), step
            assert reached == found.comparison.after
            places = [step.positions for step in found.steps]
            assert places == sorted(places)


async def total(read: PastReader, account: str, instant: datetime, position: int) -> Money:
    """What the invoice came to at a position; nothing where there was no contract."""
    past = await read.account(account, await read.moment(position=position, at=None, now=NOW))
    try:
        return (await read.invoice(past, instant)).total
    except ContractMissing:
        return Money(0, "EUR")


async def in_a_database_of_its_own(template_url: str, history: Sequence[Step]) -> None:
    template, name = urlsplit(template_url), f"as_of_{next(_databases)}"
    async with owner(template._replace(path="/postgres").geturl()) as server:
        await server.execute(f"create database {name} template {template.path.strip('/')}")
        try:
            await hold(template._replace(path=f"/{name}").geturl(), history)
        finally:
            await server.execute(f"drop database {name} with (force)")


BOUNDED = settings(
    max_examples=10,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a history shrinks for minutes and tells no more then
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@BOUNDED
@given(history=stopped_histories())
def test_a_past_position_is_told_as_it_was_told_when_the_ledger_stood_there(
    database_url: str, history: list[Step]
) -> None:
    """`database_url` stays empty: each history gets a copy of it."""
    asyncio.run(in_a_database_of_its_own(database_url, history))


def told(number: int, hours: int, value: object, subject: str = "a") -> UsageRecorded:
    time = STARTED + timedelta(hours=hours)
    return UsageRecorded(source="s", id=str(number), type="t", subject=subject, time=time, data={"v": value, "d": "p"})


EVENTFUL: list[Step] = [
    *[OpenAccount(account, account, "UTC", OPENED) for account in ACCOUNTS],
    DefineMeter("m", metered(event_type="t", aggregation="sum", property="v", dimensions=("d",), carries_over=True)),
    DefineMeter("n", metered(event_type="t", dimensions=("d",))),
    *[DefinePlan(key, one) for key, one in PLANS.items()],
    *[StartContract(account, STARTED, PlanChoice(plan="p"), ContractTerms(currency="EUR")) for account in ACCOUNTS],
    Told([told(1, -4, 3), told(2, 2, 4), told(3, 3, "many"), told(4, 4, 8, "x"), told(5, 30, 16)]),
    None,
    Told([told(6, 2, 32), told(7, 26, 64)]),
    None,
    Mend(0, {"properties": {"v": 128, "d": "p"}}),
    None,
    AliasAccount("a", "x"),
    None,
    ChangeAccountZone("a", "America/St_Johns"),
    Told([told(8, 5, "much"), told(9, 6, 256)]),
    None,
    Dismiss(0),
]
"""Something of each kind that changes what older usage comes to, with a stop before and after."""


def test_an_eventful_history_is_told_as_it_was(database_url: str) -> None:
    asyncio.run(in_a_database_of_its_own(database_url, EVENTFUL))


async def decisions_up_to_the_head(*asked: Any, up_to: int, **more: Any) -> Any:
    return await DECISIONS(*asked, up_to=up_to + 1_000_000, **more)


async def usage_up_to_the_head(*asked: Any, up_to: int, **more: Any) -> Any:
    return await USAGE(*asked, up_to=up_to + 1_000_000, **more)


async def usage_without_mends(*asked: Any, **more: Any) -> Any:
    return [row for row in await USAGE(*asked, **more) if row["topic"] != "UsageMended"]


def superseded_by_now(read: PastReader, up_to: int) -> dict[int, int]:
    return SUPERSEDED(read, up_to + 1_000_000)


DECISIONS, USAGE, SUPERSEDED = as_of.decisions, usage_between, PastReader.superseded


@pytest.mark.parametrize(
    ("owner_of_fault", "name", "fault"),
    [
        (as_of, "decisions", decisions_up_to_the_head),
        (as_of_usage, "usage_between", usage_up_to_the_head),
        (as_of_usage, "usage_between", usage_without_mends),
        (PastReader, "superseded", superseded_by_now),
        (as_of, "EPOCH", STARTED + timedelta(days=1)),
        (as_of_differences, "recounts", lambda event: False),
        (as_of_differences, "MENDED_MAX", 0),
    ],
    ids=["decisions", "usage", "mends", "superseded", "carried over", "recounts", "mends between"],
)
def test_a_look_back_that_forgets_something_is_found(
    database_url: str, owner_of_fault: Any, name: str, fault: Any
) -> None:
    """Shows that the test above would fail: what cuts the past off, or what must not be left out, is taken away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner_of_fault, name, fault)
        with pytest.raises((AssertionError, BaseExceptionGroup)):
            asyncio.run(in_a_database_of_its_own(database_url, EVENTFUL))


async def test_a_moment_is_a_position_or_a_time_that_was(database_url: str) -> None:
    async with open_world(database_url) as world:
        read = reader(world)
        assert (await read.moment(position=None, at=None, now=NOW)).position == 0
        await world.open_account("acme")
        [first] = await world.tell(usage(1))
        moment = await read.moment(position=first, at=None, now=NOW)
        assert moment.now == moment.recorded_at is not None
        by_time = await read.moment(position=None, at=moment.now, now=moment.now)
        assert by_time == moment
        just_before = moment.now - timedelta(microseconds=1)
        assert (await read.moment(position=None, at=just_before, now=moment.now)).position < first
        with pytest.raises(PositionUnknown):
            await read.moment(position=first + 1, at=None, now=NOW)
        with pytest.raises(MomentInFuture):
            await read.moment(position=None, at=NOW + timedelta(microseconds=1), now=NOW)
        with pytest.raises(AccountUnknownThen):
            await read.account("acme", await read.moment(position=0, at=None, now=NOW))


async def test_more_events_than_one_look_folds_are_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_of_usage, "EVENTS_MAX", 2)
    async with open_world(database_url) as world:
        await world.open_account("acme")
        await world.define("requests")
        asked = UsageAsked("requests", NOW.date(), NOW.date() + timedelta(days=1), "DAY")
        for number, expected in ((2, 2), (3, None)):
            await world.tell(*[usage(one) for one in range(number)])
            read = reader(world)
            past = await read.account("acme", await read.moment(position=None, at=None, now=NOW))
            if expected is None:
                with pytest.raises(RangeTooLarge):
                    await read.usage(past, asked)
            else:
                [row] = await read.usage(past, asked)
                assert row.event_count == expected


async def test_who_asks_while_too_many_wait_is_asked_to_repeat(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_of, "WAITING_MAX", 3)
    async with open_world(database_url) as world:
        await world.open_account("acme")
        await world.define("requests")
        await world.tell(usage(1))
        read = reader(world)
        past = await read.account("acme", await read.moment(position=None, at=None, now=NOW))
        asked = UsageAsked("requests", NOW.date(), NOW.date() + timedelta(days=1), "DAY")
        found = await asyncio.gather(*[read.usage(past, asked) for _ in range(12)], return_exceptions=True)
        answered = [one for one in found if not isinstance(one, BaseException)]
        assert len(answered) >= as_of.AT_ONCE_MAX
        assert all(isinstance(one, PastBusy) for one in found if isinstance(one, BaseException))
        assert len(answered) < len(found)
        # and its turn is over: the next is answered
        assert await read.usage(past, asked) == answered[0]


async def test_looking_back_can_write_nothing_but_its_own_tables(database_url: str) -> None:
    """Fails without `set transaction read only`: the statement goes through."""
    async with open_world(database_url) as world, as_of_usage.open_past_usage(world.ledger.pool) as told:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await told.connection.execute("update cursors set position = 7")


async def test_a_statement_that_both_sides_use_means_the_tables_of_each(database_url: str) -> None:
    """Fails without the search path of its own: a connection's second look back reads what it had prepared for now."""
    async with open_world(database_url, pool_size=1) as world:
        await world.open_account("acme")
        await world.define("requests")
        [first, *_] = await world.tell(usage(1), usage(2))
        await world.project()
        read = reader(world)
        past = await read.account("acme", await read.moment(position=first, at=None, now=NOW))
        asked = UsageAsked("requests", NOW.date(), NOW.date() + timedelta(days=1), "DAY")
        for _ in range(3):
            assert [row.event_count for row in await world.rows("acme", *asked[:4])] == [2]
            assert [row.event_count for row in await read.usage(past, asked)] == [1]
