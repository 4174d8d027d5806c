"""The meter event stream: a session's token, a hundred events, rejections that come later."""

from datetime import timedelta
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import NOW, SDK_WARNING, World
from tests.sandbox.stripe.test_meter_events import total

pytestmark = SDK_WARNING


async def stream(world: World) -> stripe.StripeClient:
    """A client with the token of a new session."""
    session = await world.client.v2.billing.meter_event_session.create_async()
    return world.other_client(session.authentication_token)


def event(customer: str, value: str = "1", **more: str) -> Any:
    """One event of the stream."""
    return {"event_name": "tokens", "payload": {"stripe_customer_id": customer, "value": value}} | more


async def test_a_hundred_events_go_in_one_request_and_not_one_more(world: World) -> None:
    meter, acme = await world.meter(), await world.customer()
    sender = await stream(world)

    await sender.v2.billing.meter_event_stream.create_async({"events": [event(acme) for _ in range(100)]})
    with pytest.raises(stripe.InvalidRequestError):
        await sender.v2.billing.meter_event_stream.create_async({"events": [event(acme) for _ in range(101)]})

    assert await total(world, meter, acme) == 100


async def test_only_a_session_opens_the_stream_and_for_fifteen_minutes(world: World) -> None:
    await world.meter()
    acme, sender = await world.customer(), await stream(world)
    with pytest.raises(stripe.AuthenticationError):
        await world.client.v2.billing.meter_event_stream.create_async({"events": [event(acme)]})

    await world.advance(minutes=14, seconds=59)
    await sender.v2.billing.meter_event_stream.create_async({"events": [event(acme)]})
    await world.advance(seconds=1)
    with pytest.raises(stripe.TemporarySessionExpiredError):
        await sender.v2.billing.meter_event_stream.create_async({"events": [event(acme)]})


async def test_every_wrong_event_is_taken_and_reported_by_its_meter(world: World) -> None:
    meter, acme = await world.meter(), await world.customer()
    old = (NOW - timedelta(days=36)).isoformat()
    sent = [
        event(acme, "5", identifier="good"),
        event(acme, "5", identifier="good"),
        event(acme, "many", identifier="wrong"),
        event("cus_nobody", identifier="stranger"),
        event(acme, timestamp=old, identifier="old"),
        event(acme, identifier="elsewhere") | {"event_name": "nothing"},
    ]

    await (await stream(world)).v2.billing.meter_event_stream.create_async({"events": sent})
    await world.advance(seconds=10)

    assert await total(world, meter, acme) == 5
    page = await world.client.v2.core.events.list_async()
    reports: dict[str, Any] = {one.type: one for one in page.data}
    found = {
        kind.code: kind.error_count
        for one in reports.values()
        for kind in (await world.client.v2.core.events.retrieve_async(one.id)).data.reason.error_types  # type: ignore[attr-defined]
    }
    assert set(reports) == {"v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"}
    assert found == {
        "meter_event_invalid_value": 1,
        "meter_event_customer_not_found": 1,
        "timestamp_too_far_in_past": 1,
        "no_meter": 1,
    }


async def test_thin_events_are_listed_by_pages(world: World) -> None:
    for _ in range(3):
        await world.client.v2.billing.meter_event_session.create_async()
        sender = await stream(world)
        await sender.v2.billing.meter_event_stream.create_async({"events": [event("cus_nobody")]})
        await world.advance(seconds=10)

    page = await world.client.v2.core.events.list_async({"limit": 1})

    assert len([one async for one in page.auto_paging_iter()]) == 3
