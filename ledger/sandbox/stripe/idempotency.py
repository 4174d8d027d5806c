"""Answers kept under the keys of their requests. docs.stripe.com/api/idempotent_requests"""

from dataclasses import dataclass, field
from typing import Final

from ledger.sandbox.stripe.clock import DAY
from ledger.sandbox.stripe.errors import StripeError

KEPT_SECONDS: Final = DAY
"""Keys of the first API are removed once they are at least 24 hours old."""
KEPT_SECONDS_SECOND_API: Final = 30 * DAY
"""Keys of the second API are kept for 30 days. docs.stripe.com/api-v2-overview#idempotency"""
LENGTH_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, the request that it answered, and when."""

    operation: str
    request: bytes
    status: int
    body: bytes
    kept_at: int


@dataclass(slots=True)
class IdempotencyKeys:
    """The answers by key."""

    _kept: dict[str, Kept] = field(default_factory=dict)

    def find(self, key: str, operation: str, request: bytes, now: int, *, is_second_api: bool) -> Kept | None:
        """The answer to the same request; the refusal when the key was used for another one.

        docs.stripe.com/error-low-level#idempotency
        """
        if len(key) > LENGTH_MAX:
            raise StripeError(f"The idempotency key is longer than {LENGTH_MAX} characters.", is_saved=False)
        kept = self._kept.get(key)
        if kept is None or now - kept.kept_at >= (KEPT_SECONDS_SECOND_API if is_second_api else KEPT_SECONDS):
            return None
        if kept.operation == operation and kept.request == request:
            return kept
        what = "parameters" if kept.operation == operation else "endpoint"
        raise StripeError(
            f"Keys for idempotent requests can only be used with the same {what} they were first used with. "
            f"Try using a key other than '{key}' if you meant to execute a different request.",
            kind="idempotency_error",
            is_saved=False,
            should_retry=False,
        )

    def keep(self, key: str, kept: Kept) -> None:
        """Keep an answer."""
        self._kept[key] = kept
