"""Reconciliation runs: what the latest came to, and asking for one."""

import asyncio
from datetime import UTC, datetime
from typing import Final, cast

import strawberry

from ledger.domain.names import reconciliation_stream
from ledger.domain.reconciliation_events import ReconciliationFinished
from ledger.domain.refusals import AccountUnknown, ArgumentInvalid
from ledger.domain.send_refusals import QueueUnavailable
from ledger.domain.topics import decode
from ledger.graphql.access import Needs
from ledger.graphql.case_queries import RunSummary
from ledger.graphql.context import Context, Info
from ledger.graphql.fields import field
from ledger.graphql.refusals import COMMON

RUNS_MAX: Final = 100
ACCOUNTS_MAX: Final = 1_000


@strawberry.type(description="A reconciliation that was asked for; the worker carries it out.")
class ReconciliationAsked:
    """`id` names the work in the queue; what it comes to is in `reconciliations` then."""

    id: strawberry.ID
    at: datetime


@strawberry.type
class ReconciliationQuery:
    """The part of the queries that is about runs."""

    @field("What the latest reconciliations came to, newest first.", needs=Needs("read_usage", is_global=True))
    async def reconciliations(self, info: Info, platform: str = "stripe", first: int = 10) -> list[RunSummary]:
        """At most 100; straight from the log."""
        if not 0 <= first <= RUNS_MAX:
            raise ArgumentInvalid(argument="first", why=f"it must be 0 to {RUNS_MAX}")
        stored = await info.context.log.stream(reconciliation_stream(platform))
        latest = stored[-first:] if first else []
        events = (cast("ReconciliationFinished", decode(one.topic, one.state)) for one in reversed(latest))
        return [RunSummary.of(event) for event in events]


@strawberry.type
class ReconciliationMutation:
    """The part of the mutations that is about runs."""

    @field(
        "Compare accounts with the billing platform, all of them if none is named, in the period of a moment and "
        "before; now if none is given.",
        needs=Needs("operate", is_global=True),
        refuses=(AccountUnknown, ArgumentInvalid, QueueUnavailable, *COMMON),
    )
    async def reconcile(
        self, info: Info, accounts: list[str] | None = None, at: datetime | None = None
    ) -> ReconciliationAsked:
        """The worker does it soon; it changes nothing but cases."""
        moment = datetime.now(UTC) if at is None else at
        keys = None if accounts is None else _keys(info.context, accounts)
        work = info.context.asked_work
        if work is None:
            raise QueueUnavailable(why="this process knows no Redis")
        message = await asyncio.to_thread(work.reconcile, keys, moment)
        return ReconciliationAsked(id=strawberry.ID(message), at=moment)


def _keys(context: Context, accounts: list[str]) -> list[str]:
    if len(accounts) > ACCOUNTS_MAX:
        raise ArgumentInvalid(argument="accounts", why=f"there are more than {ACCOUNTS_MAX}")
    return [context.account(name).key for name in accounts]
