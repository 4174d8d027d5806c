"""Late usage is rated with the whole period, never by itself."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.charges import Charge, Package, PerUnit, Volume
from ledger.domain.late_usage import delta, deltas_by_period
from ledger.domain.money import Money, total
from ledger.domain.rating import Metered
from ledger.domain.tiers import Tier
from tests.domain.strategies import charges, quantities

D = Decimal
NOTHING = Money(0, "EUR")


def metered(quantity: object) -> Metered:
    return Metered(quantity=D(str(quantity)))


@given(charges(), st.lists(quantities, min_size=1, max_size=5))
def test_what_the_runs_book_adds_up_to_one_run_over_everything(charge: Charge, totals: list[Decimal]) -> None:
    booked = NOTHING
    for number, quantity in enumerate(totals, start=1):
        line, due = delta(charge, metered(quantity), booked, is_final=number == len(totals))
        assert total(step.amount for step in line.steps) == line.amount == due.amount
        booked += due
    assert booked == delta(charge, metered(totals[-1]), NOTHING, is_final=True)[1]


@given(charges(), st.lists(quantities, min_size=1, max_size=4), st.lists(quantities, min_size=1, max_size=4))
def test_a_later_snapshot_books_the_same_as_if_it_had_been_the_first(
    charge: Charge, one: list[Decimal], other: list[Decimal]
) -> None:
    earlier = deltas_by_period(charge, [metered(item) for item in one], [], "EUR", is_final=False)
    later = [metered(item) for item in [*other, *one]]
    due = deltas_by_period(charge, later, earlier, "EUR", is_final=True)
    once = deltas_by_period(charge, later, [], "EUR", is_final=True)
    booked = [*earlier, *[NOTHING] * (len(later) - len(earlier))]
    assert [old + new for old, new in zip(booked, due, strict=True)] == once
    assert sum(once, start=NOTHING) == delta(charge, later[-1], NOTHING, is_final=True)[1]


def test_one_more_unit_that_reaches_a_cheaper_volume_tier_is_a_credit() -> None:
    tiers = (Tier(up_to=D(15), unit_amount=D(10)), Tier(up_to=None, unit_amount=D(5)))
    line, due = delta(Charge(model=Volume(tiers=tiers)), metered(16), Money(15000, "EUR"), is_final=True)
    assert due == Money(-7000, "EUR")
    assert [step.kind for step in line.steps] == ["units", "already_billed"]


def test_units_taken_back_return_a_whole_package() -> None:
    charge = Charge(model=Package(package_amount=D(15), package_size=D(10)))
    assert delta(charge, metered(9), Money(3000, "EUR"), is_final=True)[1] == Money(-1500, "EUR")


def test_what_rounds_to_nothing_is_not_booked_twice() -> None:
    charge = Charge(model=PerUnit(unit_amount=D("0.001")))
    first = delta(charge, metered(100), NOTHING, is_final=False)[1]
    second = delta(charge, metered(102), first, is_final=True)[1]
    assert (first, second) == (Money(10, "EUR"), NOTHING)


def test_a_late_unit_under_a_maximum_moves_money_between_parts() -> None:
    charge = Charge(model=PerUnit(unit_amount=D(10)), amount_max=D(50))
    booked = [Money(3000, "EUR"), Money(2000, "EUR")]
    due = deltas_by_period(charge, [metered(item) for item in (4, 7, 8)], booked, "EUR", is_final=True)
    assert due == [Money(1000, "EUR"), Money(-1000, "EUR"), NOTHING]


def test_the_minimum_falls_on_the_last_part_of_a_final_run() -> None:
    charge = Charge(model=PerUnit(unit_amount=D(10)), amount_min=D(100))
    totals = [metered(item) for item in (3, 6)]
    assert deltas_by_period(charge, totals, [], "EUR", is_final=False)[-1] == Money(3000, "EUR")
    assert deltas_by_period(charge, totals, [], "EUR", is_final=True)[-1] == Money(7000, "EUR")
