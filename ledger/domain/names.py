"""The names people give things: account keys, aliases, meter keys; and the ids of the streams they stand for."""

import hashlib
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ledger.domain.refusals import NameInvalid, ZoneUnknown

NAME_LENGTH_MAX: Final = 256
_NAMESPACE: Final = UUID("6f0c1b4e-3c5e-5d0a-9a0e-2b7f5b8c1d42").bytes
"""The root of every stream id of the ledger (RFC 9562 section 5.5). It must never change."""
_NAMED: Final = hashlib.sha1(_NAMESPACE, usedforsecurity=False)
_VERSION_5: Final = [bytes([octet & 0x0F | 0x50]) for octet in range(256)]
_VARIANT: Final = [bytes([octet & 0x3F | 0x80]) for octet in range(256)]


def require_name(name: str, what: str) -> None:
    """Raise `NameInvalid` unless `name` is 1 to 256 printable characters without space around them."""
    if not (0 < len(name) <= NAME_LENGTH_MAX and name.isprintable() and name == name.strip()):
        raise NameInvalid(what=what, name=_shown(name))


def require_zone(zone: str) -> None:
    """Raise `ZoneUnknown` unless `zone` is in the IANA database."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ZoneUnknown(zone=_shown(zone)) from None


def _shown(text: str) -> str:
    """The beginning of a text that is no name, with escapes for what cannot be printed."""
    return ascii(text[:64])[1:-1]


def stream_id(*parts: str) -> bytes:
    """The 16 bytes of the version-5 UUID of a stream named by its parts, joined by NUL."""
    hashed = _NAMED.copy()
    hashed.update("\0".join(parts).encode())
    d = hashed.digest()
    return d[:6] + _VERSION_5[d[6]] + d[7:8] + _VARIANT[d[8]] + d[9:16]


def usage_stream(source: str, event_id: str) -> bytes:
    """The stream of one usage event: its source and id are its idempotency key, for ever."""
    return stream_id(source, event_id)


def account_stream(name: str) -> bytes:
    """The stream of whatever bears this name: an account's key or an alias, so no name can be both."""
    return stream_id("", "account", name)


def meter_stream(meter: str) -> bytes:
    """The stream of a meter's definition and changes."""
    return stream_id("", "meter", meter)


def key_stream(key_id: str) -> bytes:
    """The stream of an API key."""
    return stream_id("", "key", key_id)


def plan_stream(plan: str) -> bytes:
    """The stream of a plan and its versions."""
    return stream_id("", "plan", plan)


def contract_stream(account: str) -> bytes:
    """The stream of an account's contracts: one stream, so there are never two at once."""
    return stream_id("", "contract", account)


def adjustment_stream(account: str) -> bytes:
    """The stream of an account's adjustments: one stream, so that a limit holds for them together."""
    return stream_id("", "adjustment", account)


def reason_stream(code: str) -> bytes:
    """The stream of a reason code."""
    return stream_id("", "reason", code)


def limit_stream(role: str, currency: str) -> bytes:
    """The stream of what a role may adjust alone in a currency."""
    return stream_id("", "limit", role, currency)


def period_stream(account: str, start: str) -> bytes:
    """The stream of one billing period of an account, by its start (RFC 3339, UTC): it is closed once."""
    return stream_id("", "period", account, start)


def attempt_stream(request: str, operation: str, at: str) -> bytes:
    """The stream of what a request tried and did not do, by its moment: a caller may use a request's id again."""
    return stream_id("", "attempt", request, operation, at)


def backfill_stream(account: str, digest: str) -> bytes:
    """The stream of one backfill of an account, by a digest of what it tells: it is announced once."""
    return stream_id("", "backfill", account, digest)


def replay_stream() -> bytes:
    """The stream of what replays found."""
    return stream_id("", "replay")


def platform_stream(platform: str, kind: str, object_id: str) -> bytes:
    """The stream of an object of a billing platform: how it was seen, one time after the other."""
    return stream_id("", "platform", platform, kind, object_id)


def notification_stream(platform: str, event_id: str) -> bytes:
    """The stream of one message of a platform, whose id there is its idempotency key, for ever."""
    return stream_id("", "notification", platform, event_id)


def case_stream(platform: str, subject: str, kind: str, owner: str, meter: str, start: str) -> bytes:
    """The stream of the case of a subject: one stream, so there are never two cases for the same."""
    return stream_id("", "case", platform, subject, kind, owner, meter, start)


def sending_stream(platform: str, account: str) -> bytes:
    """The stream of whether an account's usage is told to a platform."""
    return stream_id("", "sending", platform, account)


def mapping_stream(platform: str, meter: str) -> bytes:
    """The stream of which meter of a platform is told a meter's usage."""
    return stream_id("", "mapping", platform, meter)


def sends_stream(platform: str) -> bytes:
    """The stream of all batches of sends to a platform: one stream, so that nothing is derived twice."""
    return stream_id("", "sends", platform)


def settlement_stream(platform: str, batch: str) -> bytes:
    """The stream of what became of a batch of sends, attempt by attempt."""
    return stream_id("", "settlement", platform, batch)


def cancel_stream(platform: str, identifier: str) -> bytes:
    """The stream of the cancel of one send: there is one at most."""
    return stream_id("", "cancel", platform, identifier)


def credit_stream(platform: str, account: str, adjustment: str) -> bytes:
    """The stream of an approved adjustment on its way to a platform: it is told once."""
    return stream_id("", "credit", platform, account, adjustment)


def reconciliation_stream(platform: str) -> bytes:
    """The stream of what reconciliation runs against a platform came to."""
    return stream_id("", "reconciliation", platform)
