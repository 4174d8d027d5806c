"""The same number everywhere: projected, previewed, summed from steps, reckoned by SQL over the log, rebuilt."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.commands.contracts import change_contract
from ledger.commands.plans import change_plan
from ledger.domain.accounts import OpenAccount
from ledger.domain.agreements import ContractTerms, PlanChoice
from ledger.domain.charges import Charge, PerUnit
from ledger.domain.contracting import (
    ChangePlan,
    ContractCommand,
    EndContract,
    PauseContract,
    ResumeContract,
    StartContract,
)
from ledger.domain.events import UsageRecorded
from ledger.domain.invoices import Invoice, preview, project
from ledger.domain.lines import Used
from ledger.domain.money import Money, total
from ledger.domain.percentage import Percentage
from ledger.domain.plans import DefinePlan
from ledger.domain.pricing import FixedFee, PlanCharge, PlanTerms
from ledger.domain.pricing_refusals import ContractMissing, IntervalMismatch
from ledger.domain.rating import Metered
from ledger.domain.segments import period_of, segments
from ledger.projections.invoices import Asked, projected_invoice, projected_invoices
from ledger.projections.metered import Job, used
from ledger.projections.usage_lane import rebuild
from tests.domain.strategies import charges
from tests.log.ledgers import METADATA, owner, usage
from tests.projections.worlds import World, open_world

ZONE = "America/New_York"
STARTED = datetime(2026, 3, 3, 14, 30, 7, tzinfo=UTC)
"""At a second of a day, in the period in which New York's clocks change."""
BEFORE = datetime(2026, 1, 1, tzinfo=UTC)

# The quantity of a stretch of time, by plain SQL over the log: what was told of the account and is no repeat.
QUANTITY = """
select coalesce(sum((state #>> '{data,tokens}')::numeric), 0) from events
where topic = 'UsageRecorded' and account = 'acme' and occurred_at >= $1 and occurred_at < $2
    and ($3::text is null or state #>> '{data,model}' = $3)
"""

_databases = count(1)


def terms(price: Charge, other: Charge, name: str = "Pro") -> PlanTerms:
    return PlanTerms(
        name=name,
        currency="EUR",
        charges=(
            PlanCharge(key="all", label="Tokens", meter="tokens", price=price),
            PlanCharge(key="again", label="The same tokens", meter="tokens", price=other),
            PlanCharge(key="small", label="Small", meter="tokens", filters={"model": ("small",)}, price=other),
        ),
        fees=(FixedFee(key="base", label="Base", amount=Decimal(30)),),
    )


async def set_up(world: World, price: Charge, other: Charge) -> None:
    await world.account(OpenAccount("acme", "Acme", ZONE, BEFORE))
    await world.define(
        "tokens", event_type="call", aggregation="sum", property="tokens", dimensions=("model", "region")
    )
    await world.follower.refresh()
    catalogue, log = world.follower.catalogue, world.ledger.log
    for key, plan in (("pro", terms(price, other)), ("max", terms(other, price, "Max"))):
        await change_plan(log, catalogue, DefinePlan(key, plan), now=BEFORE, metadata=METADATA)
    await world.follower.refresh()
    start = StartContract("acme", STARTED, PlanChoice(plan="pro"), ContractTerms(currency="EUR"))
    await change_contract(log, catalogue, start, now=BEFORE, metadata=METADATA)
    await world.follower.refresh()


async def projected(world: World, instant: datetime) -> Invoice:
    await world.follower.refresh()
    found = await projected_invoice(
        world.ledger.pool, world.ledger.log, world.follower.catalogue, Asked("acme", instant), now=instant
    )
    return found.invoice


async def reckoned(world: World, instant: datetime) -> Invoice:
    """The calculator on quantities that plain SQL tells."""
    catalogue = world.follower.catalogue
    [contract] = catalogue.contracts["acme"]
    period = period_of(contract, catalogue.plans, instant, ZONE)
    found = []
    for segment in segments(contract, catalogue.plans, period, ZONE):
        for key, model in (("all", None), ("again", None), ("small", "small")):
            quantity = Decimal(0)
            for span in segment.spans:
                quantity += await world.ledger.pool.fetchval(QUANTITY, span.start, span.end, model)
            found.append(Used(key, Metered(quantity=quantity), segment.index))
    return project(contract, catalogue.plans, period, found, zone=ZONE, as_of=instant, spent={})


