"""The exact events behind an invoice line, page by page, and those beside them that do not count, with the reason."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple, cast

import asyncpg

from ledger.database import Connection, Pool
from ledger.domain.calendar import zone
from ledger.domain.catalogue import Catalogue
from ledger.domain.metering import Unreadable, read
from ledger.domain.topics import decode
from ledger.domain.usage import UsageEvent
from ledger.event_log import PAGE_EVENTS_MAX, EventLog
from ledger.projections.evidence_lines import Bracket, Line, Located, bracket, located
from ledger.projections.usage_fold import CONTENT_TOPICS
from ledger.projections.watermark import Watermark, watermark

SCAN_EVENTS_MAX: Final = 5_000
"""The most events of the account that one page looks at, however few of them are the line's."""
READS_MAX: Final = 16
"""The most reads of the log for one page."""
READ_EVENTS_MAX: Final = 2_000

SELECT_HELD_BRACKET = """
select min(h.position) as first, max(h.position) as last, count(*) as event_count
from held_usage h join usage_series s using (series)
where s.state = 'live' and (s.meter = $1 or s.meter is null)
    and h.subject = any($2::text[]) and h.occurred_at >= $3 and h.occurred_at < $4
"""


class Evidence(NamedTuple):
    """An event and whether it counts in the line; if not, `reason` is a permanent code and `message` a sentence.

    `value` and `text` are what the meter takes from it, `text` for a unique count; `dimensions` are the values of the
    meter's declared dimensions. None where it cannot be read.
    """

    position: int
    usage: UsageEvent
    recorded_at: datetime
    value: Decimal | None
    text: str | None
    dimensions: Sequence[str | None]
    reason: str | None
    message: str | None


class Wanted(NamedTuple):
    """A page: up to `limit` events after a position, of one local day where it is given."""

    after: int
    limit: int
    day: date | None = None
    includes_excluded: bool = False


class EvidencePage(NamedTuple):
    """Events in order of position. `looked_at` is how far the page looked; it may hold less than asked for."""

    watermark: Watermark
    names: Sequence[str]
    rows: list[Evidence]
    looked_at: int
    is_more: bool


async def evidence(pool: Pool, log: EventLog, catalogue: Catalogue, line: Line, wanted: Wanted) -> EvidencePage:
    """A page of the events behind a line; with `includes_excluded` also those of its meter's type that do not count.

    Excluded events are those between the first and the last that is the line's, or was held, mended or dismissed and
    occurred in its time. Bounded work: at most 5,000 events are looked at. Raises `DimensionUndeclared`.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, "usage")
        place = await located(connection, line)
        if place is None:
            return EvidencePage(mark, (), [], wanted.after, False)
        judge = _Judge(catalogue, place, mark.position)
        between = await bracket(connection, place, place.spans, day=wanted.day)
        if wanted.includes_excluded:
            between = await _widened(connection, log, judge, between)
        if between is None or between.last <= wanted.after:
            return EvidencePage(mark, place.definition.dimensions, [], wanted.after, False)
        rows, looked_at = await _look(connection, log, judge, wanted, between)
    return EvidencePage(mark, place.definition.dimensions, rows, looked_at, looked_at < between.last)


async def _look(
    connection: Connection, log: EventLog, judge: "_Judge", wanted: Wanted, between: Bracket
) -> tuple[list[Evidence], int]:
    """The page's events, and the position up to which the log was looked at.

    Reads windows of positions that hold about a page each, so that no read sorts what the page does not need.
    """
    account = judge.place.line.account
    names = (account.key, *account.aliases)
    day_of = zone(account.zone).day_of
    chunk = min(2 * wanted.limit + 50, READ_EVENTS_MAX)
    window = chunk * (between.last - between.first + 1) // max(between.event_count, 1) + chunk
    position = max(wanted.after, between.first - 1)
    found: list[Evidence] = []
    seen = 0
    for _ in range(READS_MAX):
        until = min(position + window, between.last)
        rows = await log.usage_of(names, after=position, up_to=until, limit=chunk, connection=connection)
        for row in rows:
            position = row["position"]
            one = judge.judged(row)
            is_wanted = one is not None and (one.reason is None or wanted.includes_excluded)
            if one is not None and is_wanted and wanted.day in (None, day_of(one.usage.time)):
                found.append(one)
                if len(found) == wanted.limit:
                    return found, position
        if len(rows) < chunk:
            position = until
            window *= 2
        seen += len(rows)
        if position >= between.last or seen >= SCAN_EVENTS_MAX:
            break
    return found, position


async def _widened(connection: Connection, log: EventLog, judge: "_Judge", between: Bracket | None) -> Bracket | None:
    """The bracket with the held, mended and dismissed events that occurred in the line's time."""
    place = judge.place
    line = place.line
    names = [line.account.key, *line.account.aliases]
    held = await connection.fetchrow(
        SELECT_HELD_BRACKET, line.charge.meter, names, line.segment.start, line.segment.end
    )
    assert held is not None, "an aggregate has a row"
    positions = [held["first"], held["last"]] if held["event_count"] else []
    settled = sorted(at for at, by in judge.catalogue.superseded.items() if by <= judge.reached)
    for row in await log.at(settled[-PAGE_EVENTS_MAX:], connection=connection):
        if row["account"] in names and row["topic"] in CONTENT_TOPICS:
            usage = cast("UsageEvent", decode(row["topic"], row["state"]))
            if line.segment.start <= usage.time < line.segment.end:
                positions.append(row["position"])
    if between is not None:
        positions += [between.first, between.last]
    if not positions:
        return None
    counted = 0 if between is None else between.event_count
    return Bracket(min(positions), max(positions), counted + held["event_count"])


