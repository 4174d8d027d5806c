"""Meter events as Stripe takes them: identifiers, times, values, sums."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from ledger.sandbox.stripe.behaviour import Behaviour
from tests.sandbox.stripe.conftest import NOW, SDK_WARNING, World, open_world

pytestmark = SDK_WARNING

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MORNING = datetime(2026, 11, 5, tzinfo=UTC)


async def total(world: World, meter: str, customer: str) -> Any:
    """The sum of the last and the next forty days."""
    sums = await world.sums(meter, customer, MORNING - 40 * DAY, MORNING + 40 * DAY)
    return sum(one.aggregated_value for one in sums)


async def refusal(doing: Any) -> stripe.InvalidRequestError:
    """The error that is answered."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await doing
    return refused.value


async def test_what_was_sent_is_summed_by_customer_and_meter(world: World) -> None:
    meter, acme, other = await world.meter(), await world.customer(), await world.customer("Other")

    await world.use(acme, "2.5")
    await world.use(acme, "0.5")
    await world.use(other, "7")

    [found] = await world.sums(meter, acme, MORNING, MORNING + DAY)
    assert (found.aggregated_value, found.meter) == (3, meter)


async def test_an_identifier_is_refused_within_its_window_and_bills_twice_after_it(world: World) -> None:
    """Fails without the check in `is_known`, and with a window that does not end."""
    meter, acme = await world.meter(), await world.customer()
    await world.use(acme, "5", identifier="once")

    await world.advance(hours=23, minutes=59, seconds=59)
    refused = await refusal(world.use(acme, "5", identifier="once"))

    assert (refused.http_status, (refused.headers or {})["stripe-should-retry"]) == (400, "false")
    assert refused.user_message == "An event already exists with identifier once."
    assert await total(world, meter, acme) == 5

    await world.advance(seconds=1)
    await world.use(acme, "5", identifier="once")
    assert await total(world, meter, acme) == 10


@pytest.mark.parametrize(
    ("ahead", "code"),
    [
        (timedelta(minutes=5), None),
        (timedelta(minutes=5, seconds=1), "timestamp_in_future"),
        (-35 * DAY, None),
        (-35 * DAY - timedelta(seconds=1), "timestamp_too_far_in_past"),
    ],
)
async def test_a_timestamp_lies_within_35_days_past_and_5_minutes_ahead(
    world: World, ahead: timedelta, code: str | None
) -> None:
    await world.meter()
    acme = await world.customer()

    if code is None:
        await world.use(acme, at=NOW + ahead)
    else:
        assert (await refusal(world.use(acme, at=NOW + ahead))).code == code


@pytest.mark.parametrize(
    ("payload", "event_name", "code"),
    [
        ({"stripe_customer_id": "cus_x", "value": "many"}, "tokens", "meter_event_invalid_value"),
        ({"stripe_customer_id": "cus_x", "value": "NaN"}, "tokens", "meter_event_invalid_value"),
        ({"stripe_customer_id": "cus_x"}, "tokens", "meter_event_invalid_value"),
        ({"stripe_customer_id": "cus_x", "value": "1234567890.123456"}, "tokens", "meter_event_value_too_many_digits"),
        ({"value": "1"}, "tokens", "meter_event_no_customer_defined"),
        ({"stripe_customer_id": "cus_x", "value": "1"}, "requests", "no_meter"),
    ],
)
async def test_what_is_wrong_by_itself_is_refused_at_once(
    world: World, payload: dict[str, str], event_name: str, code: str
) -> None:
    await world.meter()

    sending = world.client.v1.billing.meter_events.create_async({"event_name": event_name, "payload": payload})

    assert (await refusal(sending)).code == code


async def test_an_archived_meter_takes_nothing_until_it_is_active_again(world: World) -> None:
    meter, acme = await world.meter(), await world.customer()
    await world.client.v1.billing.meters.deactivate_async(meter)

    assert (await refusal(world.use(acme))).code == "archived_meter"

    await world.client.v1.billing.meters.reactivate_async(meter)
    await world.use(acme)


