"""Stored examples of what reconciliation runs came to."""

from datetime import UTC, datetime

from ledger.domain.events import Event
from ledger.domain.money import Money
from ledger.domain.reconciliation_events import ReconciliationFinished

AT = datetime(2026, 7, 2, 3, tzinfo=UTC)

RECONCILIATION_EXAMPLES: dict[str, Event] = {
    "ReconciliationFinished": ReconciliationFinished(
        platform="stripe",
        run="stripe 2026-07-02T03:00:00+00:00",
        period_at=AT,
        accounts=("acme",),
        started_at=AT,
        finished_at=AT.replace(minute=2),
        compared=6,
        agreeing=4,
        differing=2,
        unread=1,
        found=1,
        leaks=(Money(1250, "EUR"),),
        excesses=(Money(70, "USD"),),
        calls=15,
        is_exhausted=True,
        oldest_open_at=AT.replace(day=1),
    ),
    "ReconciliationFinished.least": ReconciliationFinished(
        platform="stripe",
        run="stripe 2026-07-02T03:00:00+00:00",
        period_at=AT,
        started_at=AT,
        finished_at=AT,
        compared=0,
        agreeing=0,
        differing=0,
    ),
}
