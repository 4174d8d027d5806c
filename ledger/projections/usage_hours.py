"""Tells usage by hour and dimension straight from the log: the read model keeps hours without dimensions."""

from datetime import datetime
from typing import Final, cast

import asyncpg

from ledger.database import Connection
from ledger.domain.aggregation import Cell, Group, Presence
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import decode
from ledger.domain.refusals import RangeTooLarge
from ledger.domain.usage import UsageEvent
from ledger.event_log import EventLog
from ledger.projections import usage_cells
from ledger.projections.usage_fold import CONTENT_TOPICS
from ledger.projections.usage_request import Bucket, Request

EVENTS_MAX: Final = 200_000

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
    after = min(day.cell.first_position for day in days if day.cell.first_position is not None) - 1
    last = max(day.cell.last_position for day in days if day.cell.last_position is not None)
    cells: dict[Place, Cell] = {}
    values: dict[tuple[datetime, Group, str], Presence] = {}
    names = (request.account.key, *request.account.aliases)
    view = Catalogue(accounts=catalogue.accounts, names=catalogue.names)
    view.define(request.meter, request.definition)
    seen = 0
    while rows := await log.usage_of(names, after=after, up_to=min(last, reached), connection=connection):
        seen += len(rows)
        if seen > EVENTS_MAX:
            start, end = request.instants
            raise RangeTooLarge(start=start, end=end, unit="events", count=seen, count_max=EVENTS_MAX)
        for row in rows:
            if catalogue.superseded.get(row["position"], reached + 1) > reached:
                _take(request, view, row, cells, values)
        after = rows[-1]["position"]
    request.require_room(len(cells))
    present: dict[Place, int] = {}
    for (hour, group, _), presence in values.items():
        present[hour, group] = present.get((hour, group), 0) + presence.is_present
    places = sorted(cells, key=_order)
    return [Bucket(hour, request.hour_end(hour), group, cells[hour, group]) for hour, group in places], present


def _take(
    request: Request,
    view: Catalogue,
    row: asyncpg.Record,
    cells: dict[Place, Cell],
    values: dict[tuple[datetime, Group, str], Presence],
) -> None:
    """Add an event to its hour if it counts and lies in the request's days and allowed dimensions."""
    if row["topic"] not in CONTENT_TOPICS:
        return
    usage, position = cast("UsageEvent", decode(row["topic"], row["state"])), row["position"]
    start, end = request.instants
    if not start <= usage.time < end:
        return
    for _, _, reading in view.assess(usage, row["recorded_at"]).counted:
        if any(reading.dimensions[int(index)] not in allowed for index, allowed in request.allowed.items()):
            return
        group = tuple(reading.dimensions[index] for index in request.group)
        place = request.zone.hour_of(usage.time), group
        cells.setdefault(place, Cell()).add(reading.value, usage.time, position)
        if reading.text is not None:
            presence = values.setdefault((*place, reading.text), Presence())
            presence.add(usage.time, position, is_present=not reading.is_removal)


def _order(place: Place) -> tuple[datetime, list[tuple[bool, str]]]:
    return place[0], [(value is not None, value or "") for value in place[1]]
