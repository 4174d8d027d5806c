"""Meters: defined, changed, retired, and the definitions that mean nothing."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ledger.domain.events import MeterChanged, MeterDefined, MeterRetired
from ledger.domain.metering import Filter, MeterDefinition
from ledger.domain.meters import (
    DIMENSIONS_MAX,
    FILTER_VALUES_MAX,
    FILTERS_MAX,
    ChangeMeter,
    DefineMeter,
    MeterCommand,
    MeterEvent,
    RetireMeter,
    check,
    decide,
    evolve,
)
from ledger.domain.refusals import (
    MeterExists,
    MeterInvalid,
    MeterRetiredAlready,
    MeterUnknown,
    NameInvalid,
    Refusal,
)

TOKENS = MeterDefinition(name="Tokens", event_type="completion", aggregation="sum", property="tokens")
CALLS = MeterDefinition(name="Calls", event_type="completion", aggregation="count")
RETIRED_AT = datetime(2026, 4, 1, tzinfo=UTC)
DEFINED = MeterDefined(meter="tokens", definition=TOKENS)
CHANGED = MeterChanged(meter="tokens", definition=CALLS)
RETIRED = MeterRetired(meter="tokens", retired_at=RETIRED_AT)


def state(past: list[MeterEvent]) -> MeterDefinition | None:
    now: MeterDefinition | None = None
    for event in past:
        now = evolve(now, event)
    return now


@pytest.mark.parametrize(
    ("past", "command", "then"),
    [
        ([], DefineMeter("tokens", TOKENS), [DEFINED]),
        ([DEFINED], ChangeMeter("tokens", CALLS), [CHANGED]),
        ([DEFINED], ChangeMeter("tokens", TOKENS), []),
        ([DEFINED, CHANGED], ChangeMeter("tokens", CALLS), []),
        ([DEFINED], RetireMeter("tokens", RETIRED_AT), [RETIRED]),
    ],
)
def test_a_meter_is_defined_changed_and_retired(
    past: list[MeterEvent], command: MeterCommand, then: list[MeterEvent]
) -> None:
    assert decide(state(past), command) == then


@pytest.mark.parametrize(
    ("past", "command", "refusal"),
    [
        ([DEFINED], DefineMeter("tokens", TOKENS), MeterExists),
        ([DEFINED, RETIRED], DefineMeter("tokens", TOKENS), MeterExists),
        ([], ChangeMeter("tokens", TOKENS), MeterUnknown),
        ([], RetireMeter("tokens", RETIRED_AT), MeterUnknown),
        ([DEFINED, RETIRED], ChangeMeter("tokens", CALLS), MeterRetiredAlready),
        ([DEFINED, RETIRED], RetireMeter("tokens", RETIRED_AT), MeterRetiredAlready),
        ([], DefineMeter(" tokens", TOKENS), NameInvalid),
    ],
)
def test_what_breaks_a_rule_is_refused(past: list[MeterEvent], command: MeterCommand, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        decide(state(past), command)


def test_a_retired_meter_keeps_its_definition() -> None:
    assert state([DEFINED, CHANGED, RETIRED]) == msgspec.structs.replace(CALLS, retired_at=RETIRED_AT)


def filters(count: int) -> tuple[Filter, ...]:
    return tuple(Filter(property=f"p{number}", values=("x",)) for number in range(count))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aggregation": "median"}, "none of the aggregations"),
        ({"aggregation": "count"}, "a count takes no property"),
        ({"property": None}, "the aggregation sum needs a property"),
        ({"property": ""}, "the aggregation sum needs a property"),
        ({"retired_at": RETIRED_AT}, "retired by its own command"),
        ({"dimensions": tuple("abcdefghi")}, f"more than {DIMENSIONS_MAX} dimensions"),
        ({"dimensions": ("a", "b", "a")}, "a dimension twice"),
        ({"unit": "u" * 257}, "unit is longer"),
        ({"property": "p" * 257}, "a property's name"),
        ({"property": "nul\0"}, "a property's name"),
        ({"dimensions": ("",)}, "a property's name"),
        ({"operation_property": ""}, "a property's name"),
        ({"filters": filters(FILTERS_MAX + 1)}, f"more than {FILTERS_MAX} filters"),
        ({"exclusions": (filters(20), filters(20))}, f"more than {FILTERS_MAX} filters"),
        ({"filters": (Filter(property="", values=()),)}, "a filtered property's name"),
        ({"filters": (Filter(property="line\n", values=()),)}, "a filtered property's name"),
        ({"filters": (Filter(property="p", values=tuple(range(FILTER_VALUES_MAX + 1))),)}, "values"),
        ({"filters": (Filter(property="p", values=(["a"],)),)}, "no scalar"),
        ({"exclusions": ((Filter(property="p", values=(1.5,)),),)}, "no scalar"),
    ],
)
def test_a_definition_that_means_nothing_is_refused_with_the_reason(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(MeterInvalid, match=why):
        check("tokens", msgspec.structs.replace(TOKENS, **changes))


@pytest.mark.parametrize("changes", [{"name": ""}, {"event_type": "a\tb"}])
def test_names_in_a_definition_are_names(changes: dict[str, Any]) -> None:
    with pytest.raises(NameInvalid):
        check("tokens", msgspec.structs.replace(TOKENS, **changes))


def test_a_definition_at_every_bound_is_taken() -> None:
    check(
        "tokens",
        msgspec.structs.replace(
            TOKENS,
            property="p" * 256,
            unit="u" * 256,
            dimensions=tuple("abcdefgh"),
            filters=(*filters(FILTERS_MAX - 1), Filter(property="p", values=tuple(range(FILTER_VALUES_MAX)))),
        ),
    )
