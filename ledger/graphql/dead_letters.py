"""Background work that failed for good: seen here, and put into the queue again."""

import asyncio
from datetime import datetime
from typing import Final

import strawberry

from ledger.domain.refusals import ArgumentInvalid
from ledger.domain.send_refusals import DeadLetterUnknown, QueueUnavailable
from ledger.graphql.context import Context, FailedWork

LETTERS_MAX: Final = 100


@strawberry.type(description="Background work that failed after all its retries.")
class DeadLetter:
    """`error` is the last line of what went wrong last."""

    id: strawberry.ID
    job: str
    died_at: datetime
    error: str


@strawberry.type(description="Failed work that was put into the queue again.")
class Redriven:
    """It has all its attempts again."""

    id: strawberry.ID


async def dead_letters(context: Context, first: int) -> list[DeadLetter]:
    """The latest failures; raises `ArgumentInvalid`, `QueueUnavailable`."""
    if not 0 <= first <= LETTERS_MAX:
        raise ArgumentInvalid(argument="first", why=f"it must be 0 to {LETTERS_MAX}")
    found = await asyncio.to_thread(_queue(context).letters, limit=first) if first else []
    return [
        DeadLetter(id=strawberry.ID(one.message_id), job=one.job, died_at=one.died_at, error=one.error) for one in found
    ]


async def redrive(context: Context, letter: str) -> Redriven:
    """Put failed work into the queue again; raises `DeadLetterUnknown`, `QueueUnavailable`."""
    if not await asyncio.to_thread(_queue(context).redrive, letter):
        raise DeadLetterUnknown(letter=letter[:256])
    return Redriven(id=strawberry.ID(letter))


def _queue(context: Context) -> FailedWork:
    if context.failed_work is None:
        raise QueueUnavailable(why="this process knows no Redis")
    return context.failed_work
