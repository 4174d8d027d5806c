"""Cancelled meter events. docs.stripe.com/api/billing/meter-event-adjustment"""

from typing import Final, Literal

from ledger.sandbox.stripe.arguments import Arguments, Part
from ledger.sandbox.stripe.clock import DAY
from ledger.sandbox.stripe.errors import not_found, unacceptable
from ledger.sandbox.stripe.operations import AnyOperation, post
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State

CANCEL_SECONDS_MAX: Final = DAY
"""How long after its receipt an event can be cancelled."""


class Cancelled(Part, kw_only=True, frozen=True):
    """The identifier of the event."""

    identifier: str


class AdjustmentArguments(Arguments, kw_only=True, frozen=True):
    """Which event to cancel. docs.stripe.com/api/billing/meter-event-adjustment/create"""

    event_name: str
    type: Literal["cancel"]
    cancel: Cancelled


def create(state: State, arguments: AdjustmentArguments) -> Json:
    """Cancel one meter event, at most 24 hours after it was received; a final invoice stays as it is.

    docs.stripe.com/api/billing/meter-event-adjustment/create
    """
    identifier = arguments.cancel.identifier
    used = state.usage.by_identifier.get(identifier)
    if used is None or used.event_name != arguments.event_name:
        raise not_found("meter event", identifier, "cancel[identifier]")
    if state.now - used.received_at > CANCEL_SECONDS_MAX:
        message = f"The meter event {identifier} was received more than 24 hours ago and can no longer be cancelled."
        raise unacceptable(message, "cancel[identifier]")
    if used.is_cancelled:
        raise unacceptable(f"The meter event {identifier} was already cancelled.", "cancel[identifier]")
    used.is_cancelled = True
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": arguments.event_name,
        "livemode": False,
        "status": "pending",
        "type": "cancel",
    }


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/billing/meter_event_adjustments", AdjustmentArguments, create),
)
