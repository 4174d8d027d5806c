"""Jobs on billing periods: close what is due after a grace, and settle what came late. Both only do what is left."""

from datetime import datetime, timedelta
from typing import Final

import structlog

from ledger.commands.closings import AssessLateUsage, ClosePeriods, assess_late_usage, close_periods
from ledger.database import Pool
from ledger.domain.catalogue import Catalogue
from ledger.domain.closing import next_due
from ledger.domain.metadata import Metadata
from ledger.domain.refusals import Refusal
from ledger.event_log import EventLog
from ledger.projections.catalogue import catch_up
from ledger.projections.ratings import Ratings

ACCOUNTS_CLOSED_MAX: Final = 1_000
"""The most accounts whose periods one turn closes; the next goes on with the others."""
PERIODS_ASSESSED: Final = 3
"""Of each account, how many of the last closed periods are looked at; older ones when somebody asks."""
CLOSING: Final = Metadata(actor="worker", source="worker", operation="close_due_periods")
ASSESSING: Final = Metadata(actor="worker", source="worker", operation="assess_late_usage")

_log = structlog.get_logger("worker")


async def close_due(pool: Pool, log: EventLog, *, after: timedelta, now: datetime) -> int:
    """Close the periods that ended longer than `after` ago and return how many accounts had some.

    What one account is refused for is told in the worker's log and keeps no other from being closed.
    """
    catalogue, ratings = Catalogue(), Ratings(pool, log, now=now)
    await catch_up(catalogue, log)
    until, done = now - after, 0
    for key, contracts in sorted(catalogue.contracts.items()):
        due = next_due(contracts, catalogue.plans, catalogue.accounts[key].zone, catalogue.closings.get(key, {}))
        if due is None or due.end > until:
            continue
        try:
            command = ClosePeriods(key, until, CLOSING.actor)
            closed = await close_periods(log, catalogue, ratings.rate, command, now=now, metadata=CLOSING)
        except Refusal as refusal:
            _log.warning("a period cannot be closed", account=key, start=due.start.isoformat(), refusal=refusal.code)
            continue
        _log.info("periods were closed", account=key, periods=len(closed.starts))
        done += 1
        if done == ACCOUNTS_CLOSED_MAX:
            break
    return done


async def assess_closed(pool: Pool, log: EventLog, *, now: datetime) -> int:
    """Settle late usage of each account's last closed periods and return how many came to something else."""
    catalogue, ratings = Catalogue(), Ratings(pool, log, now=now)
    await catch_up(catalogue, log)
    changed = 0
    for key, state in sorted(catalogue.closings.items()):
        for start in sorted(state)[-PERIODS_ASSESSED:]:
            try:
                command = AssessLateUsage(key, start)
                found = await assess_late_usage(log, catalogue, ratings.rate, command, now=now, metadata=ASSESSING)
            except Refusal as refusal:
                _log.warning("a period cannot be rated", account=key, start=start.isoformat(), refusal=refusal.code)
                continue
            changed += found.assessment is not None
    return changed