def lines(invoice: Invoice) -> list[tuple[object, ...]]:
    return [(line.segment, line.key, line.quantity, line.amount, line.money) for line in invoice.lines]


@st.composite
def told(draw: st.DrawFn) -> list[UsageRecorded]:
    """Usage around the boundaries of two periods, some of it repeated, in any order."""
    minutes = st.integers(min_value=-3 * 24 * 60, max_value=64 * 24 * 60)
    events = [
        usage(
            number,
            event_type="call",
            time=STARTED + timedelta(minutes=draw(minutes)),
            tokens=draw(st.integers(0, 5000) | st.decimals(0, 100, places=2)),
            model=draw(st.sampled_from(("small", "large"))),
        )
        for number in range(draw(st.integers(1, 25)))
    ]
    edges = [STARTED, STARTED - timedelta.resolution, datetime(2026, 4, 3, 14, 30, 7, tzinfo=UTC)]
    events += [
        usage(100 + number, event_type="call", time=edge, tokens=7, model="small") for number, edge in enumerate(edges)
    ]
    repeated = draw(st.lists(st.sampled_from(events), max_size=5))
    return draw(st.permutations([*events, *repeated]))


Change = tuple[str, int]
changes = st.lists(
    st.tuples(st.sampled_from(("plan", "pause", "resume", "end")), st.integers(1, 60)),
    max_size=4,
    unique_by=lambda c: c[1],
)


async def agree(world: World, history: Sequence[UsageRecorded], changed: Sequence[Change]) -> None:
    """Tell half, change the contract, tell the rest; every way to the number must give the same."""
    half = len(history) // 2
    await world.tell(*history[:half])
    await world.project()
    is_paused = False
    for kind, day in sorted(changed, key=lambda change: change[1]):
        at = STARTED + timedelta(days=day, hours=5, seconds=day)
        if (kind in ("pause", "end") and is_paused) or (kind == "resume" and not is_paused):
            continue
        is_paused = kind == "pause" or (is_paused and kind != "resume")
        commands: dict[str, ContractCommand] = {
            "plan": ChangePlan("acme", at, PlanChoice(plan="max")),
            "pause": PauseContract("acme", at),
            "resume": ResumeContract("acme", at),
            "end": EndContract("acme", at),
        }
        log, catalogue = world.ledger.log, world.follower.catalogue
        await change_contract(log, catalogue, commands[kind], now=STARTED, metadata=METADATA)
        await world.follower.refresh()
        if kind == "end":
            break
    await world.tell(*history[half:])
    await world.project()
    instants = [STARTED + timedelta(days=1), STARTED + timedelta(days=40)]
    seen = []
    for instant in instants:
        try:
            invoice = await projected(world, instant)
        except ContractMissing:
            continue  # it had ended by then
        expected = await reckoned(world, instant)
        assert lines(invoice) == lines(expected)
        assert (invoice.subtotal, invoice.total) == (expected.subtotal, expected.total)
        for line in invoice.lines:
            assert total(step.amount for step in line.steps) == line.money.amount
        seen.append((instant, invoice))
    await rebuild(world.ledger.pool, world.ledger.log)
    await world.project()
    for instant, invoice in seen:
        assert await projected(world, instant) == invoice


async def in_a_database_of_its_own(
    template_url: str, price: Charge, other: Charge, history: Sequence[UsageRecorded], changed: Sequence[Change]
) -> None:
    template, name = urlsplit(template_url), f"invoice_{next(_databases)}"
    async with owner(template._replace(path="/postgres").geturl()) as server:
        await server.execute(f"create database {name} template {template.path.strip('/')}")
        try:
            async with open_world(template._replace(path=f"/{name}").geturl()) as world:
                await set_up(world, price, other)
                await agree(world, history, changed)
        finally:
            await server.execute(f"drop database {name} with (force)")


