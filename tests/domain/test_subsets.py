"""Which values add up to a difference."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.reconciliation.subsets import Subset, subset_of

D = Decimal


def decimals(*numbers: int) -> list[Decimal]:
    return [D(number) for number in numbers]


def test_one_value_goes_before_several() -> None:
    assert subset_of(decimals(2, 3, 5), D(5)) == Subset((2,), is_only=True)


def test_two_equal_values_are_two_candidates() -> None:
    assert subset_of(decimals(4, 4), D(4)) == Subset((0,), is_only=False)


def test_nothing_adds_up_to_what_is_not_there() -> None:
    assert subset_of(decimals(2, 4, 8), D(3)) is None
    assert subset_of([], D(3)) is None


def test_the_search_of_many_values_is_bounded() -> None:
    assert subset_of([D(2)] * 1_500, D(3)) is None


@given(st.lists(st.integers(-50, 50).map(D), min_size=1, max_size=10), st.data())
def test_a_set_that_was_chosen_is_found_again_or_another_that_is_as_good(
    values: list[Decimal], given: st.DataObject
) -> None:
    chosen = given.draw(st.sets(st.integers(0, len(values) - 1), min_size=1))
    amount = sum((values[index] for index in chosen), D(0))

    found = subset_of(values, amount)

    if amount:
        assert found is not None
        assert sum((values[index] for index in found.indices), D(0)) == amount
