"""Messages of billing platforms: signed by them, stored as they came, looked into later."""

from datetime import UTC, datetime
from typing import Final

from starlette.types import Receive, Scope, Send

from ledger.commands.platforms import keep_notifications
from ledger.domain.metadata import Metadata
from ledger.event_log import EventLog
from ledger.http.bodies import read_body
from ledger.http.problems import Problem, answer
from ledger.http.requests import REQUEST_ID
from ledger.platforms.port import NotificationForged, NotificationUnreadable, Platform

BYTES_MAX: Final = 1024 * 1024


class WebhookEndpoint:
    """`POST /v1/webhooks/stripe`: needs no key, for its messages are signed."""

    def __init__(self, log: EventLog, platform: Platform | None) -> None:
        self._log = log
        self._platform = platform

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 200 with `{position, is_repeat}` once the message is durable, a repeat as the first time.

        Problems: 400 signature_missing, signature_invalid, signature_stale and body_unreadable, 413, 415, 503.
        """
        if self._platform is None:
            raise Problem(503, "platform_off", "No billing platform is set up here.", headers={"retry-after": "3600"})
        self._log.require_room()
        headers = dict(scope["headers"])
        body = await read_body(headers, receive, bytes_max=BYTES_MAX)
        known = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        now = datetime.now(UTC)
        try:
            told = self._platform.read_notification(body, known, now)
        except (NotificationForged, NotificationUnreadable) as fault:
            raise Problem(400, fault.code or "body_unreadable", str(fault)) from None
        metadata = Metadata(actor=f"platform:{self._platform.name}", request=scope[REQUEST_ID])
        kept = await keep_notifications(self._log, [told], now=now, metadata=metadata)
        is_repeat = b"true" if kept.repeats else b"false"
        await answer(send, 200, b'{"position":%d,"is_repeat":%b}' % (kept.positions[0], is_repeat))
