"""`POST /v1/webhooks/stripe`: what is signed is stored once and durable; everything else is a problem."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ledger.domain.platform_events import PlatformNotified
from ledger.domain.topics import decode
from ledger.platforms.stripe import open_stripe
from tests.edges import Edge, open_edge
from tests.platforms.test_stripe_notifications import event, header

PATH = "/v1/webhooks/stripe"
SECRET = "whsec_1"


@pytest.fixture
async def signed(database_url: str) -> AsyncIterator[Edge]:
    """The application with a Stripe account, whom nobody asks."""
    async with (
        open_stripe("sk_test_1", secrets=[SECRET, "whsec_2"], address="http://127.0.0.1:9") as platform,
        open_edge(database_url, platform=platform) as edge,
    ):
        yield edge


async def deliver(edge: Edge, body: bytes, *, secret: str = SECRET, age: timedelta = timedelta()) -> httpx.Response:
    """Post a webhook as Stripe does, without a key."""
    headers = {"stripe-signature": header(body, secret, at=datetime.now(UTC) - age), "content-type": "application/json"}
    return await edge.client.post(PATH, content=body, headers=headers)


async def stored(edge: Edge) -> list[PlatformNotified]:
    rows = await edge.log.page(after=0, before=1_000, topics=["PlatformNotified"], limit=100)
    return [decode(row["topic"], row["state"]) for row in rows]  # type: ignore[misc]


async def test_a_signed_message_is_stored_as_it_came(signed: Edge) -> None:
    answer = await deliver(signed, event())

    assert (answer.status_code, answer.json()) == (200, {"position": 1, "is_repeat": False})
    [told] = await stored(signed)
    assert (told.event_id, told.object_kind, told.object_id) == ("evt_1", "invoice", "in_1")
    assert told.body.encode() == event()


async def test_a_repeat_is_answered_as_the_first_time_and_not_stored(signed: Edge) -> None:
    """Though Stripe counts in the body how many endpoints wait, so that a repeat reads another way."""
    await deliver(signed, event(pending_webhooks=2))

    answer = await deliver(signed, event(pending_webhooks=1), secret="whsec_2")

    assert (answer.status_code, answer.json()) == (200, {"position": 1, "is_repeat": True})
    assert len(await stored(signed)) == 1


async def test_what_nobody_knows_is_stored_and_told(signed: Edge) -> None:
    answer = await deliver(signed, event(type="galaxy.collided", api_version="2099-01-01.zebra", data={"object": {}}))

    assert answer.status_code == 200
    [told] = await stored(signed)
    assert (told.kind, told.object_kind) == ("galaxy.collided", "")
    assert "newer" in (told.obstacle or "")


@pytest.mark.parametrize(
    ("body", "how", "code"),
    [
        (event(), {"secret": "whsec_of_another"}, "signature_invalid"),
        (event(), {"age": timedelta(seconds=310)}, "signature_stale"),
        (event()[:50], {}, "body_unreadable"),
        (b"", {}, "body_unreadable"),
        (b"[1]", {}, "body_unreadable"),
    ],
)
async def test_what_cannot_be_trusted_or_read_is_a_problem(
    signed: Edge, body: bytes, how: dict[str, Any], code: str
) -> None:
    answer = await deliver(signed, body, **how)

    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert await stored(signed) == []


async def test_a_message_without_signature_or_cut_short_is_a_problem(signed: Edge) -> None:
    missing = await signed.client.post(PATH, content=event())
    cut = await signed.client.post(PATH, content=event()[:-9], headers={"stripe-signature": header(event(), SECRET)})

    assert (missing.status_code, missing.json()["code"]) == (400, "signature_missing")
    assert (cut.status_code, cut.json()["code"]) == (400, "signature_invalid")


async def test_a_message_of_more_than_a_mebibyte_is_not_read(signed: Edge) -> None:
    answer = await deliver(signed, b" " * (1024 * 1024 + 1))

    assert answer.status_code == 413


async def test_without_a_platform_the_endpoint_says_so(edge: Edge) -> None:
    answer = await deliver(edge, event())

    assert (answer.status_code, answer.json()["code"]) == (503, "platform_off")
