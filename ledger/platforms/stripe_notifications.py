"""What Stripe tells: webhooks, checked by their signature, and its events, read back.

docs.stripe.com/webhooks#verify-manually; docs.stripe.com/event-destinations#thin-events
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import stripe

from ledger.domain.platform_events import PlatformNotified
from ledger.domain.platform_objects import ObjectKind
from ledger.domain.send_events import Settlement
from ledger.domain.values import exact_number
from ledger.platforms.port import NotificationForged, NotificationUnreadable, Rejections
from ledger.platforms.stripe_references import Reference, reference

NAME: Final = "stripe"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND: Final = timedelta(seconds=1)
TOLERANCE: Final = timedelta(seconds=300)
"""How old a signature may be, and how far ahead of our clock. docs.stripe.com/webhooks#replay-attacks"""
VERSION_MIN: Final = "2025-03-31"
"""The version that did away with usage records: bodies of older ones speak of another billing."""
VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")
KINDS: Final[dict[str, ObjectKind]] = {
    "customer": "customer",
    "billing.meter": "meter",
    "price": "price",
    "subscription": "subscription",
    "invoice": "invoice",
    "credit_note": "credit_note",
}
OF_INVOICES: Final = frozenset(("invoice_payment", "invoiceitem"))
"""Objects whose changes change the invoice that they name."""
REPORTS: Final = frozenset(("v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"))
NAME_LENGTH_MAX: Final = 255


class _Thing(msgspec.Struct, frozen=True):
    object: str = ""
    id: str | None = None
    invoice: Reference | None = None


class _Content(msgspec.Struct, frozen=True):
    object: _Thing = _Thing()


class _Related(msgspec.Struct, frozen=True):
    type: str
    id: str


class _Told(msgspec.Struct, frozen=True):
    """An event of either API: a snapshot of an object in `data`, or only which it is, in `related_object`."""

    id: str
    object: str
    type: str
    created: int | datetime
    api_version: str | None = None
    data: _Content | None = None
    related_object: _Related | None = None


class _SampleRequest(msgspec.Struct, frozen=True):
    identifier: str | None = None


class _Sample(msgspec.Struct, frozen=True):
    error_message: str
    request: _SampleRequest = _SampleRequest()


class _ErrorType(msgspec.Struct, frozen=True):
    code: str
    sample_errors: list[_Sample] = []


class _Reason(msgspec.Struct, frozen=True):
    error_count: int
    error_types: list[_ErrorType] = []


class _Report(msgspec.Struct, frozen=True):
    reason: _Reason


class TheirReport(msgspec.Struct, frozen=True):
    """What we read of a thin event that reports errors. docs.stripe.com/api/v2/core/events/event-types"""

    data: _Report


_decoder = msgspec.json.Decoder(_Told, float_hook=exact_number)


def check_signature(body: bytes, header: str | None, secrets: Sequence[str], now: datetime) -> None:
    """Raise `NotificationForged` unless one of the secrets signed the body not long ago."""
    if not header:
        raise NotificationForged("The header Stripe-Signature is missing.", code="signature_missing")
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(body, header, secret)
        except stripe.SignatureVerificationError:
            continue
        except UnicodeDecodeError:
            break
        signed_at = next(part[2:] for part in header.split(",") if part.startswith("t="))
        age_seconds = (now - EPOCH) // SECOND - int(signed_at)
        if abs(age_seconds) > TOLERANCE // SECOND:
            raise NotificationForged("The signature is older than five minutes.", code="signature_stale")
        return
    raise NotificationForged("The signature is of no secret that is known here.", code="signature_invalid")


def notified_of(body: bytes | msgspec.Raw) -> PlatformNotified:
    """What an event tells; raises `NotificationUnreadable`."""
    try:
        told = _decoder.decode(body)
        text = bytes(body).decode()
    except (msgspec.MsgspecError, ValueError, RecursionError) as fault:
        raise NotificationUnreadable(f"The body is no event: {str(fault)[:200]}", code="body_unreadable") from None
    kind, object_id = _subject(told)
    names = (told.id, told.type, object_id or "none")
    if told.object not in ("event", "v2.core.event") or not all(map(_is_name, names)):
        raise NotificationUnreadable("The body is no event.", code="body_unreadable")
    created = told.created if isinstance(told.created, datetime) else datetime.fromtimestamp(told.created, UTC)
    return PlatformNotified(
        platform=NAME,
        event_id=told.id,
        kind=told.type,
        object_kind=kind,
        object_id=object_id,
        created_at=created.astimezone(UTC),
        body=text,
        obstacle=_obstacle(told.api_version) if told.object == "event" else None,
    )


def _is_name(text: str) -> bool:
    return 0 < len(text) <= NAME_LENGTH_MAX and text.isprintable()


def _subject(told: _Told) -> tuple[str, str]:
    """What an event is about, in our words; empty where we keep nothing of the kind."""
    if told.related_object is not None:
        kind = KINDS.get(told.related_object.type)
        return (kind, told.related_object.id) if kind else ("", "")
    thing = _Thing() if told.data is None else told.data.object
    if thing.object in OF_INVOICES and thing.invoice is not None:
        return "invoice", reference(thing.invoice)
    kind = KINDS.get(thing.object)
    return (kind, thing.id) if kind and thing.id else ("", "")


def _obstacle(version: str | None) -> str | None:
    """Why the body may not mean what we read; what it is about is fetched in a version that we know."""
    newest = stripe.api_version
    if version is None or not VERSION.fullmatch(version):
        return f"it is written in the version {str(version)[:64]}, which is unknown"
    if version[:10] < VERSION_MIN:
        return f"it is written in the version {version}, which is older than the ledger reads"
    if version[:10] > newest[:10]:
        return f"it is written in the version {version}, which is newer than the ledger reads"
    return None


def rejections_of(report: TheirReport) -> Rejections:
    """How much usage a report says was rejected, and what became of the sample that it shows."""
    reason = report.data.reason
    sample = [
        Settlement(identifier=one.request.identifier, outcome="rejected", code=kind.code, message=one.error_message)
        for kind in reason.error_types
        for one in kind.sample_errors
        if one.request.identifier is not None
    ]
    return Rejections(reason.error_count, sample)
