"""The fields that have resolvers: none without the right that it needs."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.types.field import StrawberryField

from ledger.domain.refusals import Refusal
from ledger.graphql.access import Needs
from ledger.graphql.refusals import Refuses

Resolver = Callable[..., Any]


def field(
    description: str, *, needs: Needs, refuses: Sequence[type[Refusal]] = (), name: str | None = None
) -> Callable[[Resolver], StrawberryField]:
    """Declares a field of a type: who may resolve it, and the refusals that are members of its result.

    A refusal that is none of those is told as a GraphQL error. `name` is the field's in the API where its resolver is
    called otherwise, which names the result.
    """
    extensions: list[FieldExtension] = [needs]
    if refuses:
        extensions.append(Refuses(*refuses))
    return cast(
        "Callable[[Resolver], StrawberryField]",
        strawberry.field(name=name, description=description, extensions=extensions),
    )
