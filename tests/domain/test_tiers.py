"""Tiers have inclusive, continuous bounds, and leave no quantity without a price."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.money import total
from ledger.domain.pricing_refusals import (
    LastTierBounded,
    LastTierExceeded,
    TiersGapped,
    TiersMissing,
    TiersOverlap,
    TiersUnsorted,
)
from ledger.domain.refusals import Refusal
from ledger.domain.tiers import (
    PercentTier,
    Portion,
    Tier,
    check_tiers,
    covered,
    graduated_steps,
    prorated_steps,
    spread,
    tier_at,
    volume_steps,
)
from ledger.domain.values import ZERO

D = Decimal
quantities = st.decimals(min_value=0, max_value=10**9, places=6)
prices = st.decimals(min_value=0, max_value=10**4, places=4)


@st.composite
def tier_lists(draw: st.DrawFn, *, flat: bool = True) -> tuple[Tier, ...]:
    """Well-formed tiers, the last one open."""
    bounds = draw(st.lists(st.decimals(min_value="0.001", max_value=10**6, places=3), max_size=5, unique=True))
    ends = [*sorted(bounds), None]
    return tuple(Tier(up_to=end, unit_amount=draw(prices), flat_amount=draw(prices) if flat else ZERO) for end in ends)


def tiers(*rows: tuple[Any, ...]) -> tuple[Tier, ...]:
    """Tiers of (up_to, unit amount, flat amount, start)."""
    return tuple(
        Tier(
            up_to=None if row[0] is None else D(row[0]),
            unit_amount=D(row[1]),
            flat_amount=D(row[2]) if len(row) > 2 else ZERO,
            start=D(row[3]) if len(row) > 3 else None,
        )
        for row in rows
    )


def graduated(listed: tuple[Tier, ...], quantity: Decimal, *, flat_at_zero: bool = True) -> Decimal:
    return total(step.amount for step in graduated_steps(listed, quantity, flat_at_zero=flat_at_zero))


@given(tier_lists(), quantities)
def test_every_unit_lies_in_exactly_one_tier(listed: tuple[Tier, ...], quantity: Decimal) -> None:
    assert total(part for _, part in spread(listed, ZERO, quantity)) == quantity


@given(tier_lists(), quantities, quantities)
def test_a_graduated_price_never_falls_with_quantity(listed: tuple[Tier, ...], one: Decimal, other: Decimal) -> None:
    low, high = sorted((one, other))
    assert graduated(listed, low) <= graduated(listed, high)


@given(tier_lists(flat=False), quantities, st.decimals(min_value=0, max_value=1, places=9))
def test_a_graduated_price_without_flat_amounts_is_continuous(
    listed: tuple[Tier, ...], quantity: Decimal, more: Decimal
) -> None:
    steepest = max(tier.unit_amount for tier in listed)
    assert graduated(listed, quantity + more) - graduated(listed, quantity) <= steepest * more


@given(tier_lists(), st.lists(st.decimals(min_value=-1000, max_value=1000, places=2).filter(bool), max_size=8))
def test_portions_of_full_weight_cost_what_their_sum_costs_but_for_flats_entered(
    listed: tuple[Tier, ...], units: list[Decimal]
) -> None:
    steps = list(
        prorated_steps(
            listed,
            [Portion(unit, D(1), D(1)) for unit in units],
            flat_at_zero=True,
            past_last_tier="error",
        )
    )
    quantity = total(units)
    if quantity < 0:
        assert not steps
        return
    by_unit = total(step.amount for step in steps if step.kind != "tier_flat")
    expected = list(graduated_steps(listed, quantity, flat_at_zero=True))
    assert by_unit == total(step.amount for step in expected if step.kind == "units")
    assert {step.tier for step in steps if step.kind == "tier_flat"} >= {
        step.tier for step in expected if step.kind == "tier_flat"
    }


def test_a_thousandth_past_the_bound_enters_the_next_tier() -> None:
    listed = tiers((5, 0, 100), (10, 0, 50), (None, 1, 0))
    assert tier_at(listed, D(5)) == 0
    assert tier_at(listed, D("5.001")) == 1
    assert graduated(listed, D(5)) == 100
    assert graduated(listed, D("5.001")) == 150


def test_the_first_flat_amount_at_zero_is_a_convention() -> None:
    listed = tiers((5, 1, 100), (None, 1, 0))
    assert graduated(listed, ZERO) == 100
    assert graduated(listed, ZERO, flat_at_zero=False) == 0
    assert graduated(listed, D(1), flat_at_zero=False) == 101


def test_a_first_tier_that_ends_at_zero_suppresses_its_flat_amount_only_there() -> None:
    listed = tiers((0, 0, 0), (None, 1, 7))
    assert graduated(listed, ZERO) == 0
    assert graduated(listed, D(2)) == 9


def test_a_negative_quantity_is_priced_by_the_first_tier() -> None:
    assert graduated(tiers((5, 2, 0), (None, 1, 50)), D(-3)) == -6


def test_percentages_of_tiers_are_of_the_money_in_them() -> None:
    listed = (
        PercentTier(up_to=D(1000), rate_percent=D(1), flat_amount=D(200)),
        PercentTier(up_to=None, rate_percent=D(2), flat_amount=D(300)),
    )
    assert total(step.amount for step in graduated_steps(listed, D(1050), flat_at_zero=True)) == 511


def test_volume_takes_the_tier_of_full_units_and_the_price_of_prorated_ones() -> None:
    listed = tiers((10, 2, 1), (None, 1, 5))
    steps = list(volume_steps(listed, D(6), tier_quantity=D(12), flat_at_zero=True))
    assert [(step.kind, step.tier, step.amount) for step in steps] == [("units", 2, D(6)), ("tier_flat", 2, D(5))]
    assert not list(volume_steps(listed, ZERO, tier_quantity=ZERO, flat_at_zero=False))


def test_a_flat_amount_stays_once_units_drop_back() -> None:
    listed = tiers((5, 10, 100), (None, 5, 50))
    portions = [Portion(D(5), D("3.5"), D(5)), Portion(D(2), D(1), D(2)), Portion(D(-4), D("-1.6"), D(-4))]
    steps = list(prorated_steps(listed, portions, flat_at_zero=True, past_last_tier="error"))
    assert total(step.amount for step in steps) == 35 + 5 - D("0.8") * 15 + 150


def test_units_without_weight_fill_no_tier() -> None:
    listed = tiers((5, 10, 0), (None, 5, 50))
    portions = [Portion(D(9), ZERO, D(9)), Portion(D(-9), ZERO, D(-9)), Portion(D(1), D(1), D(1))]
    steps = list(prorated_steps(listed, portions, flat_at_zero=True, past_last_tier="error"))
    assert total(step.amount for step in steps) == 10


def test_prorated_units_never_come_to_less_than_nothing() -> None:
    listed = tiers((None, 10, 3))
    portions = [Portion(D(5), D(1), D(10)), Portion(D(-5), D(9), D(10))]
    steps = list(prorated_steps(listed, portions, flat_at_zero=True, past_last_tier="error"))
    assert [step.kind for step in steps] == ["units", "tier_flat", "clamped"]
    assert total(step.amount for step in steps) == 3


def test_past_a_bounded_last_tier_units_are_refused_or_left_out() -> None:
    listed = tiers((5, 1), (10, 2))
    assert covered(listed, D(10), "error") == 10
    assert covered(listed, D(12), "bill_covered") == 10
    with pytest.raises(LastTierExceeded, match="12 units"):
        covered(listed, D(12), "error")


def test_prorated_units_past_a_bounded_last_tier_are_left_out() -> None:
    listed = tiers((5, 1, 0), (10, 2, 7))
    steps = list(prorated_steps(listed, [Portion(D(12), D(1), D(2))], flat_at_zero=True, past_last_tier="bill_covered"))
    assert total(step.amount for step in steps) == D("2.5") + 5 + 7


@pytest.mark.parametrize(
    "listed",
    [
        tiers((5, 1), (None, 2)),
        tiers((10, 1, 0, 0), (20, 2, 0, 11), (None, 1, 0, 20)),
        tiers((0, 0), (None, 1)),
    ],
)
def test_tiers_without_gap_or_overlap_are_good(listed: tuple[Tier, ...]) -> None:
    check_tiers(listed, "forbidden")


@pytest.mark.parametrize(
    ("listed", "refusal"),
    [
        ((), TiersMissing),
        (tiers((5, 1), (3, 1), (None, 1)), TiersUnsorted),
        (tiers((-1, 1), (None, 1)), TiersUnsorted),
        (tiers((5, 1), (5, 1), (None, 1)), TiersOverlap),
        (tiers((None, 1), (5, 1)), TiersOverlap),
        (tiers((5, 1, 0, 0), (None, 1, 0, 4)), TiersOverlap),
        (tiers((5, 1, 0, 0), (None, 1, 0, 7)), TiersGapped),
        (tiers((5, 1, 0, 1), (None, 1, 0, 6)), TiersGapped),
        (tiers((5, 1)), LastTierBounded),
    ],
)
def test_tiers_that_leave_a_quantity_without_one_price_are_refused(
    listed: tuple[Tier, ...], refusal: type[Refusal]
) -> None:
    with pytest.raises(refusal):
        check_tiers(listed, "forbidden")


def test_a_bounded_last_tier_is_good_once_somebody_said_what_happens_past_it() -> None:
    check_tiers(tiers((5, 1)), "error")
    check_tiers(tiers((5, 1)), "bill_covered")
