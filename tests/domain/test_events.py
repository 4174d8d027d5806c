"""Every event: past tense, frozen, under a permanent topic, and its stored bytes the same for ever.

`tests/golden_bytes/` holds stored examples, named by topic and variant. A file is never edited: bytes that change
mean that what was stored yesterday is read otherwise tomorrow. A new event needs a new file, which
`encode(EXAMPLES[...])` makes; a new optional field needs a new variant beside the old file, which stays.
"""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountRenamed,
    AccountZoneChanged,
    Event,
    KeyIssued,
    KeyRevoked,
    MeterChanged,
    MeterDefined,
    MeterRetired,
    UsageConflicted,
    UsageDismissed,
    UsageMended,
    UsageRecorded,
)
from ledger.domain.metering import Filter, MeterDefinition
from ledger.domain.topics import EVENTS, decode, encode
from tests.domain.billing_examples import BILLING_EXAMPLES
from tests.domain.case_examples import CASE_EXAMPLES
from tests.domain.platform_examples import PLATFORM_EXAMPLES
from tests.domain.reconciliation_examples import RECONCILIATION_EXAMPLES
from tests.domain.replay_examples import REPLAY_EXAMPLES
from tests.domain.trust_examples import TRUST_EXAMPLES

GOLDEN = Path(__file__).resolve().parents[1] / "golden_bytes"
TIME = datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=UTC)
TOLD: dict[str, Any] = {
    "source": "gateway/eu-1",
    "id": "req_0001",
    "type": "llm.completion",
    "subject": "cus_é🦊",
    "time": TIME,
    "data": {
        "tokens": 1536,
        "cost": Decimal("0.10"),
        "large": Decimal("1E+19"),
        "precise": Decimal("12345678901234567890.123456789012345678"),
        "model": 'a "quoted"\\\n\x00name',
        "cached": True,
        "nothing": None,
        "nested": {"list": [1, Decimal("2.50"), "x"]},
    },
}
WHOLE_METER = MeterDefinition(
    name="Tokens",
    event_type="llm.completion",
    aggregation="unique_count",
    property="user",
    filters=(Filter(property="status", values=(200, Decimal("0.5"), "ok", True, None)),),
    exclusions=((Filter(property="internal", values=(True,)),),),
    dimensions=("model", "region"),
    unit="tokens",
    operation_property="op",
    carries_over=True,
)
LEAST_METER = MeterDefinition(name="Calls", event_type="llm.completion", aggregation="count")

EXAMPLES: dict[str, Event] = {
    "UsageRecorded": UsageRecorded(**TOLD),
    "UsageRecorded.least": UsageRecorded(**(TOLD | {"data": {}, "subject": "acme"})),
    "UsageConflicted": UsageConflicted(first_position=9_007_199_254_740_993, **TOLD),
    "UsageMended": UsageMended(supersedes=(7, 9), reason="wrong_value", note="checked", **TOLD),
    "UsageMended.least": UsageMended(supersedes=(), reason="other", **(TOLD | {"data": {}})),
    "UsageDismissed": UsageDismissed(supersedes=(7,), reason="test_traffic", note="load test"),
    "AccountOpened": AccountOpened(account="acme", name="Acme Ltd", zone="Europe/Paris"),
    "AccountOpened.since": AccountOpened(account="acme", name="Acme Ltd", zone="Europe/Paris", opened_at=TIME),
    "AccountRenamed": AccountRenamed(account="acme", name="Acme SE"),
    "AccountZoneChanged": AccountZoneChanged(account="acme", zone="America/New_York"),
    "AccountAliased": AccountAliased(account="acme", alias="cus_1"),
    "AccountAliasRemoved": AccountAliasRemoved(account="acme", alias="cus_1"),
    "MeterDefined": MeterDefined(meter="users", definition=WHOLE_METER),
    "MeterDefined.least": MeterDefined(meter="calls", definition=LEAST_METER),
    "MeterChanged": MeterChanged(meter="users", definition=LEAST_METER),
    "MeterRetired": MeterRetired(meter="users", retired_at=TIME),
    "KeyIssued": KeyIssued(
        key_id="0a1b2c", name="CI", secret_sha256="ab" * 32, roles=("ingest", "viewer"), account="acme", expires_at=TIME
    ),
    "KeyIssued.least": KeyIssued(key_id="0a1b2c", name="CI", secret_sha256="ab" * 32, roles=("admin",)),
    "KeyIssued.person": KeyIssued(
        key_id="0a1b2c", name="Olivia", secret_sha256="ab" * 32, roles=("ops",), person="olivia@example.com"
    ),
    "KeyRevoked": KeyRevoked(key_id="0a1b2c"),
    **BILLING_EXAMPLES,
    **CASE_EXAMPLES,
    **PLATFORM_EXAMPLES,
    **REPLAY_EXAMPLES,
    **RECONCILIATION_EXAMPLES,
    **TRUST_EXAMPLES,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_event_is_written_to_the_bytes_it_always_was(name: str) -> None:
    file = GOLDEN / f"{name}.json"
    assert file.is_file(), f"no golden bytes of {name}: a new event needs its file, see the module's docstring"
    assert encode(EXAMPLES[name]) == file.read_bytes()


@pytest.mark.parametrize("file", sorted(GOLDEN.iterdir()), ids=lambda file: file.name)
def test_bytes_ever_stored_are_read_as_what_they_were(file: Path) -> None:
    name = file.name.removesuffix(".json")
    assert name in EXAMPLES, f"{file.name} is no event's: stored bytes stay readable for ever"
    event = decode(name.split(".")[0], file.read_bytes())
    assert event == EXAMPLES[name]
    assert type(event) is type(EXAMPLES[name])


def test_every_event_has_golden_bytes() -> None:
    assert {type(event) for event in EXAMPLES.values()} == set(EVENTS) == every_subclass(Event)


def every_subclass(kind: type[Event]) -> set[type[Event]]:
    return {found for one in kind.__subclasses__() for found in {one, *every_subclass(one)}}


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
def test_a_topic_is_a_past_tense_of_its_own(kind: type[Event]) -> None:
    assert kind.__name__ == kind.TOPIC
    assert kind.TOPIC.endswith(("ed", "wn"))
    assert not kind.TOPIC.endswith("Updated")
    assert [other for other in EVENTS if other.TOPIC == kind.TOPIC] == [kind]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_event_cannot_be_changed(name: str) -> None:
    field = EXAMPLES[name].__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(EXAMPLES[name], field, None)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
def test_bytes_with_an_unknown_field_are_no_event(kind: type[Event]) -> None:
    stored = (GOLDEN / f"{kind.TOPIC}.json").read_bytes()
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        decode(kind.TOPIC, stored[:-1] + b',"surprise":1}')


def test_a_topic_nobody_knows_is_a_bug() -> None:
    with pytest.raises(KeyError):
        decode("UsageForgotten", b"{}")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
instants = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.text(), st.text(), instants, st.dictionaries(st.text(), values, max_size=4))
def test_an_event_is_read_back_as_it_was_written(
    source: str, subject: str, time: datetime, data: dict[str, Any]
) -> None:
    event = UsageRecorded(source=source, id="i", type="t", subject=subject, time=time, data=data)
    stored = encode(event)
    again = decode(event.TOPIC, stored)
    assert again == event
    assert encode(again) == stored
