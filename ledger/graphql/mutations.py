"""The mutations: each carries out one command and answers the position of its effect, or a refusal."""

from datetime import UTC, datetime

import strawberry

from ledger.commands.accounts import change_account
from ledger.commands.meters import change_meter
from ledger.domain.accounts import (
    AccountCommand,
    AliasAccount,
    ChangeAccountZone,
    OpenAccount,
    RemoveAccountAlias,
    RenameAccount,
)
from ledger.domain.closing_refusals import ZoneFixed
from ledger.domain.meters import ChangeMeter, DefineMeter, MeterCommand, RetireMeter
from ledger.domain.refusals import (
    AccountUnknown,
    AliasUnknown,
    MeterExists,
    MeterInvalid,
    MeterRetiredAlready,
    MeterUnknown,
    NameInvalid,
    NameTaken,
    ZoneUnknown,
)
from ledger.graphql.access import Needs
from ledger.graphql.accounts import Account
from ledger.graphql.adjusting import AdjustmentMutation
from ledger.graphql.agreements import AgreementMutation
from ledger.graphql.casework import CaseMutation
from ledger.graphql.closings import ClosingMutation
from ledger.graphql.context import Info
from ledger.graphql.contract_inputs import billable
from ledger.graphql.fields import field
from ledger.graphql.mending import MendingMutation
from ledger.graphql.meters import Meter, MeterDefinitionInput
from ledger.graphql.reconciling import ReconciliationMutation
from ledger.graphql.recording import UsageEventInput, UsageReceipt, record
from ledger.graphql.refusals import COMMON
from ledger.graphql.scalars import Position
from ledger.graphql.sends import SendMutation
from ledger.graphql.trail import leaving_traces


@strawberry.type(description="An account as it is after a decision.")
class AccountDecision:
    """`position` is of the decision, or of the last one where this changed nothing."""

    position: Position
    account: Account


@strawberry.type(description="A meter as it is after a decision.")
class MeterDecision:
    """`position` is of the decision, or of the last one where this changed nothing."""

    position: Position
    meter: Meter


@leaving_traces
@strawberry.type(description="Everything that can be changed.")
class Mutation(
    AgreementMutation,
    AdjustmentMutation,
    CaseMutation,
    ClosingMutation,
    MendingMutation,
    ReconciliationMutation,
    SendMutation,
):
    """Each field declares the right that it needs and the refusals that it may answer."""

    @field(
        "Tell usage: at most 1,000 events, each with its own fate. Give them as a variable.",
        needs=Needs("record_usage"),
        refuses=(*COMMON,),
    )
    async def record_usage(self, info: Info, events: list[UsageEventInput]) -> UsageReceipt:
        """Durable when it answers."""
        return await record(info.context, events)

    @field(
        "Open an account under a key of your choice.",
        needs=Needs("write_accounts", account="account"),
        refuses=(
            NameTaken,
            NameInvalid,
            ZoneUnknown,
            *COMMON,
        ),
    )
    async def open_account(
        self, info: Info, account: str, name: str, zone: str, opened_at: datetime | None = None
    ) -> AccountDecision:
        """It exists since `opened_at`, now where none is given; usage told under the key counts, past usage too."""
        since = None if opened_at is None else billable("openedAt", opened_at)
        return await _decide_account(info, OpenAccount(account, name, zone, since))

    @field(
        "Show an account under another name.",
        needs=Needs("write_accounts", account="account"),
        refuses=(
            AccountUnknown,
            NameInvalid,
            *COMMON,
        ),
    )
    async def rename_account(self, info: Info, account: str, name: str) -> AccountDecision:
        """The key stays."""
        return await _decide_account(info, RenameAccount(account, name))

    @field(
        "Begin an account's days in another time zone, past ones too; not once a period was closed.",
        needs=Needs("write_accounts", account="account"),
        refuses=(
            AccountUnknown,
            ZoneUnknown,
            ZoneFixed,
            *COMMON,
        ),
    )
    async def change_account_zone(self, info: Info, account: str, zone: str) -> AccountDecision:
        """The account's usage is computed anew."""
        return await _decide_account(info, ChangeAccountZone(account, zone))

    @field(
        "Take usage told under an alias for an account's, past usage too.",
        needs=Needs("write_accounts", is_global=True),
        refuses=(
            AccountUnknown,
            NameTaken,
            NameInvalid,
            *COMMON,
        ),
    )
    async def alias_account(self, info: Info, account: str, alias: str) -> AccountDecision:
        """Not for bound keys: what was told under the alias may be anybody's."""
        return await _decide_account(info, AliasAccount(account, alias))

    @field(
        "Take usage told under an alias for an account's no more.",
        needs=Needs("write_accounts", account="account"),
        refuses=(
            AccountUnknown,
            AliasUnknown,
            *COMMON,
        ),
    )
    async def remove_account_alias(self, info: Info, account: str, alias: str) -> AccountDecision:
        """That usage is held from now on."""
        return await _decide_account(info, RemoveAccountAlias(account, alias))

    @field(
        "Count usage by a new meter, past usage too.",
        needs=Needs("write_meters", is_global=True),
        refuses=(
            MeterExists,
            MeterInvalid,
            NameInvalid,
            *COMMON,
        ),
    )
    async def define_meter(self, info: Info, meter: str, definition: MeterDefinitionInput) -> MeterDecision:
        """Its usage is computed from the whole log."""
        return await _decide_meter(info, DefineMeter(meter, definition.definition()))

    @field(
        "Count usage by another definition under the same key, past usage too.",
        needs=Needs("write_meters", is_global=True),
        refuses=(
            MeterUnknown,
            MeterRetiredAlready,
            MeterInvalid,
            NameInvalid,
            *COMMON,
        ),
    )
    async def change_meter(self, info: Info, meter: str, definition: MeterDefinitionInput) -> MeterDecision:
        """The old definition's usage is shown until the new one's is computed."""
        return await _decide_meter(info, ChangeMeter(meter, definition.definition()))

    @field(
        "Count no usage that occurs at or after a moment, now where none is given.",
        needs=Needs("write_meters", is_global=True),
        refuses=(
            MeterUnknown,
            MeterRetiredAlready,
            NameInvalid,
            *COMMON,
        ),
    )
    async def retire_meter(self, info: Info, meter: str, retired_at: datetime | None = None) -> MeterDecision:
        """What it counted before stays."""
        return await _decide_meter(info, RetireMeter(meter, retired_at or datetime.now(UTC)))


async def _decide_account(info: Info, command: AccountCommand) -> AccountDecision:
    context = info.context
    await context.follower.refresh()
    closings = context.catalogue.closings.get(command.account, {})
    position = await change_account(
        context.log,
        command,
        now=datetime.now(UTC),
        metadata=context.metadata,
        closed_since=min(closings, default=None),
    )
    await context.follower.refresh()
    return AccountDecision(position=Position(position), account=Account.of(context.catalogue.accounts[command.account]))


async def _decide_meter(info: Info, command: MeterCommand) -> MeterDecision:
    context = info.context
    position = await change_meter(context.log, command, now=datetime.now(UTC), metadata=context.metadata)
    await context.follower.refresh()
    return MeterDecision(
        position=Position(position), meter=Meter.of(command.meter, context.catalogue.meters[command.meter])
    )
