"""Usage on its way to a platform: intended, told, settled; once each, whatever happens on the way."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ledger.commands.accounts import change_account
from ledger.commands.mending import amend_usage, void_usage
from ledger.commands.sends import map_meter, start_sending, stop_sending
from ledger.domain.accounts import AliasAccount, OpenAccount, RemoveAccountAlias
from ledger.domain.mending import DismissUsage, MendUsage
from ledger.domain.send_events import MeterMapped, SendingStarted, SendingStopped
from ledger.domain.sends import CANNOT_CANCEL, TOO_OLD, UNNAMED, Circuit
from ledger.projections.replay import replay
from ledger.projections.runner import Projector
from ledger.sandbox.stripe.behaviour import Behaviour
from ledger.workers.cancelling import cancel_sends
from ledger.workers.rejecting import take_rejections
from ledger.workers.sending import send_usage
from ledger.workers.settling import settle_sends
from tests.log.ledgers import METADATA
from tests.platforms.conftest import Followed
from tests.sandbox.stripe.conftest import SDK_WARNING
from tests.workers.sent import CANCEL, STREAM, Crash, Crashing, Sent, catalogue, define, open_sent

pytestmark = SDK_WARNING


@pytest.fixture
async def sent(database_url: str) -> AsyncIterator[Sent]:
    """Sending is on and nothing was used yet."""
    async with open_sent(database_url) as opened:
        yield opened


async def test_usage_is_told_once_and_is_seen_to_be_accepted(sent: Sent) -> None:
    positions = [await sent.use("1.5"), await sent.use("2")]

    assert await send_usage(sent.desk) == 2
    assert await send_usage(sent.desk) == 0

    rows = await sent.rows()
    assert [(row.told.send.position, row.told.state, row.told.attempts) for row in rows] == [
        (position, "accepted", 1) for position in positions
    ]
    assert await sent.there() == await sent.acknowledged() == Decimal("3.5")


async def look_after(sent: Sent, *, hours: float = 1) -> None:
    """What the worker's schedule does, again and again, while time passes."""
    for _ in range(3):
        await sent.advance(hours=hours / 3)
        await take_rejections(sent.desk)
        await send_usage(sent.desk)
        await settle_sends(sent.desk)
        await cancel_sends(sent.desk)


async def exact(sent: Sent) -> None:
    """The platform counts what we say that it acknowledged, and that is what is used here and not rejected there."""
    assert await sent.there() == await sent.acknowledged()


async def test_only_sums_and_counts_that_the_platform_has_a_meter_for_are_sent(sent: Sent) -> None:
    await define(sent.followed, "calls", "count", None)
    await define(sent.followed, "peak", "max", "tokens")
    await define(sent.followed, "extra", "sum", "tokens")
    await sent.use("3")

    await send_usage(sent.desk)

    rows = {row.told.send.meter: row.told.send.value for row in await sent.rows()}
    assert rows == {"tokens": Decimal(3), "calls": Decimal(1)}
    assert await sent.there("calls") == 1
    assert await sent.there("tokens") == 3


async def test_a_meter_is_told_under_another_event_type_once_it_is_mapped(sent: Sent) -> None:
    await define(sent.followed, "extra", "sum", "tokens")
    mapped = MeterMapped(platform="stripe", meter="extra", event_type="tokens")
    await map_meter(sent.followed.ledger.log, mapped, now=sent.now(), metadata=METADATA)
    await sent.use("3")

    await send_usage(sent.desk)

    assert await sent.there() == 6


async def test_usage_before_sending_started_is_never_sent(sent: Sent) -> None:
    await open_account(sent.followed, "later", "cus_later")
    await sent.use("3", subject="later")
    started = SendingStarted(platform="stripe", account="later", customer="cus_later", since=sent.now())
    await start_sending(sent.followed.ledger.log, started, now=sent.now(), metadata=METADATA)
    await sent.use("4", subject="later", at=sent.now() - timedelta(seconds=1))
    await sent.use("5", subject="later")

    await send_usage(sent.desk)

    assert [row.told.send.value for row in await sent.rows("later")] == [5]


async def test_usage_after_sending_stopped_is_not_sent(sent: Sent) -> None:
    stopped = SendingStopped(platform="stripe", account="acme")
    await stop_sending(sent.followed.ledger.log, stopped, now=sent.now(), metadata=METADATA)
    await sent.use()

    assert await send_usage(sent.desk) == 0


