"""From samples to quantities: mergeable cells for the read model, and the reference by group and window.

Cells merge in any order and grouping to the same numbers, so that events may be folded in any batches, late ones too.
`measure` says the same by going through all samples: tests hold the one against the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal, NamedTuple, TypeVar, assert_never

from ledger.domain.calendar import Window, WindowSize, Zone, zone
from ledger.domain.metering import Aggregation
from ledger.domain.reckoning import ZERO, Measure, Reckoned, Stretch, reckon
from ledger.domain.rounding import Rounding
from ledger.domain.samples import Sample
from ledger.domain.values import DIVISION, EPOCH, EXACT, microseconds, plain

Group = tuple[str | None, ...]
_Comparable = TypeVar("_Comparable", int, Decimal)

CellAggregation = Literal["count", "sum", "max", "min", "avg", "latest", "time_weighted_sum"]
"""The aggregations that a `Cell` answers; a unique count needs a `Presence` of each value."""


@dataclass(slots=True)
class Cell:
    """The events of a cell, put together. Mutable, because it takes in tens of thousands of events a second.

    `moment` is the sum of value x microseconds from the epoch, from which time-weighted sums of any period follow.
    `latest` is the value of the latest event; of two at the same time, of the one with the higher position. All but
    the sums are None as long as nothing was added. Without `keeps_moment` it stays 0.
    """

    count: int = 0
    total: Decimal = ZERO
    moment: Decimal = ZERO
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    latest: Decimal | None = None
    latest_at: datetime | None = None
    latest_position: int | None = None
    first_position: int | None = None
    last_position: int | None = None
    keeps_moment: bool = True

    def add(self, value: Decimal, at: datetime, position: int) -> None:
        """Take in one event."""
        self.count += 1
        self.total = EXACT.add(self.total, value)
        if self.keeps_moment:
            self.moment = EXACT.fma(value, microseconds(at), self.moment)
        if self.minimum is None or value < self.minimum:
            self.minimum = value
        if self.maximum is None or value > self.maximum:
            self.maximum = value
        self._see(value, at, position)
        if self.first_position is None or position < self.first_position:
            self.first_position = position
        if self.last_position is None or position > self.last_position:
            self.last_position = position

    def merge(self, other: "Cell") -> None:
        """Take in the events of another cell, which stays as it is."""
        self.count += other.count
        self.total = EXACT.add(self.total, other.total)
        self.moment = EXACT.add(self.moment, other.moment)
        self.minimum = _smaller(self.minimum, other.minimum)
        self.maximum = _greater(self.maximum, other.maximum)
        if other.latest is not None and other.latest_at is not None and other.latest_position is not None:
            self._see(other.latest, other.latest_at, other.latest_position)
        self.first_position = _smaller(self.first_position, other.first_position)
        self.last_position = _greater(self.last_position, other.last_position)

    def _see(self, value: Decimal, at: datetime, position: int) -> None:
        if (
            self.latest_at is None
            or self.latest_position is None
            or at > self.latest_at
            or (at == self.latest_at and position > self.latest_position)
        ):
            self.latest, self.latest_at, self.latest_position = value, at, position


class Tally(Cell):
    """A cell of an aggregation that needs no more than count and sum; it stays without extremes and latest value."""

    __slots__ = ()
    # Read from the class, so that making one, of which a batch makes thousands, sets no more than it keeps.
    moment = ZERO
    minimum = maximum = latest = None
    latest_at = None
    latest_position = None
    keeps_moment = False

    def __init__(self) -> None:
        self.count = 0
        self.total = ZERO
        self.first_position = None
        self.last_position = None

    def add(self, value: Decimal, at: datetime, position: int) -> None:  # noqa: ARG002 - as a cell takes it
        """Take in one event."""
        self.count += 1
        self.total = EXACT.add(self.total, value)
        if self.first_position is None or position < self.first_position:
            self.first_position = position
        if self.last_position is None or position > self.last_position:
            self.last_position = position

    def merge(self, other: Cell) -> None:
        """Take in the count and sum of another cell."""
        self.count += other.count
        self.total = EXACT.add(self.total, other.total)
        self.first_position = _smaller(self.first_position, other.first_position)
        self.last_position = _greater(self.last_position, other.last_position)


TALLIED: Final[frozenset[str]] = frozenset({"count", "sum", "avg", "unique_count"})


def empty_cell(aggregation: Aggregation) -> Cell:
    """A cell that keeps what an aggregation needs."""
    if aggregation in TALLIED:
        return Tally()
    return Cell(keeps_moment=aggregation == "time_weighted_sum")


@dataclass(slots=True)
class Presence:
    """One value of a unique count: whether the last event about it, by time and then position, added or removed it.

    Adding what is present or removing what is absent changes nothing, so that last event decides alone.
    """

    count: int = 0
    is_present: bool = False
    last_at: datetime | None = None
    last_at_position: int | None = None
    first_position: int | None = None
    last_position: int | None = None

    def add(self, at: datetime, position: int, *, is_present: bool) -> None:
        """Take in one event that adds the value or, without `is_present`, removes it."""
        self.count += 1
        self._see(at, position, is_present=is_present)
        if self.first_position is None or position < self.first_position:
            self.first_position = position
        if self.last_position is None or position > self.last_position:
            self.last_position = position

    def merge(self, other: "Presence") -> None:
        """Take in the events about the same value of another cell, which stays as it is."""
        self.count += other.count
        if other.last_at is not None and other.last_at_position is not None:
            self._see(other.last_at, other.last_at_position, is_present=other.is_present)
        self.first_position = _smaller(self.first_position, other.first_position)
        self.last_position = _greater(self.last_position, other.last_position)

    def _see(self, at: datetime, position: int, *, is_present: bool) -> None:
        if (
            self.last_at is None
            or self.last_at_position is None
            or at > self.last_at
            or (at == self.last_at and position > self.last_at_position)
        ):
            self.last_at, self.last_at_position, self.is_present = at, position, is_present


def merged(cells: Iterable[Cell]) -> Cell:
    """One cell of all the events of some."""
    whole = Cell()
    for cell in cells:
        whole.merge(cell)
    return whole


def quantity(
    aggregation: CellAggregation,
    cell: Cell,
    *,
    start: datetime,
    end: datetime,
    carried: Cell | None = None,
) -> Decimal | None:
    """What a period [start, end) comes to, all of whose events are in `cell`; None if it takes one event and has none.

    `carried` holds the events from before the period of a meter that carries over. Only time-weighted sums depend on
    the bounds: they are the mean over the period of the running sum of all values.
    """
    assert start < end, "a period lasts"
    if aggregation == "time_weighted_sum":
        length = Decimal(microseconds(end) - microseconds(start))
        area = EXACT.subtract(EXACT.multiply(cell.total, microseconds(end)), cell.moment)
        if carried is not None:
            area = EXACT.fma(carried.total, length, area)
        return DIVISION.divide(area, length)
    whole = cell if carried is None else merged((carried, cell))
    match aggregation:
        case "count":
            return Decimal(whole.count)
        case "sum":
            return whole.total
        case "max":
            return whole.maximum
        case "min":
            return whole.minimum
        case "latest":
            return whole.latest
        case "avg":
            return DIVISION.divide(whole.total, whole.count) if whole.count else None
        case _:
            assert_never(aggregation)


def unique_count(presences: Iterable[Presence]) -> int:
    """How many of some values, told once each, are present."""
    return sum(presence.is_present for presence in presences)


def _smaller(one: _Comparable | None, other: _Comparable | None) -> _Comparable | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _greater(one: _Comparable | None, other: _Comparable | None) -> _Comparable | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to measure of a list of samples in [start, end), with every convention on which platforms differ.

    * `is_grouped`: samples bear the groups asked for, so that there is no result without samples.
    * `window`: a result for each local minute, hour, day ... of `zone`; `widens` takes the first and the last one
      whole (OpenMeter), else they are cut at the bounds. `shows_empty` gives windows without samples a zero (Polar),
      else they are left out (OpenMeter).
    * `carries_over`: what happened before `start` still has effect. `openings` are levels by group that stood at
      `start`; they replace what is carried over for time-weighted sums.
    * `start_resolution`: `start` is cut to it to tell which samples are within (Lago: milliseconds).
    * `whole_days`: proration's denominator, the period's local days if None; `persisted_days`: how many of them what
      is carried over weighs (without carrying over: everything), all days of the period if None.
    * `across_customers`: measure each customer's samples alone, then put these results together (Polar).
    """

    measure: Measure
    start: datetime
    end: datetime
    zone: Zone = field(default_factory=lambda: zone("UTC"))
    is_grouped: bool = False
    window: WindowSize | None = None
    widens: bool = False
    shows_empty: bool = False
    carries_over: bool = False
    openings: Mapping[Group, Decimal] = field(default_factory=dict)
    start_resolution: timedelta = timedelta.resolution
    whole_days: int | None = None
    persisted_days: int | None = None
    across_customers: Measure | None = None
    rounding: Rounding | None = None


