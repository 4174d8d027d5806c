"""What a person does by hand with products, prices, meters, subscriptions and invoices, and what is refused."""

from datetime import timedelta
from typing import Any

from tests.sandbox.stripe.conftest import SDK_WARNING, World
from tests.sandbox.stripe.test_billing import END, invoices, metered, price, subscribe
from tests.sandbox.stripe.test_meter_events import refusal

pytestmark = SDK_WARNING


async def test_products_prices_and_meters_change_but_for_what_bills(world: World) -> None:
    client, meter = world.client.v1, await world.meter()
    made = await price(world, meter, nickname="Plain")
    product = str((await client.prices.retrieve_async(made)).product)

    named = await client.products.update_async(product, {"name": "Words", "metadata": {"a": "1"}})
    changed = await client.prices.update_async(made, {"active": False, "lookup_key": "words"})
    renamed = await client.billing.meters.update_async(meter, {"display_name": "Words"})

    assert ((await client.products.retrieve_async(product)).name, named.metadata["a"]) == ("Words", "1")
    assert (changed.active, changed.lookup_key, changed.nickname) == (False, "words", "Plain")
    assert (renamed.display_name, renamed.event_name) == ("Words", "tokens")
    assert [one.id for one in (await client.prices.list_async({"recurring": {"meter": meter}})).data] == [made]
    assert (await client.prices.list_async({"active": True})).data == []
    kinds = {one.type for one in (await client.events.list_async()).data}
    assert {"product.updated", "price.updated", "billing.meter.updated"} <= kinds


async def test_one_active_meter_has_an_event_name(world: World) -> None:
    meter = await world.meter()
    assert (await refusal(world.meter())).param == "event_name"

    meters = world.client.v1.billing.meters
    await meters.deactivate_async(meter)
    other = await world.meter()

    assert (await refusal(meters.reactivate_async(meter))).http_status == 400
    assert (await refusal(meters.deactivate_async(meter))).http_status == 400
    assert [one.id for one in (await meters.list_async({"status": "active"})).data] == [other]
    assert (await refusal(price(world, meter))).param == "recurring[meter]"


async def test_a_subscription_that_cannot_be_is_refused(world: World) -> None:
    meter, acme = await world.meter(), await world.customer()
    tokens = await price(world, meter)
    yearly = await price(world, None, recurring={"interval": "year"})
    euros = await price(world, None, currency="eur")
    once = (
        await world.client.v1.prices.create_async(
            {"currency": "usd", "unit_amount": 5, "product_data": {"name": "Once"}}
        )
    ).id
    far = int((END + timedelta(days=9)).timestamp())
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"items": []}, "items"),
        ({"items": [{"price": tokens}, {"price": yearly}]}, "items"),
        ({"items": [{"price": tokens}, {"price": euros}]}, "items"),
        ({"items": [{"price": tokens}, {"price": tokens}]}, "items"),
        ({"items": [{"price": once}]}, "items[price]"),
        ({"items": [{"price": tokens, "quantity": 3}]}, "items[quantity]"),
        ({"billing_cycle_anchor": far}, "billing_cycle_anchor"),
        ({"collection_method": "send_invoice"}, "days_until_due"),
        ({"customer": "cus_nobody"}, "customer"),
    ]

    plain: Any = {"customer": acme, "items": [{"price": tokens}]}
    create = world.client.v1.subscriptions.create_async
    refused = [((await refusal(create(plain | more))).param, param) for more, param in wrong]

    assert [was for was, _ in refused] == [expected for _, expected in refused]
    await subscribe(world, acme, tokens)
    assert (await refusal(subscribe(world, acme, euros))).param == "currency"


async def test_items_are_added_and_removed(world: World) -> None:
    _, _, subscription = await metered(world)
    seats = await price(world, None)
    items = world.client.v1.subscription_items
    [first] = (await items.list_async({"subscription": subscription.id})).data
    update = world.client.v1.subscriptions.update_async

    await update(
        subscription.id,
        {"items": [{"id": first.id, "deleted": True}, {"price": seats, "quantity": 3}], "proration_behavior": "none"},
    )

    [left] = (await items.list_async({"subscription": subscription.id})).data
    assert (left.price.id, left.quantity, left.current_period_end) == (seats, 3, int(END.timestamp()))
    gone: Any = {"items": [{"id": left.id, "deleted": True}], "proration_behavior": "none"}
    assert (await refusal(update(subscription.id, gone))).param == "items"
    await world.client.v1.subscriptions.cancel_async(subscription.id)
    assert (await refusal(update(subscription.id, {"description": "late"}))).http_status == 400


