"""Relay pages: bounded arguments in, edges and page info out (Relay cursor connections specification)."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

import strawberry
from strawberry import relay

from ledger.domain.refusals import ArgumentInvalid
from ledger.graphql.scalars import BigInt

PAGE_DEFAULT: Final = 25
PAGE_MAX: Final = 100
EVENTS_PAGE_MAX: Final = 1_000
CURSOR_LENGTH_MAX: Final = 2_048

Node = TypeVar("Node")


@strawberry.type(description="One object of a page.")
class Edge(Generic[Node]):
    """`cursor` is opaque: good only for `after` and `before` of the same field."""

    cursor: str
    node: Node


@strawberry.type
class Connection(Generic[Node]):
    """One page of objects in the order of the field."""

    edges: list[Edge[Node]]
    page_info: relay.PageInfo


@strawberry.type
class CountedConnection(Connection[Node], Generic[Node]):
    """As `Connection`, with the number of objects on all pages together."""

    total_count: BigInt


class Page(NamedTuple):
    """A checked request for a page: `after` and `before` are the keys that the cursors stand for."""

    limit: int
    is_backwards: bool
    after: str | None
    before: str | None


def page(
    *, first: int | None, after: str | None, last: int | None, before: str | None, limit_max: int = PAGE_MAX
) -> Page:
    """The page that Relay's four arguments ask for, the first 25 where none does; raises `ArgumentInvalid`."""
    if first is not None and last is not None:
        raise ArgumentInvalid(argument="last", why="give either `first` or `last`")
    name, limit = ("first", PAGE_DEFAULT if first is None else first) if last is None else ("last", last)
    if not 0 <= limit <= limit_max:
        raise ArgumentInvalid(argument=name, why=f"it must be 0 to {limit_max}")
    return Page(limit, last is not None, _key("after", after), _key("before", before))


def cursor(key: str) -> str:
    """The opaque text for a key."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def edges_of(
    page: Page, found: Sequence[Node], key_of: Callable[[Node], str]
) -> tuple[list[Edge[Node]], relay.PageInfo]:
    """The edges of a page in their natural order.

    `found` are up to one more than the page's limit, in the direction of the page; the one more tells that others
    follow.
    """
    is_more = len(found) > page.limit
    nodes = list(found[: page.limit])
    if page.is_backwards:
        nodes.reverse()
    edges = [Edge(cursor=cursor(key_of(node)), node=node) for node in nodes]
    edge_info = relay.PageInfo(
        has_next_page=page.before is not None if page.is_backwards else is_more,
        has_previous_page=is_more if page.is_backwards else page.after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return edges, edge_info


def _key(argument: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        key = base64.b64decode(text.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        key = "\0"
    if len(text) > CURSOR_LENGTH_MAX or "\0" in key:
        raise ArgumentInvalid(argument=argument, why="it is no cursor of this field")
    return key


def position_of(argument: str, key: str | None) -> int | None:
    """The position that a cursor's key stands for; raises `ArgumentInvalid`."""
    if key is None:
        return None
    if not (key.isascii() and key.isdigit() and len(key) <= 18):
        raise ArgumentInvalid(argument=argument, why="it is no cursor of this field")
    return int(key)
