"""What one reconciliation run shares: both sides, its bounds, and what it counts."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ledger.database import Pool
from ledger.domain.cases import case_key
from ledger.domain.catalogue import Catalogue
from ledger.domain.periods import Period
from ledger.domain.platform_objects import UsageSum
from ledger.domain.reconciliation.bisection import CALLS_MAX, Steps
from ledger.domain.reconciliation.comparing import Tolerance
from ledger.domain.reconciliation_facts import Difference, Subject
from ledger.event_log import EventLog
from ledger.platforms.port import Platform
from ledger.projections.reconciling_sends import Sends
from ledger.workers.reconciliation_scope import There

CALLS_AT_ONCE_MAX: Final = 8
SETTLE: Final = timedelta(hours=2)
"""How long a platform has to count what it was told, before a difference is one."""
SEARCH_CALLS_MAX: Final = 20_000
"""The most reads that one run spends on looking for minutes."""


@dataclass(slots=True)
class Run:
    """A run under way. Nothing younger than `settled_at` is judged."""

    pool: Pool
    log: EventLog
    platform: Platform
    catalogue: Catalogue
    there: There
    sends: Sends
    tolerance: Tolerance
    now: datetime
    settled_at: datetime
    search_calls_left: int = SEARCH_CALLS_MAX
    calls: int = 0
    unread: int = 0
    is_exhausted: bool = False
    differences: list[Difference] = field(default_factory=list)
    agreed: set[str] = field(default_factory=set)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CALLS_AT_ONCE_MAX))

    async def theirs(
        self, meter: str, customer: str, start: datetime, end: datetime, by: Steps | None = None
    ) -> list[UsageSum]:
        """As `Platform.usage_sums`, a few at a time, counted."""
        async with self.turns:
            self.calls += 1
            return await self.platform.usage_sums(meter, customer, start, end, by)

    def calls_for_a_search(self) -> int:
        """How many reads the next search may take."""
        return min(CALLS_MAX, self.search_calls_left)

    def spent(self, calls: int, *, is_exhausted: bool) -> None:
        """Count the reads of a search."""
        self.search_calls_left -= calls
        self.is_exhausted |= is_exhausted

    def agree(self, subject: Subject, account: str, meter: str | None, period: Period) -> None:
        """Note that a subject was compared and is the same on both sides."""
        key = case_key(
            platform=self.platform.name,
            subject=subject,
            account=account,
            customer=None,
            meter=meter,
            start=period.start,
        )
        self.agreed.add(key)
