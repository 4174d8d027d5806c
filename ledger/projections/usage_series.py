"""Series: the computed versions of meters. One of a meter is living, one may be under construction beside it."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from ledger.database import Connection, Pool
from ledger.domain.metering import MeterDefinition, decode_definition, encode_definition

State = Literal["building", "live", "retired"]

SELECT = """
select series, meter, definition, since_position from usage_series where state = $1 order by series limit 10000
"""
SELECT_LIVE = """
select series, definition from usage_series where meter = $1 and state = 'live'
"""
SELECT_IS_BUILDING = """
select exists (select from usage_series where meter = $1 and state = 'building')
"""
ABANDON_BUILDING = """
update usage_series set state = 'retired' where state = 'building' returning meter
"""
INSERT_BUILDING = """
insert into usage_series (meter, definition, state, since_position)
select meter, definition, 'building', $3 from unnest($1::text[], $2::json[]) as s (meter, definition)
"""
RETIRE_REPLACED = """
update usage_series old set state = 'retired' from usage_series new
where old.state = 'live' and new.state = 'building' and old.meter is not distinct from new.meter
"""
MAKE_LIVE = """
update usage_series set state = 'live' where state = 'building'
"""
DELETE = """
delete from usage_series where series = any($1::bigint[])
"""


class Series(NamedTuple):
    """A computed version of `meter`, or (None) of the usage that no meter can take.

    It was begun when the log had `since_position` events: decisions up to there are in it from its first event on.
    """

    series: int
    meter: str | None
    definition: MeterDefinition | None
    since_position: int


async def of_state(connection: Connection | Pool, state: State) -> list[Series]:
    """All series of a state, oldest first."""
    return [
        Series(
            row["series"],
            row["meter"],
            None if row["definition"] is None else decode_definition(row["definition"]),
            row["since_position"],
        )
        for row in await connection.fetch(SELECT, state)
    ]


async def living(connection: Connection, meter: str) -> tuple[int, MeterDefinition] | None:
    """The living series of a meter and what it was computed by; None before the first is."""
    row = await connection.fetchrow(SELECT_LIVE, meter)
    return None if row is None else (row["series"], decode_definition(row["definition"]))


async def is_building(connection: Connection, meter: str) -> bool:
    """Whether a new version of the meter is under construction."""
    return bool(await connection.fetchval(SELECT_IS_BUILDING, meter))


async def start_building(connection: Connection, definitions: Mapping[str, MeterDefinition], *, since: int) -> None:
    """Begin a series for each meter, and one for what no meter can take."""
    meters: list[str | None] = [None, *definitions]
    texts = [None, *(encode_definition(definition) for definition in definitions.values())]
    await connection.execute(INSERT_BUILDING, meters, texts, since)


async def abandon_building(connection: Connection) -> set[str]:
    """Give up what is under construction and return its meters."""
    return {row["meter"] for row in await connection.fetch(ABANDON_BUILDING) if row["meter"] is not None}


async def make_live(connection: Connection) -> None:
    """Put what is under construction in the place of what it replaces."""
    await connection.execute(RETIRE_REPLACED)
    await connection.execute(MAKE_LIVE)


async def delete(pool: Pool, series: list[int]) -> None:
    """Forget retired series of which no row is left."""
    await pool.execute(DELETE, series)
