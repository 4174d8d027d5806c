"""Accounts: who uses the product. One stream per name, so that no name is ever both a key and an alias."""

from datetime import datetime
from typing import NamedTuple, assert_never

from ledger.domain.closing_refusals import ZoneFixed
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountRenamed,
    AccountZoneChanged,
)
from ledger.domain.names import require_name, require_zone
from ledger.domain.refusals import AccountUnknown, AliasUnknown, NameTaken

AccountEvent = AccountOpened | AccountRenamed | AccountZoneChanged | AccountAliased | AccountAliasRemoved


class OpenAccount(NamedTuple):
    """Open an account under a key of the caller's choice; it exists since `opened_at`, which may be in the past."""

    account: str
    name: str
    zone: str
    opened_at: datetime | None = None


class RenameAccount(NamedTuple):
    """Show the account under another name."""

    account: str
    name: str


class ChangeAccountZone(NamedTuple):
    """Begin the account's days in another zone, past ones too."""

    account: str
    zone: str


class AliasAccount(NamedTuple):
    """Take usage told under `alias` for the account's."""

    account: str
    alias: str


class RemoveAccountAlias(NamedTuple):
    """Take usage told under `alias` for the account's no more."""

    account: str
    alias: str


AccountCommand = OpenAccount | RenameAccount | ChangeAccountZone | AliasAccount | RemoveAccountAlias


class NameState(NamedTuple):
    """What a name stands for: an account (`is_alias` false), an alias of one, or nothing (`account` None)."""

    account: str | None = None
    is_alias: bool = False
    name: str = ""
    zone: str = ""


def subject_of(command: AccountCommand) -> str:
    """The name whose stream the command is decided on: the alias for the alias commands, else the account's key."""
    match command:
        case AliasAccount() | RemoveAccountAlias():
            return command.alias
        case _:
            return command.account


def decide(
    state: NameState, command: AccountCommand, *, target: NameState, closed_since: datetime | None = None
) -> list[AccountEvent]:
    """The events that a command on a name leads to; none where it would change nothing.

    `state` is of the name that `subject_of` tells, `target` of the account's key (the same for commands that are no
    alias commands). `closed_since` is the start of the account's first closed period, None without one. Raises
    `NameTaken`, `AccountUnknown`, `AliasUnknown`, `NameInvalid`, `ZoneUnknown`, `ZoneFixed`.
    """
    if isinstance(command, OpenAccount):
        return _open(state, command)
    if target.account is None or target.is_alias:
        raise AccountUnknown(account=command.account)
    match command:
        case RenameAccount():
            require_name(command.name, "an account")
            if state.name == command.name:
                return []
            return [AccountRenamed(account=command.account, name=command.name)]
        case ChangeAccountZone():
            require_zone(command.zone)
            if state.zone == command.zone:
                return []
            if closed_since is not None:
                raise ZoneFixed(account=command.account, since=closed_since)
            return [AccountZoneChanged(account=command.account, zone=command.zone)]
        case AliasAccount():
            return _alias(state, command)
        case RemoveAccountAlias():
            if not state.is_alias or state.account != command.account:
                raise AliasUnknown(alias=command.alias, account=command.account)
            return [AccountAliasRemoved(account=command.account, alias=command.alias)]
        case _:
            assert_never(command)


def _open(state: NameState, command: OpenAccount) -> list[AccountEvent]:
    require_name(command.account, "an account's key")
    require_name(command.name, "an account")
    require_zone(command.zone)
    if state.account is not None:
        raise NameTaken(name=command.account, account=state.account)
    return [AccountOpened(**command._asdict())]


def _alias(state: NameState, command: AliasAccount) -> list[AccountEvent]:
    require_name(command.alias, "an alias")
    if state.is_alias and state.account == command.account:
        return []
    if state.account is not None:
        raise NameTaken(name=command.alias, account=state.account)
    return [AccountAliased(account=command.account, alias=command.alias)]


def evolve(state: NameState, event: AccountEvent) -> NameState:
    """What a name stands for after one more event of its stream."""
    match event:
        case AccountOpened():
            return NameState(event.account, is_alias=False, name=event.name, zone=event.zone)
        case AccountRenamed():
            return state._replace(name=event.name)
        case AccountZoneChanged():
            return state._replace(zone=event.zone)
        case AccountAliased():
            return NameState(event.account, is_alias=True)
        case AccountAliasRemoved():
            return NameState()
        case _:
            assert_never(event)
