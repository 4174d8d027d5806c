"""Where events are sent: webhook endpoints for snapshots, event destinations for thin events.

docs.stripe.com/api/webhook_endpoints and docs.stripe.com/api/v2/core/event-destinations
"""

from typing import Final, Literal

from ledger.sandbox.stripe.arguments import Arguments, Metadata, PageArguments, Part, merged, told
from ledger.sandbox.stripe.clock import rfc3339
from ledger.sandbox.stripe.errors import malformed, not_found
from ledger.sandbox.stripe.operations import AnyOperation, delete, get, post
from ledger.sandbox.stripe.outbox import Secret
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State


class NewEndpointArguments(Arguments, kw_only=True, frozen=True):
    """What makes a webhook endpoint. docs.stripe.com/api/webhook_endpoints/create"""

    url: str
    enabled_events: list[str]
    api_version: Literal["2026-10-28.endive"] | None = None
    description: str | None = None
    metadata: Metadata | None = None


class EndpointArguments(Arguments, kw_only=True, frozen=True):
    """What of a webhook endpoint may change. docs.stripe.com/api/webhook_endpoints/update"""

    url: str | None = None
    enabled_events: list[str] | None = None
    disabled: bool | None = None
    description: str | None = None
    metadata: Metadata | None = None


class Address(Part, kw_only=True, frozen=True):
    """Where an event destination posts to."""

    url: str


class NewDestinationArguments(Arguments, kw_only=True, frozen=True):
    """What makes an event destination of thin events. docs.stripe.com/api/v2/core/event-destinations/create"""

    name: str
    type: Literal["webhook_endpoint"]
    event_payload: Literal["thin"]
    enabled_events: list[str]
    webhook_endpoint: Address
    description: str = ""
    include: tuple[Literal["webhook_endpoint.signing_secret", "webhook_endpoint.url"], ...] = ()
    metadata: dict[str, str] | None = None


def create(state: State, arguments: NewEndpointArguments) -> Json:
    """Make a webhook endpoint; its secret is told this once. docs.stripe.com/api/webhook_endpoints/create"""
    endpoint = state.webhook_endpoints.add(
        {
            "id": state.ids.next("we"),
            "object": "webhook_endpoint",
            "api_version": arguments.api_version,
            "application": None,
            "created": state.now,
            "description": arguments.description,
            "enabled_events": _named(arguments.enabled_events),
            "livemode": False,
            "metadata": told(arguments.metadata),
            "status": "enabled",
            "url": arguments.url,
        }
    )
    return endpoint | {"secret": _first_secret(state, endpoint["id"])}


def _named(kinds: list[str]) -> list[str]:
    if not kinds:
        raise malformed("You must give at least one event.", "enabled_events", "parameter_missing")
    return kinds


def _first_secret(state: State, endpoint: str) -> str:
    secret = state.ids.secret("whsec")
    state.outbox.secrets[endpoint] = [Secret(secret)]
    return secret


def update(state: State, arguments: EndpointArguments, endpoint: str) -> Json:
    """Change a webhook endpoint. docs.stripe.com/api/webhook_endpoints/update"""
    known = _living(state, endpoint)
    told_of = {"url": arguments.url, "enabled_events": arguments.enabled_events, "description": arguments.description}
    known |= {name: value for name, value in told_of.items() if value is not None}
    known["metadata"] = merged(known["metadata"], arguments.metadata)
    if arguments.disabled is not None:
        known["status"] = "disabled" if arguments.disabled else "enabled"
    return known


def retrieve(state: State, _: Arguments, endpoint: str) -> Json:
    """The webhook endpoint, without its secret. docs.stripe.com/api/webhook_endpoints/retrieve"""
    return _living(state, endpoint)


def _living(state: State, endpoint: str) -> Json:
    known = state.webhook_endpoints.get(endpoint)
    if known["status"] == "deleted":
        raise not_found("webhook endpoint", endpoint)
    return known


def remove(state: State, _: Arguments, endpoint: str) -> Json:
    """Send nothing there any more. docs.stripe.com/api/webhook_endpoints/delete"""
    _living(state, endpoint)["status"] = "deleted"
    return {"id": endpoint, "object": "webhook_endpoint", "deleted": True}


def page(state: State, arguments: PageArguments) -> Json:
    """Webhook endpoints, newest first. docs.stripe.com/api/webhook_endpoints/list"""
    return state.webhook_endpoints.page(arguments, "/v1/webhook_endpoints", lambda one: one["status"] != "deleted")


def roll(state: State, endpoint: str, expires_in_seconds: int) -> str:
    """Give an endpoint a new secret; the ones before it sign as well until they expire. Done in the Dashboard.

    docs.stripe.com/webhooks#roll-endpoint-secrets
    """
    secret = state.ids.secret("whsec")
    expires_at = state.now + expires_in_seconds
    before = [Secret(one.text, one.expires_at or expires_at) for one in state.outbox.secrets[endpoint]]
    state.outbox.secrets[endpoint] = [Secret(secret), *before]
    return secret


def create_destination(state: State, arguments: NewDestinationArguments) -> Json:
    """Make a destination of thin events. docs.stripe.com/api/v2/core/event-destinations/create"""
    now = rfc3339(state.now)
    destination = state.event_destinations.add(
        {
            "id": state.ids.next("ed_test"),
            "object": "v2.core.event_destination",
            "created": now,
            "description": arguments.description,
            "enabled_events": _named(arguments.enabled_events),
            "event_payload": "thin",
            "events_from": ["@self"],
            "livemode": False,
            "metadata": arguments.metadata or {},
            "name": arguments.name,
            "snapshot_api_version": None,
            "status": "enabled",
            "status_details": None,
            "type": "webhook_endpoint",
            "updated": now,
            "webhook_endpoint": {"url": arguments.webhook_endpoint.url},
        }
    )
    secret = _first_secret(state, destination["id"])
    shown: Json = {"signing_secret": None, "url": None}
    if "webhook_endpoint.signing_secret" in arguments.include:
        shown["signing_secret"] = secret
    if "webhook_endpoint.url" in arguments.include:
        shown["url"] = arguments.webhook_endpoint.url
    return destination | {"webhook_endpoint": shown}


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    post("/v1/webhook_endpoints", NewEndpointArguments, create),
    get("/v1/webhook_endpoints", PageArguments, page),
    get("/v1/webhook_endpoints/{endpoint}", Arguments, retrieve),
    post("/v1/webhook_endpoints/{endpoint}", EndpointArguments, update),
    delete("/v1/webhook_endpoints/{endpoint}", Arguments, remove),
    post("/v2/core/event_destinations", NewDestinationArguments, create_destination),
)
