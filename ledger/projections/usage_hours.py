"""Tells usage by hour and dimension straight from the log: the read model keeps hours without dimensions."""

from datetime import datetime

from ledger.database import Connection
from ledger.domain.aggregation import Cell, Group, Presence
from ledger.domain.catalogue import Catalogue
from ledger.event_log import EventLog
from ledger.projections import usage_cells
from ledger.projections.usage_readings import Stretch, readings
from ledger.projections.usage_request import Bucket, Request, none_first

Place = tuple[datetime, Group]
"""An hour's start and a group."""


async def fold_hours(
    connection: Connection, log: EventLog, catalogue: Catalogue, request: Request, reached: int
) -> tuple[list[Bucket], dict[Place, int]]:
    """The buckets of a request by hour and group, and the distinct values of each where the meter counts those.

    Reads only events between the first and last position of the days asked for, at most 200,000 of them; raises
    `RangeTooLarge` beyond.
    """
    days = await usage_cells.days(connection, request._replace(window="DAY", group=[]))
    if not days:
        return [], {}
    start, end = request.instants
    stretch = Stretch(
        account=request.account,
        meter=request.meter,
        definition=request.definition,
        start=start,
        end=end,
        first_position=min(day.cell.first_position for day in days if day.cell.first_position is not None),
        last_position=max(day.cell.last_position for day in days if day.cell.last_position is not None),
        reached=reached,
    )
    cells: dict[Place, Cell] = {}
    values: dict[tuple[datetime, Group, str], Presence] = {}
    async for position, usage, reading in readings(log, catalogue, stretch, connection=connection):
        if any(reading.dimensions[int(index)] not in allowed for index, allowed in request.allowed.items()):
            continue
        place = request.zone.hour_of(usage.time), tuple(reading.dimensions[index] for index in request.group)
        cells.setdefault(place, Cell()).add(reading.value, usage.time, position)
        if reading.text is not None:
            presence = values.setdefault((*place, reading.text), Presence())
            presence.add(usage.time, position, is_present=not reading.is_removal)
    request.require_room(len(cells))
    present: dict[Place, int] = {}
    for (hour, group, _), presence in values.items():
        present[hour, group] = present.get((hour, group), 0) + presence.is_present
    places = sorted(cells, key=_order)
    return [Bucket(hour, request.hour_end(hour), group, cells[hour, group]) for hour, group in places], present


def _order(place: Place) -> tuple[datetime, list[tuple[bool, str]]]:
    return place[0], none_first(place[1])
