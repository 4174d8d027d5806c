"""A checked request for usage, and the rows that answer it."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from ledger.domain.aggregation import Cell, Group
from ledger.domain.calendar import Zone
from ledger.domain.catalogue import Account
from ledger.domain.metering import MeterDefinition
from ledger.domain.refusals import RangeTooLarge

Window = Literal["HOUR", "DAY", "MONTH", "TOTAL"]


class UsageRow(NamedTuple):
    """The quantity of one window `[start, end)` and group.

    The events behind the row lie between the two positions, which are None where a quantity is only carried over.
    """

    start: datetime
    end: datetime
    dimensions: Group
    quantity: Decimal | None
    event_count: int
    first_position: int | None
    last_position: int | None


class Request(NamedTuple):
    """A checked request for usage of one series; `start` and `end` are local days, half-open."""

    series: int
    account: Account
    zone: Zone
    meter: str
    definition: MeterDefinition
    start: date
    end: date
    window: Window
    group: list[int]
    allowed: dict[str, list[str | None]]
    limit: int

    @property
    def instants(self) -> tuple[datetime, datetime]:
        """The request's span as instants."""
        return self.start_of(self.start), self.start_of(self.end)

    def start_of(self, day: date) -> datetime:
        """The first instant of a local day."""
        return self.zone.day_bounds(day).start

    def hour_end(self, hour: datetime) -> datetime:
        """The instant at which the local hour that begins at `hour` is over."""
        return self.zone.window_of(hour, "HOUR").end

    @property
    def is_unique(self) -> bool:
        """Whether the meter counts distinct values."""
        return self.definition.aggregation == "unique_count"

    def require_room(self, count: int) -> None:
        """Raise `RangeTooLarge` where the answer would have more rows than the request allows."""
        if count > self.limit:
            start, end = self.instants
            raise RangeTooLarge(start=start, end=end, unit="rows", count=count, count_max=self.limit)

    def windows(self) -> Iterator[tuple[datetime, datetime]]:
        """All windows of the request in order, as instants."""
        if self.window != "HOUR":
            yield from ((self.start_of(first), self.start_of(last)) for first, last in self.days())
            return
        start, end = self.instants
        while start < end:
            after = self.hour_end(start)
            yield start, after
            start = after

    def days(self) -> Iterator[tuple[date, date]]:
        """All windows of a request that is not by hour, as local days, cut to the request."""
        first = self.start
        while first < self.end:
            if self.window == "DAY":
                last = first + timedelta(days=1)
            elif self.window == "MONTH":
                last = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
            else:
                last = self.end
            yield first, min(last, self.end)
            first = last


class Bucket(NamedTuple):
    """The events of one window and group, put together."""

    start: datetime
    end: datetime
    group: Group
    cell: Cell

    def row(self, quantity: Decimal | None) -> UsageRow:
        """The row that shows this quantity of the bucket."""
        cell = self.cell
        return UsageRow(self.start, self.end, self.group, quantity, cell.count, cell.first_position, cell.last_position)


def none_first(group: Group) -> list[tuple[bool, str]]:
    """What groups are sorted by: their values, a missing one first."""
    return [(value is not None, value or "") for value in group]
