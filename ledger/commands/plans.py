"""Commands on plans."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from ledger.commands.decision import decide_on
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import Event
from ledger.domain.metadata import Metadata
from ledger.domain.names import plan_stream
from ledger.domain.plans import Plan, PlanCommand, PlanEvent, decide, evolve
from ledger.event_log import EventLog


async def change_plan(
    log: EventLog, catalogue: Catalogue, command: PlanCommand, *, now: datetime, metadata: Metadata
) -> int:
    """Carry out a command on a plan; refusals as `ledger.domain.plans.decide` raises them.

    `catalogue` knows the meters that charges may name.
    """

    def decided(past: list[Event]) -> Sequence[Event]:
        state: Plan | None = None
        for event in cast("list[PlanEvent]", past):
            state = evolve(state, event)
        return decide(state, command, now=now, meters=catalogue.meters)

    return await decide_on(log, plan_stream(command.plan), decided, account=None, now=now, metadata=metadata)