async def test_held_usage_is_sent_once_its_name_is_known(sent: Sent) -> None:
    await sent.use("7", subject="acme-eu")
    await send_usage(sent.desk)
    assert await sent.rows() == []

    for _ in range(2):
        alias = AliasAccount("acme", "acme-eu")
        await change_account(sent.followed.ledger.log, alias, now=sent.now(), metadata=METADATA)
        await send_usage(sent.desk)
        removed = RemoveAccountAlias("acme", "acme-eu")
        await change_account(sent.followed.ledger.log, removed, now=sent.now(), metadata=METADATA)

    assert await sent.states() == ["accepted"]
    assert await sent.there() == 7


async def test_usage_of_more_than_35_days_ago_is_rejected_here(sent: Sent) -> None:
    await sent.use("7", at=sent.now() - timedelta(days=36))

    await send_usage(sent.desk)

    [row] = await sent.rows()
    assert (row.told.state, row.told.code) == ("rejected", TOO_OLD)


async def test_usage_of_the_future_waits_for_its_time(sent: Sent) -> None:
    await sent.use("7", at=sent.now() + timedelta(hours=2))
    await sent.use("1")

    await send_usage(sent.desk)
    assert await sent.states() == ["intended", "accepted"]

    await look_after(sent, hours=3)
    assert await sent.states() == ["accepted", "accepted"]
    await exact(sent)


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after", "500", "503", "429"])
async def test_what_gets_no_answer_is_told_again_within_the_window(sent: Sent, fault: Any) -> None:
    """Fails where the second telling bears another identifier: what arrived would count twice."""
    await sent.use("7")
    sent.followed.world.sandbox.faults.next(STREAM, fault, times=3)

    await send_usage(sent.desk)
    assert await sent.states() == ["unknown" if fault != "429" else "intended"]
    await look_after(sent)

    [state] = await sent.states()
    assert state == ("delivered_before" if fault == "timeout_after" else "accepted")
    assert await sent.there() == 7


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("hours", [1, 30])
async def test_a_crash_around_the_call_neither_loses_nor_doubles(sent: Sent, is_after: bool, hours: int) -> None:
    """After 30 hours the platform has forgotten the identifier, and its sums decide."""
    await sent.use("7")
    await sent.use("5")
    crashing: Any = Crashing(sent.followed.platform, "send_usage", is_after=is_after)
    with pytest.raises(Crash):
        await send_usage(sent.with_platform(crashing))

    await sent.advance(hours=hours)
    await look_after(sent, hours=1)
    await look_after(sent, hours=1)

    await exact(sent)
    assert await sent.there() == 12


async def test_a_sum_that_two_sets_of_sends_explain_settles_nothing(sent: Sent) -> None:
    """One of two equal sends arrived: which of them is for a person to see."""
    await sent.use("7")
    await sent.use("7")
    sent.followed.world.sandbox.faults.next(STREAM, "timeout_before")
    await send_usage(sent.desk)
    [first, _] = await sent.rows()
    await sent.followed.platform.send_singly(first.told.send)

    await sent.advance(hours=30)
    await look_after(sent, hours=1)

    assert await sent.states() == ["unknown", "unknown"]


async def test_two_workers_at_once_send_everything_once(sent: Sent) -> None:
    for number in range(250):
        await sent.use(str(number))
    desks = [sent.forgetful() for _ in range(3)]

    await asyncio.gather(*(send_usage(desk) for desk in desks))

    assert len(await sent.rows()) == 250
    assert set(await sent.states()) == {"accepted"}
    assert await sent.there() == sum(range(250))


async def test_voided_usage_is_cancelled_within_a_day(sent: Sent) -> None:
    position = await sent.use("7")
    await sent.use("1")
    await send_usage(sent.desk)

    await void(sent, position)
    await look_after(sent)

    assert await sent.states() == ["cancelled", "accepted"]
    assert await sent.there() == 1


async def test_usage_that_is_voided_before_it_was_sent_is_not_sent(sent: Sent) -> None:
    await void(sent, await sent.use("7"))

    await send_usage(sent.desk)

    assert await sent.rows() == []


async def test_usage_that_is_voided_later_is_undone_by_a_negative_send(sent: Sent) -> None:
    position = await sent.use("7")
    await send_usage(sent.desk)
    await sent.advance(days=2)

    await void(sent, position)
    await look_after(sent)

    [told, undoing] = await sent.rows()
    assert (told.told.state, told.told.cancel) == ("accepted", "undone")
    assert (undoing.told.state, undoing.told.send.value, undoing.told.send.undoes) == (
        "accepted",
        Decimal(-7),
        told.told.send.identifier,
    )
    assert await sent.there() == 0


