"""Commands on an account's contract."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from ledger.commands.decision import decide_on
from ledger.domain.catalogue import Catalogue
from ledger.domain.contracting import ContractCommand, decide
from ledger.domain.contracts import ContractEvent, Contracts, evolve
from ledger.domain.events import Event
from ledger.domain.metadata import Metadata
from ledger.domain.names import contract_stream
from ledger.event_log import EventLog


async def change_contract(
    log: EventLog, catalogue: Catalogue, command: ContractCommand, *, now: datetime, metadata: Metadata
) -> int:
    """Carry out a command on a contract; refusals as `ledger.domain.contracting.decide` raises them.

    `catalogue` knows the accounts and plans.
    """
    account = catalogue.accounts.get(command.account)

    def decided(past: list[Event]) -> Sequence[Event]:
        state: Contracts = ()
        for event in cast("list[ContractEvent]", past):
            state = evolve(state, event)
        opened_at = None if account is None else account.opened_at
        return decide(state, command, now=now, opened_at=opened_at, plans=catalogue.plans)

    stream = contract_stream(command.account)
    return await decide_on(log, stream, decided, account=command.account, now=now, metadata=metadata)