async def test_an_unknown_customer_is_told_later_by_a_thin_event(world: World) -> None:
    meter = await world.meter()
    destination = await world.client.v2.core.event_destinations.create_async(
        {
            "name": "errors",
            "type": "webhook_endpoint",
            "event_payload": "thin",
            "enabled_events": ["v1.billing.meter.error_report_triggered"],
            "webhook_endpoint": {"url": "https://ledger.example/thin"},
            "include": ["webhook_endpoint.signing_secret"],
        }
    )
    for number in range(7):
        await world.use("cus_nobody", identifier=f"lost-{number}")

    assert world.receiver.taken == []
    await world.advance(seconds=10)

    [(_, body, headers)] = world.receiver.taken
    assert destination.webhook_endpoint is not None
    secret = str(destination.webhook_endpoint.signing_secret)
    stripe.WebhookSignature.verify_header(body, headers["stripe-signature"], secret, tolerance=None)
    notification: Any = stripe.v2.core.EventNotification.from_json(body, world.client)
    assert notification.related_object.id == meter
    event: Any = await notification.fetch_event_async()
    [kind] = event.data.reason.error_types
    assert (kind.code, kind.error_count) == ("meter_event_customer_not_found", 7)
    assert [one.request.identifier for one in kind.sample_errors] == [f"lost-{number}" for number in range(5)]
    assert (event.data.reason.error_count, await total(world, meter, await world.customer())) == (7, 0)


async def test_a_meter_event_can_be_rejected_later_on_demand(world: World) -> None:
    meter, acme = await world.meter(), await world.customer()
    world.sandbox.faults.next("POST /v1/billing/meter_events", "rejection", code="archived_meter")

    await world.use(acme, "3", identifier="a")
    await world.use(acme, "4", identifier="b")
    await world.advance(seconds=10)

    assert await total(world, meter, acme) == 4
    [event] = world.sandbox.state.thin_events
    assert event["data"]["reason"]["error_types"][0]["code"] == "archived_meter"


@pytest.mark.parametrize(
    ("formula", "expected"),
    [("sum", 6), ("count", 3), ("last", 1)],
)
async def test_a_meter_sums_counts_or_takes_the_last_in_time(world: World, formula: str, expected: int) -> None:
    meter, acme = await world.meter(formula=formula), await world.customer()

    await world.use(acme, "1", at=NOW)
    await world.use(acme, "2", at=NOW - HOUR)
    await world.use(acme, "3", at=NOW - 2 * HOUR)

    assert await total(world, meter, acme) == expected


async def test_of_usage_aggregated_by_the_hour_the_newest_event_of_each_hour_counts(world: World) -> None:
    meter, acme = await world.meter(event_time_window="hour"), await world.customer()

    await world.use(acme, "5", at=MORNING + timedelta(minutes=50))
    await world.use(acme, "7", at=MORNING + timedelta(minutes=10))
    await world.use(acme, "1", at=MORNING + HOUR)

    assert await total(world, meter, acme) == 8


async def test_values_below_nought_count(world: World) -> None:
    meter, acme = await world.meter(), await world.customer()

    await world.use(acme, "5")
    await world.use(acme, "-7.5")

    assert await total(world, meter, acme) == -2.5


async def test_a_window_has_its_start_and_not_its_end(world: World) -> None:
    """Fails when IS_END_INCLUDED is true."""
    meter, acme = await world.meter(), await world.customer()
    await world.use(acme, "1", at=MORNING)
    await world.use(acme, "10", at=MORNING + HOUR)

    assert [one.aggregated_value for one in await world.sums(meter, acme, MORNING, MORNING + HOUR)] == [1]
    assert await world.sums(meter, acme, MORNING + 2 * HOUR, MORNING + 3 * HOUR) == []


