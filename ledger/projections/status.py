"""How far every read model has come."""

from datetime import datetime
from typing import NamedTuple

from ledger.database import Pool

SELECT_STATUS = """
select c.name, c.position, c.recorded_at, h.position - c.position as events_behind,
    (extract(epoch from clock_timestamp() - n.recorded_at) * 1000)::bigint as lag_milliseconds
from cursors c
cross join (select coalesce(max(position), 0) as position from events) h
left join events n on n.position = c.position + 1
where c.name <> 'usage build' or exists (select from usage_series where state = 'building')
order by c.name limit 100
"""


class ProjectionStatus(NamedTuple):
    """One read model: `state` is "building" for one that is computed beside the living one."""

    name: str
    position: int
    recorded_at: datetime | None
    lag_milliseconds: int
    events_behind: int
    state: str


async def status(pool: Pool) -> list[ProjectionStatus]:
    """The status of every read model, by name."""
    return [
        ProjectionStatus(
            name=row["name"],
            position=row["position"],
            recorded_at=row["recorded_at"],
            lag_milliseconds=max(row["lag_milliseconds"] or 0, 0),
            events_behind=row["events_behind"],
            state="building" if row["name"].endswith(" build") else "live",
        )
        for row in await pool.fetch(SELECT_STATUS)
    ]
