"""What adjustments are told, and the person who tells it."""

from datetime import UTC, datetime
from decimal import Decimal

import strawberry

from ledger.domain import adjustment_events
from ledger.domain.adjusting import EXPIRY_DEFAULT
from ledger.domain.adjustment_refusals import PersonRequired
from ledger.domain.refusals import ArgumentInvalid
from ledger.graphql.adjustments import AdjustmentKind, EvidenceKind
from ledger.graphql.context import Context
from ledger.graphql.contract_inputs import billable
from ledger.graphql.money import MoneyInput
from ledger.graphql.previews import DimensionValueInput
from ledger.graphql.structs import StructInput


@strawberry.input(description="What an adjustment rests on.")
class AdjustmentEvidenceInput(StructInput):
    """As `ledger.domain.adjustment_events.Evidence`."""

    STRUCT = adjustment_events.Evidence

    kind: EvidenceKind
    reference: str = strawberry.field(description="An event's position, or a key; an invoice's is any text.")


@strawberry.input(description="What is to be put right: an amount, or for USAGE a meter and a quantity.")
class AdjustmentInput:
    """The invoice of the period that `at` lies in changes."""

    key: str = strawberry.field(
        description="An id of your choice: told again with the same content, it changes nothing."
    )
    kind: AdjustmentKind
    at: datetime
    reason: str = strawberry.field(description="A reason code.")
    note: str = ""
    amount: MoneyInput | None = strawberry.field(default=None, description="Above zero, in the contract's currency.")
    meter: str | None = None
    quantity: Decimal | None = strawberry.field(default=None, description="More of the meter, below zero: less.")
    dimensions: list[DimensionValueInput] = strawberry.field(
        default_factory=list, description="Of the quantity; those that are not named are missing."
    )
    evidence: list[AdjustmentEvidenceInput] = strawberry.field(default_factory=list)

    def struct(self) -> adjustment_events.Adjustment:
        """The adjustment; raises `ArgumentInvalid`, and what `MoneyInput.struct` raises."""
        dimensions = {one.name: one.value for one in self.dimensions}
        if len(dimensions) < len(self.dimensions):
            raise ArgumentInvalid(argument="dimensions", why="each is given once")
        return adjustment_events.Adjustment(
            adjustment=self.key,
            kind=self.kind.value,
            at=billable("at", self.at),
            reason=self.reason,
            note=self.note,
            amount=None if self.amount is None else self.amount.struct(),
            meter=self.meter,
            quantity=self.quantity,
            dimensions=dimensions,
            evidence=tuple(one.struct() for one in self.evidence),
        )


def person_of(context: Context) -> str:
    """Who holds the key that asks; raises `PersonRequired` for a machine's."""
    if not context.key.person:
        raise PersonRequired(key_id=context.key.key_id)
    return context.key.person


def expiry(expires_at: datetime | None) -> datetime:
    """Until when a proposal may be decided on, two weeks where nothing else is told."""
    return datetime.now(UTC) + EXPIRY_DEFAULT if expires_at is None else expires_at
