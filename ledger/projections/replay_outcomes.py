"""What replays found, newest first, straight from their stream in the log."""

from typing import NamedTuple, cast

from ledger.domain.names import replay_stream
from ledger.domain.replay_events import ReplayFinished
from ledger.domain.topics import decode
from ledger.event_log import EventLog


class Outcome(NamedTuple):
    """What a replay found, and the position at which that is stored."""

    position: int
    found: ReplayFinished


async def outcomes(log: EventLog, *, limit: int) -> list[Outcome]:
    """The latest outcomes, at most so many. Of one a night the log hands out 27 years."""
    stored = await log.stream(replay_stream())
    latest = stored[-limit:] if limit else []
    return [Outcome(one.position, cast("ReplayFinished", decode(one.topic, one.state))) for one in reversed(latest)]
