"""Subscriptions and their invoices: periods, drafts, the hour before they are final, what is dropped after it."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import stripe

from ledger.sandbox.stripe.behaviour import Behaviour
from ledger.sandbox.stripe.clock import moment_at, unix
from ledger.sandbox.stripe.periods import Cycle
from tests.sandbox.stripe.conftest import NOW, SDK_WARNING, World, open_world
from tests.sandbox.stripe.test_meter_events import refusal
from tests.sandbox.stripe.test_webhooks import endpoint

pytestmark = SDK_WARNING

END = datetime(2026, 12, 5, 9, 30, 17, tzinfo=UTC)
SECOND = timedelta(seconds=1)


async def price(world: World, meter: str | None, **more: Any) -> str:
    """A monthly price in dollars, of a meter or licensed."""
    recurring: Any = {"interval": "month"}
    if meter is not None:
        recurring |= {"usage_type": "metered", "meter": meter}
    params: Any = {"currency": "usd", "product_data": {"name": "Tokens"}, "recurring": recurring}
    if "tiers" in more:
        params["billing_scheme"] = "tiered"
    elif "unit_amount_decimal" not in more:
        params["unit_amount"] = 10
    return (await world.client.v1.prices.create_async(params | more)).id


async def subscribe(world: World, customer: str, *prices: str, **more: Any) -> stripe.Subscription:
    """A subscription to prices, one of each."""
    params: Any = {"customer": customer, "items": [{"price": one} for one in prices]}
    return await world.client.v1.subscriptions.create_async(params | more)


async def invoices(world: World, customer: str) -> list[stripe.Invoice]:
    """A customer's invoices, newest first."""
    return (await world.client.v1.invoices.list_async({"customer": customer})).data


async def metered(world: World, **more: Any) -> tuple[str, str, stripe.Subscription]:
    """A customer with a subscription to a metered price; its meter and the subscription."""
    meter, acme = await world.meter(), await world.customer()
    return meter, acme, await subscribe(world, acme, await price(world, meter, **more))


async def test_a_period_begins_at_the_second_of_the_subscription(world: World) -> None:
    _, _, subscription = await metered(world)

    [item] = subscription.to_dict()["items"]["data"]
    assert (item["current_period_start"], item["current_period_end"]) == (unix(NOW), unix(END))
    assert "quantity" not in item


@pytest.mark.parametrize(
    ("anchor", "starts"),
    [
        ("2027-01-31T12:00:00Z", ["2027-02-28T12:00:00Z", "2027-03-31T12:00:00Z", "2027-04-30T12:00:00Z"]),
        ("2028-01-30T00:00:01Z", ["2028-02-29T00:00:01Z", "2028-03-30T00:00:01Z"]),
        ("2026-12-29T23:59:59Z", ["2027-01-29T23:59:59Z", "2027-02-28T23:59:59Z", "2027-03-29T23:59:59Z"]),
    ],
)
def test_an_anchor_at_the_end_of_a_month_clamps_and_does_not_drift(anchor: str, starts: list[str]) -> None:
    cycle = Cycle(unix(datetime.fromisoformat(anchor)), "month", 1)

    found = [moment_at(cycle.start(number)) for number in range(1, len(starts) + 1)]

    assert found == [datetime.fromisoformat(one) for one in starts]


async def test_a_period_end_makes_a_draft_that_is_final_an_hour_later(world: World) -> None:
    """Fails when the usage that came during the hour is left out, or that after it is taken."""
    meter, acme, subscription = await metered(world)
    await world.use(acme, "7")
    await world.sandbox.advance(END)

    [draft] = await invoices(world, acme)
    assert (draft.status, draft.total, draft.billing_reason) == ("draft", 70, "subscription_cycle")
    assert (draft.period_start, draft.period_end, draft.automatically_finalizes_at) == (
        unix(NOW),
        unix(END),
        unix(END) + 3_600,
    )
    await world.use(acme, "3", at=END - SECOND)
    await world.use(acme, "100", at=END)
    await world.sandbox.advance(END + timedelta(hours=1))
    await world.use(acme, "1000", at=END - SECOND)

    [invoice] = await invoices(world, acme)
    assert (invoice.id, invoice.status, invoice.total, invoice.amount_due) == (draft.id, "open", 100, 100)
    [line] = invoice.lines.data
    assert (line.quantity, line.quantity_decimal, line.amount) == (10, Decimal(10), 100)
    assert (line.period.start, line.period.end) == (unix(NOW), unix(END))
    assert line.parent is not None
    assert line.parent.subscription_item_details is not None
    assert line.parent.subscription_item_details.subscription == subscription.id
    kinds = [one.type for one in (await world.client.v1.events.list_async({"types": ["invoice.*"]})).data]
    assert kinds == ["invoice.finalized", "invoice.created"]
    start = datetime(2026, 11, 5, tzinfo=UTC)
    assert sum(one.aggregated_value for one in await world.sums(meter, acme, start, END.replace(second=0))) == 7


