"""Reads our side of a reconciliation: quantities of many accounts in one statement, and the usage behind one."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple, cast

import asyncpg

from ledger.database import Connection
from ledger.domain.adjustment_events import Adjustment, AdjustmentApproved
from ledger.domain.adjustments import approved_in
from ledger.domain.calendar import zone
from ledger.domain.catalogue import FUTURE_MAX, Account, Catalogue
from ledger.domain.events import UsageMended
from ledger.domain.metering import MeterDefinition, Reading, read
from ledger.domain.names import adjustment_stream
from ledger.domain.periods import Period
from ledger.domain.platform_objects import Formula
from ledger.domain.reconciliation.evidence import OurUsage
from ledger.domain.refusals import RangeTooLarge
from ledger.domain.topics import decode
from ledger.domain.usage import UsageEvent
from ledger.domain.values import ZERO
from ledger.event_log import EventLog
from ledger.projections import usage_series
from ledger.projections.usage_fold import CONTENT_TOPICS

USAGE_MAX: Final = 200_000
FORMULAS: Final[Mapping[str, Formula]] = {"sum": "sum", "count": "count", "latest": "last"}
"""Our aggregations that a platform's meter has a formula for; others are never sent."""

SELECT_DAYS = """
select s.job, sum(event_count)::bigint as count, coalesce(sum(total), 0) as sum,
    (array_agg(latest order by latest_at desc nulls last, latest_position desc nulls last))[1] as last
from unnest($2::integer[], $3::text[], $4::date[], $5::date[]) as s (job, account, first_day, past_day)
join usage_days u on u.series = $1 and u.account = s.account and u.day >= s.first_day and u.day < s.past_day
group by s.job order by s.job limit 1000000
"""
SELECT_ACCOUNTS = """
select distinct u.account from usage_days u
where u.series = any($1::bigint[]) and u.day >= $2 and u.day < $3 and u.account > $4 order by u.account limit $5
"""


class Stretch(NamedTuple):
    """Whole local days of an account: what one read of many covers."""

    account: Account
    first: date
    past: date

    @property
    def window(self) -> Period:
        """The instants in which they begin and end."""
        calendar = zone(self.account.zone)
        return Period(calendar.day_bounds(self.first).start, calendar.day_bounds(self.past).start)


Totals = Mapping[Formula, Decimal]
"""A quantity by each formula that platforms have."""
NOTHING: Final[Totals] = {"sum": ZERO, "count": ZERO, "last": ZERO}


async def totals_of(connection: Connection, meter: str, stretches: Sequence[Stretch]) -> list[Totals] | None:
    """What each stretch comes to in a meter, by one statement; None while the meter is first computed."""
    living = await usage_series.living(connection, meter)
    if living is None:
        return None
    found = [NOTHING] * len(stretches)
    columns = [(number, one.account.key, one.first, one.past) for number, one in enumerate(stretches)]
    if columns:
        rows = await connection.fetch(SELECT_DAYS, living[0], *map(list, zip(*columns, strict=True)))
        for row in rows:
            found[row["job"]] = {"sum": row["sum"], "count": Decimal(row["count"]), "last": row["last"] or ZERO}
    return found


async def accounts_with_usage(connection: Connection, first: date, past: date, *, after: str, limit: int) -> list[str]:
    """The accounts with usage in any meter on some days, in order of key, after one of them."""
    series = [one.series for one in await usage_series.of_state(connection, "live") if one.meter is not None]
    rows: list[asyncpg.Record] = await connection.fetch(SELECT_ACCOUNTS, series, first, past, after, limit)
    return [row["account"] for row in rows]


async def usage_of(log: EventLog, catalogue: Catalogue, account: Account, meter: str, window: Period) -> list[OurUsage]:
    """All usage of an account in a meter in a window, also what was voided and what is held, in order of position.

    Straight from the log, from the first event on that may tell of the window. Raises `RangeTooLarge` beyond 200,000
    events of the account.
    """
    definition = catalogue.meters[meter]
    names = (account.key, *account.aliases)
    head = (await log.head()).position
    after, seen = await log.position_at(window.start - FUTURE_MAX), 0
    found: list[OurUsage] = []
    while rows := await log.usage_of(names, after=after, up_to=head):
        seen += len(rows)
        if seen > USAGE_MAX:
            raise RangeTooLarge(start=window.start, end=window.end, unit="events", count=seen, count_max=USAGE_MAX)
        for row in rows:
            if row["topic"] in CONTENT_TOPICS:
                usage = cast("UsageEvent", decode(row["topic"], row["state"]))
                if usage.time in window:
                    found += _ours(catalogue, meter, definition, row["position"], row["recorded_at"], usage)
        after = rows[-1]["position"]
    return found


def _ours(
    catalogue: Catalogue,
    meter: str,
    definition: MeterDefinition,
    position: int,
    recorded_at: datetime,
    usage: UsageEvent,
) -> list[OurUsage]:
    """What one event is in the meter; nothing where the meter has no eye for it."""
    if usage.type != definition.event_type or not definition.admits(usage.data):
        return []
    reading = read(definition, usage.data)
    if not isinstance(reading, Reading):
        return []
    supersedes = usage.supersedes if isinstance(usage, UsageMended) else ()
    one = OurUsage(position, usage.time, recorded_at, reading.value, supersedes=tuple(supersedes))
    if position in catalogue.superseded:
        return [one._replace(standing="voided")]
    counted = [one.meter for one in catalogue.assess(usage, recorded_at).counted]
    return [one] if meter in counted else [one._replace(standing="held")]


async def adjusted_of(
    log: EventLog, catalogue: Catalogue, account: Account, meter: str, window: Period
) -> list[OurUsage]:
    """The approved adjustments of an account's usage in a meter, each at the position of its approval."""
    state = catalogue.adjustments.get(account.key, {})
    wanted: dict[str, Adjustment] = {
        one.adjustment: one for one in approved_in(state, window) if one.meter == meter and one.quantity is not None
    }
    if not wanted:
        return []
    found = []
    for stored in await log.stream(adjustment_stream(account.key)):
        event = decode(stored.topic, stored.state)
        if isinstance(event, AdjustmentApproved) and event.adjustment in wanted:
            one = wanted[event.adjustment]
            at, quantity = one.at, one.quantity or ZERO
            found.append(OurUsage(stored.position, at, at, quantity, is_adjustment=True))
    return found


def stretch_of(account: Account, period: Period, *, settled_at: datetime) -> Stretch | None:
    """The local days that cover a period up to what is settled, whole ones only; None where there is none."""
    calendar = zone(account.zone)
    end = min(period.end, settled_at)
    if end <= period.start:
        return None
    first = calendar.day_of(period.start)
    past = calendar.day_of(end)
    if end == period.end and calendar.day_bounds(past).start < end:
        covering = past + timedelta(days=1)
        past = covering if calendar.day_bounds(covering).start <= settled_at else past
    return Stretch(account, first, past) if first < past else None
