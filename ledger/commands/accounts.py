"""Commands on accounts and their aliases."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from ledger.commands.decision import decide_on, history
from ledger.domain.accounts import AccountCommand, AccountEvent, NameState, OpenAccount, decide, evolve, subject_of
from ledger.domain.events import Event
from ledger.domain.metadata import Metadata
from ledger.domain.names import account_stream
from ledger.event_log import EventLog


async def change_account(
    log: EventLog,
    command: AccountCommand,
    *,
    now: datetime,
    metadata: Metadata,
    closed_since: datetime | None = None,
) -> int:
    """Carry out a command on an account; refusals as `ledger.domain.accounts.decide` raises them.

    `closed_since` is the start of the account's first closed period, if it has any.
    """
    if isinstance(command, OpenAccount) and command.opened_at is None:
        command = command._replace(opened_at=now)
    name = subject_of(command)

    async def decided(past: list[Event]) -> Sequence[Event]:
        state = _fold(past)
        is_own = name == command.account
        target = state if is_own else _fold(await history(log, account_stream(command.account)))
        return decide(state, command, target=target, closed_since=closed_since)

    return await decide_on(log, account_stream(name), decided, account=command.account, now=now, metadata=metadata)


def _fold(past: list[Event]) -> NameState:
    state = NameState()
    for event in cast("list[AccountEvent]", past):
        state = evolve(state, event)
    return state