async def test_the_hour_of_a_draft_can_be_chosen() -> None:
    async with open_world(Behaviour(finalize_after_seconds=2 * 86_400)) as world:
        _, acme, _ = await metered(world)
        await world.sandbox.advance(END + timedelta(hours=47))
        assert [one.status for one in await invoices(world, acme)] == ["draft"]
        await world.sandbox.advance(END + timedelta(hours=48))
        assert [one.status for one in await invoices(world, acme)] == ["paid"]


async def test_usage_below_nought_is_billed_as_nothing(world: World) -> None:
    """Fails without the clamp in `rating.parts`."""
    _, acme, _ = await metered(world)
    await world.use(acme, "-12")
    await world.sandbox.advance(END + timedelta(hours=1))

    [invoice] = await invoices(world, acme)
    assert (invoice.total, invoice.status, invoice.lines.data[0].quantity) == (0, "paid", 0)


TIERS = [
    {"up_to": 10, "unit_amount": 100, "flat_amount": 500},
    {"up_to": 20, "unit_amount_decimal": "50.5"},
    {"up_to": "inf", "unit_amount": 10, "flat_amount": 30},
]


@pytest.mark.parametrize(
    ("mode", "quantity", "amounts"),
    [
        ("graduated", "0", [0, 500]),
        ("graduated", "10", [1000, 500]),
        ("graduated", "10.5", [1000, 500, 25]),
        ("graduated", "25", [1000, 500, 505, 50, 30]),
        ("volume", "0", [0, 500]),
        ("volume", "10", [1000, 500]),
        ("volume", "11", [556]),
        ("volume", "21", [210, 30]),
    ],
)
async def test_tiers_make_a_line_each(world: World, mode: str, quantity: str, amounts: list[int]) -> None:
    _, acme, _ = await metered(world, tiers=TIERS, tiers_mode=mode)
    await world.use(acme, quantity)
    await world.sandbox.advance(END + timedelta(hours=1))

    [invoice] = await invoices(world, acme)
    assert [line.amount for line in invoice.lines.data] == amounts
    assert invoice.total == sum(amounts)


@pytest.mark.parametrize(("rounding", "amount"), [("up", 30), ("down", 20)])
async def test_packages_are_rounded(world: World, rounding: str, amount: int) -> None:
    _, acme, _ = await metered(world, transform_quantity={"divide_by": 1000, "round": rounding})
    await world.use(acme, "2001")
    await world.sandbox.advance(END + timedelta(hours=1))

    assert [one.total for one in await invoices(world, acme)] == [amount]


async def test_fractions_of_a_cent_are_rounded_half_up_by_the_line(world: World) -> None:
    _, acme, _ = await metered(world, unit_amount_decimal="0.05")
    await world.use(acme, "30.5")
    await world.sandbox.advance(END + timedelta(hours=1))

    [line] = (await invoices(world, acme))[0].lines.data
    assert (line.amount, line.quantity, line.quantity_decimal) == (2, 30, Decimal("30.5"))


async def test_tiers_are_shown_only_where_they_are_asked_for(world: World) -> None:
    made = await price(world, await world.meter(), tiers=TIERS, tiers_mode="volume")
    prices = world.client.v1.prices

    plain = await prices.retrieve_async(made)
    full = await prices.retrieve_async(made, {"expand": ["tiers"]})
    listed = await prices.list_async({"expand": ["data.tiers"]})

    assert "tiers" not in plain
    assert full.tiers is not None
    assert [(one.up_to, one.unit_amount, one.flat_amount) for one in full.tiers] == [
        (10, 100, 500),
        (20, None, None),
        (None, 10, 30),
    ]
    assert listed.data[0].tiers is not None
    subscription = await subscribe(world, await world.customer(), made, expand=["items.data.price.tiers"])
    assert len(subscription.to_dict()["items"]["data"][0]["price"]["tiers"]) == 3


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"recurring": {"interval": "month", "usage_type": "metered"}}, "recurring[meter]"),
        ({"tiers": TIERS[:2], "tiers_mode": "volume"}, "tiers[up_to]"),
        ({"tiers": TIERS}, "tiers"),
        ({"tiers": [TIERS[1], TIERS[0], TIERS[2]], "tiers_mode": "volume"}, "tiers[up_to]"),
        ({"unit_amount_decimal": "0.0000000000001"}, "unit_amount_decimal"),
        ({"currency": "USD"}, "currency"),
    ],
)
async def test_a_price_that_cannot_be_is_refused(world: World, more: Any, param: str) -> None:
    assert (await refusal(price(world, None, **more))).param == param


