"""Events of both APIs. docs.stripe.com/api/events and docs.stripe.com/api/v2/core/events"""

from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from ledger.sandbox.stripe.arguments import (
    PAGE_SIZE,
    Arguments,
    CreatedPageArguments,
    Moment,
    PageArguments,
    Part,
    Range,
    is_within,
)
from ledger.sandbox.stripe.clock import DAY, rfc3339, unix
from ledger.sandbox.stripe.errors import malformed, not_found
from ledger.sandbox.stripe.operations import AnyOperation, get
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State

KEPT_SECONDS: Final = 30 * DAY
"""How far back events can be read. docs.stripe.com/api/events/list"""


class EventsArguments(CreatedPageArguments, kw_only=True, frozen=True):
    """Which events to list; a type may end with `.*`. docs.stripe.com/api/events/list"""

    type: str | None = None
    types: list[str] | None = None


class ThinRange(Part, kw_only=True, frozen=True):
    """A range of moments of the second API."""

    gt: Moment | None = None
    gte: Moment | None = None
    lt: Moment | None = None
    lte: Moment | None = None


class ThinEventsArguments(Arguments, kw_only=True, frozen=True):
    """Which thin events to list. docs.stripe.com/api/v2/core/events/list"""

    limit: int = PAGE_SIZE
    page: str | None = None
    object_id: str | None = None
    types: list[str] | None = None
    created: ThinRange = ThinRange()


def page(state: State, arguments: EventsArguments) -> Json:
    """Events of the last 30 days, newest first. docs.stripe.com/api/events/list"""
    if arguments.type is not None and arguments.types is not None:
        raise malformed("You may pass only one of type and types.", "types", "parameter_invalid")
    wanted = arguments.types if arguments.type is None else [arguments.type]
    return state.events.page(
        arguments,
        "/v1/events",
        lambda one: (
            _is_kept(state, one["created"])
            and is_within(one["created"], arguments.created)
            and (wanted is None or any(_is_of(one["type"], kind) for kind in wanted))
        ),
    )


def _is_kept(state: State, created: int) -> bool:
    return state.now - created < KEPT_SECONDS


def _is_of(kind: str, wanted: str) -> bool:
    return kind.startswith(wanted.removesuffix("*")) if wanted.endswith(".*") else kind == wanted


def retrieve(state: State, _: Arguments, event: str) -> Json:
    """One event of the last 30 days. docs.stripe.com/api/events/retrieve"""
    known = state.events.get(event)
    if not _is_kept(state, known["created"]):
        raise not_found("event", event)
    return known


def thin_page(state: State, arguments: ThinEventsArguments) -> Json:
    """Thin events of the last 30 days, newest first, with the address of the next page.

    docs.stripe.com/api/v2/core/events/list; pages: docs.stripe.com/api-v2-overview#list-pagination
    """
    created = arguments.created
    seconds = Range(**{name: unix(at) for name in ("gt", "gte", "lt", "lte") if (at := getattr(created, name))})
    cursor = PageArguments(limit=arguments.limit, starting_after=arguments.page)
    oldest = rfc3339(state.now - KEPT_SECONDS)
    found = state.thin_events.page(
        cursor,
        "",
        lambda one: (
            one["created"] > oldest
            and is_within(_seconds(one["created"]), seconds)
            and (arguments.types is None or one["type"] in arguments.types)
            and arguments.object_id in (None, one.get("related_object", {}).get("id"))
        ),
    )
    following = None
    if found["has_more"]:
        query: list[tuple[str, object]] = [("limit", arguments.limit), ("page", found["data"][-1]["id"])]
        query += [(f"types[{place}]", kind) for place, kind in enumerate(arguments.types or [])]
        query += [] if arguments.object_id is None else [("object_id", arguments.object_id)]
        query += [
            (f"created[{n}]", rfc3339(value)) for n in ("gt", "gte", "lt", "lte") if (value := getattr(seconds, n))
        ]
        following = f"/v2/core/events?{urlencode(query)}"
    return {"data": found["data"], "next_page_url": following, "previous_page_url": None}


def _seconds(text: str) -> int:
    return unix(datetime.fromisoformat(text))


def retrieve_thin(state: State, _: Arguments, event: str) -> Json:
    """One thin event with its data. docs.stripe.com/api/v2/core/events/retrieve"""
    return state.thin_events.get(event)


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    get("/v1/events", EventsArguments, page),
    get("/v1/events/{event}", Arguments, retrieve),
    get("/v2/core/events", ThinEventsArguments, thin_page),
    get("/v2/core/events/{event}", Arguments, retrieve_thin),
)