async def test_a_count_that_is_voided_later_is_left_to_a_person(sent: Sent) -> None:
    await define(sent.followed, "calls", "count", None)
    position = await sent.use("7")
    await send_usage(sent.desk)
    await sent.advance(days=2)

    await void(sent, position)
    await look_after(sent)

    rows = {row.told.send.meter: row.told for row in await sent.rows() if row.told.send.undoes is None}
    assert (rows["calls"].state, rows["calls"].cancel, rows["calls"].code) == ("accepted", "impossible", CANNOT_CANCEL)
    assert await sent.there("calls") == 1


async def test_amended_usage_is_cancelled_and_sent_anew(sent: Sent) -> None:
    position = await sent.use("7")
    await send_usage(sent.desk)
    command = MendUsage(position, "wrong_value", properties={"tokens": 9})

    await amend_usage(sent.followed.ledger.log, await catalogue(sent), command, now=sent.now(), metadata=METADATA)
    await look_after(sent)

    assert await sent.states() == ["cancelled", "accepted"]
    assert await sent.there() == 9


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after"])
@pytest.mark.parametrize("hours", [1, 30])
async def test_a_cancel_without_an_answer_is_settled(sent: Sent, fault: Any, hours: int) -> None:
    """After 30 hours nothing can be cancelled any more, and the sums tell whether it was."""
    position = await sent.use("7")
    await sent.use("5")
    await send_usage(sent.desk)
    await void(sent, position)
    await send_usage(sent.desk)
    sent.followed.world.sandbox.faults.next(CANCEL, fault)
    await cancel_sends(sent.desk)
    assert [row.told.cancel for row in await sent.rows()] == ["unknown", None]

    await sent.advance(hours=hours)
    await look_after(sent, hours=1)
    await look_after(sent, hours=1)

    assert await sent.there() == await sent.acknowledged() == 5


async def test_what_is_rejected_later_is_settled_by_the_report(sent: Sent) -> None:
    for number in range(4):
        await sent.use(str(number + 1))
    sent.followed.world.sandbox.faults.next(STREAM, "rejection", times=2)
    await send_usage(sent.desk)
    assert await sent.states() == ["accepted"] * 4

    await look_after(sent)

    assert await sent.states() == ["rejected", "rejected", "accepted", "accepted"]
    await exact(sent)


async def test_what_a_report_counts_and_does_not_name_is_found_by_the_sums(database_url: str) -> None:
    async with open_sent(database_url, Behaviour(rejection_samples_max=1)) as sent:
        for number in range(4):
            await sent.use(str(2**number))
        sent.followed.world.sandbox.faults.next(STREAM, "rejection", times=3)
        await send_usage(sent.desk)
        await look_after(sent)
        await look_after(sent, hours=3)

        rows = [(row.told.state, row.told.code) for row in await sent.rows()]
        code = "meter_event_customer_not_found"
        assert rows == [("rejected", code), ("rejected", UNNAMED), ("rejected", UNNAMED), ("accepted", None)]
        await exact(sent)


async def test_a_platform_that_does_not_answer_is_left_alone_for_a_while(sent: Sent) -> None:
    """Meanwhile nothing is intended: what waits is in the log anyway."""
    for _ in range(Circuit.FAULTS_MAX):
        sent.desk.memory.circuit.failed(sent.now())
    await sent.use("7")
    assert await send_usage(sent.desk) == 0
    assert await sent.rows() == []

    await sent.advance(minutes=1)
    assert await send_usage(sent.desk) == 1
    assert not sent.desk.memory.circuit.is_probing


async def void(sent: Sent, position: int) -> None:
    command = DismissUsage(position, "test_traffic")
    await void_usage(sent.followed.ledger.log, await catalogue(sent), command, now=sent.now(), metadata=METADATA)


async def open_account(followed: Followed, account: str, customer: str) -> None:
    log, now = followed.ledger.log, followed.now()
    await change_account(log, OpenAccount(account, account, "UTC"), now=now, metadata=METADATA)
    await change_account(log, AliasAccount(account, customer), now=now, metadata=METADATA)


async def test_the_read_model_is_what_the_log_says(sent: Sent) -> None:
    """A replay folds sends, cancels and outcomes anew and finds the same rows."""
    position = await sent.use("7")
    for number in range(3):
        await sent.use(str(number))
    sent.followed.world.sandbox.faults.next(STREAM, "rejection")
    await send_usage(sent.desk)
    await void(sent, position)
    await look_after(sent)
    ledger = sent.followed.ledger
    await Projector(ledger.pool, ledger.log).catch_up()

    outcome = await replay(ledger.pool, ledger.log, ledger.url, clock=lambda: datetime.now(UTC))

    assert outcome.is_equal, outcome.divergences
    assert [model.living_rows for model in outcome.models if model.name == "sends"] == [4]
