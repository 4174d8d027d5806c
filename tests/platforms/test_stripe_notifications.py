"""Webhooks of Stripe: which are taken, which are turned down, and what they are about."""

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from ledger.platforms.port import NotificationForged, NotificationUnreadable
from ledger.platforms.stripe_notifications import check_signature, notified_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD, NEW = "whsec_old", "whsec_new"


def event(**differences: Any) -> bytes:
    """An event of the first API."""
    told = {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(NOW.timestamp()),
        "type": "invoice.finalized",
        "data": {"object": {"id": "in_1", "object": "invoice", "amount": 1.5}},
    }
    return msgspec.json.encode({name: value for name, value in (told | differences).items() if value is not None})


def header(body: bytes, *secrets: str, at: datetime = NOW) -> str:
    """What Stripe sends with a body. docs.stripe.com/webhooks#verify-manually"""
    seconds = int(at.timestamp())
    made = [hmac.new(secret.encode(), b"%d.%b" % (seconds, body), sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={seconds}", *(f"v1={one}" for one in made)])


def test_any_of_several_secrets_may_have_signed() -> None:
    for signer in (OLD, NEW):
        check_signature(event(), header(event(), signer), [OLD, NEW], NOW)
    check_signature(event(), header(event(), OLD, NEW), [NEW], NOW)


@pytest.mark.parametrize(
    ("body", "signature", "code"),
    [
        (event(), None, "signature_missing"),
        (event(), "", "signature_missing"),
        (event(), "t=1", "signature_invalid"),
        (event(), "nonsense", "signature_invalid"),
        (event(), "t=x,v1=00", "signature_invalid"),
        (event(), header(event(), "whsec_of_another"), "signature_invalid"),
        (event(id="evt_2"), header(event(), OLD), "signature_invalid"),
        (event()[:-1], header(event(), OLD), "signature_invalid"),
        (b"\xff\xfe", header(b"\xff\xfe", OLD), "signature_invalid"),
        (event(), header(event(), OLD, at=NOW - timedelta(seconds=301)), "signature_stale"),
        (event(), header(event(), OLD, at=NOW + timedelta(seconds=301)), "signature_stale"),
    ],
)
def test_what_is_forged_stale_or_truncated_is_turned_down(body: bytes, signature: str | None, code: str) -> None:
    with pytest.raises(NotificationForged) as refused:
        check_signature(body, signature, [OLD, NEW], NOW)
    assert refused.value.code == code


def test_without_a_secret_nothing_is_taken() -> None:
    with pytest.raises(NotificationForged):
        check_signature(event(), header(event(), ""), [], NOW)


def test_a_signature_is_good_for_five_minutes() -> None:
    check_signature(event(), header(event(), OLD, at=NOW - timedelta(seconds=300)), [OLD], NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        event()[:-1],
        event(id=""),
        event(id="e" * 256),
        event(object="list"),
        event(id="evt\0"),
        event(type="invoice\0paid"),
        event(data={"object": {"object": "invoice", "id": "in_\n"}}),
        event(created="yesterday"),
        b'{"a":' * 100_000,
    ],
)
def test_what_is_signed_and_no_event_is_turned_down(body: bytes) -> None:
    with pytest.raises(NotificationUnreadable):
        notified_of(body)


@pytest.mark.parametrize(
    ("told", "subject"),
    [
        ({"object": "invoice", "id": "in_1"}, ("invoice", "in_1")),
        ({"object": "customer", "id": "cus_1", "deleted": True}, ("customer", "cus_1")),
        ({"object": "billing.meter", "id": "mtr_1"}, ("meter", "mtr_1")),
        ({"object": "invoiceitem", "id": "ii_1", "invoice": "in_1"}, ("invoice", "in_1")),
        ({"object": "invoiceitem", "id": "ii_1", "invoice": None}, ("", "")),
        ({"object": "invoice_payment", "id": "inpay_1", "invoice": {"id": "in_1"}}, ("invoice", "in_1")),
        ({"object": "payout", "id": "po_1"}, ("", "")),
        ({"object": "balance"}, ("", "")),
        ({"object": "invoice"}, ("", "")),
    ],
)
def test_an_event_names_what_it_is_about_if_we_keep_that(told: dict[str, Any], subject: tuple[str, str]) -> None:
    notified = notified_of(event(data={"object": told}))

    assert (notified.object_kind, notified.object_id) == subject


def test_a_body_is_kept_as_it_came() -> None:
    notified = notified_of(event())

    assert notified.body.encode() == event()
    assert (notified.event_id, notified.kind, notified.created_at) == ("evt_1", "invoice.finalized", NOW)


def test_a_thin_event_names_what_it_is_related_to() -> None:
    related = {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"}
    kind = "v1.billing.meter.error_report_triggered"
    thin = event(object="v2.core.event", created="2026-11-22T12:00:00.000Z", type=kind, related_object=related)

    notified = notified_of(thin)

    assert (notified.object_kind, notified.object_id, notified.created_at) == ("meter", "mtr_1", NOW)
    assert notified.obstacle is None


@pytest.mark.parametrize("version", [None, "", "2099-01-01.zebra", "2024-06-20", "yesterday", "x" * 10_000])
def test_an_unknown_version_is_kept_and_told(version: str | None) -> None:
    obstacle = notified_of(event(api_version=version)).obstacle

    assert obstacle is not None
    assert "version" in obstacle
    assert len(obstacle) < 200


@pytest.mark.parametrize("version", ["2025-03-31.basil", "2026-10-28.endive", "2025-08-27"])
def test_a_version_that_we_read_has_no_obstacle(version: str) -> None:
    assert notified_of(event(api_version=version)).obstacle is None
