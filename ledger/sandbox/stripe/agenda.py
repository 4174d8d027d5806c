"""What the sandbox does by itself when its time has come: periods end, drafts become final."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count


class Agenda:
    """Actions by the second at which they are due; those of one second in the order in which they were set."""

    __slots__ = ("_entries", "_numbers")

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, seconds: int, action: Callable[[], None]) -> None:
        """Set an action."""
        heappush(self._entries, (seconds, next(self._numbers), action))

    def next_due(self) -> int | None:
        """When the next action is due."""
        return self._entries[0][0] if self._entries else None

    def run_until(self, seconds: int) -> None:
        """Run what is due by then, also what that sets."""
        while self._entries and self._entries[0][0] <= seconds:
            heappop(self._entries)[2]()