@settings(
    max_examples=12,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(price=charges(), other=charges(), history=told(), changed=changes)
def test_a_projected_invoice_is_the_calculator_on_what_sql_finds_in_the_log(
    database_url: str, price: Charge, other: Charge, history: list[UsageRecorded], changed: list[Change]
) -> None:
    """Over random prices, usage in any order with repeats, and changes of the contract in mid-period."""
    asyncio.run(in_a_database_of_its_own(database_url, price, other, history, changed))


async def test_a_whole_period_on_one_plan_is_the_preview_of_its_quantities(world: World) -> None:
    price = Charge(model=PerUnit(unit_amount=Decimal("0.013")))
    await set_up(world, price, price)
    for number, model in enumerate(("small", "large", "small")):
        at = STARTED + timedelta(days=number)
        await world.tell(usage(number, event_type="call", time=at, tokens=1000 + number, model=model))
    await world.project()
    invoice = await projected(world, STARTED + timedelta(days=3))
    every, small = Metered(quantity=Decimal(3003)), Metered(quantity=Decimal(2002))
    quantities = [Used("all", every), Used("again", every), Used("small", small)]
    assert preview(terms(price, price), quantities).total == invoice.total


async def test_many_accounts_are_projected_in_one_snapshot(world: World) -> None:
    price = Charge(model=PerUnit(unit_amount=Decimal(1)))
    await set_up(world, price, price)
    await world.account(OpenAccount("zeta", "Zeta", "Asia/Kolkata", BEFORE))
    await world.tell(
        usage(1, event_type="call", time=STARTED, tokens=5, model="large"),
        usage(2, subject="zeta", event_type="call", time=STARTED, tokens=8, model="large"),
    )
    await world.project()
    await world.follower.refresh()
    asked = [Asked("acme", STARTED), Asked("zeta", STARTED, PlanChoice(plan="max"))]
    mark, [acme, zeta] = await projected_invoices(
        world.ledger.pool, world.ledger.log, world.follower.catalogue, asked, now=STARTED
    )
    assert [acme.total, zeta.total] == [Money(4000, "EUR"), Money(4600, "EUR")]
    assert mark.position == (await world.ledger.log.head()).position


async def test_without_a_contract_there_is_no_invoice_but_a_plan_can_be_tried(world: World) -> None:
    price = Charge(model=PerUnit(unit_amount=Decimal(1)))
    await set_up(world, price, price)
    await world.account(OpenAccount("zeta", "Zeta", "UTC", BEFORE))
    weekly = PlanTerms(name="Weekly", currency="EUR", interval="week")
    log, catalogue = world.ledger.log, world.follower.catalogue
    await change_plan(log, catalogue, DefinePlan("weekly", weekly), now=BEFORE, metadata=METADATA)
    await world.project()
    await world.follower.refresh()
    with pytest.raises(ContractMissing):
        await projected_invoices(world.ledger.pool, log, catalogue, [Asked("zeta", STARTED)], now=STARTED)
    tried = Asked("zeta", STARTED, PlanChoice(plan="weekly"))
    with pytest.raises(IntervalMismatch):
        await projected_invoices(world.ledger.pool, log, catalogue, [tried], now=STARTED)


async def test_percentage_prices_look_at_single_events(world: World) -> None:
    price = Charge(model=Percentage(rate_percent=Decimal(10), fixed_amount=Decimal("0.5"), free_events=1))
    await set_up(world, price, price)
    late_first = [
        usage(2, event_type="call", time=STARTED + timedelta(hours=2), tokens=100, model="large"),
        usage(1, event_type="call", time=STARTED + timedelta(hours=1), tokens=40, model="large"),
    ]
    await world.tell(*late_first)
    await world.project()
    invoice = await projected(world, STARTED)
    [line] = [line for line in invoice.lines if line.key == "all"]
    assert line.amount == Decimal("10.5"), "the event that occurred first was free, though it was told last"
    jobs = [Job(world.follower.catalogue.accounts["acme"], segment) for segment in invoice.segments]
    async with world.ledger.pool.acquire() as connection:
        [metered] = await used(connection, world.ledger.log, world.follower.catalogue, jobs, reached=10**9)
    assert next(one.metered.events for one in metered if one.charge == "all") == (Decimal(40), Decimal(100))
