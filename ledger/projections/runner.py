"""Runs every read model behind the log: the living one first, what is being built beside it after."""

import asyncio
import contextlib
from typing import Final

import structlog

from ledger.database import Pool
from ledger.domain.refusals import LedgerUnavailable
from ledger.event_log import CONNECTION_LOST, EventLog
from ledger.projections import accounts, adjustments, cases, platform_objects, sends_fold
from ledger.projections.decided import step
from ledger.projections.usage_lane import BUILD, MAIN, Lane
from ledger.projections.watermark import CursorMoved

STEP_EVENTS: Final = 10_000
BUILD_STEP_EVENTS: Final = 4_000
"""Smaller, so that the living read model waits for a build step no longer than a reader would notice."""
POLL_SECONDS: Final = 0.02
DECIDED_SECONDS: Final = 0.1
"""How long decisions may wait while usage comes in; there are seldom new ones among it."""
RETRY_SECONDS: Final = 0.5

DECIDED: Final = (accounts.MODEL, adjustments.MODEL, platform_objects.MODEL, cases.MODEL, sends_fold.MODEL)
"""The read models that are folded beside usage, whose lane has more to look after."""

_log = structlog.get_logger("projector")


class Projector:
    """Folds the log into the read models. Several may run: cursors move by compare-and-set."""

    def __init__(self, pool: Pool, log: EventLog) -> None:
        self._pool = pool
        self._log = log
        self._lanes: tuple[Lane, Lane | None] | None = None
        self._decided_due = 0.0

    async def catch_up(self) -> None:
        """Return once every read model includes what the log held at the call, builds too."""
        while await self.step():
            pass

    async def run(self) -> None:
        """Follow the log for ever; a lost connection is tried again, because every step is one transaction."""
        while True:
            try:
                if await self.step():
                    continue
                self._log.appended.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._log.appended.wait(), POLL_SECONDS)
            except (*CONNECTION_LOST, LedgerUnavailable) as fault:
                _log.warning("projector lost its database and tries again", fault=repr(fault))
                await asyncio.sleep(RETRY_SECONDS)

    async def step(self) -> bool:
        """One bounded piece of work on each read model; true where more may wait."""
        try:
            is_more = await self._step_usage()
        except CursorMoved:
            return True
        now = asyncio.get_running_loop().time()
        if is_more and now < self._decided_due:
            return True
        self._decided_due = now + DECIDED_SECONDS
        with contextlib.suppress(CursorMoved):
            is_more |= await step(self._pool, self._log, DECIDED)
        return is_more

    async def _step_usage(self) -> bool:
        lanes = self._lanes or await self._open_lanes()
        # Kept only after a step that went well: after any other the tables say where they stand.
        self._lanes = None
        main, build = lanes
        try:
            folded = await main.step(limit=STEP_EVENTS)
            if main.is_outdated:
                return True
            if build is not None:
                await build.step(limit=BUILD_STEP_EVENTS, up_to=main.seen.position)
                if build.seen.position == main.seen.position and await build.finish():
                    return True
            self._lanes = lanes
        finally:
            if self._lanes is None:
                for lane in (main, build):
                    if lane is not None:
                        lane.close()
        return folded > 0 or build is not None

    async def _open_lanes(self) -> tuple[Lane, Lane | None]:
        main = await Lane.open(self._pool, self._log, MAIN)
        build = await Lane.open(self._pool, self._log, BUILD)
        return main, build if build.series else None
