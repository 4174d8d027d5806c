"""CloudEvents: what is read, what is refused, and when a repeat tells something else."""

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.events import UsageConflicted, UsageRecorded
from ledger.domain.refusals import UsageUnreadable
from ledger.domain.topics import encode
from ledger.domain.usage import PROPERTIES_MAX, conflict_of, parse, parse_batch, parse_lines, utc

TIME = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHOLE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "gateway",
    "type": "completion",
    "subject": "acme",
    "time": "2026-03-01T12:00:00Z",
    "data": {"tokens": 3},
}
RECORDED = UsageRecorded(source="gateway", id="e1", type="completion", subject="acme", time=TIME, data={"tokens": 3})


def body(**changes: Any) -> bytes:
    told = {name: value for name, value in (WHOLE | changes).items() if value is not ...}
    return json.dumps(told).encode()


def test_a_cloud_event_is_read() -> None:
    assert parse(body()) == RECORDED


def test_data_may_be_missing_and_what_is_about_it_is_not_kept() -> None:
    told = body(data=..., datacontenttype="application/json", dataschema="x", traceparent="00-1", tracestate="a=b")
    assert parse(told).data == {}


@pytest.mark.parametrize("time", ["2026-03-01T14:00:00+02:00", "2026-03-01T04:00:00-08:00", "2026-03-01T12:00:00.000Z"])
def test_time_is_kept_in_utc(time: str) -> None:
    assert parse(body(time=time)).time == TIME


def test_numbers_are_kept_as_written() -> None:
    usage = parse(body().replace(b"3}", b"1.10}"))
    assert str(usage.data["tokens"]) == "1.10"


@pytest.mark.parametrize(
    "changes",
    [
        *({name: ...} for name in ("specversion", "id", "source", "type", "subject", "time")),
        *({name: ""} for name in ("id", "source", "type", "subject")),
        *({name: "x" * 257} for name in ("id", "source", "type", "subject")),
        *({name: " x"} for name in ("id", "source", "type", "subject")),
        *({name: "x "} for name in ("id", "source", "type", "subject")),
        *({name: "a\0b"} for name in ("id", "source", "type", "subject")),
        {"specversion": "0.3"},
        {"time": "2026-03-01T12:00:00"},
        {"time": "yesterday"},
        {"time": 1772366400},
        {"time": "1969-12-31T23:59:59Z"},
        {"time": "9999-12-31T23:59:59-23:59"},
        {"time": "0001-01-01T00:00:00+23:59"},
        {"data": [1]},
        {"data": {str(number): 1 for number in range(PROPERTIES_MAX + 1)}},
        {"extension": "x"},
        {"id": 1},
    ],
)
def test_what_is_no_usage_event_is_refused_with_a_reason(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageUnreadable) as refused:
        parse(body(**changes))
    assert 0 < len(refused.value.why) <= 200


@pytest.mark.parametrize(
    "literal", [b"NaN", b"Infinity", b"01", b"1e9999999999999999999", b'"\\ud800"', b'"\xff"', b"1" * 5000]
)
def test_what_is_no_json_value_is_refused(literal: bytes) -> None:
    with pytest.raises(UsageUnreadable):
        parse(body().replace(b"3}", literal + b"}"))


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(UsageUnreadable, match="nested too deeply"):
        parse(body().replace(b"3}", b"[" * 30_000 + b"]" * 30_000 + b"}"))


@pytest.mark.parametrize("time", [datetime(1970, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_the_first_and_the_last_instant_are_taken(time: datetime) -> None:
    assert utc(time) == time


def test_another_offset_is_turned_into_utc() -> None:
    there = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert utc(there).tzinfo is UTC
    assert utc(there) == TIME


def test_a_batch_tells_each_events_own_fate() -> None:
    batch = b"[" + body() + b"," + body(id="") + b", 7," + body(specversion="2") + b"]"
    told = parse_batch(batch)
    assert told[0] == RECORDED
    assert [type(one) for one in told[1:]] == [UsageUnreadable] * 3


def test_a_good_batch_is_read_at_once() -> None:
    assert parse_batch(b"[" + body() + b"," + body() + b"]") == [RECORDED, RECORDED]
    assert parse_batch(b"[]") == []


@pytest.mark.parametrize("batch", [b"", b"{}", b"[", b"[1,]", b"[" * 50_000])
def test_what_is_no_array_is_refused_as_a_whole(batch: bytes) -> None:
    with pytest.raises(UsageUnreadable):
        parse_batch(batch)


def test_lines_are_read_each_for_itself_and_blank_ones_do_not_count() -> None:
    told = parse_lines(body() + b"\n\n  \r\n{\n" + body() + b"\n")
    assert told[0] == told[2] == RECORDED
    assert isinstance(told[1], UsageUnreadable)
    assert len(told) == 3


def test_a_repeat_is_no_conflict() -> None:
    assert conflict_of(1, encode(RECORDED), encode(RECORDED)) is None


def usage(**data: Any) -> UsageRecorded:
    return UsageRecorded(source="gateway", id="e1", type="completion", subject="acme", time=TIME, data=data)


def test_the_same_content_in_other_words_is_no_conflict() -> None:
    first = encode(usage(a=1, b=[Decimal("2.0")]))
    assert conflict_of(1, first, encode(usage(b=[2], a=Decimal("1.0")))) is None


def test_other_content_is_a_conflict_with_the_first_telling() -> None:
    assert conflict_of(7, encode(usage(a=1)), encode(usage(a=2))) == UsageConflicted(
        first_position=7, source="gateway", id="e1", type="completion", subject="acme", time=TIME, data={"a": 2}
    )


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(told: bytes) -> None:
    for read in (parse, parse_batch, parse_lines):
        with contextlib.suppress(UsageUnreadable):
            read(told)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**50), 10**50) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_any_properties_are_read_as_they_were_told(data: dict[str, Any]) -> None:
    assert parse(body(data=data)).data == data
