"""The one Stripe account that a sandbox is: its objects, its usage and what it announces."""

from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Final

from ledger.sandbox.stripe.agenda import Agenda
from ledger.sandbox.stripe.behaviour import Behaviour
from ledger.sandbox.stripe.clock import Clock, rfc3339
from ledger.sandbox.stripe.dues import Due
from ledger.sandbox.stripe.ids import Ids
from ledger.sandbox.stripe.outbox import Outbox
from ledger.sandbox.stripe.rejections import Rejections
from ledger.sandbox.stripe.shelves import Json, Shelf
from ledger.sandbox.stripe.usage import UsageStore

API_VERSION: Final = "2026-10-28.endive"
"""The version whose shapes the sandbox speaks, and the account's default. docs.stripe.com/api/versioning"""


@dataclass(slots=True)
class Cause:
    """The request that is being answered, which the events it causes name."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(slots=True)
class State:
    """Everything that the sandbox remembers."""

    clock: Clock
    behaviour: Behaviour
    ids: Ids
    random: Random
    agenda: Agenda = field(default_factory=Agenda)
    cause: Cause = field(default_factory=Cause)
    customers: Shelf = field(default_factory=lambda: Shelf("customer"))
    meters: Shelf = field(default_factory=lambda: Shelf("meter"))
    products: Shelf = field(default_factory=lambda: Shelf("product"))
    prices: Shelf = field(default_factory=lambda: Shelf("price"))
    subscriptions: Shelf = field(default_factory=lambda: Shelf("subscription"))
    invoices: Shelf = field(default_factory=lambda: Shelf("invoice"))
    invoice_items: Shelf = field(default_factory=lambda: Shelf("invoiceitem"))
    credit_notes: Shelf = field(default_factory=lambda: Shelf("credit_note"))
    balance_transactions: Shelf = field(default_factory=lambda: Shelf("customer balance transaction"))
    credit_grants: Shelf = field(default_factory=lambda: Shelf("credit grant"))
    webhook_endpoints: Shelf = field(default_factory=lambda: Shelf("webhook endpoint"))
    event_destinations: Shelf = field(default_factory=lambda: Shelf("event destination"))
    events: Shelf = field(default_factory=lambda: Shelf("event"))
    thin_events: Shelf = field(default_factory=lambda: Shelf("event"))
    usage: UsageStore = field(default_factory=UsageStore)
    rejections: Rejections = field(default_factory=Rejections)
    outbox: Outbox = field(init=False)
    tiers: dict[str, list[Json]] = field(default_factory=dict)
    """The tiers of prices, which are shown only where they are asked for. docs.stripe.com/api/prices/object"""
    lines: dict[str, list[Json]] = field(default_factory=dict)
    """All lines of each invoice, which shows only the first ten itself."""
    fixed_lines: dict[str, list[Json]] = field(default_factory=dict)
    """The lines of drafts that no usage changes."""
    drafts: dict[str, list[Due]] = field(default_factory=dict)
    """What each draft of a subscription bills."""
    credit_left: dict[str, int] = field(default_factory=dict)
    """What is left of each credit grant, in minor units."""
    sessions: dict[str, int] = field(default_factory=dict)
    """Tokens of the meter event stream, with the second at which each expires."""

    def __post_init__(self) -> None:
        """Let the outbox know the account."""
        self.outbox = Outbox(self.clock, self.behaviour, self.random, self.webhook_endpoints, self.event_destinations)

    @property
    def now(self) -> int:
        """The present in seconds since the epoch."""
        return self.clock.seconds

    def announce(self, kind: str, thing: Json, previous: Json | None = None) -> Json:
        """Make an event with a snapshot of an object, and send it to who wants it.

        docs.stripe.com/api/events/object
        """
        content: Json = {"object": deepcopy(thing)}
        if previous is not None:
            content["previous_attributes"] = deepcopy(previous)
        event = self.events.add(
            {
                "id": self.ids.next("evt"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self.now,
                "data": content,
                "livemode": False,
                "pending_webhooks": 0,
                "request": {"id": self.cause.request_id, "idempotency_key": self.cause.idempotency_key},
                "type": kind,
            }
        )
        self.outbox.send(event)
        return event

    def announce_thinly(self, kind: str, content: Json, related: Json | None) -> Json:
        """Make a thin event: what is delivered has no `data`, which `GET /v2/core/events/{id}` has.

        docs.stripe.com/event-destinations#thin-events
        """
        event: Json = {
            "id": self.ids.next("evt"),
            "object": "v2.core.event",
            "context": None,
            "created": rfc3339(self.now),
            "livemode": False,
            "reason": None,
            "type": kind,
        }
        if related is not None:
            event["related_object"] = related
        self.thin_events.add(event | {"data": content})
        self.outbox.send(event)
        return event

    def changed(self, kind: str, thing: Json, changes: Json) -> Json:
        """Change an object and announce it with what its changed attributes were before."""
        previous = {name: thing[name] for name, value in changes.items() if thing.get(name) != value}
        thing |= changes
        if previous:
            self.announce(kind, thing, previous)
        return thing
