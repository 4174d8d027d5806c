"""Reads the stored cells of one series and account, merged by window and group."""

from datetime import date, datetime
from typing import Any, Final

import asyncpg
import msgspec

from ledger.database import Connection
from ledger.domain.aggregation import Cell, Group
from ledger.projections.usage_request import Bucket, Request

FIRST_DAY: Final = date(1969, 12, 31)
"""The local day of the first instant that the ledger takes, in zones west of Greenwich."""
CELL_FIELDS: Final = (
    "count",
    "total",
    "moment",
    "minimum",
    "maximum",
    "latest",
    "latest_at",
    "latest_position",
    "first_position",
    "last_position",
)


def grouped(indices: str) -> str:
    """SQL for the values that a row of cells (`u`) has in the dimensions at `indices`, an integer array in order."""
    return f"""
(select coalesce(jsonb_agg(u.dimensions -> g.index order by g.place), '[]')
    from unnest({indices}::integer[]) with ordinality as g (index, place)) as grouped
"""


def is_allowed(values: str) -> str:
    """SQL for whether a row of cells (`u`) has one of the values that `values`, a jsonb object, allows by index."""
    return f"""
not exists (
    select from jsonb_each({values}::jsonb) as f (index, allowed)
    where not f.allowed @> jsonb_build_array(u.dimensions -> f.index::integer)
)
"""


SUMS = """
sum(event_count)::bigint as count, sum(total) as total, sum(moment) as moment,
    min(minimum) as minimum, max(maximum) as maximum,
    (array_agg(latest order by latest_at desc, latest_position desc))[1] as latest,
    max(latest_at) as latest_at,
    (array_agg(latest_position order by latest_at desc, latest_position desc))[1] as latest_position,
    min(first_position) as first_position, max(last_position) as last_position
"""
SELECT_DAYS = f"""
select case $7 when 'TOTAL' then $3 else greatest(date_trunc($7, u.day)::date, $3) end as bucket,
    {grouped("$5")}, {SUMS}
from usage_days u
where u.series = $1 and u.account = $2 and u.day >= $3 and u.day < $4 and {is_allowed("$6")}
group by bucket, grouped order by bucket, grouped limit $8
"""
SELECT_HOURS = f"""
select hour as bucket, '[]' as grouped, {SUMS}
from usage_hours
where series = $1 and account = $2 and hour >= $3 and hour < $4
group by hour order by hour limit $5
"""
# For each window the distinct values whose last operation in it left them there.
SELECT_UNIQUE_COUNTS = f"""
select w.bucket, v.grouped, count(*) as present
from unnest($3::date[], $4::date[], $7::date[]) as w (first, last, bucket)
cross join lateral (
    select distinct on (grouped, u.value_key) {grouped("$5")}, u.value_key, u.is_present
    from usage_values u
    where u.series = $1 and u.account = $2 and u.day >= w.first and u.day < w.last and {is_allowed("$6")}
    order by grouped, u.value_key, u.last_at desc, u.last_at_position desc
) v
where v.is_present group by w.bucket, v.grouped limit $8
"""


async def days(connection: Connection, request: Request) -> list[Bucket]:
    """The buckets of a request by day, month or in total, in order of window and group."""
    rows = await connection.fetch(
        SELECT_DAYS, *_selection(request, request.start, request.end), request.window, request.limit + 1
    )
    request.require_room(len(rows))
    ends = dict(request.days())
    start_of = request.start_of
    return [_bucket(row, start_of(row["bucket"]), start_of(ends[row["bucket"]])) for row in rows]


async def hours(connection: Connection, request: Request) -> list[Bucket]:
    """The buckets of a request by hour, not grouped."""
    start, end = request.instants
    rows = await connection.fetch(SELECT_HOURS, request.series, request.account.key, start, end, request.limit + 1)
    request.require_room(len(rows))
    return [_bucket(row, row["bucket"], request.hour_end(row["bucket"])) for row in rows]


async def before(connection: Connection, request: Request) -> dict[Group, Cell]:
    """The cells by group of all events before the request's first day."""
    selection = _selection(request, FIRST_DAY, request.start)
    rows = await connection.fetch(SELECT_DAYS, *selection, "TOTAL", request.limit + 1)
    request.require_room(len(rows))
    return {_group(row): cell_of(row) for row in rows}


async def unique_counts(connection: Connection, request: Request) -> dict[tuple[datetime, Group], int]:
    """By start of window and group, how many distinct values there are; none is left out, it is 0.

    With a meter that carries over a value counts until it is removed.
    """
    series, account, _, _, group, allowed = _selection(request, request.start, request.end)
    spans = list(request.days())
    firsts = [FIRST_DAY if request.definition.carries_over else first for first, _ in spans]
    lasts = [last for _, last in spans]
    buckets = [first for first, _ in spans]
    rows = await connection.fetch(
        SELECT_UNIQUE_COUNTS, series, account, firsts, lasts, group, allowed, buckets, request.limit + 1
    )
    request.require_room(len(rows))
    return {(request.start_of(row["bucket"]), _group(row)): row["present"] for row in rows}


def _selection(request: Request, start: date, end: date) -> tuple[Any, ...]:
    allowed = msgspec.json.encode(request.allowed).decode()
    return request.series, request.account.key, start, end, request.group, allowed


def _bucket(row: asyncpg.Record, start: datetime, end: datetime) -> Bucket:
    return Bucket(start, end, _group(row), cell_of(row))


def _group(row: asyncpg.Record) -> Group:
    return tuple(msgspec.json.decode(row["grouped"]))


def cell_of(row: asyncpg.Record) -> Cell:
    """The cell that a row's columns tell."""
    return Cell(**{name: row[name] for name in CELL_FIELDS})
