"""Reads what one meter took from one account's events, straight from the log: where cells are too coarse."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final, NamedTuple, cast

from ledger.database import Connection
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.metering import MeterDefinition, Reading
from ledger.domain.refusals import RangeTooLarge
from ledger.domain.topics import decode
from ledger.domain.usage import UsageEvent
from ledger.event_log import EventLog
from ledger.projections.usage_fold import CONTENT_TOPICS

EVENTS_MAX: Final = 200_000


class Taken(NamedTuple):
    """One event that counts in the meter, and what the meter took from it."""

    position: int
    usage: UsageEvent
    reading: Reading


class Stretch(NamedTuple):
    """What to read: events of an account in a meter, occurred in [start, end), between two positions (inclusive).

    `reached` is the position of the read model that the readings are to agree with.
    """

    account: Account
    meter: str
    definition: MeterDefinition
    start: datetime
    end: datetime
    first_position: int
    last_position: int
    reached: int


async def readings(
    log: EventLog, catalogue: Catalogue, stretch: Stretch, *, connection: Connection
) -> AsyncIterator[Taken]:
    """What counts of the stretch, in order of position; raises `RangeTooLarge` beyond 200,000 events of the account.

    What was mended or dismissed after the position reached still counts here, as it does in the read model.
    """
    view = Catalogue(accounts=catalogue.accounts, names=catalogue.names)
    view.define(stretch.meter, stretch.definition)
    names = (stretch.account.key, *stretch.account.aliases)
    after, seen, reached = stretch.first_position - 1, 0, stretch.reached
    last = min(stretch.last_position, reached)
    while rows := await log.usage_of(names, after=after, up_to=last, connection=connection):
        seen += len(rows)
        if seen > EVENTS_MAX:
            raise RangeTooLarge(start=stretch.start, end=stretch.end, unit="events", count=seen, count_max=EVENTS_MAX)
        for row in rows:
            position = row["position"]
            if row["topic"] not in CONTENT_TOPICS or catalogue.superseded.get(position, reached + 1) <= reached:
                continue
            usage = cast("UsageEvent", decode(row["topic"], row["state"]))
            if stretch.start <= usage.time < stretch.end:
                for counted in view.assess(usage, row["recorded_at"]).counted:
                    yield Taken(position, usage, counted.reading)
        after = rows[-1]["position"]
