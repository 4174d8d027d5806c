"""Failures on demand: what a network and a busy platform do to a request, told before it comes."""

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Final, Literal, get_args

from ledger.sandbox.stripe.errors import StripeError, rate_limited
from ledger.sandbox.stripe.rejections import MESSAGES, Rejections

Fault = Literal["timeout_before", "timeout_after", "429", "500", "503", "rejection"]
"""timeout_before: nothing is done and the connection drops; timeout_after: it is done, the answer is lost;
429, 500, 503: nothing is done; rejection: a meter event is taken and reported as invalid later.
"""
EVERY: Final = "*"


class Faults:
    """The faults that wait for requests, by operation."""

    def __init__(self, operations: Iterable[str], rejections: Rejections) -> None:
        self._operations = {EVERY, *operations}
        self._rejections = rejections
        self._waiting: dict[str, deque[Fault]] = defaultdict(deque)

    def next(
        self, operation: str, fault: Fault, *, times: int = 1, code: str = "meter_event_customer_not_found"
    ) -> None:
        """Let the next requests of an operation, as `POST /v1/billing/meter_events`, fail; `*` is any.

        `code` is what a rejection is reported with. Raises ValueError for an operation, fault or code that
        does not exist.
        """
        if operation not in self._operations:
            raise ValueError(f"no operation {operation}")
        if fault not in get_args(Fault) or code not in MESSAGES:
            raise ValueError(f"no fault {fault} {code}")
        if fault == "rejection":
            self._rejections.planted += [code] * times
        else:
            self._waiting[operation] += [fault] * times

    def take(self, operation: str) -> Fault | None:
        """The fault of the request that has come, if one waits."""
        for waiting in (self._waiting[operation], self._waiting[EVERY]):
            if waiting:
                return waiting.popleft()
        return None


def refuse(fault: Fault | None) -> None:
    """Raise the error that a fault is answered with, if it is answered.

    A 500 is kept under the idempotency key, like every answer of a request that was begun; a 503 and
    a 429 are not. docs.stripe.com/error-low-level#server-errors
    """
    if fault == "429":
        raise rate_limited("Too many requests hit the API too quickly.")
    if fault == "500":
        raise StripeError("An unknown error occurred.", status=500, kind="api_error")
    if fault == "503":
        raise StripeError("Stripe is temporarily unavailable.", status=503, kind="api_error", is_saved=False)
