"""Evidence of an invoice line: the days that it is made of, the events that decide it, and all its events.

Who reads single events refreshes the catalogue before: what it does not know to be mended would count.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec
import strawberry
from strawberry import relay

from ledger.domain.refusals import ArgumentInvalid
from ledger.graphql.context import Context
from ledger.graphql.line_kinds import DecidingRole
from ledger.graphql.meters import Aggregation
from ledger.graphql.pages import Connection, CountedConnection, Edge, Page, cursor, edges_of, position_of
from ledger.graphql.scalars import BigInt, Position
from ledger.graphql.usage import DimensionValue
from ledger.graphql.watermarks import Watermark
from ledger.projections import evidence, evidence_days, evidence_deciders, watermark
from ledger.projections.evidence_lines import Line

_QUANTITY: Final = "What was metered for the line: the exact sum of all days; null where days do not add up."
_PART: Final = (
    "The day's part of the line's quantity where days add up, else the day's own; null for a time-weighted sum."
)


@strawberry.type(description="What one local day and combination of the charge's dimensions adds to a line.")
class LineDay:
    """The events behind it lie in the log between the two positions, both included."""

    day: date = strawberry.field(description="In the account's zone. For a unique count, the first that told a value.")
    dimensions: list[DimensionValue]
    quantity: Decimal | None = strawberry.field(description=_PART)
    value_total: Decimal = strawberry.field(description="The sum of the events' values.")
    event_count: BigInt
    first_position: Position
    last_position: Position


@strawberry.type
class LineDayConnection(CountedConnection[LineDay]):
    """Days in order, and on each the combinations of dimensions, a missing value first."""

    aggregation: Aggregation | None = strawberry.field(description="Null while the meter is computed, or without one.")
    is_additive: bool = strawberry.field(description="The days' quantities add up to the line's.")
    quantity: Decimal | None = strawberry.field(description=_QUANTITY)
    watermark: Watermark


@strawberry.type(description="An event that decides a line which is no sum.")
class DecidingEvent:
    """`value` is what the meter takes from it, `text` for a unique count."""

    role: DecidingRole
    position: Position
    dimensions: list[DimensionValue]
    source: str
    event_id: str
    time: datetime
    value: Decimal
    text: str | None


@strawberry.type
class DecidingEventConnection(CountedConnection[DecidingEvent]):
    """Deciding events in order of position."""

    watermark: Watermark


@strawberry.type(description="A stretch of time at one level.")
class LevelInterval:
    """Of a time-weighted sum, whose quantity is the mean of the levels, weighted by their lengths."""

    dimensions: list[DimensionValue]
    start: datetime
    end: datetime
    level: Decimal


@strawberry.type
class LevelIntervalConnection(CountedConnection[LevelInterval]):
    """Intervals by stretch of billing, combination of dimensions and time."""

    watermark: Watermark


@strawberry.type(description="An event behind a line, or beside it: then `isCounted` is false and `reason` says why.")
class LineEvent:
    """`dimensions` are the meter's declared ones; none, and no value, where the event cannot be read."""

    position: Position
    source: str
    event_id: str
    subject: str
    time: datetime
    recorded_at: datetime
    value: Decimal | None
    text: str | None = strawberry.field(description="The value of a unique count.")
    dimensions: list[DimensionValue]
    is_counted: bool
    reason: str | None = strawberry.field(
        description="A permanent code: a held event's, key_conflict, superseded, filtered_out, meter_retired, "
        "other_period or other_line."
    )
    message: str | None


@strawberry.type
class LineEventConnection(Connection[LineEvent]):
    """Events in order of position. Where few events are the line's, a page may be empty and others follow it."""

    watermark: Watermark


class EventsWanted(NamedTuple):
    """Which events of a line to show."""

    day: date | None
    includes_excluded: bool


async def days(context: Context, line: Line | None, page: Page) -> LineDayConnection:
    """A page of the days behind a line; none for a line without usage. Raises as `evidence_days.line_days`."""
    if line is None:
        mark = await watermark.watermark(context.pool, "usage")
        found = evidence_days.LineDays(mark, None, True, None, [])
    else:
        found = await evidence_days.line_days(context.pool, line)
    names = () if line is None else line.charge.group_by
    rows = sorted(found.rows, key=lambda row: _place_of(row.day, row.group))
    after = None if page.after is None else _place_in(page.after)
    later = [row for row in rows if after is None or _place_of(row.day, row.group) > after]
    shown = [
        LineDay(
            day=row.day,
            dimensions=dimensions(names, row.group),
            quantity=row.quantity,
            value_total=row.value_total,
            event_count=BigInt(row.event_count),
            first_position=Position(row.first_position),
            last_position=Position(row.last_position),
        )
        for row in later[: page.limit + 1]
    ]
    edges, edge_info = edges_of(page, shown, _key_of)
    return LineDayConnection(
        edges=edges,
        page_info=edge_info,
        total_count=BigInt(len(rows)),
        aggregation=None if found.aggregation is None else Aggregation(found.aggregation),
        is_additive=found.is_additive,
        quantity=found.quantity,
        watermark=Watermark.of(found.watermark),
    )


