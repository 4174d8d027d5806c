"""Commands on meters."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from ledger.commands.decision import decide_on
from ledger.domain.events import Event
from ledger.domain.metadata import Metadata
from ledger.domain.metering import MeterDefinition
from ledger.domain.meters import MeterCommand, MeterEvent, decide, evolve
from ledger.domain.names import meter_stream
from ledger.event_log import EventLog


async def change_meter(log: EventLog, command: MeterCommand, *, now: datetime, metadata: Metadata) -> int:
    """Carry out a command on a meter; refusals as `ledger.domain.meters.decide` raises them."""

    def decided(past: list[Event]) -> Sequence[Event]:
        state: MeterDefinition | None = None
        for event in cast("list[MeterEvent]", past):
            state = evolve(state, event)
        return decide(state, command)

    return await decide_on(log, meter_stream(command.meter), decided, account=None, now=now, metadata=metadata)
