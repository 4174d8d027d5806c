"""Aggregations: the reference says what they mean, and cells come to the same in any order and split."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.aggregation import (
    Cell,
    CellAggregation,
    Measured,
    Presence,
    Query,
    empty_cell,
    measure,
    merged,
    quantity,
    unique_count,
)
from ledger.domain.calendar import zone
from ledger.domain.metering import Filter, MeterDefinition
from ledger.domain.reckoning import Measure
from ledger.domain.rounding import Rounding, RoundingMode
from ledger.domain.samples import Occurrence, Sample, take_samples, without_repeats

START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SHARED_BY_CELLS: tuple[CellAggregation, ...] = ("count", "sum", "min", "max", "avg", "latest", "time_weighted_sum")
ALL_OF_THEM: tuple[Measure, ...] = (*SHARED_BY_CELLS, "unique_count", "prorated_sum", "prorated_unique_count")


def sample(day: int, number: object = 1, position: int = 1, **more: Any) -> Sample:
    """A sample on a day of March 2026, 0 for the last one of February."""
    return Sample(at=START + (day - 1) * DAY, position=position, number=Decimal(str(number)), **more)


def seat(day: int, text: str, position: int = 1, *, is_removal: bool = False) -> Sample:
    return sample(day, text=text, position=position, is_removal=is_removal)


def only(measured: Sequence[Measured]) -> Decimal | None:
    (one,) = measured
    return one.value


def march(name: Measure, *samples: Sample, **more: Any) -> Decimal | None:
    return only(measure(Query(measure=name, start=START, end=END, **more), samples))


# The reference.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", "3"),
        ("sum", "4"),
        ("min", "-2"),
        ("max", "5"),
        ("avg", "1.333"),
        ("latest", "1"),
        ("unique_count", "1"),
        ("time_weighted_sum", "4"),
        ("prorated_sum", "4"),
        ("prorated_unique_count", "1"),
    ],
)
def test_each_aggregation_of_three_samples(name: Measure, value: str) -> None:
    samples = [sample(16, -2), sample(1, 5), sample(31, 1, position=3), sample(40, 100)]
    assert march(name, *samples, rounding=Rounding(3, "half_even")) == Decimal(value)


@pytest.mark.parametrize("name", ALL_OF_THEM)
def test_of_no_samples_comes_nothing_or_none(name: Measure) -> None:
    assert march(name) == (None if name in {"min", "max", "avg", "latest"} else 0)


def test_of_two_samples_at_a_time_the_one_told_later_is_the_latest() -> None:
    assert march("latest", sample(5, 1, position=9), sample(5, 2, position=8)) == 1


def test_a_period_includes_its_first_instant_and_not_its_end() -> None:
    assert march("sum", sample(0, 1), sample(1, 10), sample(31, 100), sample(32, 1000)) == 110


def test_what_carries_over_counts_once() -> None:
    samples = [sample(0, 1), sample(1, 10), sample(31, 100)]
    assert march("sum", *samples, carries_over=True) == 111
    assert march("count", *samples, carries_over=True) == 3


def test_adding_what_is_there_and_removing_what_is_not_changes_nothing() -> None:
    seats = [
        seat(1, "a", 1),
        seat(2, "a", 2),
        seat(3, "b", 3, is_removal=True),
        seat(4, "a", 4, is_removal=True),
        seat(5, "c", 5),
    ]
    assert march("unique_count", *seats) == 1
    assert march("unique_count", *seats[:4], seat(4, "a", 5)) == 1, "removed and added at the same time, in this order"
    assert march("unique_count", seat(0, "a"), carries_over=True) == 1
    assert march("unique_count", seat(0, "a")) == 0


def test_a_seat_weighs_by_the_days_it_was_taken() -> None:
    seats = [
        seat(0, "kept"),
        seat(10, "kept", 2, is_removal=True),
        seat(10, "kept", 3),
        seat(20, "kept", 4, is_removal=True),
        seat(31, "late", 5),
        seat(2, "never", 6, is_removal=True),
    ]
    days = Decimal(20 + 1)
    assert march("prorated_unique_count", *seats, carries_over=True, whole_days=10) == days / 10


def test_a_prorated_value_weighs_by_the_days_from_its_own_to_the_last() -> None:
    assert march("prorated_sum", sample(31, 31)) == 1
    assert march("prorated_sum", sample(0, 5), sample(31, 31), carries_over=True) == 6
    assert march("prorated_sum", sample(0, 31), carries_over=True, persisted_days=10) == 10
    assert march("prorated_sum", sample(1, 31), sample(31, 62), persisted_days=10) == 30
    kolkata = zone("Asia/Kolkata")
    late_in_utc = Sample(at=datetime(2026, 3, 29, 18, 30, tzinfo=UTC), position=1, number=Decimal(31))
    start, end = kolkata.day_bounds(START.date()).start, kolkata.day_bounds(END.date()).start
    query = Query(measure="prorated_sum", start=start, end=end, zone=kolkata)
    assert only(measure(query, [late_in_utc])) == 2, "30 and 31 March there"


def test_a_level_that_stood_before_weighs_by_the_whole_period() -> None:
    half = sample(16, 31)
    assert march("time_weighted_sum", half) == 16
    assert march("time_weighted_sum", half, openings={(): Decimal(1000)}) == 1016
    assert march("time_weighted_sum", sample(0, 7), half, carries_over=True) == 23
    assert march("time_weighted_sum", sample(0, 7), half, carries_over=True, openings={(): Decimal(1)}) == 17


def test_a_coarser_start_takes_in_what_happened_in_its_millisecond() -> None:
    start = START + timedelta(microseconds=285)
    query = Query(measure="time_weighted_sum", start=start, end=END, start_resolution=timedelta(milliseconds=1))
    assert only(measure(query, [sample(1, 5)])) == 5
    assert only(measure(Query(measure="time_weighted_sum", start=start, end=END), [sample(1, 5)])) == 0


def test_groups_come_in_order_of_their_first_sample() -> None:
    samples = [sample(3, 1, group=("b",)), sample(2, 2, group=(None,)), sample(4, 4, group=("b",))]
    query = Query(measure="sum", start=START, end=END, is_grouped=True)
    expected: list[Any] = [((None,), 2, 1), (("b",), 5, 2)]
    assert [(one.group, one.value, one.counted) for one in measure(query, samples)] == expected
    assert measure(query, []) == []
    with_opening = Query(
        measure="time_weighted_sum", start=START, end=END, is_grouped=True, openings={("a",): Decimal(3)}
    )
    (one,) = measure(with_opening, [])
    assert (one.group, one.value) == (("a",), Decimal(3))


def by_window(samples: Sequence[Sample], **more: Any) -> list[Any]:
    """Day of March and value, of three days unless told otherwise."""
    conventions: dict[str, Any] = {"measure": "sum", "start": START, "end": START + 3 * DAY, "window": "DAY"}
    query = Query(**conventions | more)
    return [(one.window.start.day, one.value) for one in measure(query, samples)]


def test_empty_windows_are_left_out_or_shown_as_zero() -> None:
    samples = [sample(1, 1), sample(3, 3), sample(4, 4)]
    assert by_window(samples) == [(1, 1), (3, 3)]
    assert by_window(samples, measure="min", shows_empty=True) == [(1, 1), (2, 0), (3, 3)]
    assert by_window([]) == []
    assert by_window([], shows_empty=True) == [(1, 0), (2, 0), (3, 0)]


def test_windows_of_what_carries_over_begin_with_it() -> None:
    assert by_window([sample(0, 1), sample(2, 2)], carries_over=True) == [(1, 1), (2, 3), (3, 3)]


def test_the_level_of_one_window_goes_on_in_the_next() -> None:
    noon = Sample(at=START + DAY / 2, position=1, number=Decimal(4))
    assert by_window([noon], measure="time_weighted_sum") == [(1, 2), (2, 4), (3, 4)]


def test_windows_at_the_bounds_are_cut_or_widened() -> None:
    noon = {"start": START + DAY / 2, "end": START + 3 * DAY / 2}
    samples = [sample(1, 1), sample(2, 2), Sample(at=START + 7 * DAY / 4, position=1, number=Decimal(4))]
    assert by_window(samples, **noon) == [(2, 2)]
    assert by_window(samples, **noon, widens=True) == [(1, 1), (2, 6)]
    assert march("sum", sample(0, 1), sample(1, 2), widens=True) == 2, "only windows are widened"


def test_results_of_customers_are_put_together() -> None:
    samples = [
        sample(1, 20, 1, customer="c1"),
        sample(1, 10, 2, customer="c1"),
        sample(1, 10, 3, customer="c2"),
        sample(0, 90, 4, customer="c3"),
    ]
    for across, value in {"min": 10, "max": 20, "sum": 30, "avg": 15, "count": 2, "unique_count": 2}.items():
        assert march("max", *samples, across_customers=across) == value
    query = Query(measure="max", start=START, end=END, across_customers="min")
    assert [one.counted for one in measure(query, samples)] == [3]
    assert march("max", across_customers="min") is None


def test_results_are_rounded_once_at_their_end() -> None:
    thirds = [sample(day, "0.00334", day) for day in (1, 2)]
    assert march("sum", *thirds, rounding=Rounding(2, "half_even")) == Decimal("0.01")
    assert march("max", rounding=Rounding(2, "half_even")) is None


@pytest.mark.parametrize(
    ("mode", "of_half", "of_minus_half"),
    [
        ("ceil", "3", "-2"),
        ("floor", "2", "-3"),
        ("up", "3", "-3"),
        ("down", "2", "-2"),
        ("half_away_from_zero", "3", "-3"),
        ("half_up", "3", "-3"),
        ("half_even", "2", "-2"),
        ("half_down", "2", "-2"),
    ],
)
def test_rounding_modes_differ_at_the_half(mode: RoundingMode, of_half: str, of_minus_half: str) -> None:
    assert Rounding(0, mode).apply(Decimal("2.5")) == Decimal(of_half)
    assert Rounding(0, mode).apply(Decimal("-2.5")) == Decimal(of_minus_half)
    assert Rounding(-1, mode).apply(Decimal(20)) == 20


# From what was told to samples.


def told(day: int, number: object = 1, position: int = 1, **more: Any) -> Occurrence:
    return Occurrence(at=START + (day - 1) * DAY, position=position, properties={"value": number}, **more)


def test_which_of_several_repeats_counts() -> None:
    occurrences = [
        told(1, 1, 1, id="a"),
        told(1, 2, 2, id="a"),
        told(2, 4, 3, id="a"),
        told(1, 8, 4, id="a", source="other"),
        told(1, 16, 5),
        told(1, 32, 6),
    ]

    def counted(**repeats: Any) -> list[int]:
        return [one.properties["value"] for one in without_repeats(reversed(occurrences), **repeats)]

    assert counted(repeats="none") == [1, 2, 4, 8, 16, 32]
    assert counted(repeats="id_and_timestamp_last_wins") == [4, 8, 16, 32]
    assert counted(repeats="source_and_id_first_wins") == [1, 8, 16, 32]


def test_samples_are_of_events_that_are_admitted_and_can_be_read() -> None:
    meter = MeterDefinition(
        name="Tokens",
        event_type="call",
        aggregation="sum",
        property="value",
        filters=(Filter(property="model", values=("lite", None)),),
        dimensions=("region",),
    )
    properties: list[dict[str, Any]] = [
        {"value": 1, "model": "lite", "region": "eu"},
        {"value": "2"},
        {"value": 4, "model": "pro"},
        {"value": "x"},
        {"value": True},
        {},
    ]
    occurrences = [Occurrence(START, number, one) for number, one in enumerate(properties)]
    samples = take_samples(meter, occurrences, missing_group="")
    assert [one.number for one in samples] == [1, 2]
    assert [one.group for one in samples] == [("eu",), ("",)]
    assert [one.number for one in take_samples(meter, occurrences, numeric_text=False)] == [1]
    assert [one.group for one in take_samples(meter, occurrences)] == [("eu",), (None,)]


def test_text_is_countable_where_it_is_no_number() -> None:
    users = MeterDefinition(name="Users", event_type="call", aggregation="unique_count", property="value")
    calls = MeterDefinition(name="Calls", event_type="call", aggregation="count")
    occurrence = told(1, "12")
    assert [one.text for one in take_samples(users, [occurrence], numeric_text=False)] == ["12"]
    assert [one.number for one in take_samples(calls, [occurrence], numeric_text=False)] == [1]


# The mergeable form.

VALUES = st.decimals(min_value=-(10**12), max_value=10**12, places=6) | st.integers(-3, 3).map(Decimal)
TIMES = st.integers(0, 31 * 24 - 1).map(lambda hour: START + timedelta(hours=hour)) | st.datetimes(
    START.replace(tzinfo=None), END.replace(tzinfo=None) - timedelta.resolution, timezones=st.just(UTC)
)
POINTS = st.lists(st.tuples(TIMES, VALUES), max_size=20)


@given(POINTS, st.integers(1, 5), st.randoms(use_true_random=False))
def test_cells_come_to_the_reference_in_any_split_and_order(
    points: list[tuple[datetime, Decimal]], cell_count: int, chance: random.Random
) -> None:
    samples = [Sample(when, position, value) for position, (when, value) in enumerate(points, start=1)]
    cells = [Cell() for _ in range(cell_count)]
    for one in chance.sample(samples, len(samples)):
        chance.choice(cells).add(one.number, one.at, one.position)
    whole = merged(chance.sample(cells, len(cells)))
    for name in SHARED_BY_CELLS:
        reference = march(name, *samples)
        assert quantity(name, whole, start=START, end=END) == reference
    positions = [one.position for one in samples]
    assert (whole.first_position, whole.last_position) == (min(positions, default=None), max(positions, default=None))


@given(POINTS, st.datetimes(datetime(2026, 3, 2), datetime(2026, 3, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_carried_cells_come_to_the_reference_that_carries_over(
    points: list[tuple[datetime, Decimal]], start: datetime
) -> None:
    samples = [Sample(when, position, value) for position, (when, value) in enumerate(points, start=1)]
    carried, cell = Cell(), Cell()
    for one in samples:
        (carried if one.at < start else cell).add(one.number, one.at, one.position)
    for name in SHARED_BY_CELLS:
        query = Query(measure=name, start=start, end=END, carries_over=True)
        assert quantity(name, cell, start=start, end=END, carried=carried) == only(measure(query, samples))


@given(st.lists(POINTS, min_size=3, max_size=3))
def test_merging_is_associative_and_commutative(parts: list[list[tuple[datetime, Decimal]]]) -> None:
    cells = []
    for number, points in enumerate(parts):
        cell = Cell()
        for position, (when, value) in enumerate(points):
            cell.add(value, when, position * 3 + number)
        cells.append(cell)
    a, b, c = cells
    assert merged([a, b]) == merged([b, a])
    assert merged([merged([a, b]), c]) == merged([a, merged([b, c])])
    assert merged([a, Cell()]) == a


@given(
    st.lists(st.tuples(TIMES, st.sampled_from("abc"), st.booleans()), max_size=20),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_presences_come_to_the_reference_in_any_split_and_order(
    points: list[tuple[datetime, str, bool]], part_count: int, chance: random.Random
) -> None:
    samples = [
        Sample(when, position, Decimal(1), text, is_removal)
        for position, (when, text, is_removal) in enumerate(points, start=1)
    ]
    parts: list[dict[str | None, Presence]] = [{} for _ in range(part_count)]
    for one in chance.sample(samples, len(samples)):
        presence = chance.choice(parts).setdefault(one.text, Presence())
        presence.add(one.at, one.position, is_present=not one.is_removal)
    whole: dict[str | None, Presence] = {}
    for part in chance.sample(parts, len(parts)):
        for text, presence in part.items():
            whole.setdefault(text, Presence()).merge(presence)
    assert unique_count(whole.values()) == march("unique_count", *samples)
    for text, presence in whole.items():
        positions = [one.position for one in samples if one.text == text]
        assert (presence.count, presence.first_position, presence.last_position) == (
            len(positions),
            min(positions),
            max(positions),
        )


def test_merging_an_empty_presence_changes_nothing() -> None:
    presence = Presence()
    presence.add(START, 1, is_present=True)
    presence.merge(Presence())
    assert presence == Presence(1, True, START, 1, 1, 1)


def test_sums_are_exact_at_the_ends_of_the_range() -> None:
    large, small = Decimal("99999999999999999999.999999999999999999"), Decimal("1E-18")
    cell = Cell()
    cell.add(large, START, 1)
    cell.add(small, START, 2)
    assert cell.total == Decimal(10) ** 20
    assert quantity("time_weighted_sum", cell, start=START, end=END) == Decimal(10) ** 20


def test_a_period_without_length_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="a period lasts"):
        quantity("sum", Cell(), start=START, end=START)
    with pytest.raises(AssertionError, match="a period lasts"):
        measure(Query(measure="sum", start=START, end=START), [])


TALLIED: tuple[CellAggregation, ...] = ("count", "sum", "avg")


@pytest.mark.parametrize("positions", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
@pytest.mark.parametrize("aggregation", SHARED_BY_CELLS)
def test_a_cell_keeps_what_its_aggregation_needs(aggregation: CellAggregation, positions: tuple[int, ...]) -> None:
    lean, whole = empty_cell(aggregation), Cell()
    for position in positions:
        lean.add(Decimal(position), START + position * DAY, position)
        whole.add(Decimal(position), START + position * DAY, position)
    shown, expected = (quantity(aggregation, cell, start=START, end=END) for cell in (lean, whole))
    assert shown == expected
    assert (lean.count, lean.first_position, lean.last_position) == (3, 1, 3)
    assert (lean.latest is None) == (aggregation in TALLIED)
    assert bool(lean.moment) == (aggregation == "time_weighted_sum")
