"""Billing meters. docs.stripe.com/api/billing/meter"""

from typing import Final, Literal

from ledger.sandbox.stripe.arguments import Arguments, PageArguments, Part
from ledger.sandbox.stripe.errors import unacceptable
from ledger.sandbox.stripe.operations import AnyOperation, get, post
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


class CustomerMapping(Part, kw_only=True, frozen=True):
    """Which key of a payload names the customer."""

    event_payload_key: str
    type: Literal["by_id"]


class Aggregation(Part, kw_only=True, frozen=True):
    """How the events of a period become one number."""

    formula: Literal["sum", "count", "last"]


class ValueSettings(Part, kw_only=True, frozen=True):
    """Which key of a payload holds the value."""

    event_payload_key: str


class NewMeterArguments(Arguments, kw_only=True, frozen=True):
    """What makes a meter. docs.stripe.com/api/billing/meter/create"""

    display_name: str
    event_name: str
    default_aggregation: Aggregation
    customer_mapping: CustomerMapping = CustomerMapping(event_payload_key="stripe_customer_id", type="by_id")
    value_settings: ValueSettings = ValueSettings(event_payload_key="value")
    event_time_window: Literal["hour", "day"] | None = None


class MeterArguments(Arguments, kw_only=True, frozen=True):
    """What of a meter may change: nothing but its name. docs.stripe.com/api/billing/meter/update"""

    display_name: str | None = None


class MetersArguments(PageArguments, kw_only=True, frozen=True):
    """Which meters to list. docs.stripe.com/api/billing/meter/list"""

    status: Literal["active", "inactive"] | None = None


def create(state: State, arguments: NewMeterArguments) -> Json:
    """Make a meter; one active meter at a time has an event name. docs.stripe.com/api/billing/meter/create"""
    if active(state, arguments.event_name) is not None:
        raise unacceptable(f"An active meter already exists with event name {arguments.event_name}.", "event_name")
    now = state.now
    meter = state.meters.add(
        {
            "id": state.ids.next("mtr_test"),
            "object": "billing.meter",
            "created": now,
            "customer_mapping": {
                "event_payload_key": arguments.customer_mapping.event_payload_key,
                "type": arguments.customer_mapping.type,
            },
            "default_aggregation": {"formula": arguments.default_aggregation.formula},
            "display_name": arguments.display_name,
            "event_name": arguments.event_name,
            "event_time_window": arguments.event_time_window,
            "livemode": False,
            "status": "active",
            "status_transitions": {"deactivated_at": None},
            "updated": now,
            "value_settings": {"event_payload_key": arguments.value_settings.event_payload_key},
        }
    )
    state.announce("billing.meter.created", meter)
    return meter


def active(state: State, event_name: str) -> Json | None:
    """The active meter of an event name."""
    return next((one for one in state.meters if (one["event_name"], one["status"]) == (event_name, "active")), None)


def archived(state: State, event_name: str) -> Json | None:
    """The last meter of an event name that no active one has."""
    return next((one for one in reversed(state.meters.objects) if one["event_name"] == event_name), None)


def retrieve(state: State, _: Arguments, meter: str) -> Json:
    """The meter. docs.stripe.com/api/billing/meter/retrieve"""
    return state.meters.get(meter)


def update(state: State, arguments: MeterArguments, meter: str) -> Json:
    """Rename a meter. docs.stripe.com/api/billing/meter/update"""
    known = state.meters.get(meter)
    name = known["display_name"] if arguments.display_name is None else arguments.display_name
    return state.changed("billing.meter.updated", known, {"display_name": name, "updated": state.now})


def deactivate(state: State, _: Arguments, meter: str) -> Json:
    """Archive a meter: it takes no events any more. docs.stripe.com/api/billing/meter/deactivate"""
    known = state.meters.get(meter)
    if known["status"] == "inactive":
        raise unacceptable(f"The meter {meter} is already inactive.", "id")
    now = state.now
    changes = {"status": "inactive", "status_transitions": {"deactivated_at": now}, "updated": now}
    return state.changed("billing.meter.deactivated", known, changes)


def reactivate(state: State, _: Arguments, meter: str) -> Json:
    """Let a meter take events again. docs.stripe.com/api/billing/meter/reactivate"""
    known = state.meters.get(meter)
    if active(state, known["event_name"]) is not None:
        raise unacceptable(f"An active meter already exists with event name {known['event_name']}.", "id")
    changes = {"status": "active", "status_transitions": {"deactivated_at": None}, "updated": state.now}
    return state.changed("billing.meter.reactivated", known, changes)


def page(state: State, arguments: MetersArguments) -> Json:
    """Meters, newest first. docs.stripe.com/api/billing/meter/list"""
    return state.meters.page(arguments, "/v1/billing/meters", lambda one: arguments.status in (None, one["status"]))


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/billing/meters", NewMeterArguments, create),
    get("/v1/billing/meters", MetersArguments, page),
    get("/v1/billing/meters/{meter}", Arguments, retrieve),
    post("/v1/billing/meters/{meter}", MeterArguments, update),
    post("/v1/billing/meters/{meter}/deactivate", Arguments, deactivate),
    post("/v1/billing/meters/{meter}/reactivate", Arguments, reactivate),
)
