"""Decides on one stream with optimistic locking: load its events, let the pure core decide, append."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from ledger.domain.events import Event
from ledger.domain.metadata import Metadata
from ledger.domain.refusals import VersionTaken
from ledger.domain.topics import decode, encode
from ledger.event_log import EventLog
from ledger.log_rows import NewEvent

ATTEMPTS_MAX: Final = 3

Decide = Callable[[list[Event]], Awaitable[Sequence[Event]] | Sequence[Event]]
"""The stream's events so far -> the events to add; raises a refusal."""


async def history(log: EventLog, stream: bytes) -> list[Event]:
    """The decoded events of a stream, oldest first."""
    return [decode(event.topic, event.state) for event in await log.stream(stream)]


async def decide_on(
    log: EventLog, stream: bytes, decide: Decide, *, account: str | None, now: datetime, metadata: Metadata
) -> int:
    """Append what `decide` makes of the stream and return its position; the stream's last where it adds nothing.

    Repeated on a taken version, because deciding reads nothing but the stream; raises `VersionTaken` after three
    attempts, and whatever refusal `decide` raises.
    """
    for attempt in range(ATTEMPTS_MAX):
        past = await log.stream(stream)
        made = decide([decode(event.topic, event.state) for event in past])
        events = await made if isinstance(made, Awaitable) else made
        if not events:
            return past[-1].position if past else 0
        fresh = [
            NewEvent(stream, version, event.TOPIC, account, now, encode(event), metadata.encode())
            for version, event in enumerate(events, len(past) + 1)
        ]
        try:
            return (await log.append(fresh)).position
        except VersionTaken:
            if attempt == ATTEMPTS_MAX - 1:
                raise
            await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - jitter keeps no secret
    raise AssertionError("the last attempt returns or raises")
