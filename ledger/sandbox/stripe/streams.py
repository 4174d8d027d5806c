"""The meter event stream of the second API: up to 100 events a request, all checked later.

docs.stripe.com/api/v2/billing/meter-event-stream
"""

from typing import Annotated, Final

import msgspec

from ledger.sandbox.stripe import meters
from ledger.sandbox.stripe.arguments import Arguments, Moment, Part
from ledger.sandbox.stripe.clock import MINUTE, rfc3339, unix
from ledger.sandbox.stripe.meter_events import Name, accept
from ledger.sandbox.stripe.operations import AnyOperation, post
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State

SESSION_SECONDS: Final = 15 * MINUTE
EVENTS_MAX: Final = 100


class StreamedEvent(Part, kw_only=True, frozen=True):
    """One meter event; its time as RFC 3339."""

    event_name: Name
    payload: dict[str, str]
    identifier: Name | None = None
    timestamp: Moment | None = None


class StreamArguments(Arguments, kw_only=True, frozen=True):
    """The events of one request. docs.stripe.com/api/v2/billing/meter-event-stream/create"""

    events: Annotated[list[StreamedEvent], msgspec.Meta(min_length=1, max_length=EVENTS_MAX)]


def open_session(state: State, _: Arguments) -> Json:
    """A token for the stream, good for 15 minutes. docs.stripe.com/api/v2/billing/meter-event-stream/session"""
    token = state.ids.secret("token")
    state.sessions[token] = state.now + SESSION_SECONDS
    return {
        "id": state.ids.next("bmes_test"),
        "object": "v2.billing.meter_event_session",
        "authentication_token": token,
        "created": rfc3339(state.now),
        "expires_at": rfc3339(state.sessions[token]),
        "livemode": False,
    }


def create(state: State, arguments: StreamArguments) -> Json:
    """Take the events unseen. A known identifier counts once; what is wrong is reported later.

    docs.stripe.com/api/v2/billing/meter-event-stream/create
    """
    for event in arguments.events:
        identifier = event.identifier or state.ids.next("mev")
        if state.usage.is_known(identifier, state.now):
            continue
        timestamp = state.now if event.timestamp is None else unix(event.timestamp)
        meter = meters.active(state, event.event_name)
        accept(state, meter, event.event_name, event.payload, timestamp, identifier)
    return {}


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v2/billing/meter_event_session", Arguments, open_session),
    post("/v2/billing/meter_event_stream", StreamArguments, create),
)
