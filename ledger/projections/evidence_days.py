"""The days behind an invoice line: what each local day and combination of dimensions adds to its quantity."""

from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

import asyncpg

from ledger.database import Connection, Pool
from ledger.domain.aggregation import Group, quantity
from ledger.domain.charges import Dynamic
from ledger.domain.metering import Aggregation
from ledger.domain.money import total
from ledger.domain.values import ZERO
from ledger.projections.evidence_lines import Line, Located, day_span, fetch, grouped, located, looks_at_events
from ledger.projections.metered import GROUPED, SPANS, WITHIN
from ledger.projections.usage_cells import SUMS, cell_of
from ledger.projections.watermark import Watermark, watermark

ADDITIVE: Final = frozenset({"count", "sum", "unique_count"})
"""The aggregations of which days are parts that add up."""

SELECT_DAYS = f"""
select u.day, {GROUPED}, {SUMS}
from {SPANS} join usage_days u on {WITHIN}
group by u.day, grouped order by u.day, grouped limit $10
"""
# The values that are there at the end, each on the first day that told it.
SELECT_NEW_VALUES = f"""
select day, grouped, count(*) as present from (
    select grouped, min(day) as day from (
        select {GROUPED}, u.value_key, u.day, u.is_present, u.last_at, u.last_at_position
        from {SPANS} join usage_values u on {WITHIN}
    ) told
    group by grouped, value_key
    having (array_agg(is_present order by last_at desc, last_at_position desc))[1]
) present
group by day, grouped order by day, grouped limit $10
"""


class LineDay(NamedTuple):
    """One local day and combination of the charge's dimensions.

    `quantity` is the part of the line's that falls on the day where days add up, else the day's own; None for a
    time-weighted sum, of which intervals tell. `value_total` is the sum of the events' values.
    """

    day: date
    group: Group
    quantity: Decimal | None
    value_total: Decimal
    event_count: int
    first_position: int
    last_position: int


class LineDays(NamedTuple):
    """The days in order. Where they are `additive`, `quantity` is their exact sum: what was metered for the line."""

    watermark: Watermark
    aggregation: Aggregation | None
    is_additive: bool
    quantity: Decimal | None
    rows: list[LineDay]


async def line_days(pool: Pool, line: Line) -> LineDays:
    """The days behind a line, in one snapshot; raises `DimensionUndeclared`, `RangeTooLarge` beyond 10,000 rows."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, "usage")
        place = await located(connection, line)
        if place is None:
            return LineDays(mark, None, True, ZERO, [])
        rows = await _rows(connection, place)
    aggregation = place.definition.aggregation
    is_additive = looks_at_events(line.charge) or aggregation in ADDITIVE
    metered = total(row.quantity or ZERO for row in rows) if is_additive else None
    return LineDays(mark, aggregation, is_additive, metered, rows)


async def _rows(connection: Connection, place: Located) -> list[LineDay]:
    cells = await fetch(connection, SELECT_DAYS, place, place.spans)
    present: dict[tuple[date, Group], int] = {}
    if place.definition.aggregation == "unique_count" and not looks_at_events(place.line.charge):
        for row in await fetch(connection, SELECT_NEW_VALUES, place, place.spans):
            present[row["day"], grouped(row)] = row["present"]
    return [_row(place, row, present) for row in cells]


def _row(place: Located, row: asyncpg.Record, present: dict[tuple[date, Group], int]) -> LineDay:
    group = grouped(row)
    return LineDay(
        row["day"],
        group,
        _quantity(place, row, present.get((row["day"], group), 0)),
        row["total"],
        row["count"],
        row["first_position"],
        row["last_position"],
    )


def _quantity(place: Located, row: asyncpg.Record, present: int) -> Decimal | None:
    """The day's part, or its own quantity; prices that look at single events add up what those carried."""
    if looks_at_events(place.line.charge):
        return Decimal(row["count"]) if isinstance(place.line.charge.price.model, Dynamic) else row["total"]
    match place.definition.aggregation:
        case "unique_count":
            return Decimal(present)
        case "time_weighted_sum":
            return None
        case aggregation:
            start, end = day_span(place.line.account, row["day"])
            return quantity(aggregation, cell_of(row), start=start, end=end)
