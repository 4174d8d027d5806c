"""Where the sandbox keeps its objects, and how it lists them."""

from collections.abc import Callable, Iterator
from typing import Any

from ledger.sandbox.stripe.arguments import PageArguments
from ledger.sandbox.stripe.errors import not_found

Json = dict[str, Any]
"""An object as Stripe's API writes it."""


class Shelf:
    """Objects of one kind by identifier, in the order in which they were made."""

    __slots__ = ("_places", "kind", "objects")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.objects: list[Json] = []
        self._places: dict[str, int] = {}

    def __iter__(self) -> Iterator[Json]:
        return iter(self.objects)

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._places

    def add(self, thing: Json) -> Json:
        """Keep an object that has an `id`; answers it."""
        self._places[thing["id"]] = len(self.objects)
        self.objects.append(thing)
        return thing

    def get(self, identifier: str, param: str = "id") -> Json:
        """The object, or the refusal that there is none. `param` names the parameter that refers to it."""
        place = self._places.get(identifier)
        if place is None:
            raise not_found(self.kind, identifier, param)
        return self.objects[place]

    def page(self, arguments: PageArguments, url: str, where: Callable[[Json], bool] = lambda _: True) -> Json:
        """One page, newest first; the cursors are identifiers. docs.stripe.com/api/pagination"""
        newest = len(self.objects)
        if arguments.ending_before is not None:
            after = self._place(arguments.ending_before, "ending_before") + 1
            found = self._matching(range(after, newest), where, arguments.limit + 1)
            page = found[: arguments.limit][::-1]
        else:
            before = newest
            if arguments.starting_after is not None:
                before = self._place(arguments.starting_after, "starting_after")
            found = self._matching(range(before - 1, -1, -1), where, arguments.limit + 1)
            page = found[: arguments.limit]
        return {"object": "list", "url": url, "has_more": len(found) > arguments.limit, "data": page}

    def _place(self, identifier: str, param: str) -> int:
        self.get(identifier, param)
        return self._places[identifier]

    def _matching(self, places: range, where: Callable[[Json], bool], count: int) -> list[Json]:
        found: list[Json] = []
        for place in places:
            if where(self.objects[place]):
                found.append(self.objects[place])
                if len(found) == count:
                    break
        return found
