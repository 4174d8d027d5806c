"""Parts of fees for parts of periods, each rounded once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.money import Money
from ledger.domain.periods import Period, calendar_cycle, period_at
from ledger.domain.pricing_refusals import ChargeInvalid
from ledger.domain.proration import (
    WHOLE,
    Discount,
    Share,
    billed_days,
    change_for_the_rest,
    commitment_due,
    discounted,
    prorated,
    recurring_weight,
    remaining_time,
    seats_for_the_rest,
    served_time,
    with_tax,
)
from ledger.domain.values import ZERO

D = Decimal


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def eur(amount: object) -> Money:
    return Money(int(D(str(amount)) * 100), "EUR")


JUNE = Period(utc("2025-06-01T00:00:00"), utc("2025-07-01T00:00:00"))
HALF = Share(1, 2)


def test_what_is_left_of_a_period_is_between_all_and_nothing() -> None:
    assert remaining_time(JUNE, utc("2025-06-16T00:00:00")).of(D(100)) == 50
    assert remaining_time(JUNE, utc("2025-05-01T00:00:00")).of(D(100)) == 100
    assert remaining_time(JUNE, utc("2025-07-02T00:00:00")).of(D(100)) == 0
    with pytest.raises(ChargeInvalid):
        remaining_time(Period(JUNE.start, JUNE.start), JUNE.start)


def test_a_service_period_without_length_or_beyond_its_full_period_bills_everything() -> None:
    later = Period(JUNE.start, utc("2025-09-01T00:00:00"))
    empty = Period(JUNE.start, JUNE.start)
    assert served_time(empty, JUNE) == served_time(later, JUNE) == served_time(JUNE, empty) == WHOLE
    assert served_time(Period(JUNE.start, utc("2025-06-16T00:00:00")), JUNE).of(D(1)) == D("0.5")


@pytest.mark.parametrize(
    ("zone", "facts", "days", "of"),
    [
        ("UTC", {}, 31, 31),
        ("UTC", {"started_at": "2023-03-04T10:00:00"}, 28, 31),
        ("UTC", {"started_at": "2023-03-04T10:00:00", "trial_days": 7}, 21, 31),
        ("UTC", {"started_at": "2023-02-27T00:00:00", "trial_days": 4}, 29, 31),
        ("UTC", {"started_at": "2023-03-04T10:00:00", "trial_days": 90}, 0, 31),
        ("UTC", {"ended_at": "2023-03-20T06:00:00"}, 20, 31),
        ("UTC", {"ended_at": "2023-03-20T06:00:00", "ended_by": "upgrade"}, 19, 31),
        ("America/Denver", {"started_at": "2023-03-16T05:00:00"}, 17, 31),
    ],
)
def test_whole_local_days_are_billed(zone: str, facts: dict[str, Any], days: int, of: int) -> None:
    whole = period_at(calendar_cycle("month", 1, zone), utc("2023-03-20T06:00:00"))
    told: dict[str, Any] = {key: utc(value) if key.endswith("_at") else value for key, value in facts.items()}
    assert billed_days(whole, zone, **told) == Share(days, of)


@given(
    st.lists(st.integers(min_value=0, max_value=10**7), max_size=6),
    st.decimals(min_value=0, max_value=10**5, places=2),
)
def test_a_fixed_discount_is_taken_off_once_and_never_more_than_there_is(cents: list[int], amount: Decimal) -> None:
    lines = [Money(item, "EUR") for item in cents]
    left = discounted(lines, Discount(amount=amount))
    assert sum(line.minor_units for line in left) == max(sum(cents) - int(amount * 100), 0)
    assert all(0 <= new.minor_units <= old.minor_units for new, old in zip(left, lines, strict=True))


def test_a_percentage_discount_is_rounded_for_each_line() -> None:
    assert discounted([eur("0.05"), eur(10)], Discount(percent=D(50))) == [eur("0.02"), eur(5)]
    assert discounted([eur(1)], None) == [eur(1)]


def test_a_change_of_plan_credits_and_debits_the_rest() -> None:
    third = Share(2, 3)
    assert change_for_the_rest(eur(100), eur(300), third) == (eur("66.67"), eur(200))
    assert change_for_the_rest(eur(100), eur(300), third, new_starts_full_period=True)[1] == eur(300)


def test_more_seats_are_a_debit_and_fewer_a_credit_after_their_share_of_the_discount() -> None:
    discount = Discount(amount=D(150))
    change = seats_for_the_rest(eur(100), eur(200), HALF, other=[eur(100)], discount=discount)
    assert change == eur("37.50")
    assert seats_for_the_rest(eur(200), eur(160), HALF) == eur(-20)


def test_discounts_come_before_proration() -> None:
    lines = discounted([eur(100), eur(200)], Discount(amount=D(90)))
    assert prorated(lines, HALF) == [eur(35), eur(70)]


def test_tax_is_on_the_rounded_fee_but_on_the_exact_credit() -> None:
    net = D("10.0249")
    assert with_tax(net, D(20), "EUR", is_credit=False) == (eur("10.02"), eur("2.00"))
    assert with_tax(D("10.0250001"), D(20), "EUR", is_credit=True) == (eur("10.03"), eur("2.01"))
    assert with_tax(D("0.0249"), D(100), "EUR", is_credit=True)[1] == eur("0.02")
    assert with_tax(D("0.0249"), D(150), "EUR", is_credit=True)[1] == eur("0.04")
    assert with_tax(D("0.0249"), D(150), "EUR", is_credit=False)[1] == eur("0.03")


def test_a_minimum_is_topped_up_after_rounding_first_or_last() -> None:
    share = Share(334, 365)
    used = [share.of(D(1000))]
    assert commitment_due(D(10000), used, "EUR", share=share) == eur("8235.62")
    assert commitment_due(D(10000), used, "EUR", share=share, round_first=True) == eur("8235.61")
    for round_first in (False, True):
        assert commitment_due(D(10), [D(8), D(3)], "EUR", round_first=round_first) == eur(0)


def test_recurring_units_weigh_their_days_and_earlier_ones_whole() -> None:
    assert recurring_weight(JUNE.start - timedelta(days=9), JUNE, "UTC") == WHOLE
    assert recurring_weight(JUNE.start, JUNE, "UTC") == Share(30, 30)
    assert recurring_weight(utc("2025-06-30T23:59:59"), JUNE, "UTC") == Share(1, 30)


@given(st.integers(min_value=0, max_value=10**9), st.integers(min_value=1, max_value=10**9))
def test_a_share_and_the_rest_make_the_whole_to_a_hair(numerator: int, more: int) -> None:
    share, rest = Share(numerator, numerator + more), Share(more, numerator + more)
    assert abs(share.of(D(1)) + rest.of(D(1)) - 1) < D("1E-20")
    assert share.of(ZERO) == 0
