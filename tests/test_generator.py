"""The made-up month: the same every time, and with all that real usage has."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from ledger.domain.catalogue import Catalogue
from ledger.domain.events import AccountAliased, AccountOpened, MeterDefined, UsageRecorded
from ledger.domain.meters import check
from ledger.domain.names import require_zone
from ledger.domain.usage import parse_batch
from ledger.sandbox.customers import CUSTOMERS, LABEL, METERS
from ledger.sandbox.usage import DAYS, month

END = datetime(2026, 11, 22, 12, tzinfo=UTC)
SIZE = 40_000


@cache
def the_month() -> tuple[dict[str, Any], ...]:
    return tuple(month(seed=7, end=END, events=SIZE))


def catalogue() -> Catalogue:
    filled = Catalogue()
    for meter, definition in METERS.items():
        filled.apply(MeterDefined(meter=meter, definition=definition), 1)
    for customer in CUSTOMERS:
        filled.apply(AccountOpened(account=customer.key, name=customer.name, zone=customer.zone), 1)
        for alias in customer.aliases:
            filled.apply(AccountAliased(account=customer.key, alias=alias), 1)
    return filled


def told() -> list[UsageRecorded]:
    usage = parse_batch(msgspec.json.encode(the_month()))
    return [one for one in usage if isinstance(one, UsageRecorded)]


def test_the_same_seed_and_end_tell_the_same_month() -> None:
    again = list(month(seed=7, end=END, events=3_000))
    assert again == list(month(seed=7, end=END, events=3_000))
    assert again != list(month(seed=8, end=END, events=3_000))


def test_its_size_is_about_what_was_asked_for() -> None:
    assert abs(len(the_month()) - SIZE) < SIZE // 10


def test_every_event_is_readable_and_labelled_as_generated() -> None:
    assert len(told()) == len(the_month())
    assert all(LABEL in usage.source for usage in told())
    assert all(LABEL in customer.name for customer in CUSTOMERS)


def test_customers_have_zones_of_the_whole_world_and_some_have_aliases() -> None:
    for customer in CUSTOMERS:
        require_zone(customer.zone)
    assert len({customer.key for customer in CUSTOMERS}) == len(CUSTOMERS) >= 24
    assert len({customer.zone.split("/")[0] for customer in CUSTOMERS}) >= 6
    assert 0 < sum(bool(customer.aliases) for customer in CUSTOMERS) < len(CUSTOMERS)
    assert {usage.subject for usage in told()} & {alias for one in CUSTOMERS for alias in one.aliases}


def test_meters_are_sound_and_cover_all_six_aggregations() -> None:
    for meter, definition in METERS.items():
        check(meter, definition)
    wanted = {"count", "sum", "unique_count", "max", "latest", "time_weighted_sum"}
    assert {definition.aggregation for definition in METERS.values()} == wanted
    seen = catalogue()
    counted = {one.meter for usage in told() for one in seen.assess(usage, END).counted}
    assert counted == set(METERS)


def test_retries_are_exact_and_conflicts_are_not() -> None:
    tellings: dict[str, list[bytes]] = {}
    for event in the_month():
        tellings.setdefault(event["id"], []).append(msgspec.json.encode(event))
    repeated = [contents for contents in tellings.values() if len(contents) > 1]
    exact = sum(len(set(contents)) == 1 for contents in repeated)
    assert exact > SIZE // 200
    assert 0 < len(repeated) - exact < SIZE // 200


def test_mistakes_are_held_for_all_the_usual_reasons() -> None:
    seen = catalogue()
    reasons = Counter(one.code for usage in told() for one in seen.assess(usage, END).held)
    assert set(reasons) >= {"account_unknown", "property_missing", "property_not_numeric", "time_too_far_ahead"}
    assert sum(reasons.values()) < SIZE // 200


def test_some_events_arrive_days_late_and_some_clocks_are_wrong() -> None:
    times = [event["time"] for event in the_month()]
    newest, late = END - timedelta(days=DAYS), 0
    for time in times:
        late += time < newest - timedelta(days=1)
        newest = max(newest, min(time, END))
    assert late > SIZE // 500
    behind_the_next = (one - following for one, following in pairwise(times))
    assert sum(timedelta(seconds=150) < ahead < timedelta(minutes=15) for ahead in behind_the_next) > SIZE // 1_000


def test_usage_follows_the_day_and_the_week_where_the_customer_is_and_grows() -> None:
    zones = {name: ZoneInfo(one.zone) for one in CUSTOMERS for name in (one.key, *one.aliases)}
    traffic = [usage for usage in told() if usage.type in ("api.request", "llm.completion") and usage.subject in zones]
    local = [usage.time.astimezone(zones[usage.subject]) for usage in traffic]
    hours = Counter(time.hour for time in local)
    weekdays = Counter(time.weekday() for time in local)
    assert hours[14] > 5 * hours[3]
    assert weekdays[1] > 2 * weekdays[6]
    growing = next(one for one in CUSTOMERS if one.growth >= 30)
    times = sorted(usage.time for usage in traffic if usage.subject in (growing.key, *growing.aliases))
    middle = END - timedelta(days=DAYS / 2)
    assert sum(time >= middle for time in times) > sum(time < middle for time in times)


def test_storage_changes_by_exact_decimals() -> None:
    amounts = [usage.data["gigabytes"] for usage in told() if "gigabytes" in usage.data]
    assert all(Decimal(amount).as_tuple().exponent == -2 for amount in amounts if amount != "unknown")
