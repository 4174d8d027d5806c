"""Why an invoice is another one than it was known to be."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Self

import strawberry

from ledger.domain import differences
from ledger.graphql.access import Needs
from ledger.graphql.as_of import AsOfInput, moment_of
from ledger.graphql.comparisons import LineDifference
from ledger.graphql.context import Context, Info
from ledger.graphql.contract_inputs import billable
from ledger.graphql.fields import field
from ledger.graphql.log import Event, event
from ledger.graphql.money import Money
from ledger.graphql.scalars import BigInt, Position
from ledger.projections.as_of_differences import difference

LINKS_MAX = 10


@strawberry.enum(description="What a step of a difference is of.")
class DifferenceKind(Enum):
    """SEVERAL: decisions and usage that are not told apart, because they are many or have no invoice in between."""

    DECISION = "decision"
    USAGE = "usage"
    SEVERAL = "several"


@strawberry.type(description="What a meter came to in the period, before and after a step.")
class QuantityChange:
    """Whatever the charges make of it."""

    meter_key: str
    before: Decimal
    after: Decimal


@strawberry.type(description="One thing that happened, and what it changed of the invoice.")
class DifferenceStep:
    """Usage is that which occurred in the time that the invoice looks at."""

    kind: DifferenceKind
    why: str
    first_position: Position
    last_position: Position
    topic: str | None = strawberry.field(description="The decision's, null for several and for usage.")
    recorded_at: datetime | None = strawberry.field(description="The decision's, null for several and for usage.")
    decision_count: BigInt
    event_count: BigInt = strawberry.field(description="How many usage events were told.")
    quantities: list[QuantityChange] = strawberry.field(description="Of meters that came to something else.")
    lines: list[LineDifference] = strawberry.field(description="The lines that it changed.")
    effect: Money = strawberry.field(description="What it changed of the total.")
    step: strawberry.Private[differences.Step]

    @field("The decisions, or some of the usage events, as the log has them.", needs=Needs("read_log"))
    async def events(self, info: Info) -> list[Event]:
        """At most ten decisions and five usage events, in order of position."""
        usage = () if self.step.usage is None else self.step.usage.sample
        places = sorted([*[one.position for one in self.step.decisions[:LINKS_MAX]], *usage])
        found = [await event(info.context, place) for place in places]
        return [one for one in found if one is not None]

    @classmethod
    def of(cls, step: differences.Step) -> Self:
        """The step as the API shows it."""
        first, last = step.positions
        [decision] = step.decisions if step.kind == "decision" else (None,)
        return cls(
            kind=DifferenceKind(step.kind),
            why=differences.reason(step),
            first_position=Position(first),
            last_position=Position(last),
            topic=None if decision is None else decision.event.TOPIC,
            recorded_at=None if decision is None else decision.recorded_at,
            decision_count=BigInt(len(step.decisions)),
            event_count=BigInt(0 if step.usage is None else step.usage.event_count),
            quantities=[
                QuantityChange(meter_key=one.meter, before=one.before, after=one.after) for one in step.quantities
            ],
            lines=[LineDifference.of(line) for line in step.lines],
            effect=Money.of(step.effect),
            step=step,
        )


@strawberry.type(description="An invoice as it was known at two positions, and what happened in between.")
class Difference:
    """`lines` and the effects of `steps` each add up to `difference`; the lines of a step to its effect."""

    account_key: str
    start: datetime
    end: datetime
    from_position: Position
    to_position: Position
    before: Money
    after: Money
    difference: Money
    lines: list[LineDifference]
    steps: list[DifferenceStep]


async def invoice_difference(
    context: Context, key: str, at: datetime | None, since: AsOfInput, until: AsOfInput | None
) -> Difference:
    """Why the invoice of a period changed; raises those of `LOOKING` and of `PROJECTING`, and `PastBusy`."""
    instant = datetime.now(UTC) if at is None else billable("at", at)
    first = await moment_of(context, "from", since)
    if until is None:
        last = await context.past.moment(position=None, at=None, now=datetime.now(UTC))
    else:
        last = await moment_of(context, "to", until)
    found = await difference(context.past, key, instant, first, last)
    compared = found.comparison
    return Difference(
        account_key=key,
        start=found.period.start,
        end=found.period.end,
        from_position=Position(first.position),
        to_position=Position(last.position),
        before=Money.of(compared.before),
        after=Money.of(compared.after),
        difference=Money.of(compared.difference),
        lines=[LineDifference.of(line) for line in compared.lines],
        steps=[DifferenceStep.of(step) for step in found.steps],
    )
