"""The catalogue: what all decisions so far mean for a usage event."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from ledger.domain.agreements import ContractTerms, PlanChoice
from ledger.domain.catalogue import FUTURE_MAX, Account, Assessment, Catalogue
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountRenamed,
    AccountZoneChanged,
    ContractStarted,
    Event,
    KeyIssued,
    KeyRevoked,
    MeterChanged,
    MeterDefined,
    MeterRetired,
    PlanDefined,
    UsageConflicted,
    UsageDismissed,
    UsageMended,
    UsageRecorded,
)
from ledger.domain.metadata import Metadata, decode_metadata
from ledger.domain.metering import Filter, MeterDefinition
from ledger.domain.periods import Period
from ledger.domain.pricing import PlanTerms

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPENED = AccountOpened(account="acme", name="Acme", zone="UTC")
TOKENS = MeterDefinition(name="Tokens", event_type="completion", aggregation="sum", property="tokens")
CALLS = MeterDefinition(name="Calls", event_type="completion", aggregation="count")
TOKENS_DEFINED = MeterDefined(meter="tokens", definition=TOKENS)
CALLS_DEFINED = MeterDefined(meter="calls", definition=CALLS)


def given(*events: Event) -> Catalogue:
    catalogue = Catalogue()
    for position, event in enumerate(events, 1):
        catalogue.apply(event, position)
    return catalogue


def usage(*, subject: str = "acme", event_type: str = "completion", time: datetime = NOW, **data: Any) -> UsageRecorded:
    return UsageRecorded(source="gateway", id="e1", type=event_type, subject=subject, time=time, data=data)


def codes(assessment: Assessment) -> list[tuple[str, str | None]]:
    return [(held.code, held.meter) for held in assessment.held]


def counted(assessment: Assessment) -> dict[str, Decimal]:
    return {one.meter: one.reading.value for one in assessment.counted}


def aliases(catalogue: Catalogue) -> list[str]:
    return list(catalogue.accounts["acme"].aliases)


def test_usage_counts_in_every_meter_of_its_type() -> None:
    assessment = given(OPENED, TOKENS_DEFINED, CALLS_DEFINED).assess(usage(tokens=3), NOW)
    assert assessment.account == Account("acme", "Acme", "UTC")
    assert counted(assessment) == {"tokens": 3, "calls": 1}
    assert assessment.held == []


def test_usage_may_count_in_one_meter_and_be_held_by_another() -> None:
    assessment = given(OPENED, TOKENS_DEFINED, CALLS_DEFINED).assess(usage(), NOW)
    assert counted(assessment) == {"calls": 1}
    assert codes(assessment) == [("property_missing", "tokens")]


def test_usage_of_nobody_is_held() -> None:
    assessment = given(CALLS_DEFINED).assess(usage(), NOW)
    assert assessment.account is None
    assert codes(assessment) == [("account_unknown", None)]


def test_usage_of_a_type_without_meters_is_held() -> None:
    assert codes(given(OPENED, CALLS_DEFINED).assess(usage(event_type="other"), NOW)) == [("type_unknown", None)]


def test_usage_counts_up_to_a_day_ahead_of_its_recording() -> None:
    catalogue = given(OPENED, CALLS_DEFINED)
    assert counted(catalogue.assess(usage(time=NOW + FUTURE_MAX), NOW)) == {"calls": 1}
    later = usage(time=NOW + FUTURE_MAX + timedelta.resolution)
    assert codes(catalogue.assess(later, NOW)) == [("time_too_far_ahead", None)]


def test_a_conflict_waits_for_a_person() -> None:
    conflict = UsageConflicted(
        first_position=7, source="gateway", id="e1", type="completion", subject="acme", time=NOW, data={}
    )
    assessment = given(OPENED, CALLS_DEFINED).assess(conflict, NOW)
    assert codes(assessment) == [("key_conflict", None)]
    assert "position 7" in assessment.held[0].message


def test_what_a_filter_leaves_out_is_neither_counted_nor_held() -> None:
    filtered = MeterDefinition(
        name="Big", event_type="completion", aggregation="count", filters=(Filter(property="size", values=("big",)),)
    )
    assessment = given(OPENED, MeterDefined(meter="big", definition=filtered)).assess(usage(size="small"), NOW)
    assert (assessment.counted, assessment.held) == ([], [])


def test_a_retired_meter_counts_what_occurred_before_and_nothing_after() -> None:
    catalogue = given(OPENED, CALLS_DEFINED, MeterRetired(meter="calls", retired_at=NOW))
    assert counted(catalogue.assess(usage(time=NOW - timedelta.resolution), NOW)) == {"calls": 1}
    after = catalogue.assess(usage(time=NOW), NOW)
    assert (after.counted, after.held) == ([], [])


def test_a_changed_meter_counts_by_its_new_definition() -> None:
    catalogue = given(OPENED, CALLS_DEFINED, MeterChanged(meter="calls", definition=TOKENS))
    assert counted(catalogue.assess(usage(tokens=5), NOW)) == {"calls": 5}


def test_a_meter_moves_to_another_type() -> None:
    moved = MeterDefinition(name="Calls", event_type="embedding", aggregation="count")
    catalogue = given(OPENED, CALLS_DEFINED, MeterChanged(meter="calls", definition=moved))
    assert codes(catalogue.assess(usage(), NOW)) == [("type_unknown", None)]
    assert counted(catalogue.assess(usage(event_type="embedding"), NOW)) == {"calls": 1}


def test_an_alias_is_the_account_until_it_is_removed() -> None:
    aliased = AccountAliased(account="acme", alias="cus_1")
    catalogue = given(OPENED, CALLS_DEFINED, aliased, AccountAliased(account="acme", alias="cus_2"))
    assert counted(catalogue.assess(usage(subject="cus_1"), NOW)) == {"calls": 1}
    assert aliases(catalogue) == ["cus_1", "cus_2"]
    catalogue.apply(AccountAliasRemoved(account="acme", alias="cus_1"), 5)
    assert codes(catalogue.assess(usage(subject="cus_1"), NOW)) == [("account_unknown", None)]
    assert aliases(catalogue) == ["cus_2"]


def test_an_account_is_found_by_key_and_alias_with_its_newest_name_and_zone() -> None:
    catalogue = given(
        OPENED,
        AccountAliased(account="acme", alias="cus_1"),
        AccountRenamed(account="acme", name="ACME"),
        AccountZoneChanged(account="acme", zone="Asia/Tokyo"),
    )
    expected = Account("acme", "ACME", "Asia/Tokyo", ("cus_1",))
    assert catalogue.account_of("acme") == catalogue.account_of("cus_1") == expected
    assert catalogue.account_of("umbrella") is None


def test_what_settles_an_event_supersedes_it() -> None:
    mended = UsageMended(
        supersedes=(3, 4), source="s", id="i", type="t", subject="acme", time=NOW, data={}, reason="other"
    )
    catalogue = given(OPENED, mended, UsageDismissed(supersedes=(9,), reason="other"))
    assert catalogue.superseded == {3: 2, 4: 2, 9: 3}


def test_keys_are_there_until_they_are_revoked() -> None:
    issued = KeyIssued(key_id="k1", name="CI", secret_sha256="00", roles=("ingest",))
    catalogue = given(issued)
    assert catalogue.keys == {"k1": issued}
    catalogue.apply(KeyRevoked(key_id="k1"), 2)
    assert catalogue.keys == {}


@pytest.mark.parametrize("event", [usage(), OPENED])
def test_every_event_moves_the_position(event: Event) -> None:
    catalogue = Catalogue()
    catalogue.apply(event, 12)
    assert catalogue.position == 12


def test_metadata_leaves_out_what_is_not_known() -> None:
    assert Metadata(actor="cli").encode() == b'{"actor":"cli"}'
    assert (
        Metadata(actor="key:a", request="r", causation=3).encode() == b'{"actor":"key:a","request":"r","causation":3}'
    )


def test_metadata_of_any_age_is_read() -> None:
    assert decode_metadata('{"actor":"cli"}') == Metadata(actor="cli")
    whole = Metadata(
        actor="key:a",
        request="r",
        person="Olivia",
        role="ops",
        source="graphql",
        operation="voidUsage",
        path="mine",
    )
    assert decode_metadata(whole.encode()) == whole


PROPERTIES = st.dictionaries(
    st.sampled_from(("tokens", "model", "region")),
    st.none()
    | st.booleans()
    | st.integers(-(10**16), 10**16)
    | st.sampled_from(("5", "x", "x" * 257, "a\0b", "", Decimal("1.5"), [1], {"a": 1})),
)
DEFINITIONS = st.builds(
    MeterDefinition,
    name=st.just("Meter"),
    event_type=st.sampled_from(("completion", "other")),
    aggregation=st.sampled_from(("sum", "max", "unique_count")),
    property=st.just("tokens"),
    dimensions=st.sampled_from(((), ("model",), ("model", "region"))),
    filters=st.sampled_from(((), (Filter(property="model", values=("x",)),))),
    exclusions=st.sampled_from(((), ((Filter(property="region", values=(None,)),),))),
    retired_at=st.none() | st.just(NOW),
) | st.just(CALLS)


@hypothesis.given(
    st.lists(DEFINITIONS, max_size=3),
    PROPERTIES,
    st.sampled_from(("acme", "nobody")),
    st.sampled_from((NOW, NOW + FUTURE_MAX, NOW + FUTURE_MAX + timedelta.resolution)),
)
def test_what_is_surely_not_held_is_not_held(
    definitions: list[MeterDefinition], data: dict[str, Any], subject: str, time: datetime
) -> None:
    meters = [MeterDefined(meter=f"m{number}", definition=one) for number, one in enumerate(definitions)]
    catalogue = given(OPENED, *meters)
    told = usage(subject=subject, time=time, **data)
    if catalogue.surely_not_held(told, NOW):
        assert catalogue.assess(told, NOW).held == []


def test_the_common_event_is_told_at_a_glance() -> None:
    by_two = MeterDefinition(
        name="By two", event_type="completion", aggregation="sum", property="tokens", dimensions=("model", "region")
    )
    catalogue = given(OPENED, TOKENS_DEFINED, CALLS_DEFINED, MeterDefined(meter="by_two", definition=by_two))
    assert catalogue.surely_not_held(usage(tokens=5, model="x", region="eu"), NOW)
    assert not catalogue.surely_not_held(usage(tokens=5, model="x"), NOW)
    assert not catalogue.surely_not_held(usage(tokens=Decimal("5.5"), model="x", region="eu"), NOW)


def test_an_account_s_days_are_cut_by_its_contract_and_zone() -> None:
    contract = ContractStarted(
        account="acme",
        started_at=NOW,
        choice=PlanChoice(plan="pro"),
        terms=ContractTerms(currency="EUR"),
    )
    plan = PlanDefined(plan="pro", terms=PlanTerms(name="Pro", currency="EUR"))
    catalogue = given(OPENED, plan)
    acme = catalogue.accounts["acme"]
    month = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert catalogue.part_at(acme, NOW) == catalogue.part_at(acme, NOW + timedelta(days=1)) == month
    catalogue.apply(contract, 3)
    assert catalogue.part_at(acme, NOW) == Period(NOW, datetime(2026, 4, 1, 12, tzinfo=UTC))
    assert catalogue.part_at(acme, NOW - timedelta.resolution) == Period(month.start, NOW)
