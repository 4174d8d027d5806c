"""Faults as answers: RFC 9457 problem details with a permanent `code` and the facts of the rule that was broken."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.types import Send

from ledger.domain.refusals import (
    Forbidden,
    LedgerBusy,
    LedgerUnavailable,
    OutOfScope,
    Refusal,
    UsageUnreadable,
)

STATUSES: Final[Mapping[type[Refusal], int]] = {
    UsageUnreadable: 400,
    Forbidden: 403,
    OutOfScope: 403,
    LedgerBusy: 503,
    LedgerUnavailable: 503,
}
"""The status of each refusal that this edge can meet; any other is 422."""

PROBLEM: Final = b"application/problem+json"
JSON: Final = b"application/json"


class Problem(Exception):
    """An answer that is not the one asked for: `status`, a permanent `code`, a sentence, facts and headers."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.facts = facts or {}

    async def send(self, send: Send) -> None:
        """Answer with this problem."""
        members = {
            "type": f"urn:ledger:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        body = msgspec.json.encode({**self.facts, **members})
        await answer(send, self.status, body, media_type=PROBLEM, headers=self.headers)


def problem_of(refusal: Refusal) -> Problem:
    """The problem that tells a refusal, with its facts as members and Retry-After where repeating helps."""
    status = STATUSES.get(type(refusal), 422)
    headers: dict[str, str] = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = str(refusal.facts.get("retry_after_seconds", 1))
    return Problem(status, refusal.code, refusal.message, headers=headers, facts=refusal.facts)


def unauthenticated(detail: str) -> Problem:
    """The problem of a request without a good key (RFC 6750 section 3)."""
    return Problem(401, "unauthenticated", detail, headers={"www-authenticate": 'Bearer realm="ledger"'})


async def answer(
    send: Send,
    status: int,
    body: bytes,
    *,
    media_type: bytes = JSON,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send one whole response."""
    lines = [(b"content-type", media_type), (b"content-length", str(len(body)).encode())]
    if headers:
        lines += [(name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
