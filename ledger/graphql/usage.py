"""Usage of one account in one meter: rows by window and dimension, with the evidence behind each."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Final, NamedTuple

import strawberry

from ledger.domain.refusals import ArgumentInvalid, MeterUnknown
from ledger.graphql.context import Context
from ledger.graphql.scalars import BigInt, Position
from ledger.graphql.watermarks import Watermark
from ledger.projections.as_of import Past, PastReader
from ledger.projections.usage import UsageAsked, usage
from ledger.projections.usage_request import UsageRow as ProjectedRow
from ledger.projections.watermark import reach

POSITION_TIMEOUT_SECONDS: Final = 5.0
ROWS_DEFAULT: Final = 1_000
DIMENSIONS_MAX: Final = 8
VALUES_MAX: Final = 100


@strawberry.enum(description="The window that one row covers, in the account's zone.")
class UsageWindow(Enum):
    """TOTAL is one row for the whole range."""

    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"
    TOTAL = "TOTAL"


@strawberry.input(description="A dimension and the values to keep; null among them: the property is missing.")
class UsageFilter:
    """All filters of a request must match."""

    dimension: str
    values: list[str | None]


@strawberry.type(description="The value of one dimension; null: the property is missing, shown as (none).")
class DimensionValue:
    """`name` is the property's."""

    name: str
    value: str | None


@strawberry.type(description="The quantity of one window [start, end) and group.")
class UsageRow:
    """The events behind it lie in the log between the two positions, both included."""

    start: datetime
    end: datetime
    dimensions: list[DimensionValue]
    quantity: Decimal | None
    event_count: BigInt
    first_position: Position | None
    last_position: Position | None


@strawberry.type(description="Usage of one account in one meter.")
class UsageSeries:
    """While a changed definition is computed, rows follow the old one."""

    account_key: str
    meter_key: str
    unit: str
    zone: str
    rows: list[UsageRow]
    watermark: Watermark
    is_building: bool = strawberry.field(description="A new definition of the meter is being computed.")
    progress: Decimal | None = strawberry.field(description="The share of the log that the computation has seen.")


class UsageRequest(NamedTuple):
    """The arguments of a request for usage; `start` and `end` are local days, half-open."""

    account: str
    meter: str
    start: date
    end: date
    window: UsageWindow
    group_by: Sequence[str]
    where: Sequence[UsageFilter]
    limit: int
    at_least_position: int | None


async def usage_series(context: Context, request: UsageRequest) -> UsageSeries:
    """What the read model has; waits up to 5 s where a position is asked for.

    Raises `ArgumentInvalid`, `MeterUnknown`, `DimensionUndeclared`, `RangeTooLarge`, `PositionNotReached`.
    """
    _check(request)
    if request.at_least_position is not None:
        await reach(context.pool, "usage", request.at_least_position, timeout_seconds=POSITION_TIMEOUT_SECONDS)
        await context.follower.refresh()
    owner = context.account(request.account)
    definition = context.catalogue.meters.get(request.meter)
    if definition is None:
        raise MeterUnknown(meter=request.meter[:256])
    found = await usage(
        context.pool,
        context.log,
        context.catalogue,
        account=owner.key,
        meter=request.meter,
        start=request.start,
        end=request.end,
        window=request.window.value,
        group_by=request.group_by,
        where={one.dimension: one.values for one in request.where},
        limit=request.limit,
    )
    return UsageSeries(
        account_key=owner.key,
        meter_key=request.meter,
        unit=definition.unit,
        zone=owner.zone,
        rows=[_row(row, request.group_by) for row in found.rows],
        watermark=Watermark.of(found.watermark),
        is_building=found.is_building,
        progress=found.progress,
    )


async def usage_as_of(reader: PastReader, past: Past, request: UsageRequest, mark: Watermark) -> UsageSeries:
    """What an account was known to use; raises as `usage_series`, and `PastBusy`."""
    _check(request)
    where = {one.dimension: one.values for one in request.where}
    meter = request.meter[:256]
    asked = UsageAsked(meter, request.start, request.end, request.window.value, request.group_by, where, request.limit)
    rows = await reader.usage(past, asked)
    return UsageSeries(
        account_key=past.account.key,
        meter_key=meter,
        unit=past.catalogue.meters[meter].unit,
        zone=past.account.zone,
        rows=[_row(row, request.group_by) for row in rows],
        watermark=mark,
        is_building=False,
        progress=None,
    )


def _check(request: UsageRequest) -> None:
    if len(request.group_by) > DIMENSIONS_MAX or len(set(request.group_by)) < len(request.group_by):
        raise ArgumentInvalid(argument="groupBy", why=f"it names at most {DIMENSIONS_MAX} dimensions, each once")
    filtered = [one.dimension for one in request.where]
    if len(filtered) > DIMENSIONS_MAX or len(set(filtered)) < len(filtered):
        raise ArgumentInvalid(argument="where", why=f"it filters at most {DIMENSIONS_MAX} dimensions, each once")
    for one in request.where:
        if len(one.values) > VALUES_MAX or any("\0" in value for value in one.values if value is not None):
            raise ArgumentInvalid(
                argument="where", why=f"a filter holds at most {VALUES_MAX} values, none with a NUL character"
            )


def _row(row: ProjectedRow, group_by: Sequence[str]) -> UsageRow:
    return UsageRow(
        start=row.start,
        end=row.end,
        dimensions=[
            DimensionValue(name=name, value=value) for name, value in zip(group_by, row.dimensions, strict=True)
        ],
        quantity=row.quantity,
        event_count=BigInt(row.event_count),
        first_position=None if row.first_position is None else Position(row.first_position),
        last_position=None if row.last_position is None else Position(row.last_position),
    )
