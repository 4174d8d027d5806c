"""Contracts as they stand: the plan an account is on, from a moment to another, and what is agreed beside it."""

from datetime import datetime
from decimal import Decimal
from typing import Self

import strawberry

from ledger.domain import agreements
from ledger.domain import contracts as domain
from ledger.graphql.charges import Price
from ledger.graphql.conventions import (
    Alignment,
    CommitmentSpan,
    LateAction,
    LimitKind,
    PeriodStart,
    Proration,
)
from ledger.graphql.money import Money
from ledger.graphql.structs import StructShown


@strawberry.type(description="Another price for one charge of the plan.")
class ChargeOverride(StructShown):
    """As `ledger.domain.agreements.ChargeOverride`."""

    STRUCT = agreements.ChargeOverride

    charge: str = strawberry.field(name="chargeKey")
    price: Price


@strawberry.type(description="The plan that a contract is on, and what it changes of it.")
class PlanChoice(StructShown):
    """As `ledger.domain.agreements.PlanChoice`."""

    STRUCT = agreements.PlanChoice

    plan: str = strawberry.field(name="planKey")
    version: int | None = strawberry.field(description="Null: each period takes the version valid at its beginning.")
    overrides: list[ChargeOverride]


@strawberry.type(description="How much of a meter the contract includes per period. It changes no price.")
class Entitlement(StructShown):
    """As `ledger.domain.agreements.Entitlement`."""

    STRUCT = agreements.Entitlement

    meter: str = strawberry.field(name="meterKey")
    quantity: Decimal | None = strawberry.field(description="Null: no limit.")
    limit: LimitKind


@strawberry.type(description="The least that is spent, before credit.")
class Commitment(StructShown):
    """As `ledger.domain.agreements.Commitment`."""

    STRUCT = agreements.Commitment

    key: str
    label: str
    amount: Decimal
    per: CommitmentSpan
    until: datetime | None


@strawberry.type(description="What becomes of the difference that late usage makes to a closed period.")
class LatePolicy(StructShown):
    """As `ledger.domain.agreements.LatePolicy`."""

    STRUCT = agreements.LatePolicy

    action: LateAction
    small_amount: Decimal = strawberry.field(description="A difference of at most this is dropped.")


@strawberry.type(description="Prepaid money that pays invoices which close while it is in effect.")
class CreditGrant(StructShown):
    """As `ledger.domain.agreements.CreditGrant`."""

    STRUCT = agreements.CreditGrant

    grant: str = strawberry.field(name="grantId")
    label: str
    amount: Money
    effective_at: datetime
    priority: int = strawberry.field(description="A lower one is used first.")
    expires_at: datetime | None
    scope: list[str] = strawberry.field(description="Keys of the charges that it may pay; none: any line.")


@strawberry.type(description="What is agreed for the contract's whole life.")
class ContractTerms(StructShown):
    """As `ledger.domain.agreements.ContractTerms`."""

    STRUCT = agreements.ContractTerms

    currency: str
    alignment: Alignment
    anchor: datetime | None
    anchor_day: int | None
    starts: PeriodStart
    proration: Proration
    late_usage: LatePolicy
    entitlements: list[Entitlement] = strawberry.field(description="Those that the contract began with.")
    commitments: list[Commitment]


@strawberry.type(description="The plan that holds from `start` until the next phase.")
class ContractPhase:
    """One of a contract's, in order of time."""

    start: datetime
    choice: PlanChoice


@strawberry.type(description="A time without billing; `end` is null until it is resumed.")
class ContractPause:
    """One of a contract's, in order of time."""

    start: datetime
    end: datetime | None


@strawberry.type(description="A credit grant, and when it was revoked, if it was.")
class GrantedCredit:
    """One of a contract's, in order of its making."""

    grant: CreditGrant
    revoked_at: datetime | None


@strawberry.type(description="How much of a meter is included from a moment on.")
class EntitlementSince:
    """One of a contract's, in order of time."""

    since: datetime
    entitlement: Entitlement


@strawberry.type(description="A contract as it stands.")
class Contract:
    """An account has one at a time."""

    account_key: str
    started_at: datetime
    ended_at: datetime | None
    terms: ContractTerms
    phases: list[ContractPhase]
    pauses: list[ContractPause]
    grants: list[GrantedCredit]
    entitlements: list[EntitlementSince]

    @classmethod
    def of(cls, contract: domain.Contract) -> Self:
        """The contract as the API shows it."""
        return cls(
            account_key=contract.account,
            started_at=contract.started_at,
            ended_at=contract.ended_at,
            terms=ContractTerms.of(contract.terms),
            phases=[ContractPhase(start=one.start, choice=PlanChoice.of(one.choice)) for one in contract.phases],
            pauses=[ContractPause(start=one.start, end=one.end) for one in contract.pauses],
            grants=[
                GrantedCredit(grant=CreditGrant.of(one.grant), revoked_at=one.revoked_at) for one in contract.grants
            ],
            entitlements=[
                EntitlementSince(since=since, entitlement=Entitlement.of(one)) for since, one in contract.entitlements
            ],
        )
