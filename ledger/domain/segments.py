"""Billing periods of a contract, and the segments of a period: its parts with one version of one plan each."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final, assert_never

import msgspec

from ledger.domain.agreements import PlanChoice, overridden
from ledger.domain.calendar import zone as zone_of
from ledger.domain.contracts import Contract, Contracts, contract_at
from ledger.domain.durations import interval
from ledger.domain.periods import Cycle, Period, calendar_cycle, clipped, local_days, period_at
from ledger.domain.plans import Plan, version_at
from ledger.domain.pricing import Convention, PlanTerms, Term
from ledger.domain.proration import WHOLE, Share
from ledger.domain.values import microseconds

NOTHING: Final = Share(0, 1)


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a period in which one version of a plan was in force.

    `spans` are the stretches of it that are billed, in order, without pauses: usage within them is the segment's, put
    together over all of them. `terms` are the version's, with the contract's prices. `share` is the segment's share
    of the period by the contract's proration.
    """

    index: int
    plan: str
    version: int
    terms: PlanTerms
    spans: tuple[Period, ...]
    share: Share

    @property
    def start(self) -> datetime:
        """When its billing begins."""
        return self.spans[0].start

    @property
    def end(self) -> datetime:
        """When its billing ends."""
        return self.spans[-1].end


def cycle_of(contract: Contract, plans: Mapping[str, Plan], zone: str) -> Cycle:
    """The contract's billing cycle in its account's zone; the interval of its plans never changes."""
    terms = contract.terms
    rhythm = plans[contract.phases[0].choice.plan].versions[0].terms
    if terms.alignment == "calendar":
        return calendar_cycle(rhythm.interval, rhythm.interval_count, zone)
    return Cycle(
        anchor=terms.anchor or contract.started_at,
        step=interval(rhythm.interval, rhythm.interval_count),
        zone=zone,
        starts=terms.starts,
        anchor_day=terms.anchor_day,
    )


def period_of(contract: Contract, plans: Mapping[str, Plan], instant: datetime, zone: str) -> Period:
    """The whole billing period that an instant is in, also where the contract runs in a part of it or not at all."""
    return period_at(cycle_of(contract, plans, zone), instant)


def segments(contract: Contract, plans: Mapping[str, Plan], period: Period, zone: str) -> list[Segment]:
    """The segments of a period of the contract, in order; none where it is paused throughout or not running."""
    found = []
    for index, phase in enumerate(contract.phases):
        following = contract.phases[index + 1 : index + 2]
        end = following[0].start if following else contract.ended_at
        spans = _spans(contract, period, phase.start, end)
        if spans:
            found.append((phase.choice, spans))
    parts = shares([spans for _, spans in found], period, zone, contract.terms.proration)
    return [
        _segment(index, choice, plans[choice.plan], spans, share)
        for index, ((choice, spans), share) in enumerate(zip(found, parts, strict=True))
    ]


def _segment(index: int, choice: PlanChoice, plan: Plan, spans: Sequence[Period], share: Share) -> Segment:
    version = version_at(plan, spans[0].start) if choice.version is None else choice.version
    terms = overridden(plan.versions[version - 1].terms, choice)
    return Segment(index=index, plan=choice.plan, version=version, terms=terms, spans=tuple(spans), share=share)


def _spans(contract: Contract, period: Period, start: datetime, end: datetime | None) -> list[Period]:
    """What is billed of [start, end) within the period, while the contract runs and is not paused."""
    if contract.ended_at is not None:
        end = contract.ended_at if end is None else min(end, contract.ended_at)
    if start >= period.end or (end is not None and end <= max(period.start, start)):
        return []
    rest = clipped(period, started_at=start, ended_at=end)
    spans = []
    for pause in contract.pauses:
        if pause.start > rest.start:
            spans.append(Period(rest.start, min(pause.start, rest.end)))
        if pause.start >= rest.end:
            return spans
        if pause.end is None or pause.end >= rest.end:
            return spans
        rest = Period(max(pause.end, rest.start), rest.end)
    return [*spans, rest]


def shares(
    parts: Sequence[Sequence[Period]],
    period: Period,
    zone: str,
    convention: Convention,
    term: Term = "in_arrears",
) -> list[Share]:
    """The share of a period that falls on each of its parts, by the convention; `term` decides where there is none.

    By days, a local day of the period belongs to the last part that ran in it: that of an upgrade to the new plan,
    that of an end to the plan that ends. Days are those of `local_days`, so the last, begun day of a period that ends
    in the midst of a day is none of them.
    """
    if len(parts) == 1 and list(parts[0]) == [period]:
        return [WHOLE]
    match convention:
        case "elapsed_time":
            return [Share(_length(spans), _length([period])) for spans in parts]
        case "days":
            owners: dict[date, int] = {}
            for index, spans in enumerate(parts):
                owners.update(dict.fromkeys(_days(spans, period, zone), index))
            owned = list(owners.values())
            return [Share(owned.count(index), local_days(period, zone)) for index in range(len(parts))]
        case "none":
            chosen = 0 if term == "in_advance" else len(parts) - 1
            return [WHOLE if index == chosen else NOTHING for index in range(len(parts))]
        case _:
            assert_never(convention)


def _length(spans: Sequence[Period]) -> int:
    return sum(microseconds(span.end) - microseconds(span.start) for span in spans)


def _days(spans: Sequence[Period], period: Period, zone: str) -> list[date]:
    """The local days on which the spans ran, of those that the period has."""
    day_of = zone_of(zone).day_of
    past = day_of(period.end)
    days = []
    for span in spans:
        day, last = day_of(span.start), day_of(span.end - timedelta.resolution)
        while day <= last and day < past:
            days.append(day)
            day += timedelta(days=1)
    return days


def part_at(state: Contracts, plans: Mapping[str, Plan], instant: datetime, zone: str) -> Period:
    """The longest stretch around an instant in which period, contract, plan and pause of an account stay the same.

    Without a contract periods are the calendar's months. Segments are made of whole parts, so what is kept by part
    can be put together for any of them.
    """
    contract = contract_at(state, instant)
    if contract is None:
        whole = period_at(calendar_cycle("month", 1, zone), instant)
    else:
        whole = period_of(contract, plans, instant, zone)
    start, end = whole.start, whole.end
    for mark in _marks(state):
        if mark <= instant:
            start = max(start, mark)
        else:
            end = min(end, mark)
    return Period(start, end)


def _marks(state: Contracts) -> Iterator[datetime]:
    """The instants at which something about an account's contracts changes."""
    for contract in state:
        yield contract.started_at
        yield from (phase.start for phase in contract.phases)
        for pause in contract.pauses:
            yield pause.start
            if pause.end is not None:
                yield pause.end
        if contract.ended_at is not None:
            yield contract.ended_at