class Measured(NamedTuple):
    """One result of a query: of a group, in the whole window or period `window`."""

    group: Group
    window: Window
    value: Decimal | None
    counted: int


def measure(query: Query, samples: Iterable[Sample]) -> list[Measured]:
    """The results by window and group: windows in order of time, groups in order of their first sample.

    Ungrouped samples are the group `()`. A group is there from its first sample or opening on; `()` of a query for no
    groups and no windows always is.
    """
    assert query.start < query.end, "a period lasts"
    bounds = _bounds(query)
    by_group: dict[Group, list[Sample]] = {group: [] for group in query.openings}
    for sample in sorted(samples, key=lambda sample: (sample.at, sample.position)):
        if _has_effect(query, bounds, sample):
            by_group.setdefault(sample.group, []).append(sample)
    if not (by_group or query.is_grouped):
        by_group[()] = []
    windows = [bounds] if query.window is None else query.zone.windows(*bounds, query.window)
    measured = []
    for window in windows:
        for group, members in by_group.items():
            stretch = _stretch(query, bounds, window, group, members)
            result = _reckon(query, stretch)
            value = result.value
            if query.window is not None and not (stretch.earlier or stretch.within or group in query.openings):
                if not query.shows_empty:
                    continue
                value = ZERO
            if value is not None and query.rounding is not None:
                value = query.rounding.apply(value)
            measured.append(Measured(group, window, value, result.counted))
    return measured


