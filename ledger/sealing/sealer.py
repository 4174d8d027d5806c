"""Follows the log and seals it: hashes what is new, grows the tree, signs its head, tells it outside.

Each step is one transaction, and its rows collide with those of another sealer that began at the same head: of two that
race one writes and the other looks again.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

import asyncpg
import structlog

from ledger import log_entries
from ledger.database import Connection, connect
from ledger.domain.merkle import Peaks
from ledger.domain.tree_heads import SealUnsound, TreeHead
from ledger.event_log import CONNECTION_LOST, LogHasHole
from ledger.sealing import tree
from ledger.sealing.heads import Head, keep_head, last_head
from ledger.sealing.keys import SealKeyMissing, signing_key
from ledger.sealing.publishing import publish

STEP_EVENTS: Final = 8_192
"""So many are hashed in 60 ms: the projector, which shares the process, waits no longer than a tenth of that."""
SEAL_SECONDS: Final = 1
REST_SHARE: Final = 4
"""After each step of a backlog the sealer rests so many times as long as it worked: usage comes first."""
RETRY_SECONDS: Final = 30

_log = structlog.get_logger("sealer")


class Sealer:
    """Seals one ledger. Several may run. `target` is where heads are told: a file's path, an address, or None."""

    def __init__(self, connection: Connection, directory: Path, target: str | None = None) -> None:
        self._connection = connection
        self._directory = directory
        self._target = target
        self._peaks: Peaks | None = None

    async def step(self, limit: int = STEP_EVENTS) -> int:
        """Seal the next events under one new head and return how many; raises `SealKeyMissing`, `LogHasHole`."""
        try:
            return await self._step(limit)
        except asyncpg.UniqueViolationError:
            return limit  # another sealer was first, so look again

    async def catch_up(self) -> None:
        """Return once everything is sealed that the log held at the call."""
        while await self.step():
            pass

    async def publish(self) -> bool:
        """Tell the next heads outside; true where more wait. Raises OSError."""
        return self._target is not None and await publish(self._connection, self._target)

    async def _step(self, limit: int) -> int:
        peaks, self._peaks = self._peaks, None  # kept only after a step that went well
        connection = self._connection
        key = await signing_key(connection, self._directory)
        async with connection.transaction():
            last = await last_head(connection) or Head(0, 0, "")
            if peaks is None or peaks.size != last.size:
                peaks = await tree.peaks_at(connection, last.size)
            hashes, position = await log_entries.leaf_hashes(connection, after=last.size, limit=limit)
            leaves = tree.hashes_of(hashes)
            if position - last.size != len(leaves):
                raise LogHasHole(f"between {last.size} and {position}")
            if leaves:
                await tree.keep_runs(connection, tree.grow(peaks, leaves))
                note = key.sign(str(TreeHead(key.public.name, peaks.size, peaks.root())))
                await keep_head(connection, Head(last.number + 1, peaks.size, note))
        self._peaks = peaks
        return len(leaves)


async def seal_forever(database_url: str, directory: Path, target: str | None) -> None:
    """Seal what is new once a second, over a connection of its own; what goes wrong is logged and tried again.

    A repeated step finds the head that the one before left, so it seals nothing twice.
    """
    while True:
        try:
            connection = await connect(database_url, application="sealer")
            try:
                await _follow(Sealer(connection, directory, target))
            finally:
                connection.terminate()
        except CONNECTION_LOST as fault:
            _log.warning("sealer tries again", fault=repr(fault))
            await asyncio.sleep(SEAL_SECONDS)
        except (LogHasHole, SealKeyMissing, SealUnsound, tree.HashMissing) as fault:
            _log.error("the log is not sealed", fault=str(fault), kind=type(fault).__name__)
            await asyncio.sleep(RETRY_SECONDS)


async def _follow(sealer: Sealer) -> None:
    publish_at = time.monotonic()
    while True:
        began = time.monotonic()
        sealed = await sealer.step()
        worked = time.monotonic() - began
        if time.monotonic() >= publish_at:
            try:
                await sealer.publish()
            except OSError as fault:
                _log.warning("heads are not told outside; they will be", fault=str(fault))
                publish_at = time.monotonic() + RETRY_SECONDS
        await asyncio.sleep(REST_SHARE * worked if sealed == STEP_EVENTS else SEAL_SECONDS)
