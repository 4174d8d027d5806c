"""The sandbox's objects have the shape of Stripe's own fixtures, and are what the SDK has types for."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import stripe
from stripe._object_classes import get_object_class

from tests.sandbox.stripe.conftest import SDK_WARNING, World
from tests.sandbox.stripe.test_billing import END, TIERS, price, subscribe
from tests.sandbox.stripe.test_meter_events import cancel
from tests.sandbox.stripe.test_webhooks import endpoint

pytestmark = SDK_WARNING

WRITTEN_ONCE = {"webhook_endpoint": {"secret"}}
"""What an object has only in the answer that makes it, which the fixtures do not show."""
LEFT_OUT = {
    "credit_note_line_item.invoice_line_item",  # this one credits something else than a line
    "invoice.subscription",  # moved into `parent` by the version that the sandbox speaks
    "subscription.billing_schedules",
    "subscription.managed_payments",
    "subscription_item.plan",  # what prices replaced
    "subscription_item.quantity",  # a metered item has none
}


async def every_kind(world: World) -> dict[str, Any]:
    """One object of each kind that the sandbox returns, as the JSON that it was."""
    client, meter, acme = world.client.v1, await world.meter(), await world.customer()
    seats = await price(world, None)
    tokens = await price(world, meter, tiers=TIERS, tiers_mode="graduated")
    subscription = await subscribe(world, acme, tokens, seats)
    event = await world.use(acme, "12", identifier="a")
    adjustment = await cancel(world, "a")
    await world.use(acme, "12", identifier="b")
    start = END - timedelta(days=30)
    [summary] = await world.sums(meter, acme, start.replace(second=0), END.replace(second=0))
    item = await client.invoice_items.create_async({"customer": acme, "amount": 500})
    transaction = await client.customers.balance_transactions.create_async(acme, {"amount": -5, "currency": "usd"})
    grant = await client.billing.credit_grants.create_async(
        {
            "customer": acme,
            "amount": {"type": "monetary", "monetary": {"currency": "usd", "value": 10}},
            "applicability_config": {"scope": {"price_type": "metered"}},
        }
    )
    await world.sandbox.advance(END + timedelta(hours=1))
    invoice = (await client.invoices.list_async({"customer": acme})).data[0]
    note = await client.credit_notes.create_async({"invoice": str(invoice.id), "amount": 7})
    made = [
        *(meter_event for meter_event in (event, adjustment, summary, item, transaction, grant, invoice, note)),
        await client.billing.meters.retrieve_async(meter),
        await client.customers.retrieve_async(acme),
        await client.prices.retrieve_async(tokens),
        (await client.products.list_async()).data[0],
        await client.subscriptions.retrieve_async(subscription.id),
        (await client.events.list_async()).data[0],
        await endpoint(world),
    ]
    found = {one.to_dict()["object"]: one.to_dict() for one in made}
    found["line_item"] = found["invoice"]["lines"]["data"][0]
    found["credit_note_line_item"] = found["credit_note"]["lines"]["data"][0]
    found["subscription_item"] = found["subscription"]["items"]["data"][0]
    return found


EXPANDED = {"str", "dict"}
"""A reference may be an identifier or the object itself."""


def kind_of(value: Any) -> str:
    """What JSON calls a value; numbers are one kind, and the SDK makes decimals of texts."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "str" if isinstance(value, Decimal) else type(value).__name__


def differences(ours: dict[str, Any], theirs: dict[str, Any], at: str) -> list[str]:
    """Attributes that the fixture lacks, or has with another type; null goes with any."""
    found = []
    for name, value in ours.items():
        if name not in theirs:
            found.append(f"{at}.{name} is not in the fixture")
            continue
        kinds = {kind_of(value), kind_of(theirs[name])} - {"null"}
        if len(kinds) > 1 and kinds != EXPANDED:
            found.append(f"{at}.{name} is {kind_of(value)}, in the fixture {kind_of(theirs[name])}")
    return found


@pytest.mark.shared
async def test_objects_have_the_attributes_and_types_of_the_fixtures(world: World, shared: Path) -> None:
    fixtures = json.loads((shared / "data" / "stripe_fixtures3.json").read_text())["resources"]

    found = await every_kind(world)

    assert set(found) <= set(fixtures)
    wrong = []
    for kind, thing in found.items():
        allowed = WRITTEN_ONCE.get(kind, set())
        told = {name: value for name, value in thing.items() if name not in allowed}
        wrong += differences(told, fixtures[kind], kind)
    assert wrong == []


@pytest.mark.shared
async def test_objects_lack_nothing_but_what_is_left_out_on_purpose(world: World, shared: Path) -> None:
    fixtures = json.loads((shared / "data" / "stripe_fixtures3.json").read_text())["resources"]

    missing = {
        f"{kind}.{name}"
        for kind, thing in (await every_kind(world)).items()
        for name in fixtures[kind].keys() - thing.keys()
    }

    assert missing == LEFT_OUT


async def test_the_sdk_knows_each_object_and_each_of_its_attributes(world: World) -> None:
    unknown = []
    for kind, thing in (await every_kind(world)).items():
        if kind == "credit_note_line_item":
            continue
        known = get_object_class("V1", thing["object"])
        assert known is not stripe.StripeObject, kind
        unknown += [f"{kind}.{name}" for name in thing if name not in known.__annotations__]
    assert unknown == []
