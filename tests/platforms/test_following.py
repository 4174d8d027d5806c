"""A ledger that follows Stripe ends where Stripe is, whatever happens to the messages on their way."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from random import Random

import pytest

from ledger.commands.platforms import Subject, sync_listed, sync_object
from ledger.domain.platform_events import CustomerSynced, PlatformNotified
from ledger.domain.platform_objects import Customer, ObjectKind, PlatformInvoice, PlatformObject
from ledger.domain.platform_sync import KINDS
from ledger.platforms.port import PlatformUnavailable
from ledger.projections.platform_objects import news, objects_overlapping
from ledger.sandbox.stripe.behaviour import Behaviour
from ledger.workers.syncing import sweep_notifications, sync_all
from tests.log.ledgers import METADATA, NOW
from tests.platforms.conftest import Followed, open_followed, subscribe
from tests.sandbox.stripe.conftest import SDK_WARNING

pytestmark = SDK_WARNING


async def same_as_there(followed: Followed) -> None:
    for kind in KINDS:
        assert await followed.known(kind) == await followed.there(kind), kind


async def live(followed: Followed) -> dict[str, str]:
    """A month of a customer, with the invoice of it, a credit note and a change of name."""
    ids = await subscribe(followed.world)
    await followed.world.use(ids["customer"], "1536", identifier="u1")
    await followed.world.advance(days=31, hours=2)
    [invoice] = (await followed.client.v1.invoices.list_async()).data
    await followed.client.v1.customers.update_async(ids["customer"], {"name": "Acme Ltd"})
    return ids | {"invoice": invoice.id}


async def test_an_invoice_that_a_webhook_tells_of_is_kept_with_its_lines(followed: Followed) -> None:
    ids = await live(followed)

    await followed.take(followed.world.receiver.taken)
    await followed.apply()

    [invoice] = await followed.known("invoice")
    assert isinstance(invoice, PlatformInvoice)
    assert (invoice.id, invoice.customer, invoice.subscription) == (
        ids["invoice"],
        ids["customer"],
        ids["subscription"],
    )
    [line] = invoice.lines
    assert (line.quantity, line.price, line.meter) == (Decimal(1536), ids["price"], ids["meter"])
    assert (line.money.minor_units, line.money.currency) == (307, "EUR")
    await same_as_there(followed)


async def test_what_was_looked_into_is_not_looked_into_again(followed: Followed) -> None:
    await live(followed)
    await followed.take(followed.world.receiver.taken)
    await followed.apply()
    before = await followed.ledger.count()

    assert await followed.apply() == 0
    await followed.take(followed.world.receiver.taken)
    assert await followed.apply() == 0

    assert await followed.ledger.count() == before


async def act(followed: Followed, ids: dict[str, str], chance: Random) -> None:
    """One thing that happens at Stripe."""
    client, customer = followed.client, ids["customer"]
    match chance.randrange(6):
        case 0:
            await client.v1.customers.update_async(customer, {"name": f"Acme {chance.randrange(9)}"})
        case 1:
            await followed.world.use(customer, str(chance.randrange(1, 2_000)), at=followed.now())
        case 2:
            made = await client.v1.invoices.create_async({"customer": customer, "currency": "eur"})
            await client.v1.invoices.finalize_invoice_async(made.id)
        case 3:
            made = await client.v1.invoices.create_async({"customer": customer, "currency": "eur"})
            await client.v1.invoices.delete_async(made.id)
        case 4:
            await client.v1.prices.update_async(ids["price"], {"active": bool(chance.randrange(2))})
        case _:
            await followed.world.advance(hours=chance.randrange(1, 100))


@pytest.mark.parametrize("seed", range(int(os.environ.get("LEDGER_TEST_SEEDS", "4"))))
async def test_any_order_repetition_delay_and_loss_of_messages_end_in_the_same_state(
    database_url: str, seed: int
) -> None:
    """Random weeks at Stripe, whose webhooks come late, twice, in any order or never, and are looked into in bites."""
    chance = Random(seed)
    behaviour = Behaviour(webhook_delay_seconds_max=7_200, webhook_duplicates_percent=30, webhook_losses_percent=20)
    async with open_followed(database_url, behaviour, seed=seed) as followed:
        ids = await subscribe(followed.world)
        for _ in range(20):
            await act(followed, ids, chance)
            waiting = followed.world.receiver.taken
            chance.shuffle(waiting)
            count = chance.randint(0, len(waiting))
            await followed.take(waiting[:count])
            del waiting[:count]
            if chance.randrange(3) == 0:
                await followed.apply()
            if chance.randrange(8) == 0:
                await sweep(followed)
        await followed.take(followed.world.receiver.taken)
        await sweep(followed)
        await followed.apply()

        assert [one for one in await followed.known("invoice") if not is_deleted(one)] == await followed.there(
            "invoice"
        )
        for kind in KINDS:
            if kind != "invoice":
                assert await followed.known(kind) == await followed.there(kind), kind


def is_deleted(one: PlatformObject) -> bool:
    return isinstance(one, PlatformInvoice) and one.status == "deleted"


async def sweep(followed: Followed) -> int:
    return await sweep_notifications(followed.ledger.pool, followed.ledger.log, followed.platform, clock=followed.now)


async def test_what_comes_to_an_end_there_is_said_to_have_ended_here(followed: Followed) -> None:
    ids = await live(followed)
    draft = (await followed.client.v1.invoices.create_async({"customer": ids["customer"]})).id
    await followed.world.sandbox.settle()
    await followed.take(followed.world.receiver.taken)
    await followed.apply()
    followed.world.receiver.taken.clear()

    await followed.client.v1.invoices.delete_async(draft)
    await followed.client.v1.customers.delete_async(ids["customer"])
    await followed.world.sandbox.settle()
    await followed.take(followed.world.receiver.taken)
    await followed.apply()

    [customer] = await followed.known("customer")
    assert isinstance(customer, Customer)
    assert (customer.id, customer.is_deleted) == (ids["customer"], True)
    statuses = {one.id: one.status for one in await followed.known("invoice") if isinstance(one, PlatformInvoice)}
    assert statuses == {draft: "deleted", ids["invoice"]: "open"}
    assert await followed.known("subscription") == await followed.there("subscription")


async def test_a_full_sync_finds_what_no_message_told(followed: Followed) -> None:
    ids = await live(followed)

    found = await sync_all(followed.ledger.pool, followed.ledger.log, followed.platform, clock=followed.now)

    assert {kind: counts.changed for kind, counts in found.items()} == dict.fromkeys(KINDS, 1) | {"credit_note": 0}
    await same_as_there(followed)
    before = await followed.ledger.count()
    await followed.client.v1.customers.delete_async(ids["customer"])
    again = await sync_all(followed.ledger.pool, followed.ledger.log, followed.platform, clock=followed.now)
    assert (again["customer"].changed, again["subscription"].changed) == (1, 1)
    assert await followed.ledger.count() == before + 2


async def test_a_full_sync_goes_on_where_it_was_stopped(followed: Followed) -> None:
    for number in range(120):
        await followed.world.customer(f"Customer {number}")
    listed, seen = followed.platform.objects, 0

    async def hundred_customers(kind: ObjectKind, *, after: str | None = None) -> AsyncIterator[PlatformObject]:
        nonlocal seen
        async for one in listed(kind, after=after):
            if kind == "customer" and seen == 100:
                raise PlatformUnavailable("gone")
            seen += kind == "customer"
            yield one

    followed.platform.objects = hundred_customers  # type: ignore[method-assign,assignment]
    with pytest.raises(PlatformUnavailable):
        await sync_all(followed.ledger.pool, followed.ledger.log, followed.platform, clock=followed.now)
    followed.platform.objects = listed  # type: ignore[method-assign]

    found = await sync_all(followed.ledger.pool, followed.ledger.log, followed.platform, clock=followed.now)

    assert found["customer"].seen == 20
    await same_as_there(followed)


async def test_a_sweep_finds_the_messages_that_never_arrived(followed: Followed) -> None:
    await live(followed)
    told = followed.world.receiver.taken
    await followed.take(told[::2])

    missed, again = await sweep(followed), await sweep(followed)
    await followed.apply()

    # What is older than 30 days, Stripe has no more: the first hours of the month.
    kept = [event for _, event in await followed.ledger.events() if isinstance(event, PlatformNotified)]
    assert (missed > 0, again) == (True, 0)
    assert len({event.event_id for event in kept}) == len(kept)
    assert await followed.known("invoice") == await followed.there("invoice")


async def test_an_answer_that_was_asked_for_earlier_never_replaces_a_newer_one(followed: Followed) -> None:
    """Two look into one object: the one who asked first writes last. It must ask again.

    Fails where the stream is read after the platform was asked: then the old name wins.
    """
    pool, log = followed.ledger.pool, followed.ledger.log
    subject = Subject("stripe", "customer", "cus_1")
    asked, may_answer = asyncio.Event(), asyncio.Event()
    names = ["old", "new"]

    async def slow(kind: ObjectKind, object_id: str) -> PlatformObject:
        if not asked.is_set():
            answer = Customer(id=object_id, name=names[0])
            asked.set()
            await may_answer.wait()
            return answer
        return Customer(id=object_id, name=names[1])

    first = asyncio.create_task(sync_object(pool, log, subject, slow, now=NOW, metadata=METADATA))
    await asked.wait()
    await sync_object(pool, log, subject, slow, now=NOW, metadata=METADATA)
    may_answer.set()
    assert await first is None

    [(_, event)] = await followed.ledger.events()
    assert event == CustomerSynced(platform="stripe", customer=Customer(id="cus_1", name="new"))


async def test_what_was_fetched_and_does_not_differ_is_not_kept_again(followed: Followed) -> None:
    async def fetch(kind: ObjectKind, object_id: str) -> PlatformObject:
        return Customer(id=object_id, name="Acme")

    subject = Subject("stripe", "customer", "cus_1")
    pool, log = followed.ledger.pool, followed.ledger.log
    kept = [await sync_object(pool, log, subject, fetch, now=NOW, metadata=METADATA) for _ in range(2)]

    assert kept == [1, None]
    assert await followed.ledger.count() == 1


async def test_a_list_that_was_begun_earlier_never_replaces_a_newer_answer(followed: Followed) -> None:
    """Fails where what was kept after the list was begun is not asked for by itself."""
    pool, log = followed.ledger.pool, followed.ledger.log
    new = Customer(id="cus_1", name="new")

    async def fetch(kind: ObjectKind, object_id: str) -> PlatformObject:
        return new

    subject = Subject("stripe", "customer", "cus_1")
    await sync_object(pool, log, subject, fetch, now=NOW, metadata=METADATA)

    listed = [Customer(id="cus_1", name="old")]
    changed = await sync_listed(pool, log, "stripe", listed, fetch, listed_after=0, now=NOW, metadata=METADATA)

    assert changed == 0
    assert await followed.ledger.count() == 1


async def test_while_the_platform_does_not_answer_nothing_is_passed_over(followed: Followed) -> None:
    await live(followed)
    await followed.take(followed.world.receiver.taken)
    followed.world.sandbox.faults.next("*", "503", times=3)

    with pytest.raises(PlatformUnavailable):
        await followed.apply()
    followed.world.sandbox.faults._waiting.clear()
    await followed.apply()

    await same_as_there(followed)


async def test_invoices_are_found_by_the_time_that_they_are_about(followed: Followed) -> None:
    ids = await live(followed)
    await followed.take(followed.world.receiver.taken)
    await followed.apply()
    await followed.project()
    pool, [invoice] = followed.ledger.pool, await followed.known("invoice")
    assert isinstance(invoice, PlatformInvoice)

    async def found(start: datetime, end: datetime) -> list[PlatformObject]:
        seen = await objects_overlapping(pool, "stripe", "invoice", [ids["customer"]], start, end)
        return [one.one for one in seen]

    assert await found(invoice.start, invoice.end) == [invoice]
    assert await found(invoice.end, followed.now()) == []


async def test_the_news_tell_what_came_last_and_how_much(followed: Followed) -> None:
    await live(followed)
    told = followed.world.receiver.taken
    await followed.take([*told, *told])
    await followed.project()

    [one] = await news(followed.ledger.pool)

    last = [event for _, event in await followed.ledger.events() if isinstance(event, PlatformNotified)][-1]
    assert (one.platform, one.notifications) == ("stripe", len(told))
    assert (one.last_event_id, one.last_kind) == (last.event_id, last.kind)
