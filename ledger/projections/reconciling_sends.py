"""Reads what a platform was told, for reconciliation: sums by minute, and the single sends behind them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, cast

import asyncpg

from ledger.database import Pool
from ledger.domain.periods import Period
from ledger.domain.reconciliation.evidence import OurSend
from ledger.domain.send_events import MeterMapped, SendingStarted
from ledger.domain.topics import decode
from ledger.event_log import EventLog
from ledger.projections.sends_fold import catch_up

SENDS_MAX: Final = 200_000
"""Of more sends than that, only those in parting minutes are looked at one by one."""
PAGE: Final = 500

# What a send undoes it stands for: both together come to nothing.
SELECT_SENDS = """
select s.identifier, coalesce(u.usage_position, s.usage_position) as position, s.customer, s.value, s.timestamp,
    s.state, s.code, s.attempts, s.intended_at, s.settled_at
from sends s left join sends u on u.platform = s.platform and u.identifier = s.undoes
where s.platform = $1 and s.account = $2 and s.meter = $3 and s.timestamp >= $4 and s.timestamp < $5
order by s.intended_position, s.identifier limit $6
"""
SUM_BY_MINUTE = """
select date_trunc('minute', timestamp, 'UTC') as minute, sum(value) as quantity
from sends
where platform = $1 and account = $2 and meter = $3 and customer = $4 and timestamp >= $5 and timestamp < $6
  and state in ('accepted', 'delivered_before')
group by minute order by minute limit 1000000
"""
SELECT_IS_SENT = """
select exists (select from sends where platform = $1 and account = $2 and meter = $3)
"""


async def mapped_meters(log: EventLog, platform: str) -> dict[str, str]:
    """Our meters by the event type of the platform's that they are told to, where that was decided."""
    by_meter: dict[str, str | None] = {}
    position, head = 0, (await log.head()).position
    while position < head:
        rows = await log.of_topics([MeterMapped.TOPIC], after=position, up_to=head, limit=PAGE)
        for row in rows:
            event = cast("MeterMapped", decode(row["topic"], row["state"]))
            if event.platform == platform:
                by_meter[event.meter] = event.event_type
        position = rows[-1]["position"] if len(rows) == PAGE else head
    return {event_type: meter for meter, event_type in by_meter.items() if event_type is not None}


class Sends:
    """What one platform was told, as far as the log went when the first question was asked."""

    def __init__(self, pool: Pool, log: EventLog, platform: str) -> None:
        self._pool = pool
        self._log = log
        self._platform = platform
        self._since: dict[str, datetime] | None = None

    async def of(self, account: str, meter: str, window: Period) -> list[OurSend] | None:
        """The sends of an account in a meter whose timestamps lie in a window, in order of intent.

        None where they are more than 200,000.
        """
        await self._started()
        asked = (self._platform, account, meter, window.start, window.end, SENDS_MAX + 1)
        rows: Sequence[asyncpg.Record] = await self._pool.fetch(SELECT_SENDS, *asked)
        return None if len(rows) > SENDS_MAX else [OurSend(**row) for row in rows]

    async def acknowledged(self, account: str, meter: str, customer: str, window: Period) -> dict[datetime, Decimal]:
        """What the platform acknowledged for a customer by minute, minutes without any left out."""
        await self._started()
        asked = (self._platform, account, meter, customer, window.start, window.end)
        return {row["minute"]: row["quantity"] for row in await self._pool.fetch(SUM_BY_MINUTE, *asked)}

    async def is_sent(self, account: str, meter: str) -> bool:
        """Whether it is the ledger that tells the account's usage in the meter, or has told any."""
        if account in await self._started():
            return True
        return bool(await self._pool.fetchval(SELECT_IS_SENT, self._platform, account, meter))

    async def since(self, account: str) -> datetime | None:
        """From when on the account's usage is told; None where it never was."""
        return (await self._started()).get(account)

    async def _started(self) -> dict[str, datetime]:
        """When sending began, by account; lets the read model catch up, once."""
        if self._since is None:
            await catch_up(self._pool, self._log)
            self._since = await self._read_starts()
        return self._since

    async def _read_starts(self) -> dict[str, datetime]:
        found: dict[str, datetime] = {}
        position, head = 0, (await self._log.head()).position
        while position < head:
            rows = await self._log.of_topics([SendingStarted.TOPIC], after=position, up_to=head, limit=PAGE)
            for row in rows:
                event = cast("SendingStarted", decode(row["topic"], row["state"]))
                if event.platform == self._platform:
                    found.setdefault(event.account, event.since)
            position = rows[-1]["position"] if len(rows) == PAGE else head
        return found