async def deciding(context: Context, line: Line | None, page: Page) -> DecidingEventConnection:
    """A page of the events that decide a line; raises as `evidence_deciders.deciders`."""
    found: list[evidence_deciders.Decider] = []
    if line is None:
        mark = await watermark.watermark(context.pool, "usage")
    else:
        await context.follower.refresh()
        mark, found = await evidence_deciders.deciders(context.pool, context.log, context.catalogue, line)
    names = () if line is None else line.charge.group_by
    after = position_of("after", page.after) or 0
    shown = [
        DecidingEvent(
            role=DecidingRole(one.role),
            position=Position(one.position),
            dimensions=dimensions(names, one.group),
            source=one.usage.source,
            event_id=one.usage.id,
            time=one.usage.time,
            value=one.value,
            text=one.text,
        )
        for one in found
        if one.position > after
    ]
    edges, edge_info = edges_of(page, shown[: page.limit + 1], lambda one: str(one.position))
    return DecidingEventConnection(
        edges=edges, page_info=edge_info, total_count=BigInt(len(found)), watermark=Watermark.of(mark)
    )


async def intervals(context: Context, line: Line | None, page: Page) -> LevelIntervalConnection:
    """A page of the levels that a time-weighted line is the mean of; raises as `evidence_deciders.intervals`."""
    found: list[evidence_deciders.Interval] = []
    if line is None:
        mark = await watermark.watermark(context.pool, "usage")
    else:
        await context.follower.refresh()
        mark, found = await evidence_deciders.intervals(context.pool, context.log, context.catalogue, line)
    names = () if line is None else line.charge.group_by
    after = position_of("after", page.after) or 0
    numbered = list(enumerate(found, start=1))[after : after + page.limit + 1]
    places = [number for number, _ in numbered]
    shown = [
        LevelInterval(dimensions=dimensions(names, one.group), start=one.start, end=one.end, level=one.level)
        for _, one in numbered
    ]
    edges, edge_info = edges_of(page, shown, lambda one: str(places[shown.index(one)]))
    return LevelIntervalConnection(
        edges=edges, page_info=edge_info, total_count=BigInt(len(found)), watermark=Watermark.of(mark)
    )


async def events(context: Context, line: Line | None, page: Page, wanted: EventsWanted) -> LineEventConnection:
    """A page of the events of a line, in order of position; raises as `evidence.evidence`."""
    after = position_of("after", page.after) or 0
    if line is None:
        mark = await watermark.watermark(context.pool, "usage")
        found = evidence.EvidencePage(mark, (), [], after, False)
    else:
        await context.follower.refresh()
        request = evidence.Wanted(after, page.limit, wanted.day, wanted.includes_excluded)
        found = await evidence.evidence(context.pool, context.log, context.catalogue, line, request)
    edges = [Edge(cursor=cursor(str(one.position)), node=_event(found.names, one)) for one in found.rows]
    edge_info = relay.PageInfo(
        has_next_page=found.is_more,
        has_previous_page=page.after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=cursor(str(found.looked_at)) if edges or found.is_more else None,
    )
    return LineEventConnection(edges=edges, page_info=edge_info, watermark=Watermark.of(found.watermark))


def dimensions(names: Sequence[str], values: Sequence[str | None]) -> list[DimensionValue]:
    """The values by name, as the API shows them."""
    return [DimensionValue(name=name, value=value) for name, value in zip(names, values, strict=False)]


def _event(names: Sequence[str], one: evidence.Evidence) -> LineEvent:
    return LineEvent(
        position=Position(one.position),
        source=one.usage.source,
        event_id=one.usage.id,
        subject=one.usage.subject,
        time=one.usage.time,
        recorded_at=one.recorded_at,
        value=one.value,
        text=one.text,
        dimensions=dimensions(names, one.dimensions),
        is_counted=one.reason is None,
        reason=one.reason,
        message=one.message,
    )


_Place = tuple[date, list[tuple[bool, str]]]


def _place_of(day: date, group: Sequence[str | None]) -> _Place:
    return day, [(value is not None, value or "") for value in group]


def _key_of(one: LineDay) -> str:
    return msgspec.json.encode((one.day, [dimension.value for dimension in one.dimensions])).decode()


def _place_in(key: str) -> _Place:
    try:
        return _place_of(*msgspec.json.decode(key, type=tuple[date, list[str | None]]))
    except msgspec.MsgspecError:
        raise ArgumentInvalid(argument="after", why="it is no cursor of this field") from None
