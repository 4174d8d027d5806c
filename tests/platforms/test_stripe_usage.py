"""Usage at Stripe through the adapter: sums read, meter events told, settled, cancelled and rejected."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ledger.domain.send_events import UsageSend
from ledger.platforms.port import PlatformBusy, PlatformClosed, PlatformRefused
from ledger.platforms.stripe import StripePlatform, open_stripe
from ledger.platforms.stripe_notifications import notified_of
from ledger.platforms.stripe_usage import IS_END_INCLUDED
from tests.platforms.conftest import THIN, URL, subscribe
from tests.sandbox.stripe.conftest import NOW, SDK_WARNING, World

pytestmark = SDK_WARNING

MINUTE = datetime(2026, 11, 5, 9, 30, tzinfo=UTC)
STREAM = "POST /v2/billing/meter_event_stream"
SINGLE = "POST /v1/billing/meter_events"


def send(customer: str, number: int = 1, **differences: Any) -> UsageSend:
    """One usage event to tell."""
    told: dict[str, Any] = {
        "identifier": f"u{number}",
        "position": number,
        "account": "acme",
        "meter": "tokens",
        "customer": customer,
        "event_type": "tokens",
        "value": Decimal("1.5"),
        "timestamp": NOW,
    }
    return UsageSend(**told | differences)


async def total(platform: StripePlatform, ids: dict[str, str]) -> Decimal:
    """What Stripe counted in the hour of now."""
    sums = await platform.usage_sums(
        ids["meter"], ids["customer"], MINUTE - timedelta(hours=1), MINUTE + timedelta(hours=1)
    )
    return sum((one.quantity for one in sums), Decimal())


async def test_a_window_has_its_first_second_and_not_its_last(world: World, platform: StripePlatform) -> None:
    """Pins `IS_END_INCLUDED`: windows that touch count each second once."""
    ids = await subscribe(world)
    await world.use(ids["customer"], "1", at=MINUTE)
    await world.use(ids["customer"], "10", at=MINUTE + timedelta(seconds=59))
    await world.use(ids["customer"], "100", at=MINUTE + timedelta(minutes=1))

    one = await platform.usage_sums(ids["meter"], ids["customer"], MINUTE, MINUTE + timedelta(minutes=1))

    assert [found.quantity for found in one] == [Decimal(111 if IS_END_INCLUDED else 11)]


async def test_sums_are_exact_and_in_order_by_the_hour(world: World, platform: StripePlatform) -> None:
    ids = await subscribe(world)
    for hours in (2, 1, 3):
        await world.use(ids["customer"], "0.1", at=MINUTE - timedelta(hours=hours))
        await world.use(ids["customer"], "0.2", at=MINUTE - timedelta(hours=hours))
    start = MINUTE.replace(minute=0) - timedelta(hours=3)

    sums = await platform.usage_sums(ids["meter"], ids["customer"], start, start + timedelta(hours=3), "hour")

    assert [(one.start, one.quantity) for one in sums] == [
        (start + timedelta(hours=hour), Decimal("0.3")) for hour in range(3)
    ]


@pytest.mark.parametrize(
    ("start", "end", "grouping"),
    [
        (MINUTE + timedelta(seconds=1), MINUTE + timedelta(minutes=2), None),
        (MINUTE, MINUTE + timedelta(microseconds=1), None),
        (MINUTE, MINUTE, None),
        (MINUTE, MINUTE + timedelta(hours=1), "hour"),
        (MINUTE.replace(minute=0), MINUTE.replace(minute=0) + timedelta(days=1), "day"),
    ],
)
async def test_a_window_that_stripe_cannot_sum_is_our_mistake(
    platform: StripePlatform, start: datetime, end: datetime, grouping: Any
) -> None:
    with pytest.raises(ValueError):
        await platform.usage_sums("mtr_1", "cus_1", start, end, grouping)


async def test_what_is_sent_together_is_counted_once(world: World, platform: StripePlatform) -> None:
    ids = await subscribe(world)
    sends = [send(ids["customer"], number) for number in range(100)]

    for _ in range(2):
        assert {one.outcome for one in await platform.send_usage(sends)} == {"accepted"}

    assert await total(platform, ids) == Decimal(150)
    with pytest.raises(ValueError):
        await platform.send_usage([send(ids["customer"], number) for number in range(101)])


async def test_sent_singly_what_was_delivered_before_is_told(world: World, platform: StripePlatform) -> None:
    ids = await subscribe(world)

    first, second = [await platform.send_singly(send(ids["customer"])) for _ in range(2)]

    assert (first.outcome, second.outcome) == ("accepted", "delivered_before")
    assert await total(platform, ids) == Decimal("1.5")


@pytest.mark.parametrize(
    ("differences", "code"),
    [
        ({"timestamp": NOW - timedelta(days=36)}, "timestamp_too_far_in_past"),
        ({"timestamp": NOW + timedelta(minutes=6)}, "timestamp_in_future"),
        ({"event_type": "unknown"}, "no_meter"),
        ({"value": Decimal("1.234567890123456")}, "meter_event_value_too_many_digits"),
    ],
)
async def test_what_stripe_refuses_is_rejected_with_its_code(
    world: World, platform: StripePlatform, differences: dict[str, Any], code: str
) -> None:
    ids = await subscribe(world)

    settled = await platform.send_singly(send(ids["customer"], **differences))

    assert (settled.outcome, settled.code) == ("rejected", code)


@pytest.mark.parametrize(("fault", "arrived"), [("timeout_before", 0), ("timeout_after", 1), ("500", 0), ("503", 0)])
@pytest.mark.parametrize("operation", [STREAM, SINGLE])
async def test_without_an_answer_the_outcome_is_unknown(
    world: World, platform: StripePlatform, operation: str, fault: Any, arrived: int
) -> None:
    ids = await subscribe(world)
    world.sandbox.faults.next(operation, fault)

    told = send(ids["customer"])
    settled = [await platform.send_singly(told)] if operation == SINGLE else await platform.send_usage([told])

    assert [one.outcome for one in settled] == ["unknown"]
    assert await total(platform, ids) == arrived * Decimal("1.5")


async def test_a_busy_platform_was_told_nothing(world: World, platform: StripePlatform) -> None:
    ids = await subscribe(world)
    for operation in (STREAM, SINGLE):
        world.sandbox.faults.next(operation, "429")

    with pytest.raises(PlatformBusy):
        await platform.send_usage([send(ids["customer"])])
    with pytest.raises(PlatformBusy):
        await platform.send_singly(send(ids["customer"]))

    assert await total(platform, ids) == 0


async def test_a_session_that_has_ended_is_begun_anew(world: World, platform: StripePlatform) -> None:
    ids = await subscribe(world)
    await platform.send_usage([send(ids["customer"], 1)])
    await world.advance(minutes=16)

    assert [one.outcome for one in await platform.send_usage([send(ids["customer"], 2)])] == ["accepted"]
    assert await total(platform, ids) == Decimal(3)


async def test_a_key_that_is_not_taken_leaves_everything_undone(world: World) -> None:
    async with open_stripe("sk_test_other", address=world.address, retries=0) as stranger:
        with pytest.raises(PlatformClosed):
            await stranger.send_usage([send("cus_1")])
        with pytest.raises(PlatformClosed):
            await stranger.fetch("customer", "cus_1")


async def test_a_cancel_is_done_once_and_only_of_what_was_told(world: World, platform: StripePlatform) -> None:
    ids = await subscribe(world)
    await platform.send_singly(send(ids["customer"]))

    outcomes = [(await platform.cancel_usage("u1", "tokens")).outcome for _ in range(2)]
    unknown = await platform.cancel_usage("u2", "tokens")

    assert outcomes == ["accepted", "delivered_before"]
    assert (unknown.outcome, unknown.code) == ("rejected", "resource_missing")
    assert await total(platform, ids) == 0


async def test_what_is_rejected_later_is_told_by_a_notification(world: World, platform: StripePlatform) -> None:
    ids = await subscribe(world)
    destination: Any = {
        "name": "ledger",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": list(THIN),
        "webhook_endpoint": {"url": URL},
    }
    await world.client.v2.core.event_destinations.create_async(destination)
    world.sandbox.faults.next(STREAM, "rejection", times=7, code="archived_meter")
    await platform.send_usage([send(ids["customer"], number) for number in range(8)])
    await world.advance(minutes=1)

    [(_, body, _)] = world.receiver.taken
    notified = notified_of(body)
    found = await platform.rejections(notified)

    assert (notified.object_kind, notified.object_id) == ("meter", ids["meter"])
    assert found is not None
    assert (found.rejected, len(found.sample)) == (7, 5)
    assert {(one.outcome, one.code) for one in found.sample} == {("rejected", "archived_meter")}
    assert [one async for one in platform.notifications(NOW)][-1].event_id == notified.event_id


async def test_the_sums_of_a_deleted_customer_are_refused(world: World, platform: StripePlatform) -> None:
    ids = await subscribe(world)
    await world.client.v1.customers.delete_async(ids["customer"])

    with pytest.raises(PlatformRefused) as refused:
        await total(platform, ids)
    assert (refused.value.code, refused.value.request_id is not None) == ("resource_missing", True)
