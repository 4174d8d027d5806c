"""The reference: what the samples of one group come to in one stretch of time, by going through them in order.

Slow and plain on purpose: it is what an aggregation means, and what the mergeable cells are held against.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal, NamedTuple, assert_never

from ledger.domain.calendar import Zone
from ledger.domain.samples import Sample
from ledger.domain.values import DIVISION, EXACT, microseconds

Measure = Literal[
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "latest",
    "unique_count",
    "time_weighted_sum",
    "prorated_sum",
    "prorated_unique_count",
]
"""The aggregations of a meter, and those whose usage weighs by the local days it lasts (Lago's prorated ones)."""

ZERO: Final = Decimal(0)


class Stretch(NamedTuple):
    """The samples of one group around [start, end), each list in order of time and then position.

    `earlier` are those before `start` that still have effect, `within` those inside. `opening` is a level that stood
    at the start of it all, `whole_days` the denominator of proration, and `persisted_days`, if given, how many days
    what does not begin within the stretch weighs.
    """

    start: datetime
    end: datetime
    zone: Zone
    earlier: Sequence[Sample]
    within: Sequence[Sample]
    opening: Decimal
    whole_days: int
    persisted_days: int | None


class Reckoned(NamedTuple):
    """A result: `value` is None where an aggregation takes one sample and there is none.

    `counted` is how many samples went in, for unique counts how many values are present at the end.
    """

    value: Decimal | None
    counted: int


def reckon(measure: Measure, stretch: Stretch) -> Reckoned:
    """What a stretch comes to, unrounded: exact but for one division to 60 digits."""
    samples = [*stretch.earlier, *stretch.within]
    numbers = [sample.number for sample in samples]
    value: Decimal | None
    match measure:
        case "count":
            value = Decimal(len(samples))
        case "sum":
            value = _sum(numbers)
        case "min":
            value = min(numbers, default=None)
        case "max":
            value = max(numbers, default=None)
        case "avg":
            value = DIVISION.divide(_sum(numbers), len(numbers)) if numbers else None
        case "latest":
            value = numbers[-1] if numbers else None
        case "time_weighted_sum":
            return Reckoned(_time_weighted(stretch), len(stretch.within))
        case "unique_count":
            present = len(_present(samples))
            return Reckoned(Decimal(present), present)
        case "prorated_sum":
            value = _prorated_sum(stretch)
        case "prorated_unique_count":
            return Reckoned(_prorated_unique_count(stretch), len(_present(samples)))
        case _:
            assert_never(measure)
    return Reckoned(value, len(samples))


def _sum(numbers: Sequence[Decimal]) -> Decimal:
    total = ZERO
    for number in numbers:
        total = EXACT.add(total, number)
    return total


def _present(samples: Sequence[Sample]) -> set[str | None]:
    """The values that were added and not removed since."""
    present: set[str | None] = set()
    for sample in samples:
        if sample.is_removal:
            present.discard(sample.text)
        else:
            present.add(sample.text)
    return present


def _time_weighted(stretch: Stretch) -> Decimal:
    """The mean over the stretch of a level that each sample raises or lowers from its time on."""
    level = EXACT.add(stretch.opening, _sum([sample.number for sample in stretch.earlier]))
    area, since = ZERO, microseconds(stretch.start)
    for sample in stretch.within:
        at = max(microseconds(sample.at), since)
        area = EXACT.fma(level, at - since, area)
        level, since = EXACT.add(level, sample.number), at
    area = EXACT.fma(level, microseconds(stretch.end) - since, area)
    return DIVISION.divide(area, microseconds(stretch.end) - microseconds(stretch.start))


def _prorated_sum(stretch: Stretch) -> Decimal:
    """Each value by its share of days: from its local day, what is from earlier from the first, to the last one."""
    every_day = stretch.zone.days_between(stretch.start, stretch.end)
    persisted_days = every_day if stretch.persisted_days is None else stretch.persisted_days
    value_days = EXACT.multiply(_sum([sample.number for sample in stretch.earlier]), persisted_days)
    for sample in stretch.within:
        days = stretch.zone.days_between(max(sample.at, stretch.start), stretch.end)
        value_days = EXACT.fma(sample.number, days, value_days)
    return DIVISION.divide(value_days, stretch.whole_days)


def _prorated_unique_count(stretch: Stretch) -> Decimal:
    """Each value by its share of the days in which it was present, both ends included and none counted twice."""
    zone = stretch.zone
    first = zone.day_of(stretch.start).toordinal()
    last = zone.day_of(stretch.end - timedelta.resolution).toordinal()
    since: dict[str | None, int] = dict.fromkeys(_present(stretch.earlier), first)
    days: set[tuple[str | None, int]] = set()
    for sample in stretch.within:
        day = max(zone.day_of(sample.at).toordinal(), first)
        if not sample.is_removal:
            since.setdefault(sample.text, day)
        elif sample.text in since:
            days.update((sample.text, one) for one in range(since.pop(sample.text), day + 1))
    for text, day in since.items():
        days.update((text, one) for one in range(day, last + 1))
    return DIVISION.divide(Decimal(len(days)), stretch.whole_days)
