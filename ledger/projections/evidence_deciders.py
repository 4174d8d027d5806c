"""The events that decide a line which does not add up, and the levels that a time-weighted one is the mean of."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple, cast

import asyncpg
import msgspec

from ledger.database import Connection, Pool
from ledger.domain.aggregation import Group
from ledger.domain.calendar import zone
from ledger.domain.catalogue import Catalogue
from ledger.domain.metering import Unreadable, read
from ledger.domain.periods import Period
from ledger.domain.topics import decode
from ledger.domain.usage import UsageEvent
from ledger.domain.values import EPOCH, EXACT, ZERO
from ledger.event_log import EventLog
from ledger.projections.evidence_lines import Line, Located, bracket, day_span, fetch, grouped, located, too_many
from ledger.projections.metered import GROUPED, SPANS, WITHIN
from ledger.projections.usage_readings import Stretch, Taken, readings
from ledger.projections.watermark import Watermark, watermark

GROUPS_MAX: Final = 100
"""The most groups whose deciding events are looked for in the log at once."""

Role = Literal["winner", "runner_up", "last", "first_of_value"]

# The two cells of each group that hold its extremes; a cell is one day's of one combination of dimensions.
SELECT_EXTREMES = f"""
select grouped, day, dimensions, first_position, last_position from (
    select c.*, row_number() over (partition by grouped order by {{rank}}, day, first_position) as place
    from (
        select {GROUPED}, u.day, u.dimensions, u.maximum, u.minimum, u.first_position, u.last_position
        from {SPANS} join usage_days u on {WITHIN}
    ) c
) ranked
where place <= 2 order by grouped, place limit $10
"""
SELECT_HIGHEST = SELECT_EXTREMES.format(rank="maximum desc")
SELECT_LOWEST = SELECT_EXTREMES.format(rank="minimum")
SELECT_LATEST = f"""
select distinct on (grouped) {GROUPED}, u.latest_position as position
from {SPANS} join usage_days u on {WITHIN}
order by grouped, u.latest_at desc, u.latest_position desc limit $10
"""
SELECT_FIRSTS = f"""
select grouped, (array_agg(first_position order by day, first_position))[1] as position from (
    select {GROUPED}, u.value_key, u.day, u.first_position, u.is_present, u.last_at, u.last_at_position
    from {SPANS} join usage_values u on {WITHIN}
) told
group by grouped, value_key
having (array_agg(is_present order by last_at desc, last_at_position desc))[1]
order by position limit $10
"""
SELECT_EARLIER = f"""
select {GROUPED}, sum(u.total) as total
from {SPANS} join usage_days u on {WITHIN} group by grouped order by grouped limit $10
"""


class Decider(NamedTuple):
    """An event that decides a line's quantity for a group, and what the meter took from it."""

    role: Role
    position: int
    group: Group
    usage: UsageEvent
    value: Decimal
    text: str | None


class Interval(NamedTuple):
    """A stretch of time at one level, of a group."""

    group: Group
    start: datetime
    end: datetime
    level: Decimal


async def deciders(pool: Pool, log: EventLog, catalogue: Catalogue, line: Line) -> tuple[Watermark, list[Decider]]:
    """The events that decide the line, in order of position.

    Of a maximum or minimum the winner and the runner-up, of the latest the last, of a unique count the first event of
    each value that is there at the end: the first told on the first day. None where every event adds its part. Raises
    `RangeTooLarge` beyond 10,000 values, 100 groups of extremes, or 200,000 events between them.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, "usage")
        place = await located(connection, line)
        if place is None:
            return mark, []
        match place.definition.aggregation:
            case "max" | "min":
                found = await _extremes(connection, log, catalogue, place, mark.position)
            case "latest":
                rows = await fetch(connection, SELECT_LATEST, place, place.spans)
                found = await _at(connection, log, place, rows, "last")
            case "unique_count":
                rows = await fetch(connection, SELECT_FIRSTS, place, place.spans)
                found = await _at(connection, log, place, rows, "first_of_value")
            case _:
                found = []
    return mark, sorted(found, key=lambda one: one.position)


async def _at(
    connection: Connection, log: EventLog, place: Located, rows: Sequence[asyncpg.Record], role: Role
) -> list[Decider]:
    """The events at the rows' positions."""
    groups = {row["position"]: grouped(row) for row in rows}
    found = []
    for row in await log.at(list(groups), connection=connection):
        usage = cast("UsageEvent", decode(row["topic"], row["state"]))
        reading = read(place.definition, usage.data)
        assert not isinstance(reading, Unreadable), "it counted"
        position = row["position"]
        found.append(Decider(role, position, groups[position], usage, reading.value, reading.text))
    return found


