"""Webhooks as Stripe sends them: signed, in any order, twice, again after a failure, with rolled secrets."""

from typing import Any

import pytest
import stripe

from ledger.sandbox.stripe.behaviour import Behaviour
from tests.sandbox.stripe.conftest import SDK_WARNING, World, open_world

pytestmark = SDK_WARNING

URL = "https://ledger.example/v1/webhooks/stripe"


async def endpoint(world: World, *kinds: str) -> Any:
    """A webhook endpoint for these events."""
    enabled: Any = list(kinds or ("*",))
    return await world.client.v1.webhook_endpoints.create_async({"url": URL, "enabled_events": enabled})


def taken(world: World, secret: str) -> list[stripe.Event]:
    """The events that came, verified by the SDK."""
    found = []
    for url, body, headers in world.receiver.taken:
        assert url == URL
        stripe.WebhookSignature.verify_header(body, headers["stripe-signature"], secret, tolerance=None)
        found.append(stripe.Webhook.construct_event_without_verification(body))
    return found


async def test_an_event_is_delivered_signed_to_who_wants_it(world: World) -> None:
    secret = (await endpoint(world, "customer.created")).secret
    acme = await world.customer()
    await world.client.v1.customers.update_async(acme, {"name": "Other"})

    await world.sandbox.settle()

    [event] = taken(world, secret)
    assert (event.type, event.data.object["id"], event.data.object["name"]) == ("customer.created", acme, "Acme")
    assert (event.api_version, event.livemode) == ("2026-10-28.endive", False)
    assert event.request is not None
    assert event.request.id is not None


async def test_a_secret_is_shown_once(world: World) -> None:
    made = await endpoint(world)

    assert made.secret.startswith("whsec_")
    assert "secret" not in await world.client.v1.webhook_endpoints.retrieve_async(made.id)


async def test_a_rolled_secret_signs_beside_the_old_one_until_that_expires(world: World) -> None:
    made = await endpoint(world)
    fresh = world.sandbox.roll_secret(made.id, expires_in_seconds=3_600)
    await world.customer()
    await world.sandbox.settle()

    assert taken(world, made.secret)
    assert taken(world, fresh)

    await world.advance(hours=1)
    world.receiver.taken.clear()
    await world.customer()
    await world.sandbox.settle()
    assert taken(world, fresh)
    with pytest.raises(stripe.SignatureVerificationError):
        taken(world, made.secret)


async def test_what_is_not_taken_is_tried_again_with_longer_pauses_for_three_days(world: World) -> None:
    await endpoint(world, "customer.created")
    world.receiver.statuses = [500] * 1_000
    await world.customer()

    await world.advance(seconds=0)
    assert len(world.receiver.taken) == 1
    await world.advance(seconds=60)
    assert len(world.receiver.taken) == 2
    await world.advance(seconds=120)
    assert len(world.receiver.taken) == 3
    await world.advance(days=10)

    assert len(world.receiver.taken) == 13
    assert len(world.sandbox.state.outbox.given_up) == 1
    assert len({body for _, body, _ in world.receiver.taken}) == 1


async def test_webhooks_come_late_in_any_order_and_twice_the_same_way_for_one_seed() -> None:
    orders: list[list[str]] = []
    made: list[str] = []
    for _ in range(2):
        behaviour = Behaviour(webhook_delay_seconds_max=600, webhook_duplicates_percent=50)
        async with open_world(behaviour, seed=7) as world:
            secret = (await endpoint(world, "customer.created")).secret
            made = [await world.customer(f"customer {number}") for number in range(20)]
            await world.advance(seconds=600)
            orders.append([event.data.object["id"] for event in taken(world, secret)])

    assert orders[0] == orders[1]
    assert set(orders[0]) == set(made)
    assert 20 < len(orders[0]) < 40
    assert list(dict.fromkeys(orders[0])) != made


async def test_webhooks_of_one_second_come_in_any_order(world: World) -> None:
    """Fails when deliveries of one second keep the order of their events."""
    secret = (await endpoint(world, "customer.created")).secret
    made = [await world.customer(f"customer {number}") for number in range(20)]

    await world.sandbox.settle()

    came = [event.data.object["id"] for event in taken(world, secret)]
    assert sorted(came) == sorted(made)
    assert came != made


async def test_some_webhooks_are_lost_for_good_and_the_events_stay_listed() -> None:
    async with open_world(Behaviour(webhook_losses_percent=100)) as world:
        secret = (await endpoint(world)).secret
        await world.customer()
        await world.advance(days=4)

        assert taken(world, secret) == []
        assert len((await world.client.v1.events.list_async()).data) == 1


async def test_a_deleted_or_disabled_endpoint_gets_nothing(world: World) -> None:
    made, other = await endpoint(world), await endpoint(world)
    await world.client.v1.webhook_endpoints.delete_async(made.id)
    await world.client.v1.webhook_endpoints.update_async(other.id, {"disabled": True})

    await world.customer()
    await world.sandbox.settle()

    assert world.receiver.taken == []
    assert [one.id for one in (await world.client.v1.webhook_endpoints.list_async()).data] == [other.id]
