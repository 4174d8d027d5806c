"""What every request goes through: keys, versions, parameters, pages, idempotency, faults, limits."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe

from ledger.sandbox.stripe.app import API_KEY
from ledger.sandbox.stripe.behaviour import DOCUMENTED_LIMITS, Behaviour
from tests.sandbox.stripe.conftest import SDK_WARNING, World, open_world
from tests.sandbox.stripe.test_meter_events import refusal, total

pytestmark = SDK_WARNING


async def raw(world: World, method: str, path: str, body: str = "", **headers: str) -> httpx.Response:
    """A request that the SDK would not make."""
    sent = {"authorization": f"Bearer {API_KEY}", "content-type": "application/x-www-form-urlencoded"} | headers
    async with httpx.AsyncClient(base_url=world.address) as client:
        return await client.request(method, path, content=body, headers=sent)


async def test_a_wrong_key_is_refused(world: World) -> None:
    with pytest.raises(stripe.AuthenticationError):
        await world.other_client("sk_test_other").v1.customers.list_async()

    answer = await raw(world, "GET", "/v1/customers", authorization="")
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "invalid_request_error")


@pytest.mark.parametrize(("version", "status"), [("2026-10-28.endive", 200), ("2024-06-20", 400), ("newest", 400)])
async def test_a_version_before_meters_took_over_is_refused(world: World, version: str, status: int) -> None:
    answer = await raw(world, "GET", "/v1/customers", **{"stripe-version": version})

    assert answer.status_code == status
    assert answer.headers["stripe-version"] == "2026-10-28.endive"


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("/v1/customers", "nickname=x", "parameter_unknown", "nickname"),
        ("/v1/customers", "balance=much", "parameter_invalid_integer", "balance"),
        ("/v1/billing/meters", "display_name=x&event_name=y", "parameter_missing", "default_aggregation"),
        (
            "/v1/billing/meters",
            "display_name=x&event_name=y&default_aggregation[formula]=max",
            "parameter_invalid",
            "default_aggregation[formula]",
        ),
        (
            "/v1/billing/meters",
            "display_name=x&event_name=y&default_aggregation[size]=1",
            "parameter_unknown",
            "default_aggregation[size]",
        ),
        ("/v1/billing/meter_events", "event_name=x&payload=5", "parameter_invalid", "payload"),
    ],
)
async def test_parameters_are_strict(world: World, path: str, body: str, code: str, param: str) -> None:
    answer = await raw(world, "POST", path, body)

    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]
    assert answer.headers["request-id"].startswith("req_")


async def test_an_unknown_address_is_an_error_of_stripes_shape(world: World) -> None:
    answer = await raw(world, "GET", "/v1/charges")

    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")


async def test_an_object_that_is_not_there_is_a_404_and_one_referred_to_a_400(world: World) -> None:
    asked = await refusal(world.client.v1.customers.retrieve_async("cus_nobody"))
    referred = await refusal(world.client.v1.invoice_items.create_async({"customer": "cus_nobody", "amount": 1}))

    assert (asked.http_status, asked.code, asked.param) == (404, "resource_missing", "id")
    assert (referred.http_status, referred.code, referred.param) == (400, "resource_missing", "customer")


async def test_lists_go_newest_first_by_pages_in_both_directions(world: World) -> None:
    made = [await world.customer(f"customer {number}") for number in range(25)]
    customers = world.client.v1.customers

    first = await customers.list_async({"limit": 10})
    walked = [one.id async for one in (await customers.list_async({"limit": 7})).auto_paging_iter()]
    before = await customers.list_async({"limit": 3, "ending_before": made[20]})

    assert ([one.id for one in first.data], first.has_more) == (made[:14:-1], True)
    assert walked == made[::-1]
    assert ([one.id for one in before.data], before.has_more) == ([made[23], made[22], made[21]], True)
    assert (await refusal(customers.list_async({"limit": 101}))).param == "limit"
    assert (await refusal(customers.list_async({"starting_after": "cus_nobody"}))).param == "starting_after"


async def test_a_deleted_customer_is_a_stub_that_takes_nothing(world: World) -> None:
    acme = await world.customer()
    await world.client.v1.customers.delete_async(acme)

    stub = await world.client.v1.customers.retrieve_async(acme)

    assert stub.deleted is True
    assert (await world.client.v1.customers.list_async()).data == []
    assert (await refusal(world.client.v1.customers.update_async(acme, {"name": "x"}))).code == "resource_missing"


async def test_the_same_request_under_one_key_is_answered_once(world: World) -> None:
    create, options = world.client.v1.customers.create_async, {"idempotency_key": "key-1"}

    first = await create({"name": "Acme"}, options)  # type: ignore[arg-type]
    again = await create({"name": "Acme"}, options)  # type: ignore[arg-type]

    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        await create({"name": "Other"}, options)  # type: ignore[arg-type]
    with pytest.raises(stripe.IdempotencyError):
        await world.client.v1.products.create_async({"name": "Acme"}, options)  # type: ignore[arg-type]

    await world.advance(hours=24)
    assert (await create({"name": "Other"}, options)).id != first.id  # type: ignore[arg-type]


async def test_a_refusal_is_kept_under_its_key_unless_nothing_was_begun(world: World) -> None:
    key = {"idempotency-key": "key-1"}
    body = "event_name=tokens&payload[stripe_customer_id]=cus_x&payload[value]=1&identifier=a"
    unbegun = await raw(world, "POST", "/v1/billing/meter_events", body.replace("=a", "=b"), **key)
    await world.meter()
    await raw(world, "POST", "/v1/billing/meter_events", body)

    begun = [await raw(world, "POST", "/v1/billing/meter_events", body, **key) for _ in range(2)]

    assert unbegun.json()["error"]["code"] == "no_meter"
    assert [one.status_code for one in begun] == [400, 400]
    assert ["idempotent-replayed" in one.headers for one in begun] == [False, True]


@pytest.mark.parametrize(
    ("fault", "error", "is_done"),
    [
        ("timeout_before", stripe.APIConnectionError, False),
        ("timeout_after", stripe.APIConnectionError, True),
        ("429", stripe.RateLimitError, False),
        ("500", stripe.APIError, False),
        ("503", stripe.APIError, False),
    ],
)
async def test_a_fault_is_made_on_demand_once(world: World, fault: Any, error: Any, is_done: bool) -> None:
    meter, acme = await world.meter(), await world.customer()
    world.sandbox.faults.next("POST /v1/billing/meter_events", fault)

    with pytest.raises(error):
        await world.use(acme, "3", identifier="a")

    assert await total(world, meter, acme) == (3 if is_done else 0)
    if is_done:
        assert "already exists" in str(await refusal(world.use(acme, "3", identifier="a")))
    else:
        await world.use(acme, "3", identifier="a")
    assert await total(world, meter, acme) == 3


async def test_the_sdk_recovers_a_lost_answer_by_its_own_retry(world: World) -> None:
    meter, acme = await world.meter(), await world.customer()
    world.sandbox.faults.next("POST /v1/billing/meter_events", "timeout_after", times=2)
    patient = world.other_client(API_KEY, max_network_retries=2)

    payload = {"stripe_customer_id": acme, "value": "3"}
    await patient.v1.billing.meter_events.create_async({"event_name": "tokens", "payload": payload})

    assert await total(world, meter, acme) == 3


@pytest.mark.parametrize(
    ("operation", "fault"), [("POST /v1/meter_events", "500"), ("*", "flood"), ("GET /v1/events", "rejection")]
)
def test_a_fault_that_cannot_be_is_refused(operation: str, fault: Any) -> None:
    from ledger.sandbox.stripe import Sandbox

    sandbox = Sandbox(datetime(2026, 11, 5, tzinfo=UTC))
    with pytest.raises(ValueError, match="no "):
        sandbox.faults.next(operation, fault, code="nothing")


async def test_requests_beyond_the_limit_of_a_second_are_refused() -> None:
    async with open_world(DOCUMENTED_LIMITS) as world:
        for _ in range(100):
            await world.client.v1.customers.list_async()
        with pytest.raises(stripe.RateLimitError) as refused:
            await world.client.v1.customers.list_async()
        await world.advance(seconds=1)
        await world.client.v1.customers.list_async()

    assert (refused.value.http_status, "rate_limit" in str(refused.value.http_body)) == (429, True)


async def test_a_second_call_for_a_customer_and_meter_under_way_is_refused() -> None:
    async with open_world(Behaviour(latency_seconds=1)) as world:
        await world.meter()
        acme, other = await world.customer(), await world.customer()
        sent = await asyncio.gather(world.use(acme), world.use(acme), world.use(other), return_exceptions=True)

    assert sum(isinstance(one, stripe.RateLimitError) for one in sent) == 1
    assert not isinstance(sent[2], BaseException)


async def test_references_are_expanded_where_asked(world: World) -> None:
    acme = await world.customer()
    item = await world.client.v1.invoice_items.create_async(
        {"customer": acme, "amount": 500, "currency": "usd", "expand": ["customer"]}
    )

    assert not isinstance(item.customer, str)
    assert item.customer.name == "Acme"
    page = await world.client.v1.invoice_items.list_async({"expand": ["data.customer"]})
    assert not isinstance(page.data[0].customer, str)
    assert (await refusal(world.client.v1.invoice_items.list_async({"expand": ["data.soul"]}))).param == "expand"


async def test_metadata_is_merged_and_unset(world: World) -> None:
    customers = world.client.v1.customers
    acme = (await customers.create_async({"metadata": {"a": "1", "b": "2"}})).id

    await customers.update_async(acme, {"metadata": {"b": "", "c": "3"}})
    kept = (await customers.retrieve_async(acme)).metadata
    await customers.update_async(acme, {"metadata": ""})

    assert kept is not None
    assert kept.to_dict() == {"a": "1", "c": "3"}
    assert (await customers.retrieve_async(acme)).to_dict()["metadata"] == {}


async def test_events_reach_thirty_days_back(world: World) -> None:
    acme = await world.customer()
    await world.advance(days=1)
    await world.client.v1.customers.update_async(acme, {"name": "Acme Ltd"})
    events = world.client.v1.events

    page = await events.list_async({"types": ["customer.created", "customer.updated"]})
    await world.advance(days=29)
    later = await events.list_async({"type": "customer.*"})

    assert [one.type for one in page.data] == ["customer.updated", "customer.created"]
    assert page.data[0].data.to_dict()["previous_attributes"] == {"name": "Acme"}
    assert [one.type for one in later.data] == ["customer.updated"]
    assert (await refusal(events.retrieve_async(page.data[1].id))).http_status == 404
    since = int((world.sandbox.clock.moment - timedelta(days=1)).timestamp())
    assert (await events.list_async({"created": {"gte": since}})).data == []
