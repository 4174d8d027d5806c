"""Stripe's objects through the adapter: whole, in our words, or with what stands in the way."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from ledger.domain.money import Money
from ledger.domain.platform_objects import Customer, Inexpressible, PlatformInvoice, Price, Subscription
from ledger.platforms.stripe import StripePlatform
from ledger.platforms.stripe_connection import read
from ledger.platforms.stripe_subscriptions import TheirSubscription, subscription_of
from tests.platforms.conftest import subscribe
from tests.sandbox.stripe.conftest import SDK_WARNING, World

pytestmark = SDK_WARNING
TIERS = [{"up_to": number * 10, "unit_amount_decimal": "1"} for number in range(1, 130)]


async def test_an_invoice_comes_with_all_of_its_lines(world: World, platform: StripePlatform) -> None:
    """An invoice itself shows ten lines, a page a hundred."""
    ids = await subscribe(world, tiers=[*TIERS, {"up_to": "inf", "unit_amount_decimal": "2"}])
    await world.use(ids["customer"], "1300.5")
    await world.advance(days=31, hours=2)

    [invoice] = [one async for one in platform.objects("invoice")]

    assert isinstance(invoice, PlatformInvoice)
    assert len(invoice.lines) == 130
    assert sum((line.quantity or 0 for line in invoice.lines), Decimal()) == Decimal("1300.5")
    assert sum(line.money.minor_units for line in invoice.lines) == invoice.total.minor_units
    assert {line.meter for line in invoice.lines} == {ids["meter"]}


async def test_tiers_come_with_their_price(world: World, platform: StripePlatform) -> None:
    ids = await subscribe(world, tiers=[{"up_to": 10, "flat_amount": 100}, {"up_to": "inf", "unit_amount": 2}])

    fetched, [listed] = await platform.fetch("price", ids["price"]), [one async for one in platform.objects("price")]

    assert isinstance(fetched, Price)
    assert fetched == listed
    assert fetched.charge is not None


async def test_a_preview_tells_the_running_period(world: World, platform: StripePlatform) -> None:
    ids = await subscribe(world)
    await world.use(ids["customer"], "1000")

    preview = await platform.preview_invoice(ids["subscription"])

    assert (preview.status, preview.total, preview.subscription) == ("draft", Money(200, "EUR"), ids["subscription"])


async def test_what_is_not_there_is_none_and_a_deleted_customer_says_so(world: World, platform: StripePlatform) -> None:
    acme = await world.customer()
    await world.client.v1.customers.delete_async(acme)

    assert await platform.fetch("customer", acme) == Customer(id=acme, is_deleted=True)
    assert await platform.fetch("customer", "cus_none") is None
    assert [one async for one in platform.objects("customer")] == []


async def test_an_invoice_in_a_currency_that_we_do_not_know_has_an_obstacle(
    world: World, platform: StripePlatform
) -> None:
    ids = await subscribe(world, currency="xts")
    await world.use(ids["customer"], "1000")
    await world.advance(days=31, hours=2)

    [invoice] = [one async for one in platform.objects("invoice")]
    [subscription] = [one async for one in platform.objects("subscription")]

    assert isinstance(invoice, Inexpressible)
    assert (invoice.kind, invoice.customer) == ("invoice", ids["customer"])
    assert "xts" in invoice.obstacle
    assert isinstance(subscription, Inexpressible)


def told(**differences: Any) -> Subscription:
    """A subscription with two items, by what it differs in."""
    first: dict[str, Any] = {"id": "si_1", "current_period_start": 0, "current_period_end": 86_400}
    first |= {"price": {"id": "price_1", "currency": "eur"}}
    theirs: dict[str, Any] = {
        "id": "sub_1",
        "customer": {"id": "cus_1", "object": "customer"},
        "status": "active",
        "currency": "eur",
        "start_date": 0,
        "billing_cycle_anchor": 0,
        "items": {"data": [first, first | {"id": "si_2"} | differences.pop("second", {})]},
    }
    return subscription_of(read(msgspec.json.encode(theirs | differences), TheirSubscription))


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ({"price": {"id": "price_2", "currency": "usd"}}, "billed in EUR, and its price is in USD"),
        ({"current_period_end": 99}, "other periods"),
        ({"discounts": ["di_1"]}, "discounts"),
    ],
)
def test_an_item_that_is_billed_in_another_way_than_its_price_says_so(second: dict[str, Any], why: str) -> None:
    plain, other = told(second=second).items

    assert plain.obstacle is None
    assert why in (other.obstacle or "")


@pytest.mark.parametrize(
    ("theirs", "ours"), [("canceled", "ended"), ("incomplete_expired", "ended"), ("paused", "paused")]
)
def test_a_status_is_told_in_our_words(theirs: str, ours: str) -> None:
    assert told(status=theirs).status == ours


async def test_an_answer_of_another_shape_is_an_obstacle(world: World, platform: StripePlatform) -> None:
    acme = await world.customer()
    world.sandbox.state.customers.get(acme)["name"] = ["Acme"]

    found = await platform.fetch("customer", acme)

    assert isinstance(found, Inexpressible)
    assert (found.id, found.customer) == (acme, acme)
