"""Reads the usage read model: quantities of one account and meter by window and by declared dimension."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from ledger.database import Connection, Pool
from ledger.domain.aggregation import Cell, Group, quantity
from ledger.domain.calendar import zone
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.metering import MeterDefinition
from ledger.domain.refusals import (
    AccountUnknown,
    ArgumentInvalid,
    DimensionUndeclared,
    MeterUnknown,
    RangeTooLarge,
)
from ledger.event_log import EventLog
from ledger.projections import usage_cells, usage_hours, usage_series
from ledger.projections.usage_request import Bucket, Request, UsageRow, Window, none_first
from ledger.projections.watermark import Watermark, cursor, watermark

UniqueCounts = Mapping[tuple[datetime, Group], int]
"""Distinct values by start of window and group."""

DAYS_MAX: Final = 400
ROWS_MAX: Final = 10_000


class UsageAnswer(NamedTuple):
    """Rows in order of window and group. Windows without events are left out unless the meter carries over.

    `is_building`: a new definition of the meter is being computed; until it is done the rows follow the old one (none
    for a new meter). `progress` is the share of the log that it has seen.
    """

    watermark: Watermark
    rows: list[UsageRow]
    is_building: bool
    progress: Decimal | None


class UsageAsked(NamedTuple):
    """What is asked of a meter: local days from `start` up to `end`, exclusive, by window and dimensions."""

    meter: str
    start: date
    end: date
    window: Window
    group_by: Sequence[str] = ()
    where: Mapping[str, Sequence[str | None]] = {}
    limit: int = ROWS_MAX


async def usage(
    pool: Pool,
    log: EventLog,
    catalogue: Catalogue,
    *,
    account: str,
    meter: str,
    start: date,
    end: date,
    window: Window,
    group_by: Sequence[str] = (),
    where: Mapping[str, Sequence[str | None]] | None = None,
    limit: int = ROWS_MAX,
) -> UsageAnswer:
    """The quantities of an account (key or alias) in a meter from one local day up to another, exclusive.

    One snapshot of the read model: rows and watermark belong together. Raises `AccountUnknown`, `MeterUnknown`,
    `DimensionUndeclared`, `ArgumentInvalid`, `RangeTooLarge`.
    """
    owner = catalogue.account_of(account)
    if owner is None:
        raise AccountUnknown(account=account)
    if meter not in catalogue.meters:
        raise MeterUnknown(meter=meter)
    asked = UsageAsked(meter, start, end, window, group_by, where or {}, limit)
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, "usage")
        is_building = await usage_series.is_building(connection, meter)
        progress = await _progress(connection, mark) if is_building else None
        living = await usage_series.living(connection, meter)
        if living is None:
            return UsageAnswer(mark, [], True, progress)
        request = checked(owner, asked, *living)
        rows = await rows_at(connection, log, catalogue, request, mark.position)
    return UsageAnswer(mark, rows, is_building, progress)


def checked(owner: Account, asked: UsageAsked, series: int, definition: MeterDefinition) -> Request:
    """What is asked of one series; raises `DimensionUndeclared`, `ArgumentInvalid`, `RangeTooLarge`."""
    meter = asked.meter
    request = Request(
        series=series,
        account=owner,
        zone=zone(owner.zone),
        meter=meter,
        definition=definition,
        start=asked.start,
        end=asked.end,
        window=asked.window,
        group=[_index(meter, definition, name) for name in asked.group_by],
        allowed={str(_index(meter, definition, name)): list(values) for name, values in asked.where.items()},
        limit=asked.limit,
    )
    _check(request)
    return request


def _index(meter: str, definition: MeterDefinition, dimension: str) -> int:
    if dimension not in definition.dimensions:
        declared = ", ".join(definition.dimensions) or "none"
        raise DimensionUndeclared(meter=meter, dimension=dimension, declared=declared)
    return definition.dimensions.index(dimension)


def _check(request: Request) -> None:
    days = (request.end - request.start).days
    if days <= 0:
        raise ArgumentInvalid(argument="to", why="it must lie after `from`")
    if not date(1970, 1, 2) <= request.start < request.end <= date(9998, 12, 31):
        raise ArgumentInvalid(argument="from", why="days lie between 1970 and 9998")
    if days > DAYS_MAX:
        start, end = request.instants
        raise RangeTooLarge(start=start, end=end, unit="days", count=days, count_max=DAYS_MAX)
    if not 0 < request.limit <= ROWS_MAX:
        raise ArgumentInvalid(argument="limit", why=f"it must be 1 to {ROWS_MAX}")
    if request.window == "HOUR" and request.is_unique and request.definition.carries_over:
        raise ArgumentInvalid(argument="window", why="a unique count that carries over is told by day, not by hour")


async def _progress(connection: Connection, mark: Watermark) -> Decimal:
    """The share of the log that the build has seen, in whole hundredths."""
    built = await cursor(connection, "usage build")
    return Decimal(100 * built.position // max(mark.position, 1)) / 100


async def rows_at(
    connection: Connection, log: EventLog, catalogue: Catalogue, request: Request, reached: int
) -> list[UsageRow]:
    """The rows that answer a request, from a read model at position `reached` that the caller's transaction shows."""
    unique: UniqueCounts = {}
    if request.window != "HOUR":
        buckets = await usage_cells.days(connection, request)
        if request.is_unique:
            unique = await usage_cells.unique_counts(connection, request)
    elif request.group or request.allowed or request.is_unique:
        buckets, unique = await usage_hours.fold_hours(connection, log, catalogue, request, reached)
    else:
        buckets = await usage_cells.hours(connection, request)
    if request.definition.carries_over:
        return _carried(request, buckets, unique, await usage_cells.before(connection, request))
    return [_row(request, bucket, unique, None) for bucket in buckets]


def _carried(
    request: Request, buckets: list[Bucket], unique: UniqueCounts, earlier: dict[Group, Cell]
) -> list[UsageRow]:
    """A row for every window of every group that ever was, each beginning with what the one before it left."""
    by_place = {(bucket.start, bucket.group): bucket for bucket in buckets}
    groups = sorted({*earlier, *(bucket.group for bucket in buckets)}, key=none_first)
    rows: list[UsageRow] = []
    for start, end in request.windows():
        request.require_room(len(rows) + len(groups))
        for group in groups:
            bucket = by_place.get((start, group)) or Bucket(start, end, group, Cell())
            carried = earlier.setdefault(group, Cell())
            rows.append(_row(request, bucket, unique, carried))
            carried.merge(bucket.cell)
    return rows


def _row(request: Request, bucket: Bucket, unique: UniqueCounts, carried: Cell | None) -> UsageRow:
    aggregation = request.definition.aggregation
    if aggregation == "unique_count":
        return bucket.row(Decimal(unique.get((bucket.start, bucket.group), 0)))
    return bucket.row(quantity(aggregation, bucket.cell, start=bucket.start, end=bucket.end, carried=carried))
