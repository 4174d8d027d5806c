"""The tables of the usage read model: what a fold writes there, what a refold removes."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec

from ledger.database import Connection, Pool
from ledger.domain.aggregation import Cell, Tally
from ledger.projections import arrays, usage_series
from ledger.projections.usage_fold import Fold
from ledger.projections.watermark import MOVE_CURSOR, Cursor, CursorMoved

SWEEP_ROWS_MAX: Final = 20_000

_Key = TypeVar("_Key")

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
# Tallies come last and have no values in the columns that only cells have: `unnest` fills up with nulls.
MERGE_DAYS = f"""
insert into usage_days as d (
    series, account, day, part, dimensions_key, dimensions, event_count, total, first_position, last_position,
    moment, minimum, maximum, latest, latest_at, latest_position
)
select series, account, ($3::date[])[day], ($5::timestamptz[])[part], dimensions_key, dimensions, event_count, total,
    first_position, last_position, coalesce(moment, 0), minimum, maximum, latest, latest_at, latest_position
from unnest(
    $1::text::bigint[], array(select json_array_elements_text($2::text::json)), $4::text::integer[],
    $6::text::integer[], $7::text::bytea[], array(select jsonb_array_elements($8::text::jsonb)),
    $9::text::bigint[], $10::text::numeric[], $11::text::bigint[], $12::text::bigint[], $13::text::numeric[],
    $14::text::numeric[], $15::text::numeric[], $16::text::numeric[], $17::timestamptz[], $18::text::bigint[]
) as cells (
    series, account, day, part, dimensions_key, dimensions, event_count, total, first_position, last_position,
    moment, minimum, maximum, latest, latest_at, latest_position
)
where true on conflict (series, account, day, part, dimensions_key) do update set {_MERGE}
"""
MERGE_HOURS = f"""
insert into usage_hours as d (
    series, account, hour, event_count, total, first_position, last_position,
    moment, minimum, maximum, latest, latest_at, latest_position
)
select series, account, ($3::timestamptz[])[hour], event_count, total, first_position, last_position,
    coalesce(moment, 0), minimum, maximum, latest, latest_at, latest_position
from unnest(
    $1::text::bigint[], array(select json_array_elements_text($2::text::json)), $4::text::integer[],
    $5::text::bigint[], $6::text::numeric[], $7::text::bigint[], $8::text::bigint[], $9::text::numeric[],
    $10::text::numeric[], $11::text::numeric[], $12::text::numeric[], $13::timestamptz[], $14::text::bigint[]
) as cells (
    series, account, hour, event_count, total, first_position, last_position,
    moment, minimum, maximum, latest, latest_at, latest_position
)
where true on conflict (series, account, hour) do update set {_MERGE}
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
where true on conflict (series, account, day, part, dimensions_key, value_key) do update set
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
where true
"""


def _if_moved(statement: str, *, after: int) -> str:
    """A statement as a part of `ADVANCE`: with so many parameters before its own, and idle where the cursor stays."""
    numbered = re.sub(r"\$(\d+)", lambda match: f"${int(match[1]) + after}", statement)
    return numbered.replace("where true", "where exists (select from moved)")


# One statement, and so one transaction and one round trip: a busy machine makes each of them dear. It does not wait for
# the disk. What a crash of Postgres takes back is folded again, because the cells go with their cursor; and whatever is
# durably committed after it makes it durable too.
ADVANCE = f"""
with moved as ({MOVE_CURSOR}),
    days as ({_if_moved(MERGE_DAYS, after=5)}),
    hours as ({_if_moved(MERGE_HOURS, after=23)}),
    held as ({_if_moved(INSERT_HELD, after=37)}),
    present as ({_if_moved(MERGE_VALUES, after=48)})
select set_config('synchronous_commit', 'off', true) from moved
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


async def advance(
    pool: Pool, name: str, seen: Cursor, *, position: int, recorded_at: datetime | None, fold: Fold
) -> None:
    """Move a cursor on and add what was folded on the way; raises `CursorMoved` unless it still is where it was seen.

    Not durable when it returns, which nobody may be told: after a crash of Postgres the cursor may be back at `seen`.
    """
    columns = *_day_columns(fold), *_hour_columns(fold), *_held_columns(fold), *_value_columns(fold)
    if not await pool.fetchval(ADVANCE, name, *seen, position, recorded_at, *columns):
        raise CursorMoved(name)


async def merge(connection: Connection, fold: Fold) -> None:
    """Add what was folded to what is there."""
    if fold.days:
        await connection.execute(MERGE_DAYS, *_day_columns(fold))
    if fold.hours:
        await connection.execute(MERGE_HOURS, *_hour_columns(fold))
    if fold.values:
        await connection.execute(MERGE_VALUES, *_value_columns(fold))
    if fold.held:
        await connection.execute(INSERT_HELD, *_held_columns(fold))


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


def _day_columns(fold: Fold) -> list[object]:
    keys, cells = _tallies_last(fold.days)
    series, accounts, days, parts, dimensions = _transposed(keys, width=5)
    texts = {values: msgspec.json.encode(values).decode() for values in set(dimensions)}
    hashes = {values: text_key(text) for values, text in texts.items()}
    return [
        arrays.of_numbers(series),
        arrays.of_texts(accounts),
        *arrays.of_times(days),
        *arrays.of_times(parts),
        arrays.of_keys([hashes[values] for values in dimensions]),
        arrays.of_json([texts[values] for values in dimensions]),
        *_cell_columns(cells),
    ]


def _hour_columns(fold: Fold) -> list[object]:
    keys, cells = _tallies_last(fold.hours)
    series, accounts, hours = _transposed(keys, width=3)
    return [arrays.of_numbers(series), arrays.of_texts(accounts), *arrays.of_times(hours), *_cell_columns(cells)]


def _tallies_last(cells: dict[_Key, Cell]) -> tuple[list[_Key], list[Cell]]:
    """Keys and cells, in the same order."""
    ordered = sorted(cells.items(), key=_is_tally)
    return [key for key, _ in ordered], [cell for _, cell in ordered]


def _is_tally(item: tuple[object, Cell]) -> bool:
    return isinstance(item[1], Tally)


def _cell_columns(cells: Sequence[Cell]) -> list[object]:
    whole = [cell for cell in cells if not isinstance(cell, Tally)]
    return [
        *_numbers(cells, "count", "total", "first_position", "last_position"),
        *_numbers(whole, "moment", "minimum", "maximum", "latest"),
        [cell.latest_at for cell in whole],
        *_numbers(whole, "latest_position"),
    ]


def _numbers(cells: Sequence[Cell], *names: str) -> list[str]:
    return [arrays.of_numbers(map(attrgetter(name), cells)) for name in names]


def _held_columns(fold: Fold) -> Sequence[Sequence[object]]:
    return _transposed(fold.held, width=11)


def _value_columns(fold: Fold) -> Sequence[Sequence[object]]:
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
    return _transposed(rows, width=14)


def _transposed(rows: Sequence[tuple[Any, ...]], *, width: int) -> Sequence[Sequence[Any]]:
    """The columns of rows, as many of them where there is no row."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
