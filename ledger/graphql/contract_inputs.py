"""What contracts are told: the choice of a plan, terms, entitlements, commitments, credit."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import strawberry

from ledger.domain import agreements
from ledger.domain.refusals import ArgumentInvalid
from ledger.domain.values import EPOCH, ZERO
from ledger.graphql.charges import PriceInput
from ledger.graphql.conventions import (
    Alignment,
    CommitmentSpan,
    LateAction,
    LimitKind,
    PeriodStart,
    Proration,
)
from ledger.graphql.money import MoneyInput
from ledger.graphql.structs import StructInput

INSTANT_MAX: Final = datetime(7000, 1, 1, tzinfo=UTC)
"""Billing periods of up to 1,200 years that begin before it end while the calendar still has years."""


def billable(argument: str, instant: datetime) -> datetime:
    """The instant; raises `ArgumentInvalid` where there are no billing periods around it."""
    if not EPOCH <= instant < INSTANT_MAX:
        raise ArgumentInvalid(argument=argument, why="it must lie in the years 1970 to 6999")
    return instant


@strawberry.input(description="Another price for one charge of the plan.")
class ChargeOverrideInput(StructInput):
    """As `ledger.domain.agreements.ChargeOverride`."""

    STRUCT = agreements.ChargeOverride

    charge: str
    price: PriceInput


@strawberry.input(description="A plan, and what is changed of it.")
class PlanChoiceInput(StructInput):
    """As `ledger.domain.agreements.PlanChoice`."""

    STRUCT = agreements.PlanChoice

    plan: str
    version: int | None = strawberry.field(
        default=None, description="Null: each period takes the version valid at its beginning."
    )
    overrides: list[ChargeOverrideInput] = strawberry.field(default_factory=list)


@strawberry.input(description="How much of a meter the contract includes per period. It changes no price.")
class EntitlementInput(StructInput):
    """As `ledger.domain.agreements.Entitlement`."""

    STRUCT = agreements.Entitlement

    meter: str
    quantity: Decimal | None = strawberry.field(default=None, description="Null: no limit.")
    limit: LimitKind = LimitKind.SOFT


@strawberry.input(description="The least that is spent, before credit: per period, or in total up to `until`.")
class CommitmentInput(StructInput):
    """As `ledger.domain.agreements.Commitment`."""

    STRUCT = agreements.Commitment

    key: str
    label: str
    amount: Decimal
    per: CommitmentSpan = CommitmentSpan.PERIOD
    until: datetime | None = None


@strawberry.input(description="What becomes of the difference that late usage makes to a closed period.")
class LatePolicyInput(StructInput):
    """As `ledger.domain.agreements.LatePolicy`."""

    STRUCT = agreements.LatePolicy

    action: LateAction = LateAction.CARRY_FORWARD
    small_amount: Decimal = strawberry.field(default=ZERO, description="A difference of at most this is dropped.")


@strawberry.input(description="Prepaid money that pays invoices which close while it is in effect.")
class CreditGrantInput(StructInput):
    """As `ledger.domain.agreements.CreditGrant`."""

    STRUCT = agreements.CreditGrant

    grant: str = strawberry.field(description="An id of your choice.")
    label: str
    amount: MoneyInput
    effective_at: datetime
    priority: int = strawberry.field(default=50, description="A lower one is used first.")
    expires_at: datetime | None = None
    scope: list[str] = strawberry.field(
        default_factory=list, description="Keys of the charges that it may pay; none: any line."
    )


@strawberry.input(description="What is agreed for the contract's whole life.")
class ContractTermsInput(StructInput):
    """As `ledger.domain.agreements.ContractTerms`."""

    STRUCT = agreements.ContractTerms

    currency: str = strawberry.field(description="An ISO 4217 code, that of the plans.")
    alignment: Alignment = Alignment.ANNIVERSARY
    anchor: datetime | None = strawberry.field(
        default=None, description="Whose anniversaries begin periods; null: the contract's start."
    )
    anchor_day: int | None = strawberry.field(
        default=None, description="The day of the month on which periods begin; null: the anchor's."
    )
    starts: PeriodStart = PeriodStart.INSTANT
    proration: Proration = Proration.ELAPSED_TIME
    late_usage: LatePolicyInput = strawberry.field(default_factory=LatePolicyInput)
    entitlements: list[EntitlementInput] = strawberry.field(default_factory=list)
    commitments: list[CommitmentInput] = strawberry.field(default_factory=list)

    def struct(self) -> agreements.ContractTerms:
        """The terms; raises `ArgumentInvalid` for an anchor without billing periods."""
        if self.anchor is not None:
            billable("anchor", self.anchor)
        return agreements.ContractTerms(**self.facts())
