"""The catalogue in memory: follows the log's decisions, for answers that cannot wait for a table."""

import asyncio
import contextlib
from typing import Final

from ledger.domain.catalogue import Catalogue
from ledger.domain.topics import decode
from ledger.event_log import PAGE_EVENTS_MAX, EventLog

POLL_SECONDS: Final = 0.1


class CatalogueFollower:
    """`catalogue` is the newest state this process knows; it changes in place."""

    def __init__(self, log: EventLog) -> None:
        self.catalogue = Catalogue()
        self._log = log
        self._refreshing = asyncio.Lock()

    async def refresh(self) -> None:
        """Take in all decisions that the log holds by now."""
        async with self._refreshing:
            await catch_up(self.catalogue, self._log)

    async def follow(self) -> None:
        """Refresh for ever: at once after a decision of this process, else ten times a second."""
        while True:
            await self.refresh()
            self._log.decided.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._log.decided.wait(), POLL_SECONDS)


async def catch_up(catalogue: Catalogue, log: EventLog, *, up_to: int | None = None) -> None:
    """Apply the decisions after the catalogue's position, up to a position where one is given."""
    while True:
        rows = await log.decisions_since(catalogue.position)
        for position, topic, _, state, _ in rows:
            if up_to is not None and position > up_to:
                return
            catalogue.apply(decode(topic, state), position)
        if len(rows) < PAGE_EVENTS_MAX:
            return
