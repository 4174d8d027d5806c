"""How far every read model has come."""

from datetime import datetime
from typing import Literal, NamedTuple

from ledger.database import Pool
from ledger.event_log import EventLog
from ledger.projections import usage_series
from ledger.projections.replay_models import MODELS
from ledger.projections.usage_lane import BUILD
from ledger.projections.watermark import watermarks


class ProjectionStatus(NamedTuple):
    """One read model; "building" is one that is computed beside the living one and takes its place when done."""

    name: str
    position: int
    recorded_at: datetime | None
    lag_milliseconds: int
    events_behind: int
    state: Literal["live", "building"]


async def status(pool: Pool, log: EventLog) -> list[ProjectionStatus]:
    """The status of every read model, by name; of a build only while there is one."""
    shown = {model.cursor for model in MODELS}
    if await usage_series.of_state(pool, "building"):
        shown.add(BUILD)
    marks = await watermarks(pool)
    head = await log.head()
    return [
        ProjectionStatus(
            name,
            mark.position,
            mark.recorded_at,
            mark.lag_milliseconds,
            max(head.position - mark.position, 0),
            "building" if name == BUILD else "live",
        )
        for name, mark in marks.items()
        if name in shown
    ]
