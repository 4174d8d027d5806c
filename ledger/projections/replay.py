"""The replay proof: computes every read model anew from the log, beside the living ones, and compares the two.

The living side moves on meanwhile. So the shadow follows it until it is near, then a snapshot of the living tables is
taken, and the shadow is brought to exactly the positions that the snapshot's cursors have.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from ledger.database import Connection, Pool
from ledger.domain.catalogue import Catalogue
from ledger.domain.replay_events import Divergence, ReplayedModel, ReplayFinished, Unreadable
from ledger.domain.replaying import compared, differing
from ledger.domain.topics import decode
from ledger.event_log import EventLog, LogHasHole
from ledger.projections.replay_divergences import Sides, catalogue_at, divergences_of
from ledger.projections.replay_models import MODELS, digests
from ledger.projections.replay_shadow import (
    STATEMENT_TIMEOUT,
    STEP_EVENTS,
    Progress,
    Shadow,
    Standing,
    open_shadow,
    standing,
)
from ledger.projections.usage_fold import CONTENT_TOPICS
from ledger.projections.usage_lane import MAIN
from ledger.projections.watermark import cursor

ATTEMPTS_MAX: Final = 5
"""How often a replay begins anew because meters were changed under it."""
ACCOUNTS_EXAMINED_MAX: Final = 1_000
DIVERGENCES_KEPT: Final = 20
WHY_LENGTH_MAX: Final = 200
UNREADABLE: Final = (LogHasHole, KeyError, ValueError, ArithmeticError, AssertionError)
"""What a log brings about that breaks its own rules."""
UNWRITABLE: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)

PATIENTLY = f"""
set local statement_timeout = '{STATEMENT_TIMEOUT}'
"""


class MetersKeepChanging(Exception):
    """Meters were changed whenever the replay had nearly come to its end. Try again once they rest."""


async def replay(
    pool: Pool,
    log: EventLog,
    database_url: str,
    *,
    clock: Callable[[], datetime],
    is_fresh: bool = False,
    progress: Progress = lambda *_: None,
) -> ReplayFinished:
    """What the comparison found. Goes on where an earlier replay was interrupted, unless it `is_fresh`.

    Changes nothing but the shadow, and what it found is the caller's to store. Raises `ReplayUnderWay`,
    `MetersKeepChanging`.
    """
    async with open_shadow(database_url, log) as shadow:
        started_at = None if is_fresh else await shadow.started_at()
        if started_at is None:
            started_at = clock()
            is_fresh = True
        unreadable = None
        try:
            position, models, found = await _compared_in_shadow(pool, log, shadow, started_at, is_fresh, progress)
        except (*UNREADABLE, *UNWRITABLE) as fault:
            unreadable = await first_unreadable(log, up_to=(await cursor(pool, MAIN)).position)
            if unreadable is None and isinstance(fault, UNWRITABLE):
                why = f"the event there or one after it cannot be folded: {fault!r}"
                unreadable = Unreadable(position=await shadow.reached() + 1, why=why[:WHY_LENGTH_MAX])
            if unreadable is None:
                raise
            position, models, found = unreadable.position, [], []
        await shadow.finish()
    found.sort(key=lambda one: (one.first_position, one.last_position))
    return ReplayFinished(
        position=position,
        is_equal=unreadable is None and not any(model.accounts_differing for model in models),
        models=tuple(models),
        divergences=tuple(found[:DIVERGENCES_KEPT]),
        divergences_found=sum(model.accounts_differing for model in models),
        unreadable=unreadable,
        started_at=started_at,
        milliseconds=(clock() - started_at) // timedelta(milliseconds=1),
    )


async def _compared_in_shadow(
    pool: Pool, log: EventLog, shadow: Shadow, started_at: datetime, is_fresh: bool, progress: Progress
) -> tuple[int, list[ReplayedModel], list[Divergence]]:
    beginnings = 0
    while True:
        async with _snapshot(pool) as connection:
            towards = await standing(connection, log)
        if is_fresh or not await shadow.agrees(towards):
            if beginnings == ATTEMPTS_MAX:
                raise MetersKeepChanging
            await shadow.begin(towards, started_at)
            beginnings += 1
            is_fresh = False
        if await shadow.fold(towards, progress) >= STEP_EVENTS:
            continue
        async with _snapshot(pool) as connection:
            towards = await standing(connection, log)
            if not await shadow.agrees(towards):
                continue
            await shadow.fold(towards, progress)
            async with _snapshot(shadow.pool) as other:
                models, found = await _compare(Sides(connection, other), log, towards)
            return towards.positions[MAIN], models, found


async def _compare(sides: Sides, log: EventLog, at: Standing) -> tuple[list[ReplayedModel], list[Divergence]]:
    models = []
    where: dict[str, list[str]] = {}
    for model in MODELS:
        living, replayed = await asyncio.gather(digests(sides.living, model), digests(sides.replayed, model))
        models.append(compared(model.table, at.positions[model.cursor], living, replayed))
        for account in differing(living, replayed):
            where.setdefault(account, []).append(model.table)
    found: list[Divergence] = []
    if where:
        catalogue = await catalogue_at(log, at)
        for account in sorted(where)[:ACCOUNTS_EXAMINED_MAX]:
            divided = [model for model in MODELS if model.table in where[account]]
            found += await divergences_of(sides, log, catalogue, at, account=account, models=divided)
    return models, found


@asynccontextmanager
async def _snapshot(pool: Pool) -> AsyncIterator[Connection]:
    """A connection on which everything that is read stood so at one moment."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(PATIENTLY)
        yield connection


async def first_unreadable(log: EventLog, *, up_to: int) -> Unreadable | None:
    """The first event up to a position that is missing, cannot be read, or contradicts those before it."""
    catalogue, position = Catalogue(), 0
    while position < up_to:
        try:
            rows = await log.since(position, limit=min(STEP_EVENTS, up_to - position))
        except LogHasHole:
            rows = await log.page(after=position, before=up_to + 1, limit=STEP_EVENTS)
            rows = [row for offset, row in enumerate(rows, position + 1) if row["position"] == offset]
            if not rows:
                return Unreadable(position=position + 1, why="it is missing")
        if not rows:
            return Unreadable(position=position + 1, why="it is missing")
        for row in rows:
            position = row["position"]
            try:
                event = decode(row["topic"], row["state"])
                if row["topic"] not in CONTENT_TOPICS:
                    catalogue.apply(event, position)
            except UNREADABLE as fault:
                return Unreadable(position=position, why=repr(fault)[:WHY_LENGTH_MAX])
    return None
