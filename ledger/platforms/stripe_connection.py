"""Requests to Stripe through its official SDK, and what can go wrong with them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec
import stripe

from ledger.domain.values import exact_number
from ledger.platforms.port import PlatformBusy, PlatformClosed, PlatformFault, PlatformRefused, PlatformUnavailable

ADDRESS: Final = "https://api.stripe.com"
TIMEOUT_SECONDS: Final = 30
RETRIES_MAX: Final = 2
"""How often the SDK asks again: what it repeats bears one idempotency key, so that it is done once."""
PAGE_MAX: Final = 100
"""docs.stripe.com/api/pagination"""

Read = TypeVar("Read")


class Page(msgspec.Struct, frozen=True):
    """A page of a list of Stripe's first API, its objects still encoded. docs.stripe.com/api/pagination"""

    data: list[msgspec.Raw]
    has_more: bool


class _Named(msgspec.Struct, frozen=True):
    id: str


class Connection:
    """Stripe behind the SDK's client; answers are read from their text, so that numbers stay exact."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._client = client

    async def get(self, path: str, kind: type[Read], **params: object) -> Read:
        """What is at a path. Raises `PlatformUnavailable`, `PlatformBusy`, `PlatformRefused`."""
        return read(await self._asked("get", path, params), kind)

    async def post(self, path: str, kind: type[Read], **params: object) -> Read:
        """What a request to do something answers; `idempotency_key` may be among the parameters. Raises as `get`."""
        return read(await self._asked("post", path, params), kind)

    async def post_to_stream(self, path: str, token: str, **params: object) -> None:
        """Tell the meter event stream something, under a session's token. Raises as `get`."""
        await self._asked("post", path, {**params, "api_key": token, "base": "meter_events"})

    async def listed(self, path: str, *, after: str | None = None, **params: object) -> AsyncIterator[msgspec.Raw]:
        """All objects of a list, page by page, after the one with an id. Raises as `get`."""
        while True:
            following = {} if after is None else {"starting_after": after}
            page = await self.get(path, Page, limit=PAGE_MAX, **following, **params)
            for one in page.data:
                yield one
            if not page.has_more or not page.data:
                return
            after = read(page.data[-1], _Named).id

    async def _asked(self, method: str, path: str, params: dict[str, Any]) -> str:
        try:
            answer = await self._client.raw_request_async(method, path, **params)
        except stripe.StripeError as error:
            raise fault_of(error) from error
        return str(answer.body)


def read(text: str | bytes | msgspec.Raw, kind: type[Read]) -> Read:
    """An answer, or a part of one, as a struct. Raises `PlatformRefused` where it has another shape."""
    try:
        return msgspec.json.Decoder(kind, float_hook=exact_number).decode(text)
    except msgspec.MsgspecError as fault:
        raise PlatformRefused(f"the answer cannot be read: {fault}", code="unreadable") from fault


def fault_of(error: stripe.StripeError) -> PlatformFault:
    """The fault that an error of the SDK is. docs.stripe.com/error-low-level

    A conflict (409), a failure of the server (5xx) and silence leave open what became of the request.
    """
    message, status = error.user_message or type(error).__name__, error.http_status
    code, request_id = error.code, error.request_id
    if isinstance(error, stripe.RateLimitError) or status == 429:
        after = str((error.headers or {}).get("retry-after", ""))
        return PlatformBusy(
            message, code=code, request_id=request_id, retry_after_seconds=int(after) if after.isdigit() else None
        )
    if isinstance(error, stripe.APIConnectionError) or status is None or status == 409 or status >= 500:
        return PlatformUnavailable(message, code=code, request_id=request_id)
    if status in (401, 403):
        return PlatformClosed(message, code=code, request_id=request_id)
    return PlatformRefused(message, code=code, request_id=request_id)


@asynccontextmanager
async def open_connection(
    api_key: str, *, address: str | None = None, retries: int = RETRIES_MAX
) -> AsyncIterator[Connection]:
    """A connection to Stripe, or to what answers like it at another address, until the context ends."""
    transport = stripe.HTTPXClient(timeout=TIMEOUT_SECONDS)
    addresses: Any = {} if address is None else {"api": address, "meter_events": address}
    try:
        yield Connection(
            stripe.StripeClient(api_key, base_addresses=addresses, http_client=transport, max_network_retries=retries)
        )
    finally:
        await transport.close_async()  # type: ignore[no-untyped-call]
