"""What was billed, adjusted and closed is the same however it is told: as it happened, again, back then, by SQL."""

import asyncio
import os
from collections.abc import Awaitable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings

from ledger.domain.calendar import zone
from ledger.domain.invoices import Invoice
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.refusals import AccountUnknownThen, Refusal
from ledger.domain.topics import decode, encode
from ledger.projections import runner
from ledger.projections.as_of import PastReader
from ledger.projections.invoices import Asked, projected_invoice
from ledger.projections.replay import replay
from ledger.projections.usage import UsageAsked
from tests.log.ledgers import NOW, owner
from tests.projections.histories import ACCOUNTS, METERS
from tests.projections.test_as_of import STARTED
from tests.projections.trust_histories import DAYS, Assess, Step, Stop, Trusted, trust_histories
from tests.projections.trust_reference import adjustments, amounts, closed_periods, lines, quantities, reckoned
from tests.projections.worlds import World, open_world

START, END = date(2026, 3, 27), date(2026, 4, 4)
UNTIL = STARTED + timedelta(days=DAYS)
INSTANTS = (STARTED + timedelta(hours=2), STARTED + timedelta(days=1, hours=12), STARTED + timedelta(days=3))
SELECT_CLOSED = """
select position, state::text as state from events where topic in ('PeriodClosed', 'InvoiceClosed') order by position
"""
SELECT_ADJUSTMENTS = """
select key, state, effect_minor_units from adjustments where account = $1 order by proposed_position
"""
DECIDED = {
    None: "proposed",
    "AdjustmentApproved": "approved",
    "AdjustmentRejected": "rejected",
    "AdjustmentWithdrawn": "withdrawn",
}

_databases = count(1)


class Seen(NamedTuple):
    """What a ledger told when it stood at a position, and the bytes of what was closed by then."""

    position: int
    answers: dict[tuple[Any, ...], Any]
    closed: list[tuple[int, str]]


async def outcome(answer: Awaitable[Any]) -> Any:
    """An answer, or the code of the refusal in its place."""
    try:
        return await answer
    except Refusal as refusal:
        return refusal.code


async def invoice_now(world: World, account: str, instant: datetime, *, now: datetime) -> Invoice:
    catalogue, ledger = world.follower.catalogue, world.ledger
    return (await projected_invoice(ledger.pool, ledger.log, catalogue, Asked(account, instant), now=now)).invoice


async def told_now(trusted: Trusted) -> Seen:
    """What the living ledger tells of its accounts."""
    await trusted.catch_up()
    world, catalogue = trusted.world, trusted.catalogue
    position = (await world.ledger.log.head()).position
    moment = await reader(world).moment(position=position, at=None, now=NOW)
    answers: dict[tuple[Any, ...], Any] = {}
    for account in sorted(catalogue.accounts):
        answers[account, "contracts"] = catalogue.contracts.get(account, ())
        answers[account, "adjustments"] = catalogue.adjustments.get(account, {})
        answers[account, "closed"] = catalogue.closings.get(account, {})
        for meter in sorted(catalogue.meters):
            answers[account, meter] = await outcome(world.rows(account, meter, START, END, "DAY", group_by=("d",)))
        for instant in INSTANTS:
            answers[account, instant] = await outcome(invoice_now(world, account, instant, now=moment.now))
    return Seen(position, answers, await closed_bytes(world))


async def told_of(world: World, position: int) -> dict[tuple[Any, ...], Any]:
    """The same, of the ledger as of a position."""
    read = reader(world)
    moment = await read.moment(position=position, at=None, now=NOW)
    answers: dict[tuple[Any, ...], Any] = {}
    for account in ACCOUNTS:
        try:
            past = await read.account(account, moment)
        except AccountUnknownThen:
            continue
        answers[account, "contracts"] = past.contracts
        answers[account, "adjustments"], answers[account, "closed"] = past.adjustments, past.closings
        for meter in sorted(past.catalogue.meters):
            answers[account, meter] = await outcome(read.usage(past, UsageAsked(meter, START, END, "DAY", ("d",))))
        for instant in INSTANTS:
            answers[account, instant] = await outcome(read.invoice(past, instant))
    return answers


def reader(world: World) -> PastReader:
    return PastReader(world.ledger.pool, world.ledger.log, world.follower)


async def closed_bytes(world: World) -> list[tuple[int, str]]:
    return [tuple(row) for row in await world.ledger.pool.fetch(SELECT_CLOSED)]


async def hold(url: str, history: Sequence[Step], *, is_refused: bool = True) -> None:
    """Let a history happen, settle what came late, and hold what each way to the numbers tells against the others."""
    with pytest.MonkeyPatch.context() as patch:

        def resize(size: int) -> None:
            patch.setattr(runner, "STEP_EVENTS", size)
            patch.setattr(runner, "BUILD_STEP_EVENTS", size)

        async with open_world(url) as world:
            trusted, seen = Trusted(world), list[Seen]()
            await trusted.begin()
            for step in history:
                if isinstance(step, Stop):
                    seen.append(await told_now(trusted))
                else:
                    assert await trusted.live_through(step, resize) or is_refused, step
            seen.append(await told_now(trusted))
            await hold_past(world, seen)
            await hold_figures(trusted)
            await settle_and_hold_closed(trusted)
            await undo_and_hold(trusted)
            await hold_figures(trusted)
            assert (await closed_bytes(world))[: len(seen[-1].closed)] == seen[-1].closed
            await hold_exact(world)
            again = await replay(world.ledger.pool, world.ledger.log, world.ledger.url, clock=lambda: datetime.now(UTC))
            assert (again.is_equal, again.unreadable, again.divergences) == (True, None, ())


