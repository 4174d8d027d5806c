"""What one object of Stripe says of another: its id, or all of it where that was asked for."""

import msgspec


class Referred(msgspec.Struct, frozen=True):
    """An object in the place of its id. docs.stripe.com/expand"""

    id: str


Reference = str | Referred


def reference(one: Reference) -> str:
    """The id, however it was written."""
    return one if isinstance(one, str) else one.id
