"""The tables of the usage read model: what a fold writes there, what a refold removes."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ledger.database import Connection, Pool
from ledger.domain.aggregation import Cell
from ledger.projections import usage_series
from ledger.projections.usage_fold import Fold

SWEEP_ROWS_MAX: Final = 20_000

_MERGE = """
    event_count = d.event_count + excluded.event_count,
    total = d.total + excluded.total,
    moment = d.moment + excluded.moment,
    minimum = least(d.minimum, excluded.minimum),
    maximum = greatest(d.maximum, excluded.maximum),
    latest = case when (excluded.latest_at, excluded.latest_position) > (d.latest_at, d.latest_position)
        then excluded.latest else d.latest end,
    latest_position = case when (excluded.latest_at, excluded.latest_position) > (d.latest_at, d.latest_position)
        then excluded.latest_position else d.latest_position end,
    latest_at = greatest(d.latest_at, excluded.latest_at),
    first_position = least(d.first_position, excluded.first_position),
    last_position = greatest(d.last_position, excluded.last_position)
"""
MERGE_DAYS = f"""
insert into usage_days as d (
    series, account, day, part, dimensions_key, dimensions, event_count, total, moment, minimum, maximum,
    latest, latest_at, latest_position, first_position, last_position
)
select * from unnest(
    $1::bigint[], $2::text[], $3::date[], $4::timestamptz[], $5::bytea[], $6::jsonb[], $7::bigint[],
    $8::text[]::numeric[], $9::text[]::numeric[], $10::text[]::numeric[], $11::text[]::numeric[],
    $12::text[]::numeric[], $13::timestamptz[], $14::bigint[], $15::bigint[], $16::bigint[]
)
on conflict (series, account, day, part, dimensions_key) do update set {_MERGE}
"""
MERGE_HOURS = f"""
insert into usage_hours as d (
    series, account, hour, event_count, total, moment, minimum, maximum,
    latest, latest_at, latest_position, first_position, last_position
)
select * from unnest(
    $1::bigint[], $2::text[], $3::timestamptz[], $4::bigint[], $5::text[]::numeric[], $6::text[]::numeric[],
    $7::text[]::numeric[], $8::text[]::numeric[], $9::text[]::numeric[], $10::timestamptz[], $11::bigint[],
    $12::bigint[], $13::bigint[]
)
on conflict (series, account, hour) do update set {_MERGE}
"""
MERGE_VALUES = """
insert into usage_values as d (
    series, account, day, part, dimensions_key, value_key, dimensions, value, event_count, first_position,
    last_position, last_at, last_at_position, is_present
)
select * from unnest(
    $1::bigint[], $2::text[], $3::date[], $4::timestamptz[], $5::bytea[], $6::bytea[], $7::jsonb[], $8::text[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::timestamptz[], $13::bigint[], $14::boolean[]
)
on conflict (series, account, day, part, dimensions_key, value_key) do update set
    event_count = d.event_count + excluded.event_count,
    first_position = least(d.first_position, excluded.first_position),
    last_position = greatest(d.last_position, excluded.last_position),
    is_present = case when (excluded.last_at, excluded.last_at_position) > (d.last_at, d.last_at_position)
        then excluded.is_present else d.is_present end,
    last_at_position = case when (excluded.last_at, excluded.last_at_position) > (d.last_at, d.last_at_position)
        then excluded.last_at_position else d.last_at_position end,
    last_at = greatest(d.last_at, excluded.last_at)
"""
INSERT_HELD = """
insert into held_usage (
    series, position, code, message, subject, account, event_type, source, event_id, occurred_at, recorded_at
)
select * from unnest(
    $1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::timestamptz[], $11::timestamptz[]
)
"""
DELETE_ACCOUNTS = (
    "delete from usage_days where series = any($1) and account = any($2)",
    "delete from usage_hours where series = any($1) and account = any($2)",
    "delete from usage_values where series = any($1) and account = any($2)",
)
DELETE_HELD_OF_SUBJECTS = """
delete from held_usage where series = any($1) and subject = any($2)
"""
DELETE_HELD_AT = """
delete from held_usage where series = any($1) and position = any($2)
"""
SWEEPS = tuple(
    f"delete from {table} where ctid = any(array(select ctid from {table} where series = any($1::bigint[]) limit $2))"
    for table in ("usage_days", "usage_hours", "usage_values", "held_usage")
)


async def merge(connection: Connection, fold: Fold) -> None:
    """Add what was folded to what is there."""
    if fold.days:
        await connection.execute(MERGE_DAYS, *_day_columns(fold))
    if fold.hours:
        await connection.execute(MERGE_HOURS, *_hour_columns(fold))
    if fold.values:
        await connection.execute(MERGE_VALUES, *_value_columns(fold))
    if fold.held:
        await connection.execute(INSERT_HELD, *zip(*fold.held, strict=True))


async def forget(
    connection: Connection, series: Sequence[int], *, accounts: Sequence[str], subjects: Sequence[str]
) -> None:
    """Remove what some series hold of accounts, and the held events told under some subjects."""
    for statement in DELETE_ACCOUNTS:
        await connection.execute(statement, series, accounts)
    await connection.execute(DELETE_HELD_OF_SUBJECTS, series, subjects)


async def release(connection: Connection, series: Sequence[int], positions: Sequence[int]) -> None:
    """Remove held events by position: they were mended or dismissed."""
    await connection.execute(DELETE_HELD_AT, series, positions)


async def sweep(pool: Pool) -> int:
    """Delete a bounded number of rows of retired series and return it; 0 once none is left."""
    retired = [row.series for row in await usage_series.of_state(pool, "retired")]
    deleted = 0
    for statement in SWEEPS:
        status = await pool.execute(statement, retired, SWEEP_ROWS_MAX)
        deleted += int(status.rsplit(" ", 1)[1])
    if not deleted:
        await usage_series.delete(pool, retired)
    return deleted


def text_key(text: str) -> bytes:
    """The 128-bit key of a text that may be too long for an index."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _day_columns(fold: Fold) -> list[Sequence[object]]:
    keys: list[tuple[object, ...]] = []
    for series, account, day, part, dimensions in fold.days:
        text = msgspec.json.encode(dimensions).decode()
        keys.append((series, account, day, part, text_key(text), text))
    return [*zip(*keys, strict=True), *_cell_columns(fold.days.values())]


def _hour_columns(fold: Fold) -> list[Sequence[object]]:
    return [*zip(*fold.hours, strict=True), *_cell_columns(fold.hours.values())]


def _cell_columns(cells: Iterable[Cell]) -> list[Sequence[object]]:
    # Numbers go as text: the driver writes that in a fraction of the time it takes for a Decimal.
    rows = [
        (
            cell.count,
            str(cell.total),
            str(cell.moment),
            None if cell.minimum is None else str(cell.minimum),
            None if cell.maximum is None else str(cell.maximum),
            None if cell.latest is None else str(cell.latest),
            cell.latest_at,
            cell.latest_position,
            cell.first_position,
            cell.last_position,
        )
        for cell in cells
    ]
    return list(zip(*rows, strict=True))


def _value_columns(fold: Fold) -> list[Sequence[object]]:
    rows = []
    for (series, account, day, part, dimensions, value), presence in fold.values.items():
        text = msgspec.json.encode(dimensions).decode()
        rows.append(
            (
                *(series, account, day, part, text_key(text), text_key(value), text, value),
                *(presence.count, presence.first_position, presence.last_position),
                *(presence.last_at, presence.last_at_position, presence.is_present),
            )
        )
    return list(zip(*rows, strict=True))
