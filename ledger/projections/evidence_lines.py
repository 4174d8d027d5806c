"""What an invoice line was metered on: the series, the dimensions and the stretches of time behind it."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from ledger.database import Connection
from ledger.domain import steps
from ledger.domain.aggregation import Group
from ledger.domain.calendar import zone
from ledger.domain.catalogue import Account
from ledger.domain.charges import Dimensional, Dynamic
from ledger.domain.metering import MeterDefinition
from ledger.domain.percentage import Percentage
from ledger.domain.periods import Period
from ledger.domain.pricing import PlanCharge
from ledger.domain.refusals import DimensionUndeclared, RangeTooLarge
from ledger.domain.segments import Segment
from ledger.domain.values import EPOCH
from ledger.projections import usage_series
from ledger.projections.metered import SPANS, WITHIN

ROWS_MAX: Final = 10_000
"""The most rows that one line's evidence is put together from."""

# It groups by nothing; $8 is named because a parameter must be.
SELECT_BRACKET = f"""
select min(u.first_position) as first, max(u.last_position) as last, sum(u.event_count)::bigint as event_count
from {SPANS} join usage_days u on {WITHIN} and ($10::date is null or u.day = $10)
where $8::integer[] is not null
"""


class Line(NamedTuple):
    """A usage line: a charge in one segment of an account's period, for one combination of its dimensions' values."""

    account: Account
    segment: Segment
    charge: PlanCharge
    group: steps.Group


class Located(NamedTuple):
    """Where the line's usage is: a series of its meter, indices of the dimensions that tell its parts, and by index
    the values that usage may have there.
    """

    line: Line
    series: int
    definition: MeterDefinition
    group: list[int]
    allowed: dict[str, list[str | None]]

    @property
    def spans(self) -> Sequence[Period]:
        """The stretches of time whose events count: with what carries over, all up to the segment's end."""
        if self.definition.carries_over and not looks_at_events(self.line.charge):
            return [Period(EPOCH, self.line.segment.end)]
        return self.line.segment.spans

    def selection(self, spans: Sequence[Period]) -> tuple[Any, ...]:
        """The arguments $1 to $9 of the queries over `SPANS` and `WITHIN`."""
        calendar = zone(self.line.account.zone)
        rows = [
            (
                *(0, self.line.account.key, span.start, span.end, calendar.day_of(span.start)),
                calendar.day_of(max(span.end - timedelta.resolution, span.start)),
            )
            for span in spans
        ]
        columns = zip(*rows, strict=True)
        return self.series, *columns, self.group, msgspec.json.encode(self.allowed).decode()

    def admits(self, dimensions: Sequence[str | None]) -> bool:
        """Whether usage with these values of the declared dimensions is the line's."""
        return all(dimensions[int(index)] in values for index, values in self.allowed.items())

    def group_of(self, dimensions: Sequence[str | None]) -> Group:
        """The values of the charge's dimensions among those of the declared ones."""
        return tuple(dimensions[index] for index in self.group)


class Bracket(NamedTuple):
    """The positions, both included, between which some events lie, and how many they are."""

    first: int
    last: int
    event_count: int


def looks_at_events(charge: PlanCharge) -> bool:
    """Whether the charge's price looks at single events, so that what carries over does not matter."""
    return isinstance(charge.price.model, Percentage | Dynamic)


async def located(connection: Connection, line: Line) -> Located | None:
    """Where the line's usage is, None while the meter's first version is computed; raises `DimensionUndeclared`."""
    charge = line.charge
    living = await usage_series.living(connection, charge.meter)
    if living is None:
        return None
    series, definition = living

    def index(dimension: str) -> int:
        if dimension not in definition.dimensions:
            declared = ", ".join(definition.dimensions) or "none"
            raise DimensionUndeclared(meter=charge.meter, dimension=dimension, declared=declared)
        return definition.dimensions.index(dimension)

    allowed = {str(index(name)): list(values) for name, values in charge.filters.items()}
    if not isinstance(charge.price.model, Dimensional):
        allowed |= {str(index(name)): [value] for name, value in line.group}
    return Located(line, series, definition, [index(name) for name in charge.group_by], allowed)


async def bracket(
    connection: Connection, place: Located, spans: Sequence[Period], *, day: date | None = None
) -> Bracket | None:
    """Between which positions the line's events of some spans lie, those of one local day where it is given."""
    if not spans:
        return None
    row = await connection.fetchrow(SELECT_BRACKET, *place.selection(spans), day)
    assert row is not None, "an aggregate has a row"
    return None if row["first"] is None else Bracket(row["first"], row["last"], row["event_count"])


async def fetch(connection: Connection, query: str, place: Located, spans: Sequence[Period]) -> list[asyncpg.Record]:
    """The rows of a query whose $10 is a limit; raises `RangeTooLarge` beyond 10,000."""
    if not spans:
        return []
    rows = await connection.fetch(query, *place.selection(spans), ROWS_MAX + 1)
    if len(rows) > ROWS_MAX:
        raise too_many(place, "rows", len(rows), ROWS_MAX)
    return rows


def too_many(place: Located, unit: str, count: int, count_max: int) -> RangeTooLarge:
    """The refusal of evidence that is more than one answer may hold."""
    segment = place.line.segment
    return RangeTooLarge(start=segment.start, end=segment.end, unit=unit, count=count, count_max=count_max)


def grouped(row: asyncpg.Record) -> Group:
    """The group that a row tells."""
    return tuple(msgspec.json.decode(row["grouped"]))


def day_span(account: Account, day: date) -> tuple[datetime, datetime]:
    """The instants at which a local day of the account begins and ends."""
    bounds = zone(account.zone).day_bounds(day)
    return bounds.start, bounds.end
