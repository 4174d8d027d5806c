"""Golden period cases through the billing periods: each kind is one question to them."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ledger.domain.durations import after, interval, parse_duration
from ledger.domain.periods import (
    Cycle,
    Period,
    boundary_after,
    boundary_before,
    calendar_cycle,
    clipped,
    days_between,
    index_at,
    local_days,
    midnight_before,
    period,
    period_at,
)
from ledger.domain.proration import billed_days
from tests.golden import Case, Unsupported

Answer = Mapping[str, object]


def check(case: Case) -> list[str]:
    """What differs from the expected instants and days; a null there claims nothing."""
    if (question := _KINDS.get(case["kind"])) is None:
        raise Unsupported(f"unknown: the kind {case['kind']}")
    got = question(case)
    if unknown := sorted({field for field in case if field.startswith("expected")} - set(got)):
        raise Unsupported(f"unknown: {', '.join(unknown)}")
    return [
        f"{field}: expected {case[field]}, got {answer}"
        for field, answer in got.items()
        if case.get(field) is not None and _told(case[field]) != answer
    ]


def instant(text: str, zone: str = "UTC") -> datetime:
    """The instant that a case tells; without an offset it is on the wall clock of the zone."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)


def _told(value: object) -> object:
    if isinstance(value, list):
        return [_told(item) for item in value]
    return instant(value) if isinstance(value, str) else value


def _maybe(text: str | None, zone: str) -> datetime | None:
    return None if text is None else instant(text, zone)


def _cycle(case: Case, anchor: datetime) -> Cycle:
    unit, count, zone = case["interval"], case.get("interval_count", 1), case["timezone"]
    if case["billing"] == "calendar":
        return calendar_cycle(unit, count, zone)
    return Cycle(anchor=anchor, step=interval(unit, count), zone=zone, starts="midnight")


def _billing_period(case: Case) -> Answer:
    """Lago: local days, ends inclusive; the first period is cut at the local midnight of the start."""
    zone = case["timezone"]
    subscribed_at = instant(case["subscription_at"], zone)
    cycle = _cycle(case, subscribed_at)
    index = index_at(cycle, instant(case["now"], zone)) - (case["which"] == "previous")
    whole = period(cycle, index)
    started_at = _maybe(case.get("started_at"), zone) or subscribed_at
    span = clipped(whole, started_at=midnight_before(started_at, zone), ended_at=None)
    return {
        "expected_from": span.start,
        "expected_to": span.end - timedelta(seconds=1),
        "expected_days": local_days(whole, zone),
    }


def _partial_period(case: Case) -> Answer:
    zone = case["timezone"]
    started_at = instant(case["started_at"], zone)
    told = {field: value for field, value in case.items() if field not in {"id", "source", "notes"}}
    is_upgrade = any("upgrade" in f"{field} {value}" for field, value in told.items() if value)
    ended_at = _maybe(case.get("ended_at") or case.get("upgraded_at"), zone)
    cycle = _cycle(case, instant(case.get("subscription_at") or case["started_at"], zone))
    whole = period_at(cycle, ended_at or started_at)
    share = billed_days(
        whole,
        zone,
        started_at=started_at,
        ended_at=ended_at,
        ended_by="upgrade" if is_upgrade else "termination",
        trial_days=case.get("trial_days") or case.get("trial_period_days") or 0,
    )
    return {"expected_billed_days": share.numerator, "expected_period_days": share.denominator}


def _day_diff(case: Case) -> Answer:
    zone = case["timezone"]
    return {"expected_days": days_between(instant(case["from"], zone), instant(case["to"], zone), zone)}


def _recurrence(case: Case) -> Answer:
    zone = case["timezone"]
    cycle = Cycle(anchor=instant(case["anchor"], zone), step=parse_duration(case["interval"]), zone=zone)
    at = instant(case["at"], zone)
    if case["function"] == "period_at":
        span = period_at(cycle, at)
        return {"expected_from": span.start, "expected_to_exclusive": span.end}
    boundary = {"next_after": boundary_after, "prev_before": boundary_before}[case["function"]]
    return {"expected": boundary(cycle, at, inclusive=case.get("boundary") == "inclusive")}


def _add_duration(case: Case) -> Answer:
    zone = case["timezone"]
    moved = after(instant(case["start"], zone), parse_duration(case["duration"]), zone)
    return {"expected": moved}


def _schedule(case: Case) -> Answer:
    zone = case["timezone"]
    start = instant(case["start"], zone)
    cycle = Cycle(
        anchor=start,
        step=interval(case["interval"], case.get("interval_count") or 1),
        zone=zone,
        anchor_day=case.get("anchor_day"),
    )
    starts = [start]
    for _ in case["expected_next_starts"]:
        starts.append(boundary_after(cycle, starts[-1], inclusive=False))
    return {"expected_next_starts": starts[1:]}


def day_span(told: Case, zone: str) -> Period:
    """The half-open span of a case's `from` and `to_inclusive`, each a local date or the last second of one."""
    first = _local_date(told["from"], zone)
    last = _local_date(told["to_inclusive"], zone)
    start, end = (datetime.combine(day, time(), ZoneInfo(zone)) for day in (first, last + timedelta(days=1)))
    return Period(start.astimezone(UTC), end.astimezone(UTC))


def _local_date(text: str, zone: str) -> date:
    return date.fromisoformat(text) if len(text) == 10 else instant(text, zone).astimezone(ZoneInfo(zone)).date()


_KINDS: Mapping[str, Callable[[Case], Answer]] = {
    "billing_period": _billing_period,
    "partial_period": _partial_period,
    "day_diff": _day_diff,
    "recurrence": _recurrence,
    "add_duration": _add_duration,
    "schedule": _schedule,
}
