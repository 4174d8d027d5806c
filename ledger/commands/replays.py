"""Keeps what a replay found."""

from datetime import datetime

from ledger.commands.decision import decide_on
from ledger.domain.metadata import Metadata
from ledger.domain.names import replay_stream
from ledger.domain.replay_events import ReplayFinished
from ledger.event_log import EventLog


async def record_replay(log: EventLog, outcome: ReplayFinished, *, now: datetime, metadata: Metadata) -> int:
    """Store the outcome and return its position; raises `VersionTaken`, `LedgerBusy`, `LedgerUnavailable`."""
    return await decide_on(log, replay_stream(), lambda _: [outcome], account=None, now=now, metadata=metadata)
