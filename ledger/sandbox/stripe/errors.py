"""What the sandbox refuses, in the shape of Stripe's errors.

The attributes and which of them are set: docs.stripe.com/api/errors; the codes: docs.stripe.com/error-codes.
"""

from typing import Any


class StripeError(Exception):
    """A request that is answered with an error.

    `is_saved` tells whether the answer is kept under the request's idempotency key: not what failed
    before the request was executed (docs.stripe.com/api/idempotent_requests). `should_retry` becomes
    the header `Stripe-Should-Retry`, which the SDKs obey.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        is_saved: bool = True,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.is_saved = is_saved
        self.should_retry = should_retry

    def body(self, request_id: str) -> dict[str, Any]:
        """The error as the JSON of an answer: absent attributes are left out, as Stripe leaves them."""
        told = {"code": self.code, "param": self.param}
        error = {"message": self.message, "type": self.kind} | {name: value for name, value in told.items() if value}
        if self.code is not None:
            error["doc_url"] = f"https://docs.stripe.com/error-codes#{self.code.replace('_', '-')}"
        return {"error": error | {"request_log_url": f"https://dashboard.stripe.com/test/logs/{request_id}"}}


def not_found(kind: str, identifier: str, param: str = "id") -> StripeError:
    """No object of the kind has the identifier: 404 for the object that is asked for, 400 for one that is referred to.

    docs.stripe.com/error-codes#resource-missing
    """
    status = 404 if param == "id" else 400
    return StripeError(f"No such {kind}: '{identifier}'", status=status, code="resource_missing", param=param)


def unacceptable(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    """A request that is well formed and still may not be done."""
    return StripeError(message, param=param, code=code, should_retry=False)


def malformed(message: str, param: str | None, code: str) -> StripeError:
    """Parameters that are wrong by themselves; nothing was executed, so the answer is not kept.

    docs.stripe.com/error-codes#parameter-unknown and its neighbours
    """
    return StripeError(message, param=param, code=code, is_saved=False, should_retry=False)


def unauthorised(message: str) -> StripeError:
    """A request without a key that the account knows. docs.stripe.com/api/authentication"""
    return StripeError(message, status=401, is_saved=False, should_retry=False)


def rate_limited(message: str, code: str = "rate_limit") -> StripeError:
    """Too many requests. docs.stripe.com/rate-limits"""
    return StripeError(message, status=429, code=code, is_saved=False)
