"""Meter events of the first API: one a request, checked at once but for the customer.

docs.stripe.com/api/billing/meter-event
"""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Final

import msgspec

from ledger.sandbox.stripe import meters
from ledger.sandbox.stripe.arguments import Arguments
from ledger.sandbox.stripe.clock import DAY, MINUTE
from ledger.sandbox.stripe.errors import malformed, unacceptable
from ledger.sandbox.stripe.operations import AnyOperation, Operation
from ledger.sandbox.stripe.rejections import MESSAGES
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State
from ledger.sandbox.stripe.usage import Used

PAST_SECONDS_MAX: Final = 35 * DAY
FUTURE_SECONDS_MAX: Final = 5 * MINUTE
VALUE_DIGITS_MAX: Final = 15

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class MeterEventArguments(Arguments, kw_only=True, frozen=True):
    """One meter event. docs.stripe.com/api/billing/meter-event/create"""

    event_name: Name
    payload: dict[str, str]
    identifier: Name | None = None
    timestamp: int | None = None


def create(state: State, arguments: MeterEventArguments) -> Json:
    """Take one meter event, or refuse it: a known identifier, a time out of bounds, an unknown meter, a wrong value.

    A customer that does not exist is told later, by a report. docs.stripe.com/api/billing/meter-event/create
    """
    now = state.now
    timestamp = now if arguments.timestamp is None else arguments.timestamp
    identifier = arguments.identifier or state.ids.next("mev")
    if state.usage.is_known(identifier, now):
        raise unacceptable(f"An event already exists with identifier {identifier}.", "identifier")
    meter = meters.active(state, arguments.event_name)
    code = wrong(state, meter, arguments.event_name, arguments.payload, timestamp)
    if code is not None and code != "meter_event_customer_not_found":
        raise malformed(MESSAGES[code], PARAMS.get(code), code)
    accept(state, meter, arguments.event_name, arguments.payload, timestamp, identifier)
    return {
        "object": "billing.meter_event",
        "created": now,
        "event_name": arguments.event_name,
        "identifier": identifier,
        "livemode": False,
        "payload": arguments.payload,
        "timestamp": timestamp,
    }


PARAMS: Final = {
    "no_meter": "event_name",
    "archived_meter": "event_name",
    "timestamp_in_future": "timestamp",
    "timestamp_too_far_in_past": "timestamp",
    "meter_event_invalid_value": "payload",
    "meter_event_value_too_many_digits": "payload",
    "meter_event_no_customer_defined": "payload",
}


def wrong(state: State, meter: Json | None, event_name: str, payload: dict[str, str], timestamp: int) -> str | None:
    """The code of what is wrong with an event, None when nothing is.

    At most 35 days past and 5 minutes ahead: docs.stripe.com/api/billing/meter-event/create; the codes:
    docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#handle-meter-event-errors
    """
    if timestamp < state.now - PAST_SECONDS_MAX:
        return "timestamp_too_far_in_past"
    if timestamp > state.now + FUTURE_SECONDS_MAX:
        return "timestamp_in_future"
    if meter is None:
        return "no_meter" if meters.archived(state, event_name) is None else "archived_meter"
    customer = payload.get(meter["customer_mapping"]["event_payload_key"])
    if not customer:
        return "meter_event_no_customer_defined"
    if meter["default_aggregation"]["formula"] != "count":
        value = number(payload.get(meter["value_settings"]["event_payload_key"]))
        if value is None:
            return "meter_event_invalid_value"
        if len(value.as_tuple().digits) > VALUE_DIGITS_MAX:
            return "meter_event_value_too_many_digits"
    if customer not in state.customers or "deleted" in state.customers.get(customer):
        return "meter_event_customer_not_found"
    return None


def number(text: str | None) -> Decimal | None:
    """The value of an event, None when the text is no number. Below nought is allowed."""
    try:
        value = Decimal(text or "")
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def accept(
    state: State, meter: Json | None, event_name: str, payload: dict[str, str], timestamp: int, identifier: str
) -> None:
    """Keep the event, or note it for the next report about its meter."""
    state.usage.seen_at[identifier] = state.now
    code = wrong(state, meter, event_name, payload, timestamp)
    if code is None and state.rejections.planted:
        code = state.rejections.planted.pop(0)
    if code is not None:
        known = meter or meters.archived(state, event_name)
        reject(state, None if known is None else known["id"], code, identifier)
        return
    assert meter is not None
    state.usage.add(
        Used(
            timestamp=timestamp,
            number=state.usage.count,
            value=number(payload.get(meter["value_settings"]["event_payload_key"])) or Decimal(),
            received_at=state.now,
            identifier=identifier,
            meter=meter["id"],
            customer=payload[meter["customer_mapping"]["event_payload_key"]],
            event_name=event_name,
        )
    )


def reject(state: State, meter: str | None, code: str, identifier: str) -> None:
    """Note an invalid event; the first one sets when the report is made.

    docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#handle-meter-event-errors
    """
    if state.rejections.add(meter, code, identifier, state.now):
        state.agenda.at(state.now + state.behaviour.rejection_delay_seconds, lambda: _report(state, meter))


def _report(state: State, meter: str | None) -> None:
    content = state.rejections.report(meter, state.now, state.behaviour.rejection_samples_max)
    if meter is None:
        state.announce_thinly("v1.billing.meter.no_meter_found", content, None)
        return
    related = {"id": meter, "type": "billing.meter", "url": f"/v1/billing/meters/{meter}"}
    state.announce_thinly("v1.billing.meter.error_report_triggered", content, related)


def _lane(state: State, arguments: MeterEventArguments) -> tuple[str, ...] | None:
    """Customer and meter of an event that is under way for some time."""
    meter = meters.active(state, arguments.event_name)
    if meter is None or not state.behaviour.latency_seconds:
        return None
    return meter["id"], arguments.payload.get(meter["customer_mapping"]["event_payload_key"], "")


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    Operation(
        method="POST", path="/v1/billing/meter_events", arguments=MeterEventArguments, perform=create, lane=_lane
    ),
)