async def _extremes(
    connection: Connection, log: EventLog, catalogue: Catalogue, place: Located, reached: int
) -> list[Decider]:
    """The first two of each group: they lie in the two cells with the highest, or lowest, values."""
    is_highest = place.definition.aggregation == "max"
    rows = await fetch(connection, SELECT_HIGHEST if is_highest else SELECT_LOWEST, place, place.spans)
    cells: dict[Group, list[asyncpg.Record]] = {}
    for row in rows:
        cells.setdefault(grouped(row), []).append(row)
    if len(cells) > GROUPS_MAX:
        raise too_many(place, "groups", len(cells), GROUPS_MAX)
    found = []
    for group, members in cells.items():
        taken = [one for cell in members for one in await _of_cell(connection, log, catalogue, place, cell, reached)]
        taken.sort(key=lambda one: (_rank(one, is_highest=is_highest), one.usage.time, one.position))
        roles: tuple[Role, ...] = ("winner", "runner_up")
        for role, one in zip(roles, taken, strict=False):
            found.append(Decider(role, one.position, group, one.usage, one.reading.value, None))
    return found


def _rank(taken: Taken, *, is_highest: bool) -> Decimal:
    return EXACT.minus(taken.reading.value) if is_highest else taken.reading.value


async def _of_cell(
    connection: Connection,
    log: EventLog,
    catalogue: Catalogue,
    place: Located,
    cell: asyncpg.Record,
    reached: int,
) -> list[Taken]:
    account = place.line.account
    start, end = day_span(account, cell["day"])
    first, last = cell["first_position"], cell["last_position"]
    stretch = Stretch(account, place.line.charge.meter, place.definition, start, end, first, last, reached)
    dimensions = tuple(msgspec.json.decode(cell["dimensions"]))
    day_of = zone(account.zone).day_of
    return [
        taken
        async for taken in readings(log, catalogue, stretch, connection=connection)
        if taken.reading.dimensions == dimensions
        and day_of(taken.usage.time) == cell["day"]
        and any(taken.usage.time in span for span in place.spans)
    ]


async def intervals(pool: Pool, log: EventLog, catalogue: Catalogue, line: Line) -> tuple[Watermark, list[Interval]]:
    """The levels of a time-weighted line by group, in order of time: weighted by length their mean is its quantity.

    Nothing for other meters. Raises `RangeTooLarge` beyond 200,000 events.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, "usage")
        place = await located(connection, line)
        if place is None or place.definition.aggregation != "time_weighted_sum":
            return mark, []
        taken = await _taken(connection, log, catalogue, place, mark.position)
        found: list[Interval] = []
        for span in line.segment.spans:
            opening: dict[Group, Decimal] = {}
            if place.definition.carries_over:
                for row in await fetch(connection, SELECT_EARLIER, place, [Period(EPOCH, span.start)]):
                    opening[grouped(row)] = row["total"]
            found += _levels(place, span, opening, [one for one in taken if one.usage.time in span])
    return mark, found


async def _taken(
    connection: Connection, log: EventLog, catalogue: Catalogue, place: Located, reached: int
) -> list[Taken]:
    """The line's events within its segment, in order of occurrence."""
    line = place.line
    between = await bracket(connection, place, line.segment.spans)
    if between is None:
        return []
    stretch = Stretch(
        *(line.account, line.charge.meter, place.definition, line.segment.start, line.segment.end),
        *(between.first, between.last, reached),
    )
    taken = [
        one
        async for one in readings(log, catalogue, stretch, connection=connection)
        if place.admits(one.reading.dimensions)
    ]
    return sorted(taken, key=lambda one: (one.usage.time, one.position))


def _levels(place: Located, span: Period, opening: dict[Group, Decimal], taken: Iterable[Taken]) -> list[Interval]:
    """The levels within one stretch of time, group after group."""
    by_group: dict[Group, list[Taken]] = {group: [] for group in opening}
    for one in taken:
        by_group.setdefault(place.group_of(one.reading.dimensions), []).append(one)
    found = []
    for group, members in by_group.items():
        level, since = opening.get(group, ZERO), span.start
        for one in members:
            if one.usage.time > since:
                found.append(Interval(group, since, one.usage.time, level))
                since = one.usage.time
            level = EXACT.add(level, one.reading.value)
        found.append(Interval(group, since, span.end, level))
    return found
