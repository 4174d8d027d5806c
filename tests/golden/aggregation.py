"""Aggregation cases, translated to a meter's definition, its events and one query."""

import operator
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, cast, get_args

from ledger.domain.aggregation import Group, Measured, Query, measure
from ledger.domain.calendar import WindowSize, zone
from ledger.domain.metering import Aggregation, Filter, MeterDefinition
from ledger.domain.reckoning import Measure
from ledger.domain.rounding import Rounding, RoundingMode
from ledger.domain.samples import Occurrence, Repeats, Sample, take_samples, without_repeats
from ledger.domain.values import plain
from tests.golden import Case, Unsupported

SPOKEN = {"id", "source", "notes", "also_in", "derived"}
KNOWN = SPOKEN | {
    *("aggregation", "field", "events", "period", "timezone", "window", "group_by", "filters", "recurring", "prorate"),
    *(
        "initial_value",
        "initial_values",
        "per_customer",
        "stored_at_filter",
        "result_rounding",
        "semantics",
        "tolerance",
    ),
    *("customer", "external_customer", "customers", "external_customers", "subject", "subjects", "unaligned_bounds"),
    *("expected", "expected_count", "expected_total"),
}
CONVENTIONS: dict[str, set[Any]] = {
    "numeric_strings": {"parse", "ignore"},
    "non_numeric": {"ignore", "reject_event"},
    "missing": {"ignore", "reject_event"},
    "missing_group": {None, ""},
    "dedupe": set(get_args(Repeats)),
    "empty_windows": {"omit", "zero"},
    "unaligned_bounds": {"widen_to_windows"},
    "period_start_truncated_to": {"second", "millisecond", "microsecond"},
}
MEASURES: dict[str, Measure] = {name: name for name in get_args(Measure)} | {
    "weighted_sum": "time_weighted_sum",
    "unique": "unique_count",
    "average": "avg",
}
DEFINED_AS: dict[Measure, Aggregation] = {
    "prorated_sum": "sum",
    "prorated_unique_count": "unique_count",
}
RESOLUTIONS = {
    "second": timedelta(seconds=1),
    "millisecond": timedelta(milliseconds=1),
    "microsecond": timedelta(microseconds=1),
}
COMPARISONS: dict[str, Callable[[datetime, datetime], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
OWNERS = ("customer", "external_customer", "subject")
EVENT_FIELDS = {"timestamp", "properties", "value", "id", "source", "stored_at", *OWNERS}
PERIOD_FIELDS = {"from", "to", "to_inclusive", "max_timestamp"}
TOLERANCE_FIELDS = ("absolute", "abs")


def check(case: Case) -> list[str]:
    """What differs from the expected results."""
    unknown = sorted(_unknown(case))
    if any(name.startswith("expected") for name in unknown):
        raise Unsupported(f"unknown: {', '.join(unknown)}")
    differences = _differences(case)
    if differences and unknown:
        raise Unsupported(f"unknown: {', '.join(unknown)}; without: {'; '.join(differences)}")
    return differences


def _unknown(case: Case) -> set[str]:
    semantics = case.get("semantics") or {}
    named = {
        f"semantics.{name}={value}"
        for name, value in semantics.items()
        if name not in CONVENTIONS or value not in CONVENTIONS[name]
    }
    named |= {f"period.{name}" for name in (case.get("period") or {}).keys() - PERIOD_FIELDS}
    named |= {f"events.{name}" for event in case["events"] for name in event.keys() - EVENT_FIELDS}
    return (case.keys() - KNOWN) | named


def _differences(case: Case) -> list[str]:
    definition = _definition(case)
    query = _query(case)
    samples = _samples(case, definition)
    differences = []
    if "expected" in case:
        differences += _compare(case, definition, case["expected"], measure(query, samples))
    if query.window is not None and query.widens:
        query = replace(
            query,
            start=query.zone.window_of(query.start, query.window).start,
            end=query.zone.window_of(query.end - timedelta.resolution, query.window).end,
        )
    whole = measure(replace(query, window=None), samples)
    if "expected_total" in case:
        told = _compare(case, definition, case["expected_total"], whole)
        differences += [f"in total: {difference}" for difference in told]
    counted = sum(one.counted for one in whole)
    if "expected_count" in case and Decimal(case["expected_count"]) != counted:
        differences.append(f"expected a count of {case['expected_count']}, got {counted}")
    return differences


def _definition(case: Case) -> MeterDefinition:
    wanted = _measure(case["aggregation"])
    filters = case.get("filters") or {}
    exclusions = (_filters(excluded) for excluded in filters.get("ignore") or [])
    return MeterDefinition(
        name=case["id"],
        event_type="usage",
        aggregation=DEFINED_AS.get(wanted, cast("Aggregation", wanted)),
        property=None if wanted == "count" else case["field"],
        filters=_filters(filters.get("match") or {}),
        exclusions=tuple(excluded for excluded in exclusions if excluded),
        dimensions=tuple(case.get("group_by") or ()),
    )


def _measure(name: str) -> Measure:
    if name not in MEASURES:
        raise Unsupported(f"aggregation={name}")
    return MEASURES[name]


def _filters(wanted: dict[str, Any]) -> tuple[Filter, ...]:
    lists = {name: values if isinstance(values, list) else [values] for name, values in wanted.items()}
    return tuple(Filter(property=name, values=tuple(values)) for name, values in lists.items() if values)


def _query(case: Case) -> Query:
    semantics = case.get("semantics") or {}
    prorate = case.get("prorate") or {}
    start, end = _period(case)
    size = case.get("window")
    if size is not None and size.upper() not in get_args(WindowSize):
        raise Unsupported(f"window={size}")
    rounding = case.get("result_rounding")
    if rounding is not None and rounding["mode"] not in get_args(RoundingMode):
        raise Unsupported(f"result_rounding={rounding['mode']}")
    return Query(
        measure=_measure(case["aggregation"]),
        start=start,
        end=end,
        zone=zone(case.get("timezone") or "UTC"),
        is_grouped=bool(case.get("group_by")),
        window=None if size is None else size.upper(),
        widens="widen_to_windows" in (semantics.get("unaligned_bounds"), case.get("unaligned_bounds")),
        shows_empty=semantics.get("empty_windows") == "zero",
        carries_over=bool(case.get("recurring") or prorate.get("recurring")),
        openings=_openings(case),
        start_resolution=RESOLUTIONS[semantics.get("period_start_truncated_to", "microsecond")],
        whole_days=_days(prorate, "period"),
        persisted_days=_days(prorate, "persisted"),
        across_customers=_measure(case["per_customer"]) if case.get("per_customer") else None,
        rounding=None if rounding is None else Rounding(int(rounding["places"]), rounding["mode"]),
    )


def _days(prorate: dict[str, Any], what: str) -> int | None:
    days = prorate.get(f"{what}_days", prorate.get(f"{what}_duration"))
    return None if days is None else int(days)


def _openings(case: Case) -> dict[Group, Decimal]:
    openings = {_group(case, one): Decimal(one["value"]) for one in case.get("initial_values") or []}
    if case.get("initial_value") is not None:
        openings[()] = Decimal(case["initial_value"])
    return openings


def _group(case: Case, row: dict[str, Any]) -> Group:
    told = row | (row.get("group") or row.get("groups") or {})
    missing = (case.get("semantics") or {}).get("missing_group")
    return tuple(_text(told.get(name), missing) for name in case.get("group_by") or ())


def _text(value: Any, missing: str | None) -> str | None:
    if value is None:
        return missing
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain(Decimal(value)) if isinstance(value, int | Decimal) else str(value)


def _period(case: Case) -> tuple[datetime, datetime]:
    """The case's half-open period; an end that is told as the last second, millisecond ... is moved past it."""
    period = case.get("period") or {}
    times = [_instant(event["timestamp"]) for event in case["events"]] or [datetime(1970, 1, 1, tzinfo=UTC)]
    start = min(times) if period.get("from") is None else _instant(period["from"])
    if period.get("to") is None:
        return start, max(times) + timedelta.resolution
    end = _instant(period["to"])
    return start, end + _unit(period["to"]) if period.get("to_inclusive") else end


def _unit(instant: str) -> timedelta:
    """The unit of the last digit that an instant is told with."""
    fraction = instant.partition(".")[2]
    digits = len(fraction) - len(fraction.lstrip("0123456789"))
    if digits == 0:
        return RESOLUTIONS["second"]
    return RESOLUTIONS["millisecond" if digits <= 3 else "microsecond"]


def _instant(text: str) -> datetime:
    told = datetime.fromisoformat(text)
    return (told if told.tzinfo is not None else told.replace(tzinfo=UTC)).astimezone(UTC)


def _samples(case: Case, definition: MeterDefinition) -> list[Sample]:
    semantics = case.get("semantics") or {}
    occurrences = []
    for position, event in enumerate(case["events"], start=1):
        owners = {name: event[name] for name in OWNERS if name in event}
        value = {case["field"]: event["value"]} if "value" in event else {}
        occurrence = Occurrence(
            at=_instant(event["timestamp"]),
            position=position,
            properties=owners | value | (event.get("properties") or {}),
            id=event.get("id"),
            source=event.get("source") or "",
            customer=next((owner for owner in owners.values() if owner is not None), None),
        )
        occurrences.append(occurrence)
    admitted = {
        position
        for position, event in enumerate(case["events"], start=1)
        if _is_in_time(case, event) and _is_of_customer(case, event)
    }
    counting = without_repeats(occurrences, semantics.get("dedupe", "none"))
    return take_samples(
        definition,
        [occurrence for occurrence in counting if occurrence.position in admitted],
        numeric_text=semantics.get("numeric_strings", "parse") == "parse",
        missing_group=semantics.get("missing_group"),
    )


def _is_in_time(case: Case, event: dict[str, Any]) -> bool:
    latest = (case.get("period") or {}).get("max_timestamp")
    if latest is not None and _instant(event["timestamp"]) > _instant(latest):
        return False
    stored_at = _instant(event.get("stored_at") or event["timestamp"])
    for name, bound in (case.get("stored_at_filter") or {}).items():
        if name.removeprefix("$") not in COMPARISONS:
            raise Unsupported(f"stored_at_filter.{name}")
        if not COMPARISONS[name.removeprefix("$")](stored_at, _instant(bound)):
            return False
    return True


def _is_of_customer(case: Case, event: dict[str, Any]) -> bool:
    for owner in OWNERS:
        told = case.get(owner, case.get(f"{owner}s"))
        if told is not None and event.get(owner) not in (told if isinstance(told, list) else [told]):
            return False
    return True


def _compare(case: Case, definition: MeterDefinition, expected: Any, got: list[Measured]) -> list[str]:
    if isinstance(expected, dict) and "value" in expected:
        expected = [expected]
    if not isinstance(expected, list):
        if len(got) != 1:
            return [f"expected {expected}, got {len(got)} results"]
        return [] if _is_same(case, expected, got[0]) else [f"expected {expected}, got {_shown(got[0].value)}"]
    differences, left = [], list(got)
    for row in expected:
        match = next((one for one in left if _is_row(case, row, one)), None)
        if match is not None:
            left.remove(match)
        value = "nothing" if match is None else _shown(match.value)
        if match is None or not _is_same(case, row["value"], match):
            where = {name: row[name] for name in ("group", "window_start") if name in row}
            differences.append(f"expected {row['value']} for {where}, got {value}")
    return differences + [f"did not expect {_shown(one.value)} for {one.group} from {one.window.start}" for one in left]


def _is_row(case: Case, row: dict[str, Any], one: Measured) -> bool:
    """Whether a result is of the group and window that an expected row names."""
    return (
        _group(case, row) == one.group
        and ("window_start" not in row or _instant(row["window_start"]) == one.window.start)
        and ("window_end" not in row or _instant(row["window_end"]) == one.window.end)
    )


def _is_same(case: Case, expected: Any, one: Measured) -> bool:
    """Whether a result is what is expected.

    What comes of no samples at all is None, 0 or null as each system's level shows it, so these are the same there.
    """
    if expected is None:
        return one.counted == 0 and not one.value
    wanted, got = Decimal(expected), one.value if one.value is not None else Decimal(0)
    tolerance = case.get("tolerance")
    if isinstance(tolerance, dict):
        tolerance = next((tolerance[name] for name in TOLERANCE_FIELDS if name in tolerance), None)
    if tolerance is not None:
        return abs(wanted - got) <= Decimal(tolerance)
    if len(got.as_tuple().digits) >= 60 and "." in str(expected):
        # A quotient without a finite form is compared to as many places as the case writes.
        return got.quantize(wanted, rounding=ROUND_HALF_UP, context=Context(prec=200)) == wanted
    return wanted == got


def _shown(value: Decimal | None) -> str:
    return "none" if value is None else plain(value)
