"""The read models that are made of decisions: the log is read once for all of them, and their cursors move together."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Final, NamedTuple

import asyncpg

from ledger.database import Connection, Pool
from ledger.event_log import EventLog, Head
from ledger.projections.watermark import cursors, move_all

STEP_EVENTS: Final = 1_000
"""How many decisions are folded in one transaction: some hold a hundred sends."""


class DecidedModel(NamedTuple):
    """A read model: the `name` of its cursor, the topics it is made of, and what takes rows of those in.

    The rows are as `EventLog.since` tells them, in order of position, and never none.
    """

    name: str
    topics: frozenset[str]
    fold: Callable[[Connection, Sequence[asyncpg.Record]], Awaitable[None]]


async def step(pool: Pool, log: EventLog, models: Sequence[DecidedModel], *, up_to: int | None = None) -> bool:
    """Fold the next decisions, at or before a position where one is given; true where more may wait.

    Those models that are furthest behind go on, no further than to where others wait for them. Raises `CursorMoved`
    where another runner got there first.
    """
    head = await log.head() if up_to is None else Head(up_to, None)
    seen = await cursors(pool, [model.name for model in models])
    behind = min(at.position for at in seen.values())
    if behind >= head.position:
        return False
    going = [model for model in models if seen[model.name].position == behind]
    waiting = (at.position for at in seen.values() if at.position > behind)
    until = min(chain([head.position], waiting))
    topics = frozenset[str]().union(*(model.topics for model in going))
    rows = await log.of_topics(topics, after=behind, up_to=until, limit=STEP_EVENTS)
    is_more = len(rows) == STEP_EVENTS
    if is_more:
        until = rows[-1]["position"]
    recorded_at = rows[-1]["recorded_at"] if is_more else head.recorded_at if until == head.position else None
    moved = {model.name: seen[model.name] for model in going}
    async with pool.acquire() as connection:
        if not rows:
            await move_all(connection, moved, position=until, recorded_at=recorded_at)
        else:
            async with connection.transaction():
                await move_all(connection, moved, position=until, recorded_at=recorded_at)
                for model in going:
                    if part := [row for row in rows if row["topic"] in model.topics]:
                        await model.fold(connection, part)
    return until < head.position