async def test_an_invoice_by_hand_is_made_changed_finalised_and_voided(world: World) -> None:
    acme, client = await world.customer(), world.client.v1
    draft = await client.invoices.create_async({"customer": acme, "description": "By hand"})
    await client.invoice_items.create_async({"customer": acme, "amount": 700, "invoice": str(draft.id)})
    await client.invoices.update_async(str(draft.id), {"metadata": {"case": "7"}})

    final = await client.invoices.finalize_invoice_async(str(draft.id))

    assert (final.status, final.total, final.billing_reason) == ("open", 700, "manual")
    more: Any = {"customer": acme, "amount": 1, "invoice": str(draft.id)}
    assert (await refusal(client.invoice_items.create_async(more))).param == "invoice"
    assert (await refusal(client.invoices.finalize_invoice_async(str(draft.id)))).code == "invoice_not_editable"
    assert (await client.invoices.void_invoice_async(str(draft.id))).status == "void"
    assert (await refusal(client.invoices.pay_async(str(draft.id)))).code == "invoice_not_editable"


async def test_a_draft_by_hand_can_be_deleted_and_gives_its_items_back(world: World) -> None:
    acme, client = await world.customer(), world.client.v1
    await client.invoice_items.create_async({"customer": acme, "amount": 700})
    draft = await client.invoices.create_async({"customer": acme, "pending_invoice_items_behavior": "include"})

    await client.invoices.delete_async(str(draft.id))

    assert await invoices(world, acme) == []
    assert [one.amount for one in (await client.invoice_items.list_async({"pending": True})).data] == [700]


async def test_a_draft_of_a_subscription_waits_where_told_and_is_not_deleted(world: World) -> None:
    _, acme, _ = await metered(world)
    await world.sandbox.advance(END)
    [draft] = await invoices(world, acme)
    await world.client.v1.invoices.update_async(str(draft.id), {"auto_advance": False})

    assert (await refusal(world.client.v1.invoices.delete_async(str(draft.id)))).http_status == 400
    await world.advance(days=2)
    assert [one.status for one in await invoices(world, acme)] == ["draft"]
    wanted: Any = {"status": "draft", "customer": acme}
    assert [one.id for one in (await world.client.v1.invoices.list_async(wanted)).data] == [draft.id]


async def test_there_is_no_preview_without_one_subscription(world: World) -> None:
    acme, preview = await world.customer(), world.client.v1.invoices.create_preview_async

    assert (await refusal(preview({"customer": acme}))).code == "invoice_upcoming_none"
    assert (await refusal(preview({}))).param == "customer"


async def test_a_customer_who_is_deleted_ends_their_subscriptions(world: World) -> None:
    meter, acme, subscription = await metered(world)
    await world.use(acme, "3", identifier="a")
    await world.client.v1.customers.delete_async(acme)

    ended = await world.client.v1.subscriptions.retrieve_async(subscription.id)

    assert ended.status == "canceled"
    asked = world.sums(meter, acme, END.replace(minute=0, second=0), END.replace(minute=1, second=0))
    assert (await refusal(asked)).param == "customer"
    await world.sandbox.advance(END + timedelta(hours=1))
    assert await invoices(world, acme) == []


async def test_a_draft_that_a_person_finalised_is_not_finalised_again(world: World) -> None:
    _, acme, _ = await metered(world)
    await world.use(acme, "3")
    await world.sandbox.advance(END)
    [draft] = await invoices(world, acme)
    await world.client.v1.invoices.finalize_invoice_async(str(draft.id))

    await world.sandbox.advance(END + timedelta(hours=1))

    assert [(one.status, one.total) for one in await invoices(world, acme)] == [("open", 30)]
    assert len((await world.client.v1.events.list_async({"type": "invoice.finalized"})).data) == 1