async def test_sums_by_hour_and_day_lie_on_utc_and_leave_out_what_is_empty(world: World) -> None:
    meter, acme = await world.meter(), await world.customer()
    for hours in (0, 0, 3, 26):
        await world.use(acme, "2", at=MORNING - 2 * DAY + hours * HOUR)

    by_hour = await world.sums(meter, acme, MORNING - 3 * DAY, MORNING, value_grouping_window="hour")
    by_day = await world.sums(meter, acme, MORNING - 3 * DAY, MORNING, value_grouping_window="day")

    begins = [datetime.fromtimestamp(one.start_time, UTC) for one in by_hour]
    assert begins == [MORNING - 2 * DAY + at * HOUR for at in (26, 3, 0)]
    assert [one.aggregated_value for one in by_hour] == [2, 2, 4]
    assert [(one.aggregated_value, one.end_time - one.start_time) for one in by_day] == [(2, 86_400), (6, 86_400)]


@pytest.mark.parametrize(
    ("start", "end", "grouping"),
    [
        (timedelta(seconds=1), HOUR, None),
        (timedelta(), timedelta(minutes=1, seconds=30), None),
        (timedelta(minutes=1), 2 * HOUR, "hour"),
        (HOUR, DAY, "day"),
        (HOUR, HOUR, None),
    ],
)
async def test_bounds_that_do_not_fit_are_refused(
    world: World, start: timedelta, end: timedelta, grouping: str | None
) -> None:
    meter, acme = await world.meter(), await world.customer()
    more = {} if grouping is None else {"value_grouping_window": grouping}

    refused = await refusal(world.sums(meter, acme, MORNING + start, MORNING + end, **more))

    assert refused.http_status == 400


async def test_sums_show_an_event_only_after_the_delay() -> None:
    async with open_world(Behaviour(summary_delay_seconds=30)) as world:
        meter, acme = await world.meter(), await world.customer()
        await world.use(acme, "4")

        assert await total(world, meter, acme) == 0
        await world.advance(seconds=30)
        assert await total(world, meter, acme) == 4


async def cancel(world: World, identifier: str) -> Any:
    """Cancel one event."""
    return await world.client.v1.billing.meter_event_adjustments.create_async(
        {"event_name": "tokens", "type": "cancel", "cancel": {"identifier": identifier}}
    )


async def test_an_event_is_cancelled_within_24_hours_of_its_receipt_and_once(world: World) -> None:
    meter, acme = await world.meter(), await world.customer()
    await world.use(acme, "4", identifier="a", at=NOW - 10 * DAY)
    await world.use(acme, "5", identifier="b")
    await world.advance(hours=24)

    assert (await cancel(world, "a")).cancel.identifier == "a"
    assert await total(world, meter, acme) == 5
    assert "already" in str(await refusal(cancel(world, "a")))
    assert (await refusal(cancel(world, "c"))).code == "resource_missing"

    await world.advance(seconds=1)
    assert "24 hours" in str(await refusal(cancel(world, "b")))


Alter = Callable[[World], object]


@pytest.mark.parametrize(
    ("alter", "expected"),
    [
        (lambda world: world.sandbox.plants.drop_usage("a"), 2),
        (lambda world: world.sandbox.plants.double_usage("a"), 8),
        (lambda world: world.sandbox.plants.shift_usage("a", -86_400), 2),
        (lambda world: world.sandbox.plants.revalue_usage("a", 30), 32),
    ],
)
async def test_mismatches_are_planted_in_silence(world: World, alter: Alter, expected: int) -> None:
    meter, acme = await world.meter(), await world.customer()
    await world.use(acme, "3", identifier="a")
    await world.use(acme, "2", identifier="b")
    events = len(world.sandbox.state.events.objects)

    alter(world)

    sums = await world.sums(meter, acme, MORNING, MORNING + DAY)
    assert sum(one.aggregated_value for one in sums) == expected
    assert len(world.sandbox.state.events.objects) == events