async def test_licences_are_due_in_advance_and_usage_in_arrears(world: World) -> None:
    meter, acme = await world.meter(), await world.customer()
    seats = await price(world, None, unit_amount=1500)
    await subscribe(world, acme, await price(world, meter), seats)
    await world.use(acme, "7")

    [first] = await invoices(world, acme)
    assert (first.status, first.total, first.billing_reason) == ("open", 1500, "subscription_create")

    await world.sandbox.advance(END + timedelta(hours=1))
    second, _ = await invoices(world, acme)
    assert [(line.amount, line.period.start) for line in second.lines.data] == [(70, unix(NOW)), (1500, unix(END))]


async def test_a_first_period_up_to_an_anchor_costs_its_share(world: World) -> None:
    acme = await world.customer()
    anchor = datetime(2026, 11, 20, 9, 30, 17, tzinfo=UTC)
    seats = await price(world, None, unit_amount=3100)

    await subscribe(world, acme, seats, billing_cycle_anchor=unix(anchor))

    [first] = await invoices(world, acme)
    assert first.total == 1500
    await world.sandbox.advance(anchor)
    assert [one.total for one in await invoices(world, acme)] == [3100, 1500]
    await world.sandbox.advance(datetime(2026, 12, 20, 9, 30, 17, tzinfo=UTC))
    assert len(await invoices(world, acme)) == 3


async def test_a_preview_tells_the_next_invoice_and_may_lag() -> None:
    async with open_world(Behaviour(preview_delay_seconds=60)) as world:
        _, acme, subscription = await metered(world)
        await world.use(acme, "4")
        previews = world.client.v1.invoices

        early = await previews.create_preview_async({"subscription": subscription.id})
        await world.advance(seconds=60)
        late = await previews.create_preview_async({"customer": acme})

        assert (early.total, late.total, late.status) == (0, 40, "draft")
        assert late.id is not None
        assert late.id.startswith("upcoming_in_")
        assert await invoices(world, acme) == []