async def hold_past(world: World, seen: Sequence[Seen]) -> None:
    """Each stop, the head among them, is told as it was told there; and no closed byte changed since."""
    for told in seen:
        past = await told_of(world, told.position)
        assert past.keys() == told.answers.keys()
        for question, answer in told.answers.items():
            assert past[question] == answer, (told.position, question)
        assert seen[-1].closed[: len(told.closed)] == told.closed


async def hold_figures(trusted: Trusted) -> None:
    """Usage, invoices, adjustments and closed periods are what SQL finds in the log."""
    world, catalogue = trusted.world, trusted.catalogue
    for account in ACCOUNTS:
        local = zone(catalogue.accounts[account].zone)
        span = Period(local.day_bounds(START).start, local.day_bounds(END).start)
        for meter in METERS:
            shown = await world.rows(account, meter, START, END, "TOTAL", group_by=("d",))
            expected = await quantities(world, account, meter, span)
            assert {row.dimensions: (row.quantity, row.event_count) for row in shown} == {
                (row["d"],): (row["quantity"], row["count"]) for row in expected
            }, (account, meter)
        for one in await reckoned(world, account, UNTIL):
            invoice = await invoice_now(world, account, one.start, now=UNTIL)
            assert lines(invoice.lines) == lines(one.rated.lines), (account, one.start)
            found = [money.minor_units for money in (invoice.subtotal, invoice.credited, invoice.total)]
            assert found == [one.subtotal, one.credited, one.subtotal - one.credited], (account, one.start)
        told = await adjustments(world, account)
        expected = [
            (row["key"], "reversed" if row["is_reversed"] else DECIDED[row["topic"]], row["effect"]) for row in told
        ]
        assert [tuple(row) for row in await world.ledger.pool.fetch(SELECT_ADJUSTMENTS, account)] == expected
        assert amounts(catalogue, account) == {
            row["start"]: (row["rated"], row["total"], row["rated"] + row["differences"])
            for row in await closed_periods(world, account)
        }


async def settle_and_hold_closed(trusted: Trusted) -> None:
    """Once late usage is settled, what a period was closed at and the differences since are what it is rated now."""
    for account in ACCOUNTS:
        for number in range(len(trusted.closed(account))):
            assert await trusted.live_through(Assess(account, number), None)
        await trusted.catch_up()
        now = await reckoned(trusted.world, account, UNTIL + timedelta(days=2))
        for closed, one in zip(trusted.closed(account), now, strict=False):
            event = closed.event
            assert event.start == one.start
            differences = sum(late.difference.minor_units for late in closed.late)
            assert event.rated.minor_units + differences == one.rated.subtotal.minor_units, (account, event.start)
            credited = sum((money for money in event.credits.values()), start=Money(0, "EUR"))
            assert event.total == event.rated + event.adjusted - credited


async def undo_and_hold(trusted: Trusted) -> None:
    """What is approved is reversed where that can be: together they change no invoice by a cent."""
    world = trusted.world
    for account in ACCOUNTS:
        undone = set[str]()
        for key, one in dict(trusted.catalogue.adjustments.get(account, {})).items():
            if one.adjustment.reverses is not None or one.state(datetime.now(UTC)) not in ("approved", "reversed"):
                continue
            if one.reversed_by is None and not await trusted.undo(account, key):
                continue
            reversal = trusted.catalogue.adjustments[account][key].reversed_by
            assert reversal is not None
            undone |= {key, reversal}
        for without in await reckoned(world, account, UNTIL, leave_out=tuple(undone)):
            invoice = await invoice_now(world, account, without.start, now=UNTIL)
            assert invoice.subtotal.minor_units == without.subtotal, (account, undone)


async def hold_exact(world: World) -> None:
    """No number of any event is a float; written again, each says the same."""
    for row in await world.ledger.pool.fetch("select topic, state::text as state from events order by position"):
        event = decode(row["topic"], row["state"].encode())
        require_exact(event)
        assert decode(row["topic"], encode(event)) == event


def require_exact(told: object) -> None:
    """Fail for a float anywhere in a decoded event."""
    assert not isinstance(told, float), told
    if isinstance(told, msgspec.Struct):
        told = msgspec.structs.asdict(told)
    if isinstance(told, dict):
        for one in (*told.keys(), *told.values()):
            require_exact(one)
    elif isinstance(told, list | tuple | set | frozenset):
        for one in told:
            require_exact(one)


async def in_a_database_of_its_own(template_url: str, history: Sequence[Step], **how: Any) -> None:
    template, name = urlsplit(template_url), f"trust_{next(_databases)}"
    async with owner(template._replace(path="/postgres").geturl()) as server:
        await server.execute(f"create database {name} template {template.path.strip('/')}")
        try:
            await hold(template._replace(path=f"/{name}").geturl(), history, **how)
        finally:
            await server.execute(f"drop database {name} with (force)")


BOUNDED = settings(
    max_examples=int(os.environ.get("LEDGER_TRUST_EXAMPLES", "15")),
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # a history shrinks for minutes and tells no more then
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@BOUNDED
@given(history=trust_histories())
def test_every_way_to_the_numbers_leads_to_the_same(database_url: str, history: list[Step]) -> None:
    """`database_url` stays empty: each history gets a copy of it. LEDGER_TRUST_EXAMPLES asks for more of them."""
    note("\n".join(map(repr, history)))
    asyncio.run(in_a_database_of_its_own(database_url, history))


@pytest.mark.parametrize("told", [1.5, {"a": [Decimal(1), {"b": 0.0}]}, (1.0,)])
def test_a_float_is_found_wherever_it_hides(told: object) -> None:
    with pytest.raises(AssertionError):
        require_exact(told)
