"""The mutations on plans and contracts."""

from datetime import UTC, datetime
from typing import Final

import strawberry

from ledger.commands.contracts import change_contract
from ledger.commands.plans import change_plan
from ledger.domain.contracting import (
    ChangeEntitlement,
    ChangePlan,
    ContractCommand,
    EndContract,
    GrantCredit,
    PauseContract,
    ResumeContract,
    RevokeCredit,
    StartContract,
)
from ledger.domain.plans import DefinePlan, PlanCommand, RetirePlan, RevisePlan
from ledger.domain.pricing_refusals import (
    AmountTooLarge,
    AmountUnrounded,
    ChangeOutOfOrder,
    ChargeInvalid,
    ChargeRepeated,
    ChargeUnknown,
    ContractBeforeAccount,
    ContractEndedAlready,
    ContractInvalid,
    ContractMissing,
    ContractNotStarted,
    ContractsOverlap,
    CurrencyMismatch,
    CurrencyUnknown,
    DurationInvalid,
    EffectiveInPast,
    GrantExists,
    GrantUnknown,
    IntervalMismatch,
    LastTierBounded,
    NumberTooLong,
    PauseMissing,
    PauseOverlaps,
    PlanExists,
    PlanInvalid,
    PlanRetiredAlready,
    PlanUnknown,
    PlanVersionUnknown,
    PriceNegative,
    RevisionOutOfOrder,
    TiersGapped,
    TiersMissing,
    TiersOverlap,
    TiersUnsorted,
)
from ledger.domain.refusals import AccountUnknown, DimensionUndeclared, MeterUnknown, NameInvalid
from ledger.graphql.access import Needs
from ledger.graphql.context import Info
from ledger.graphql.contract_inputs import (
    ContractTermsInput,
    CreditGrantInput,
    EntitlementInput,
    PlanChoiceInput,
    billable,
)
from ledger.graphql.contracts import Contract
from ledger.graphql.fields import field
from ledger.graphql.plans import Plan, PlanTermsInput
from ledger.graphql.refusals import COMMON
from ledger.graphql.scalars import Position

PRICING: Final = (
    *(CurrencyUnknown, NumberTooLong, PriceNegative, ChargeInvalid),
    *(TiersMissing, TiersUnsorted, TiersOverlap, TiersGapped, LastTierBounded),
)
"""What a price may be refused for."""
TERMS: Final = (*PRICING, PlanInvalid, ChargeRepeated, DurationInvalid, NameInvalid, MeterUnknown, DimensionUndeclared)
"""What the terms of a plan may be refused for."""
CHOOSING: Final = (
    *(PlanUnknown, PlanRetiredAlready, PlanVersionUnknown, CurrencyMismatch, ChargeUnknown, ContractInvalid),
    *PRICING,
)
"""What the choice of a plan may be refused for."""
CHANGING: Final = (AccountUnknown, ContractMissing, ContractNotStarted, EffectiveInPast)
"""What any change of a contract may be refused for."""


@strawberry.type(description="A plan as it is after a decision.")
class PlanDecision:
    """`position` is of the decision, or of the last one where this changed nothing."""

    position: Position
    plan: Plan


@strawberry.type(description="A contract as it is after a decision.")
class ContractDecision:
    """`position` is of the decision, or of the last one where this changed nothing."""

    position: Position
    contract: Contract