async def test_a_subscription_cancelled_at_the_end_bills_its_usage_and_ends(world: World) -> None:
    _, acme, subscription = await metered(world)
    await world.use(acme, "4")
    await world.client.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    await world.sandbox.advance(END + timedelta(days=90))

    assert [one.total for one in await invoices(world, acme)] == [40]
    ended = await world.client.v1.subscriptions.retrieve_async(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", unix(END))


@pytest.mark.parametrize(("invoice_now", "totals"), [(True, [40]), (False, [])])
async def test_a_subscription_cancelled_at_once_drops_its_usage_unless_told(
    world: World, invoice_now: bool, totals: list[int]
) -> None:
    _, acme, subscription = await metered(world)
    await world.use(acme, "4")
    await world.advance(days=1)
    await world.client.v1.subscriptions.cancel_async(subscription.id, {"invoice_now": invoice_now})
    await world.sandbox.advance(END + timedelta(days=90))

    assert [one.total for one in await invoices(world, acme)] == totals
    assert (await world.client.v1.subscriptions.list_async({"customer": acme})).data == []
    found = await world.client.v1.subscriptions.list_async({"customer": acme, "status": "all"})
    assert [one.id for one in found.data] == [subscription.id]


async def test_an_item_changes_its_price_for_the_whole_period(world: World) -> None:
    meter, acme, subscription = await metered(world)
    dearer = await price(world, meter, unit_amount=25)
    await world.use(acme, "4")
    item = subscription.to_dict()["items"]["data"][0]["id"]
    update = world.client.v1.subscriptions.update_async

    refused = await refusal(update(subscription.id, {"items": [{"id": item, "price": dearer}]}))
    changed = await update(subscription.id, {"items": [{"id": item, "price": dearer}], "proration_behavior": "none"})
    await world.sandbox.advance(END + timedelta(hours=1))

    assert refused.param == "proration_behavior"
    assert changed.to_dict()["items"]["data"][0]["id"] == item
    assert [one.total for one in await invoices(world, acme)] == [100]


async def test_an_invoice_shows_ten_lines_and_gives_the_rest_by_pages(world: World) -> None:
    acme = await world.customer()
    for number in range(12):
        await world.client.v1.invoice_items.create_async({"customer": acme, "amount": number, "currency": "usd"})

    made = await world.client.v1.invoices.create_async({"customer": acme, "pending_invoice_items_behavior": "include"})
    lines = await world.client.v1.invoices.line_items.list_async(str(made.id), {"limit": 5})

    assert (len(made.lines.data), made.lines.has_more, made.total) == (10, True, 66)
    assert [line.amount async for line in lines.auto_paging_iter()] == list(range(12))


async def test_an_edited_draft_keeps_what_a_person_wrote(world: World) -> None:
    _, acme, _ = await metered(world)
    await world.use(acme, "4")
    await world.sandbox.advance(END)
    [draft] = await invoices(world, acme)

    world.sandbox.plants.edit_line(str(draft.id), 0, amount=15, description="Goodwill")
    await world.use(acme, "9", at=END - SECOND)
    await world.sandbox.advance(END + timedelta(hours=1))

    [invoice] = await invoices(world, acme)
    assert (invoice.total, invoice.lines.data[0].description, invoice.status) == (15, "Goodwill", "open")
    assert len((await world.client.v1.events.list_async({"type": "invoice.updated"})).data) == 1


async def test_nothing_is_done_twice_when_time_jumps_over_many_periods(world: World) -> None:
    _, acme, _ = await metered(world)
    await world.use(acme, "4")
    await world.sandbox.advance(datetime(2027, 3, 5, 9, 30, 17, tzinfo=UTC))

    found = await invoices(world, acme)
    assert [(one.total, one.status) for one in found] == [(0, "draft"), (0, "paid"), (0, "paid"), (40, "open")]
    numbers = [str(one.number) for one in found[:0:-1]]
    assert [number[-5:] for number in numbers] == ["-0001", "-0002", "-0003"]


async def test_on_a_clock_that_runs_a_request_finds_done_what_came_due() -> None:
    told = [NOW]
    async with open_world(told=lambda: told[0]) as world:
        _, acme, _ = await metered(world)
        await world.use(acme, "4")
        told[0] = END
        assert [one.status for one in await invoices(world, acme)] == ["draft"]
        told[0] = END + timedelta(hours=1)
        assert [one.status for one in await invoices(world, acme)] == ["open"]


async def test_a_served_sandbox_does_what_comes_due_until_it_is_cancelled(world: World) -> None:
    _, acme, subscription = await metered(world)
    await endpoint(world, "customer.created")
    await world.customer()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(world.sandbox.run(), timeout=0.05)

    assert len(world.receiver.taken) == 1
    assert subscription.customer == acme


async def test_a_paid_invoice_that_a_person_edited_stays_paid(world: World) -> None:
    _, acme, _ = await metered(world)
    await world.use(acme, "4")
    await world.sandbox.advance(END + timedelta(hours=1))
    [invoice] = await invoices(world, acme)
    await world.client.v1.invoices.pay_async(str(invoice.id))

    world.sandbox.plants.edit_line(str(invoice.id), 0, amount=35)

    [after] = await invoices(world, acme)
    assert (after.status, after.total, after.amount_paid, after.amount_remaining) == ("paid", 35, 35, 0)


async def test_the_lines_of_a_draft_stay_the_same_lines_while_usage_arrives(world: World) -> None:
    _, acme, _ = await metered(world, tiers=TIERS, tiers_mode="graduated")
    await world.use(acme, "12")
    await world.sandbox.advance(END)
    [draft] = await invoices(world, acme)
    await world.use(acme, "5", at=END - SECOND)
    await world.sandbox.advance(END + timedelta(hours=1))

    [invoice] = await invoices(world, acme)
    assert [line.id for line in invoice.lines.data] == [line.id for line in draft.lines.data]
    assert [line.quantity for line in draft.lines.data] == [10, 0, 2]
    assert [line.quantity for line in invoice.lines.data] == [10, 0, 7]
