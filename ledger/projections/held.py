"""The read model of held usage: what is in the log and does not count, and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ledger.database import Pool
from ledger.projections.watermark import Watermark, watermark

MATCHES = """
s.state = 'live' and ($1::text[] is null or h.subject = any($1)) and ($2::text is null or h.code = $2)
"""
SELECT_PAGE = f"""
select h.position, (array_agg(h.code order by h.series))[1] as code,
    (array_agg(h.message order by h.series))[1] as message,
    coalesce(array_agg(s.meter order by s.meter) filter (where s.meter is not null), '{{}}') as meters,
    h.subject, h.account, h.event_type, h.source, h.event_id, h.occurred_at, h.recorded_at
from held_usage h join usage_series s using (series)
where {MATCHES} and h.position > $3
group by h.position, h.subject, h.account, h.event_type, h.source, h.event_id, h.occurred_at, h.recorded_at
order by h.position limit $4
"""
COUNT = f"""
select count(distinct h.position) from held_usage h join usage_series s using (series) where {MATCHES}
"""


class HeldRow(NamedTuple):
    """One held event. `meters` are those that cannot take it; none are named where no meter of the ledger can."""

    position: int
    code: str
    message: str
    meters: tuple[str, ...]
    subject: str
    account: str | None
    event_type: str
    source: str
    event_id: str
    occurred_at: datetime
    recorded_at: datetime


async def held(
    pool: Pool, *, after: int, limit: int, account_names: Sequence[str] | None, code: str | None
) -> tuple[Watermark, list[HeldRow], int]:
    """The next held events after a position in order of position, told under some names, and how many there are."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, "usage")
        rows = await connection.fetch(SELECT_PAGE, account_names, code, after, limit)
        total = await connection.fetchval(COUNT, account_names, code)
    return mark, [HeldRow(*row)._replace(meters=tuple(row["meters"])) for row in rows], total