@strawberry.type
class AgreementMutation:
    """The part of the mutations that is about plans and contracts."""

    @field(
        "Offer a new plan. Its first version is valid at any time before the second.",
        needs=Needs("write_plans", is_global=True),
        refuses=(PlanExists, *TERMS, *COMMON),
    )
    async def define_plan(self, info: Info, plan: str, terms: PlanTermsInput) -> PlanDecision:
        """Its charges are on meters that are defined."""
        return await _decide_plan(info, DefinePlan(plan, terms.struct()))

    @field(
        "Give a plan its next version, for periods that begin at or after a moment.",
        needs=Needs("write_plans", is_global=True),
        refuses=(
            *(PlanUnknown, PlanRetiredAlready, RevisionOutOfOrder, EffectiveInPast, CurrencyMismatch, IntervalMismatch),
            *(*TERMS, *COMMON),
        ),
    )
    async def revise_plan(self, info: Info, plan: str, terms: PlanTermsInput, valid_from: datetime) -> PlanDecision:
        """In the same currency and interval."""
        return await _decide_plan(info, RevisePlan(plan, terms.struct(), billable("validFrom", valid_from)))

    @field(
        "Put no contract on a plan from a moment on; those that are on it stay.",
        needs=Needs("write_plans", is_global=True),
        refuses=(PlanUnknown, PlanRetiredAlready, NameInvalid, *COMMON),
    )
    async def retire_plan(self, info: Info, plan: str, retired_at: datetime | None = None) -> PlanDecision:
        """Its versions stay."""
        return await _decide_plan(info, RetirePlan(plan, _moment("retiredAt", retired_at)))

    @field(
        "Put an account on a plan; that may be in the past, but not before the account was opened.",
        needs=Needs("write_contracts", account="account"),
        refuses=(AccountUnknown, ContractBeforeAccount, ContractsOverlap, NameInvalid, *CHOOSING, *COMMON),
    )
    async def start_contract(
        self,
        info: Info,
        account: str,
        choice: PlanChoiceInput,
        terms: ContractTermsInput,
        started_at: datetime | None = None,
    ) -> ContractDecision:
        """One contract at a time."""
        moment = _moment("startedAt", started_at)
        return await _decide_contract(info, StartContract(account, moment, choice.struct(), terms.struct()))

    @field(
        "Put a contract on another plan, version or prices, in mid-period too.",
        needs=Needs("write_contracts", account="account"),
        refuses=(*CHANGING, ContractEndedAlready, ChangeOutOfOrder, IntervalMismatch, *CHOOSING, *COMMON),
    )
    async def change_plan(
        self, info: Info, account: str, choice: PlanChoiceInput, effective_at: datetime
    ) -> ContractDecision:
        """A change planned for the same moment is replaced."""
        moment = billable("effectiveAt", effective_at)
        return await _decide_contract(info, ChangePlan(account, moment, choice.struct()))

    @field(
        "Bill nothing from a moment on, neither fees nor usage, until the contract is resumed.",
        needs=Needs("write_contracts", account="account"),
        refuses=(*CHANGING, ContractEndedAlready, PauseOverlaps, *COMMON),
    )
    async def pause_contract(self, info: Info, account: str, effective_at: datetime) -> ContractDecision:
        """What was used before is billed."""
        return await _decide_contract(info, PauseContract(account, billable("effectiveAt", effective_at)))

    @field(
        "Bill again from a moment on.",
        needs=Needs("write_contracts", account="account"),
        refuses=(*CHANGING, PauseMissing, *COMMON),
    )
    async def resume_contract(self, info: Info, account: str, effective_at: datetime) -> ContractDecision:
        """What was used in between is not billed."""
        return await _decide_contract(info, ResumeContract(account, billable("effectiveAt", effective_at)))

    @field(
        "Bill nothing from a moment on, for good.",
        needs=Needs("write_contracts", account="account"),
        refuses=(*CHANGING, ContractEndedAlready, *COMMON),
    )
    async def end_contract(self, info: Info, account: str, effective_at: datetime) -> ContractDecision:
        """The account may have another contract from then on."""
        return await _decide_contract(info, EndContract(account, billable("effectiveAt", effective_at)))

    @field(
        "Let prepaid money pay for what a contract comes to.",
        needs=Needs("write_contracts", account="account"),
        refuses=(
            *(AccountUnknown, ContractMissing, GrantExists, CurrencyMismatch, ContractInvalid, ChargeUnknown),
            *(CurrencyUnknown, NumberTooLong, AmountTooLarge, AmountUnrounded, NameInvalid, *COMMON),
        ),
    )
    async def grant_credit(self, info: Info, account: str, grant: CreditGrantInput) -> ContractDecision:
        """Invoices that close while it is in effect."""
        return await _decide_contract(info, GrantCredit(account, grant.struct()))

    @field(
        "Let what is left of a credit grant pay no invoice that closes after a moment.",
        needs=Needs("write_contracts", account="account"),
        refuses=(*CHANGING, GrantUnknown, *COMMON),
    )
    async def revoke_credit(self, info: Info, account: str, grant: str, effective_at: datetime) -> ContractDecision:
        """What it paid before stays paid."""
        return await _decide_contract(info, RevokeCredit(account, grant, billable("effectiveAt", effective_at)))

    @field(
        "Change how much of a meter a contract includes, from a moment on.",
        needs=Needs("write_contracts", account="account"),
        refuses=(*CHANGING, ContractEndedAlready, NameInvalid, NumberTooLong, PriceNegative, *COMMON),
    )
    async def change_entitlement(
        self, info: Info, account: str, entitlement: EntitlementInput, effective_at: datetime
    ) -> ContractDecision:
        """It changes no price."""
        moment = billable("effectiveAt", effective_at)
        return await _decide_contract(info, ChangeEntitlement(account, moment, entitlement.struct()))


def _moment(argument: str, instant: datetime | None) -> datetime:
    return datetime.now(UTC) if instant is None else billable(argument, instant)


async def _decide_plan(info: Info, command: PlanCommand) -> PlanDecision:
    context = info.context
    await context.follower.refresh()
    now = datetime.now(UTC)
    position = await change_plan(context.log, context.catalogue, command, now=now, metadata=context.metadata)
    await context.follower.refresh()
    return PlanDecision(position=Position(position), plan=Plan.of(context.catalogue.plans[command.plan]))


async def _decide_contract(info: Info, command: ContractCommand) -> ContractDecision:
    context = info.context
    await context.follower.refresh()
    now = datetime.now(UTC)
    position = await change_contract(context.log, context.catalogue, command, now=now, metadata=context.metadata)
    await context.follower.refresh()
    contract = context.catalogue.contracts[command.account][-1]
    return ContractDecision(position=Position(position), contract=Contract.of(contract))
