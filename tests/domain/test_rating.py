"""The calculator: steps add up to the line, parts add up to the whole, and each convention does what it says."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.charges import (
    Cell,
    Charge,
    Conversion,
    Dimensional,
    Dynamic,
    Flat,
    Graduated,
    Model,
    Package,
    PerUnit,
    Volume,
    check,
)
from ledger.domain.money import Money, total
from ledger.domain.percentage import Percentage
from ledger.domain.pricing_refusals import LastTierExceeded, QuantityNegative
from ledger.domain.rating import (
    Grouped,
    Metered,
    high_water,
    increments,
    rate,
    rate_part,
    rate_so_far,
)
from ledger.domain.steps import Line, difference, rounded_line
from ledger.domain.tiers import Portion, Tier
from ledger.domain.values import ZERO
from tests.domain.strategies import charges, models, quantities

D = Decimal
TIERS = (
    Tier(up_to=D(5), unit_amount=D(10), flat_amount=D(100)),
    Tier(up_to=D(15), unit_amount=D(5), flat_amount=D(50)),
    Tier(up_to=None, unit_amount=D(2)),
)


@given(charges(), quantities)
def test_the_steps_add_up_exactly_to_the_line(charge: Charge, quantity: Decimal) -> None:
    check(charge)
    line = rate(charge, Metered(quantity=quantity))
    assert total(step.amount for step in line.steps) == line.amount
    rounded, money = rounded_line(line, "EUR", charge.rounding)
    assert total(step.amount for step in rounded.steps) == rounded.amount == money.amount
    assert abs(rounded.amount - line.amount) <= D("0.005")


@given(charges(), st.lists(quantities, min_size=1, max_size=5))
def test_increments_sum_to_the_whole(charge: Charge, growth: list[Decimal]) -> None:
    totals = [total(growth[:count]) for count in range(1, len(growth) + 1)]
    running = [Metered(quantity=quantity) for quantity in totals]
    assert total(increments(charge, running)) == rate_so_far(charge, running[-1], is_final=False).amount


@given(charges(), st.lists(quantities, min_size=1, max_size=5))
def test_parts_of_a_period_sum_to_the_whole(charge: Charge, growth: list[Decimal]) -> None:
    running = [Metered(quantity=total(growth[:count])) for count in range(1, len(growth) + 1)]
    parts: list[Line] = []
    for number, (before, until) in enumerate(pairwise([None, *running]), start=1):
        assert until is not None
        billed = total(part.amount for part in parts)
        is_last = number == len(running)
        part = rate_part(charge, before=before, until=until, billed=billed, is_last=is_last)
        assert total(step.amount for step in part.steps) == part.amount
        parts.append(part)
    assert total(part.amount for part in parts) == rate(charge, running[-1]).amount
    assert total(part.quantity for part in parts) == rate(charge, running[-1]).quantity


@given(models(), quantities, quantities)
def test_more_usage_never_costs_less_but_with_volume(model: Model, one: Decimal, other: Decimal) -> None:
    low, high = sorted((one, other))
    charge = Charge(model=model)
    assert rate(charge, Metered(quantity=low)).amount <= rate(charge, Metered(quantity=high)).amount


@given(st.lists(st.tuples(st.sampled_from("abc"), quantities), max_size=8))
def test_dimensional_usage_costs_the_same_in_any_order(usage: list[tuple[str, Decimal]]) -> None:
    cells = tuple(
        Cell(match={"k": (key,)}, price=PerUnit(unit_amount=price)) for key, price in (("a", D(1)), ("b", D(2)))
    )
    charge = Charge(model=Dimensional(cells=cells, otherwise=PerUnit(unit_amount=D(3))))
    groups = [Grouped({"k": key}, quantity) for key, quantity in usage]
    prices_by_key = {"a": 1, "b": 2, "c": 3}
    expected = total(quantity * prices_by_key[key] for key, quantity in usage)
    assert rate(charge, Metered(groups=tuple(groups))).amount == expected
    assert rate(charge, Metered(groups=tuple(reversed(groups)))).amount == expected


def amount(model: Model, quantity: object, **conventions: Any) -> Decimal:
    return rate(Charge(model=model, **conventions), Metered(quantity=D(str(quantity)))).amount


def test_discounts_maximum_and_minimum_apply_in_their_order() -> None:
    charge = Charge(
        model=PerUnit(unit_amount=D(10)),
        conversion=Conversion(operation="divide", factor=D(1000), rounding="ceil"),
        included_quantity=D(2),
        standing_amount=D(7),
        discount_percent=D(10),
        discount_amount=D("0.3"),
        amount_max=D(40),
    )
    line = rate(charge, Metered(quantity=D(6500)))
    assert [(step.kind, step.amount) for step in line.steps] == [
        ("standing", 7),
        ("converted", 0),
        ("included", 0),
        ("units", 50),
        ("discount_percent", D("-5.7")),
        ("discount_amount", D("-0.3")),
        ("maximum", -11),
    ]
    assert (line.quantity, line.amount) == (D(5), D(40))


def test_the_minimum_tops_up_what_was_billed_before_and_only_at_the_end() -> None:
    charge = Charge(model=PerUnit(unit_amount=D(10)), amount_min=D(100))
    before, until = Metered(quantity=D(3)), Metered(quantity=D(5))
    middle = rate_part(charge, before=before, until=until, billed=D(30), is_last=False)
    last = rate_part(charge, before=before, until=until, billed=D(30), is_last=True)
    assert (middle.amount, last.amount) == (D(20), D(70))


def test_the_maximum_leaves_a_credit_alone() -> None:
    charge = Charge(model=PerUnit(unit_amount=D(10)), amount_max=D(50), negative="signed")
    part = rate_part(charge, before=Metered(quantity=D(9)), until=Metered(quantity=D(7)), billed=D(90), is_last=False)
    assert part.amount == -20


def test_the_first_flat_amount_falls_on_the_first_part_and_others_on_the_part_that_crosses() -> None:
    charge = Charge(model=Graduated(tiers=TIERS))
    first = rate_part(charge, before=None, until=Metered(), billed=ZERO, is_last=False)
    second = rate_part(charge, before=Metered(), until=Metered(quantity=D(5)), billed=D(100), is_last=False)
    third = rate_part(charge, before=Metered(quantity=D(5)), until=Metered(quantity=D(6)), billed=D(150), is_last=False)
    assert (first.amount, second.amount, third.amount) == (D(100), D(50), D(55))


def test_volume_and_flat_charges_are_billed_with_one_part() -> None:
    volume = Charge(model=Volume(tiers=TIERS))
    before, until = Metered(quantity=D(5)), Metered(quantity=D(20))
    assert rate_part(volume, before=before, until=until, billed=ZERO, is_last=False).amount == 0
    assert rate_part(volume, before=before, until=until, billed=ZERO, is_last=True).amount == 40
    for term, amounts in (("in_advance", (9, 0, 0)), ("in_arrears", (0, 0, 9))):
        flat = Charge(model=Flat(amount=D(9), term=term))  # type: ignore[arg-type]
        parts = [(None, False), (before, False), (before, True)]
        got = [
            rate_part(flat, before=start, until=until, billed=ZERO, is_last=is_last).amount for start, is_last in parts
        ]
        assert got == [D(amount) for amount in amounts]


def test_a_conversion_rounds_each_end_of_a_part_on_its_own() -> None:
    conversion = Conversion(operation="divide", factor=D(1000), rounding="ceil")
    charge = Charge(model=PerUnit(unit_amount=D(10)), conversion=conversion)
    part = rate_part(
        charge, before=Metered(quantity=D(1400)), until=Metered(quantity=D(2700)), billed=D(20), is_last=False
    )
    assert (part.quantity, part.amount) == (D(1), D(10))


def test_a_total_below_zero_is_clamped_refused_or_signed() -> None:
    unit = PerUnit(unit_amount=D(10))
    assert amount(unit, -3) == 0
    assert amount(unit, -3, negative="signed") == -30
    assert amount(Package(package_amount=D(1), package_size=D(1)), -3, negative="signed") == 0
    with pytest.raises(QuantityNegative, match="-3"):
        amount(unit, -3, negative="error")


def test_events_below_zero_in_all_are_clamped_refused_or_signed() -> None:
    metered = Metered(quantity=D(1), events=(D(5), D(-15)))
    model = Percentage(rate_percent=D(10), fixed_amount=D(1))
    assert rate(Charge(model=model), metered).amount == 0
    assert rate(Charge(model=model, negative="signed"), metered).amount == 1
    with pytest.raises(QuantityNegative):
        rate(Charge(model=model, negative="error"), metered)
    assert rate(Charge(model=Dynamic()), metered).amount == 0
    assert rate(Charge(model=Dynamic(), negative="signed"), metered).amount == -10


def test_dynamic_amounts_are_summed_before_they_are_rounded() -> None:
    charge = Charge(model=Dynamic(multiplier=D(1)))
    line = rate(charge, Metered(quantity=D(3), events=(D("0.004"),) * 3))
    assert rounded_line(line, "EUR", "half_up")[1] == Money(1, "EUR")
    assert rate(charge, Metered(quantity=ZERO, events=(D(5),))).amount == 0


def test_a_credit_is_not_discounted_below_itself() -> None:
    assert amount(Flat(amount=D(-5)), 0, discount_amount=D(3)) == -5
    assert amount(Flat(amount=D(2)), 0, discount_amount=D(3)) == 0


def test_packages_take_free_units_off_first_and_count_begun_ones() -> None:
    package = Package(package_amount=D(5), package_size=D(100), free_units=D(100))
    assert [amount(package, quantity) for quantity in (0, 100, "100.001", 200, 201)] == [0, 0, 5, 5, 10]


def test_volume_past_a_bounded_tier_bills_the_covered_units_or_refuses() -> None:
    tiers = (Tier(up_to=D(5), unit_amount=D(2)),)
    assert amount(Volume(tiers=tiers, past_last_tier="bill_covered"), 8) == 10
    assert amount(Volume(tiers=tiers, past_last_tier="bill_covered"), 4) == 8
    with pytest.raises(LastTierExceeded):
        amount(Volume(tiers=tiers, past_last_tier="error"), 8)


def test_prorated_volume_chooses_its_tier_by_full_units() -> None:
    metered = Metered(quantity=D(3), full_quantity=D(6))
    assert rate(Charge(model=Volume(tiers=TIERS)), metered).amount == 65


def test_prorated_graduated_rates_portions() -> None:
    charge = Charge(model=Graduated(tiers=TIERS, is_prorated=True))
    line = rate(charge, Metered(portions=(Portion(D(2), D(21), D(30)),)))
    assert (line.quantity, line.amount) == (D(2), D(114))


def test_the_most_specific_cell_prices_the_usage_and_the_rest_is_otherwise_or_free() -> None:
    def unit(price: int) -> PerUnit:
        return PerUnit(unit_amount=D(price))

    cells = (
        Cell(match={"cloud": ("aws", "gcp")}, price=unit(1)),
        Cell(match={"cloud": ("aws",), "region": ("eu",)}, price=Graduated(tiers=TIERS)),
        Cell(match={"region": (None,)}, price=unit(5)),
    )
    groups = (
        Grouped({"cloud": "aws", "region": "eu"}, D(1)),
        Grouped({"cloud": "aws", "region": "us"}, D(10)),
        Grouped({"cloud": "gcp"}, D(10)),
        Grouped({"cloud": "azure"}, D(1)),
        Grouped({"cloud": "azure", "region": "eu"}, D(7)),
        Grouped({"cloud": None, "region": "us"}, D(-7)),
    )
    line = rate(Charge(model=Dimensional(cells=cells, otherwise=unit(100))), Metered(groups=groups))
    assert [(step.group, step.amount) for step in line.steps] == [
        ((("cloud", "aws"), ("region", "eu")), D(10)),
        ((("cloud", "aws"), ("region", "eu")), D(100)),
        ((("cloud", "aws | gcp"),), D(20)),
        ((("region", None),), D(5)),
    ]
    free = rate(Charge(model=Dimensional(cells=cells)), Metered(groups=groups[4:]))
    assert (free.amount, free.quantity) == (ZERO, ZERO)


def test_a_cell_of_several_values_is_named_by_all_of_them() -> None:
    cell = Cell(match={"region": ("eu", None)}, price=PerUnit(unit_amount=D(1)))
    line = rate(Charge(model=Dimensional(cells=(cell,))), Metered(groups=(Grouped({}, D(1)),)))
    assert line.steps[0].group == (("region", "eu | (none)"),)


def test_paid_in_advance_the_first_event_brings_the_first_flat_amount() -> None:
    charge = Charge(model=Graduated(tiers=TIERS))
    running = [None, Metered(quantity=D(1)), Metered(quantity=D(6))]
    assert list(increments(charge, running)) == [0, 110, 95]


def test_only_growth_above_the_highest_total_is_billed() -> None:
    assert list(high_water([D(-1), D(0), D(3), D(1), D(5)])) == [None, 0, 3, 3, 5]


def test_a_difference_names_what_went_away() -> None:
    charge = Charge(model=PerUnit(unit_amount=D(2)), standing_amount=D(1))
    steps = rate(charge, Metered(quantity=D(3))).steps
    assert [(step.kind, step.quantity, step.amount) for step in difference((), steps)] == [
        ("standing", None, D(-1)),
        ("units", D(-3), D(-6)),
    ]
    assert not difference(steps, steps)
