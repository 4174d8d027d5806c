"""Reads what charges are rated on: usage by segment and group, set-based for many accounts and periods at once."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

import asyncpg
import msgspec

from ledger.database import Connection
from ledger.domain.adjusted_usage import looks_at_events
from ledger.domain.aggregation import Cell, Group, quantity
from ledger.domain.calendar import zone
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.lines import Used
from ledger.domain.metering import MeterDefinition
from ledger.domain.periods import Period
from ledger.domain.pricing import PlanCharge
from ledger.domain.rating import Metered
from ledger.domain.refusals import DimensionUndeclared, RangeTooLarge
from ledger.domain.segments import Segment
from ledger.domain.values import DIVISION, EPOCH, ZERO, microseconds
from ledger.event_log import EventLog
from ledger.projections import usage_series
from ledger.projections.usage_cells import SUMS, cell_of, grouped, is_allowed
from ledger.projections.usage_readings import Stretch, Taken, readings

GROUPS_MAX: Final = 200_000

SPANS = """
unnest($2::integer[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::date[], $7::date[])
    as s (job, account, start, until, first_day, last_day)
"""
WITHIN = f"""
u.series = $1 and u.account = s.account and u.day >= s.first_day and u.day <= s.last_day
    and u.part >= s.start and u.part < s.until and {is_allowed("$9")}
"""
GROUPED: Final = grouped("$8")
SELECT_CELLS = f"""
select s.job, {GROUPED}, {SUMS}
from {SPANS} join usage_days u on {WITHIN}
group by s.job, grouped order by s.job, grouped limit {GROUPS_MAX + 1}
"""
SELECT_UNIQUE = f"""
select job, grouped, count(*) as present from (
    select distinct on (s.job, grouped, u.value_key) s.job, {GROUPED}, u.value_key, u.is_present
    from {SPANS} join usage_values u on {WITHIN}
    order by s.job, grouped, u.value_key, u.last_at desc, u.last_at_position desc
) v
where is_present group by job, grouped order by job, grouped limit {GROUPS_MAX + 1}
"""


class Job(NamedTuple):
    """One segment of one account's billing period."""

    account: Account
    segment: Segment


class Source(NamedTuple):
    """What a charge counts: a series of a meter, the dimensions it is grouped by, and the values it allows."""

    series: int
    meter: str
    definition: MeterDefinition
    group: tuple[int, ...]
    allowed: dict[str, list[str | None]]


async def used(
    connection: Connection, log: EventLog, catalogue: Catalogue, jobs: Sequence[Job], *, reached: int
) -> list[list[Used]]:
    """What each job's charges are rated on, from the read model at position `reached`.

    One query for all jobs that share a charge's meter, filters and grouping. Charges whose price looks at single
    events read those from the log: raises `RangeTooLarge` beyond 200,000 events of an account.
    """
    found: list[list[Used]] = [[] for _ in jobs]
    asking: dict[bytes, list[tuple[int, PlanCharge]]] = {}
    for number, job in enumerate(jobs):
        for charge in job.segment.terms.charges:
            key = msgspec.json.encode((charge.meter, charge.filters, charge.group_by, looks_at_events(charge)))
            asking.setdefault(key, []).append((number, charge))
    for askers in asking.values():
        charge = askers[0][1]
        source = await _source(connection, charge)
        if source is None:
            continue  # its first version is still being computed
        numbers = list(dict.fromkeys(number for number, _ in askers))  # two charges of a job may ask for the same
        if looks_at_events(charge):
            metered = await _events(connection, log, catalogue, source, jobs, numbers, reached)
        else:
            metered = await _quantities(connection, source, jobs, numbers)
        for number, asker in askers:
            for group, one in metered.get(number, {}).items():
                named = tuple(zip(asker.group_by, group, strict=True))
                found[number].append(Used(asker.key, one, jobs[number].segment.index, named))
    return found


async def used_of_meters(connection: Connection, meters: Sequence[str], jobs: Sequence[Job]) -> dict[str, Decimal]:
    """The quantity of each meter over all segments of one account's period, whatever the charges."""
    totals: dict[str, Decimal] = {}
    for meter in meters:
        living = await usage_series.living(connection, meter)
        if living is None or not jobs:
            continue
        series, definition = living
        whole = jobs[0]._replace(
            segment=msgspec.structs.replace(
                jobs[0].segment, spans=tuple(span for job in jobs for span in job.segment.spans)
            )
        )
        metered = await _quantities(connection, Source(series, meter, definition, (), {}), [whole], [0])
        if metered:
            totals[meter] = metered[0][()].quantity
    return totals


async def _source(connection: Connection, charge: PlanCharge) -> Source | None:
    living = await usage_series.living(connection, charge.meter)
    if living is None:
        return None
    series, definition = living
    return Source(
        series,
        charge.meter,
        definition,
        tuple(_index(charge.meter, definition, name) for name in charge.group_by),
        {str(_index(charge.meter, definition, name)): list(values) for name, values in charge.filters.items()},
    )


def _index(meter: str, definition: MeterDefinition, dimension: str) -> int:
    if dimension not in definition.dimensions:
        declared = ", ".join(definition.dimensions) or "none"
        raise DimensionUndeclared(meter=meter, dimension=dimension, declared=declared)
    return definition.dimensions.index(dimension)


async def _quantities(
    connection: Connection, source: Source, jobs: Sequence[Job], numbers: Sequence[int]
) -> dict[int, dict[Group, Metered]]:
    """The quantity of each numbered job by group."""
    definition = source.definition
    if definition.aggregation == "time_weighted_sum":
        return await _levels(connection, source, jobs, numbers)
    spans = [span for number in numbers for span in _spans(number, jobs[number], definition)]
    if definition.aggregation == "unique_count":
        rows = await _fetch(connection, SELECT_UNIQUE, source, spans)
        counts = [(row["job"], _group(row), Decimal(row["present"])) for row in rows]
    else:
        rows = await _fetch(connection, SELECT_CELLS, source, spans)
        counts = []
        for row in rows:
            segment = jobs[row["job"]].segment
            shown = quantity(definition.aggregation, cell_of(row), start=segment.start, end=segment.end)
            counts.append((row["job"], _group(row), ZERO if shown is None else shown))
    found: dict[int, dict[Group, Metered]] = {}
    for number, group, count in counts:
        found.setdefault(number, {})[group] = Metered(quantity=count)
    return found


async def _levels(
    connection: Connection, source: Source, jobs: Sequence[Job], numbers: Sequence[int]
) -> dict[int, dict[Group, Metered]]:
    """The mean level of each numbered job by group: over the time that is billed, pauses left out."""
    pieces = [(number, span) for number in numbers for span in jobs[number].segment.spans]
    within = [_Span(index, jobs[number].account, span) for index, (number, span) in enumerate(pieces)]
    cells = {(row["job"], _group(row)): cell_of(row) for row in await _fetch(connection, SELECT_CELLS, source, within)}
    earlier: dict[tuple[int, Group], Cell] = {}
    if source.definition.carries_over:
        before = [span._replace(span=Period(EPOCH, span.span.start)) for span in within]
        rows = await _fetch(connection, SELECT_CELLS, source, before)
        earlier = {(row["job"], _group(row)): cell_of(row) for row in rows}
    areas: dict[int, dict[Group, Decimal]] = {}
    for index, group in {**cells, **earlier}:
        number, span = pieces[index]
        level = quantity(
            "time_weighted_sum",
            cells.get((index, group), Cell()),
            start=span.start,
            end=span.end,
            carried=earlier.get((index, group)),
        )
        assert level is not None, "a level is there without events, too"
        share = DIVISION.divide(_length(span), sum(map(_length, jobs[number].segment.spans)))
        by_group = areas.setdefault(number, {})
        by_group[group] = DIVISION.add(by_group.get(group, ZERO), DIVISION.multiply(level, share))
    return {
        number: {group: Metered(quantity=level) for group, level in by_group.items()}
        for number, by_group in areas.items()
    }


async def _events(
    connection: Connection,
    log: EventLog,
    catalogue: Catalogue,
    source: Source,
    jobs: Sequence[Job],
    numbers: Sequence[int],
    reached: int,
) -> dict[int, dict[Group, Metered]]:
    """The value of each single event of each numbered job by group, in order of occurrence."""
    spans = [_Span(number, jobs[number].account, span) for number in numbers for span in jobs[number].segment.spans]
    found: dict[int, dict[Group, Metered]] = {}
    brackets: dict[int, tuple[int, int]] = {}
    for row in await _fetch(connection, SELECT_CELLS, source, spans):
        first, last = brackets.get(row["job"], (row["first_position"], row["last_position"]))
        brackets[row["job"]] = min(first, row["first_position"]), max(last, row["last_position"])
    for number, (first, last) in brackets.items():
        account, segment = jobs[number]
        stretch = Stretch(account, source.meter, source.definition, segment.start, segment.end, first, last, reached)
        by_group: dict[Group, list[Taken]] = {}
        async for taken in readings(log, catalogue, stretch, connection=connection):
            dimensions = taken.reading.dimensions
            is_allowed = all(dimensions[int(index)] in values for index, values in source.allowed.items())
            if is_allowed and any(taken.usage.time in span for span in segment.spans):
                by_group.setdefault(tuple(dimensions[index] for index in source.group), []).append(taken)
        for group, members in by_group.items():
            members.sort(key=lambda taken: (taken.usage.time, taken.position))
            values = tuple(taken.reading.value for taken in members)
            found.setdefault(number, {})[group] = Metered(quantity=Decimal(len(values)), events=values)
    return found


class _Span(NamedTuple):
    """A stretch of time of an account, numbered by what it is read for."""

    job: int
    account: Account
    span: Period

    def row(self) -> tuple[int, str, datetime, datetime, date, date]:
        """The span as the queries take it: with its first and last local day."""
        calendar = zone(self.account.zone)
        start, end = self.span.start, self.span.end
        return (
            self.job,
            self.account.key,
            start,
            end,
            calendar.day_of(start),
            calendar.day_of(max(end - timedelta.resolution, start)),
        )


def _spans(number: int, job: Job, definition: MeterDefinition) -> Iterator[_Span]:
    """What is put together for a job: its billed stretches, or with what carries over all time up to its end."""
    if definition.carries_over:
        yield _Span(number, job.account, Period(EPOCH, job.segment.end))
    else:
        yield from (_Span(number, job.account, span) for span in job.segment.spans)


async def _fetch(connection: Connection, query: str, source: Source, spans: Sequence[_Span]) -> list[asyncpg.Record]:
    if not spans:
        return []
    columns = list(zip(*(span.row() for span in spans), strict=True))
    allowed = msgspec.json.encode(source.allowed).decode()
    rows: list[asyncpg.Record] = await connection.fetch(query, source.series, *columns, source.group, allowed)
    if len(rows) > GROUPS_MAX:
        start, end = min(span.span.start for span in spans), max(span.span.end for span in spans)
        raise RangeTooLarge(start=start, end=end, unit="groups", count=len(rows), count_max=GROUPS_MAX)
    return rows


def _group(row: asyncpg.Record) -> Group:
    return tuple(msgspec.json.decode(row["grouped"]))


def _length(span: Period) -> Decimal:
    return Decimal(microseconds(span.end) - microseconds(span.start))