class _Judge:
    """Tells whether an event counts in a line, as the fold of the read model does."""

    def __init__(self, catalogue: Catalogue, place: Located, reached: int) -> None:
        self.catalogue = catalogue
        self.place = place
        self.reached = reached
        self._view = Catalogue(accounts=catalogue.accounts, names=catalogue.names)
        self._view.define(place.line.charge.meter, place.definition)

    def judged(self, row: asyncpg.Record) -> Evidence | None:
        """The event as evidence; None for what is no usage of the meter's type."""
        if row["topic"] not in CONTENT_TOPICS:
            return None
        usage = cast("UsageEvent", decode(row["topic"], row["state"]))
        definition = self.place.definition
        if usage.type != definition.event_type:
            return None
        reason, message = self._exclusion(row, usage) or (None, None)
        reading = read(definition, usage.data)
        taken: tuple[Decimal | None, str | None, Sequence[str | None]] = (None, None, ())
        if not isinstance(reading, Unreadable):
            taken = reading.value, reading.text, reading.dimensions
        return Evidence(row["position"], usage, row["recorded_at"], *taken, reason, message)

    def _exclusion(self, row: asyncpg.Record, usage: UsageEvent) -> tuple[str, str] | None:
        """Why the event does not count, None where it does."""
        position = row["position"]
        settled_by = self.catalogue.superseded.get(position, self.reached + 1)
        if settled_by <= self.reached:
            return "superseded", f"it was mended or dismissed by the event at position {settled_by}"
        assessment = self._view.assess(usage, row["recorded_at"])
        if assessment.held:
            return assessment.held[0].code, assessment.held[0].message
        definition, line = self.place.definition, self.place.line
        if not assessment.counted:
            if definition.retired_at is not None and usage.time >= definition.retired_at:
                return "meter_retired", "it occurred when the meter was retired already"
            return "filtered_out", "the meter's filters leave it out"
        dimensions = assessment.counted[0].reading.dimensions
        if not any(usage.time in span for span in self.place.spans):
            return "other_period", "it occurred in a time that the line does not bill"
        for name, values in line.charge.filters.items():
            if dimensions[definition.dimensions.index(name)] not in values:
                return "filtered_out", f'the charge does not count this value of "{name}"'
        if not self.place.admits(dimensions):
            return "other_line", "the charge has another line for its dimensions"
        return None