def _bounds(query: Query) -> Window:
    if query.window is None or not query.widens:
        return Window(query.start, query.end)
    first = query.zone.window_of(query.start, query.window)
    last = query.zone.window_of(query.end - timedelta.resolution, query.window)
    return Window(first.start, last.end)


def _first_instant(query: Query, bounds: Window) -> datetime:
    """From when on a sample is within the bounds."""
    return bounds.start - (bounds.start - EPOCH) % query.start_resolution


def _has_effect(query: Query, bounds: Window, sample: Sample) -> bool:
    if sample.at >= bounds.end:
        return False
    if sample.at >= _first_instant(query, bounds):
        return True
    is_replaced = query.measure == "time_weighted_sum" and sample.group in query.openings
    return query.carries_over and not is_replaced


def _stretch(query: Query, bounds: Window, window: Window, group: Group, members: Sequence[Sample]) -> Stretch:
    """The part of a window that is in the bounds, and the members that have effect there."""
    start, end = max(window.start, bounds.start), min(window.end, bounds.end)
    first = _first_instant(query, bounds) if start == bounds.start else start
    earlier = [sample for sample in members if sample.at < first]
    within = [sample for sample in members if first <= sample.at < end]
    if not query.carries_over:
        if query.measure == "prorated_sum" and query.persisted_days is not None:
            earlier, within = within, []
        elif query.measure != "time_weighted_sum":
            earlier = []
    whole_days = query.whole_days
    if whole_days is None:
        whole_days = query.zone.days_between(bounds.start, bounds.end)
    return Stretch(
        start=start,
        end=end,
        zone=query.zone,
        earlier=earlier,
        within=within,
        opening=query.openings.get(group, ZERO),
        whole_days=whole_days,
        persisted_days=query.persisted_days,
    )


def _reckon(query: Query, stretch: Stretch) -> Reckoned:
    if query.across_customers is None:
        return reckon(query.measure, stretch)
    results: list[Sample] = []
    counted_in_all = 0
    customers = dict.fromkeys(sample.customer for sample in (*stretch.earlier, *stretch.within))
    for position, customer in enumerate(customers):
        own = stretch._replace(
            earlier=[sample for sample in stretch.earlier if sample.customer == customer],
            within=[sample for sample in stretch.within if sample.customer == customer],
        )
        value, counted = reckon(query.measure, own)
        assert value is not None, "a customer has a sample"
        results.append(Sample(at=stretch.start, position=position, number=value, text=plain(value)))
        counted_in_all += counted
    together = stretch._replace(earlier=(), within=results, opening=ZERO)
    return Reckoned(reckon(query.across_customers, together).value, counted_in_all)
