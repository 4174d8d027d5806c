"""Plans and their versions."""

from datetime import datetime
from decimal import Decimal
from typing import Final, Self

import strawberry

from ledger.domain import plans as domain
from ledger.domain import pricing
from ledger.domain.values import ZERO
from ledger.graphql.charges import PlanCharge, PlanChargeInput
from ledger.graphql.context import Context
from ledger.graphql.conventions import BillingTerm, IntervalUnit, Proration
from ledger.graphql.nodes import Node
from ledger.graphql.pages import CountedConnection, Page, edges_of
from ledger.graphql.scalars import BigInt
from ledger.graphql.structs import StructInput, StructShown

_PRORATION: Final = "How a part of a period is charged; null: by the contract's convention."
_BOUNDS: Final = "Of what the plan comes to in a period, after discounts; null: none."


@strawberry.type(description="An amount per period, used or not.")
class FixedFee(StructShown):
    """As `ledger.domain.pricing.FixedFee`."""

    STRUCT = pricing.FixedFee

    key: str
    label: str
    amount: Decimal
    term: BillingTerm
    proration: Proration | None = strawberry.field(description=_PRORATION)


@strawberry.type(description="A percentage or an amount per period off the lines of the plan.")
class PlanDiscount(StructShown):
    """As `ledger.domain.pricing.PlanDiscount`."""

    STRUCT = pricing.PlanDiscount

    key: str
    label: str
    percent: Decimal
    amount: Decimal


@strawberry.type(description="What one version of a plan holds; amounts are in major units of its currency.")
class PlanTerms(StructShown):
    """As `ledger.domain.pricing.PlanTerms`."""

    STRUCT = pricing.PlanTerms

    name: str
    currency: str
    interval: IntervalUnit
    interval_count: int
    charges: list[PlanCharge]
    fees: list[FixedFee]
    discounts: list[PlanDiscount]
    amount_min: Decimal | None = strawberry.field(description=_BOUNDS)
    amount_max: Decimal | None = strawberry.field(description=_BOUNDS)


@strawberry.type(description="A version of a plan, the first one is 1.")
class PlanVersion:
    """`valid_from` is null for the first: it is valid at any time before the second."""

    version: int
    valid_from: datetime | None
    terms: PlanTerms


@strawberry.type(description="A plan, with all its versions.")
class Plan(Node):
    """Contracts follow their plan's versions unless they name one."""

    key: str
    versions: list[PlanVersion]
    retired_at: datetime | None

    def node_key(self) -> str:
        """Its key."""
        return self.key

    @classmethod
    def of(cls, plan: domain.Plan) -> Self:
        """The plan as it stands."""
        return cls(
            key=plan.key,
            versions=[
                PlanVersion(version=number, valid_from=one.valid_from, terms=PlanTerms.of(one.terms))
                for number, one in enumerate(plan.versions, start=1)
            ],
            retired_at=plan.retired_at,
        )


@strawberry.type
class PlanConnection(CountedConnection[Plan]):
    """Plans in order of key."""


@strawberry.input(description="An amount per period, used or not.")
class FixedFeeInput(StructInput):
    """As `ledger.domain.pricing.FixedFee`."""

    STRUCT = pricing.FixedFee

    key: str
    label: str
    amount: Decimal
    term: BillingTerm = BillingTerm.IN_ARREARS
    proration: Proration | None = strawberry.field(default=None, description=_PRORATION)


@strawberry.input(description="Either a percentage or an amount per period off the lines of the plan.")
class PlanDiscountInput(StructInput):
    """As `ledger.domain.pricing.PlanDiscount`."""

    STRUCT = pricing.PlanDiscount

    key: str
    label: str
    percent: Decimal = ZERO
    amount: Decimal = ZERO


@strawberry.input(description="What a version of a plan holds; amounts are in major units of its currency.")
class PlanTermsInput(StructInput):
    """As `ledger.domain.pricing.PlanTerms`; charges, fees and discounts have keys of one space."""

    STRUCT = pricing.PlanTerms

    name: str
    currency: str = strawberry.field(description="An ISO 4217 code.")
    interval: IntervalUnit = IntervalUnit.MONTH
    interval_count: int = 1
    charges: list[PlanChargeInput] = strawberry.field(default_factory=list)
    fees: list[FixedFeeInput] = strawberry.field(default_factory=list)
    discounts: list[PlanDiscountInput] = strawberry.field(default_factory=list)
    amount_min: Decimal | None = strawberry.field(default=None, description=_BOUNDS)
    amount_max: Decimal | None = strawberry.field(default=None, description=_BOUNDS)


def plan(context: Context, key: str) -> Plan | None:
    """The plan with a key."""
    found = context.catalogue.plans.get(key)
    return None if found is None else Plan.of(found)


def plans(context: Context, page: Page) -> PlanConnection:
    """A page of all plans."""
    known = context.catalogue.plans
    keys = [
        key
        for key in sorted(known, reverse=page.is_backwards)
        if (page.after is None or key > page.after) and (page.before is None or key < page.before)
    ]
    found = [Plan.of(known[key]) for key in keys[: page.limit + 1]]
    edges, edge_info = edges_of(page, found, lambda one: one.key)
    return PlanConnection(edges=edges, page_info=edge_info, total_count=BigInt(len(known)))
