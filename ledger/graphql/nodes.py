"""Global ids: every object that can be asked for by `node(id)` (GraphQL Global Object Identification)."""

import base64
import binascii

import strawberry

GLOBAL_ID_LENGTH_MAX = 2_048


@strawberry.interface(description="An object with an id that is unique among all objects.")
class Node:
    """`id` is opaque; `node(id)` finds the object again."""

    @strawberry.field
    def id(self) -> strawberry.ID:
        """The kind of object and its own key, in one text."""
        return strawberry.ID(global_id(type(self).__name__, self.node_key()))

    def node_key(self) -> str:
        """What tells the object from others of its kind."""
        raise NotImplementedError


def global_id(kind: str, key: str) -> str:
    """The id of an object of a kind."""
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode()


def kind_and_key(text: str) -> tuple[str, str] | None:
    """What a global id stands for, None where it is none."""
    if len(text) > GLOBAL_ID_LENGTH_MAX:
        return None
    try:
        kind, colon, key = base64.b64decode(text.encode(), altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (kind, key) if colon else None
