"""Usage at Stripe: sums read, meter events told and cancelled. docs.stripe.com/api/billing/meter-event"""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from ledger.domain.platform_objects import UsageSum
from ledger.domain.send_events import SendOutcome, Settlement, UsageSend
from ledger.platforms.port import (
    SENDS_MAX,
    Grouping,
    PlatformBusy,
    PlatformClosed,
    PlatformFault,
    PlatformRefused,
    PlatformUnavailable,
)
from ledger.platforms.stripe_connection import Connection, read
from ledger.platforms.stripe_money import moment_of
from ledger.platforms.stripe_subscriptions import TheirMeter

STEPS: Final[dict[Grouping | None, timedelta]] = {
    None: timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
IS_END_INCLUDED: Final = False
"""Whether usage at the very second of a window's end counts. The documentation says both; windows that touch count a
second once, as `tests/platforms/test_stripe_usage.py` holds against the sandbox.
"""
VALUE_DIGITS_MAX: Final = 15
"""docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#handle-meter-event-errors"""
STREAM: Final = "/v2/billing/meter_event_stream"
SESSION_EXPIRED: Final = "billing_meter_event_session_expired"
SESSION_LEFT_SECONDS_MIN: Final = 60
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KNOWN_ALREADY: Final = re.compile(r"already exists with identifier")
_CANCELLED_ALREADY: Final = re.compile(r"already (been )?cancell?ed")


class _Summary(msgspec.Struct, frozen=True):
    start_time: int
    end_time: int
    aggregated_value: Decimal


class _Session(msgspec.Struct, frozen=True):
    authentication_token: str
    expires_at: datetime
    created: datetime


class _Nothing(msgspec.Struct, frozen=True):
    """An answer of which only that it came is of interest."""


class Usage:
    """The meters of one Stripe account."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._meters: dict[str, TheirMeter] = {}
        self._session: _Session | None = None
        self._session_until = time.monotonic()

    async def sums(
        self, meter: str, customer: str, start: datetime, end: datetime, grouping: Grouping | None
    ) -> list[UsageSum]:
        """As `Platform.usage_sums`, in order. docs.stripe.com/api/billing/meter-event-summary/list"""
        for bound in (start, end):
            if (bound - EPOCH) % STEPS[grouping]:
                raise ValueError(f"{bound.isoformat()} is not a whole {grouping or 'minute'} of UTC")
        if start >= end:
            raise ValueError("the window ends before it starts")
        params: dict[str, Any] = {} if grouping is None else {"value_grouping_window": grouping}
        listed = self._connection.listed(
            f"/v1/billing/meters/{meter}/event_summaries",
            customer=customer,
            start_time=_seconds(start),
            end_time=_seconds(end),
            **params,
        )
        found = [read(one, _Summary) async for one in listed]
        sums = [
            UsageSum(start=moment_of(one.start_time), end=moment_of(one.end_time), quantity=one.aggregated_value)
            for one in found
        ]
        return sorted(sums, key=lambda one: one.start)

    async def send(self, sends: Sequence[UsageSend]) -> list[Settlement]:
        """As `Platform.send_usage`, by the stream of the second API, which checks all later.

        What it refuses as a whole is told one by one. docs.stripe.com/api/v2/billing/meter-event-stream
        """
        if len(sends) > SENDS_MAX:
            raise ValueError(f"more than {SENDS_MAX} sends at once")
        unfit = [_unfit(send) for send in sends]
        events = [await self._event(send) for send, one in zip(sends, unfit, strict=True) if one is None]
        try:
            if events:
                await self._stream(events)
        except PlatformUnavailable as fault:
            return [one or _settled(send, "unknown", fault) for send, one in zip(sends, unfit, strict=True)]
        except PlatformRefused:
            return await self._send_one_by_one(sends)
        accepted = [Settlement(identifier=send.identifier, outcome="accepted") for send in sends]
        return [one or taken for taken, one in zip(accepted, unfit, strict=True)]

    async def _stream(self, events: list[dict[str, Any]]) -> None:
        """Tell the stream, with a new session where ours has ended after all: nothing was done then."""
        try:
            await self._connection.post_to_stream(STREAM, await self._token(), events=events)
        except (PlatformRefused, PlatformClosed) as fault:
            if isinstance(fault, PlatformRefused) and fault.code != SESSION_EXPIRED:
                raise
            self._session = None
            await self._connection.post_to_stream(STREAM, await self._token(), events=events)

    async def _send_one_by_one(self, sends: Sequence[UsageSend]) -> list[Settlement]:
        settlements: list[Settlement] = []
        for send in sends:
            try:
                settlements.append(await self.send_singly(send))
            except PlatformBusy as busy:
                if not settlements:
                    raise
                # Not told, which is no outcome: as unknown it is told again under the same identifier.
                settlements.append(_settled(send, "unknown", busy))
        return settlements

    async def send_singly(self, send: UsageSend) -> Settlement:
        """As `Platform.send_singly`, by the first API. docs.stripe.com/api/billing/meter-event/create"""
        if (unfit := _unfit(send)) is not None:
            return unfit
        event = await self._event(send)
        try:
            await self._connection.post(
                "/v1/billing/meter_events", _Nothing, **event | {"timestamp": _seconds(send.timestamp)}
            )
        except PlatformRefused as refused:
            is_known = _KNOWN_ALREADY.search(str(refused)) is not None
            return _settled(send, "delivered_before" if is_known else "rejected", refused)
        except PlatformUnavailable as fault:
            return _settled(send, "unknown", fault)
        return Settlement(identifier=send.identifier, outcome="accepted")

    async def cancel(self, identifier: str, event_type: str) -> Settlement:
        """As `Platform.cancel_usage`. docs.stripe.com/api/billing/meter-event-adjustment/create"""
        try:
            await self._connection.post(
                "/v1/billing/meter_event_adjustments",
                _Nothing,
                event_name=event_type,
                type="cancel",
                cancel={"identifier": identifier},
            )
        except PlatformRefused as refused:
            is_done = _CANCELLED_ALREADY.search(str(refused)) is not None
            outcome: SendOutcome = "delivered_before" if is_done else "rejected"
            return Settlement(identifier=identifier, outcome=outcome, code=refused.code, message=str(refused))
        except PlatformUnavailable as fault:
            return Settlement(identifier=identifier, outcome="unknown", code=fault.code, message=str(fault))
        return Settlement(identifier=identifier, outcome="accepted")

    async def _event(self, send: UsageSend) -> dict[str, Any]:
        """The meter event of a send; its payload's keys are those that the meter asks for."""
        meter = await self._meter(send.event_type)
        customer_key, value_key = "stripe_customer_id", "value"
        if meter is not None:
            customer_key, value_key = meter.customer_mapping.event_payload_key, meter.value_settings.event_payload_key
        return {
            "event_name": send.event_type,
            "identifier": send.identifier,
            "timestamp": send.timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "payload": {customer_key: send.customer, value_key: f"{send.value:f}"},
        }

    async def _meter(self, event_type: str) -> TheirMeter | None:
        """The active meter of an event type; None where there is none, which Stripe then says itself."""
        if event_type not in self._meters:
            listed = self._connection.listed("/v1/billing/meters", status="active")
            found = [read(one, TheirMeter) async for one in listed]
            self._meters = {one.event_name: one for one in found}
        return self._meters.get(event_type)

    async def _token(self) -> str:
        """A token for the stream, good for 15 minutes. docs.stripe.com/api/v2/billing/meter-event-stream/session"""
        now = time.monotonic()
        if self._session is None or now > self._session_until:
            self._session = await self._connection.post("/v2/billing/meter_event_session", _Session)
            lifetime = self._session.expires_at - self._session.created
            self._session_until = now + lifetime.total_seconds() - SESSION_LEFT_SECONDS_MIN
        return self._session.authentication_token


def _unfit(send: UsageSend) -> Settlement | None:
    """Why Stripe would not take the send, which the stream would tell later and of a sample only."""
    if len(send.value.as_tuple().digits) <= VALUE_DIGITS_MAX:
        return None
    message = f"The value has more than {VALUE_DIGITS_MAX} digits."
    code = "meter_event_value_too_many_digits"
    return Settlement(identifier=send.identifier, outcome="rejected", code=code, message=message)


def _settled(send: UsageSend, outcome: SendOutcome, fault: PlatformFault) -> Settlement:
    return Settlement(identifier=send.identifier, outcome=outcome, code=fault.code, message=str(fault))


def _seconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(seconds=1)
