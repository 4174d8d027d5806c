"""Properties of the sandbox's sums and prices that hold for any usage."""

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ledger.sandbox.stripe.rating import graduated, parts, rounded, volume
from ledger.sandbox.stripe.usage import UsageStore, Used, aggregated

HOUR = 3_600
QUANTITIES = st.decimals("0", "2000", places=3)
AMOUNTS = st.integers(0, 1_000)


def stored(usage: list[tuple[int, Decimal]]) -> UsageStore:
    """A store of this usage, in the order in which it came."""
    store = UsageStore()
    for number, (at, value) in enumerate(usage):
        store.add(Used(at, number, value, number, f"e{number}", "meter", "customer", "tokens"))
    return store


def summed(store: UsageStore, start: int, end: int) -> Decimal:
    """The sum of a window."""
    return aggregated(store.between("meter", "customer", start, end, received_by=1_000), "sum", None) or Decimal()


@given(
    st.lists(st.tuples(st.integers(0, HOUR - 1), st.decimals("-50", "50", places=2)), max_size=40),
    st.lists(st.integers(0, 60), max_size=5),
)
def test_windows_that_touch_add_up_to_the_whole(usage: list[tuple[int, Decimal]], cuts: list[int]) -> None:
    store = stored(usage)
    bounds = [0, *(60 * cut for cut in sorted(cuts)), HOUR]

    windows = [summed(store, start, end) for start, end in pairwise(bounds)]

    assert sum(windows) == summed(store, 0, HOUR) == sum(value for _, value in usage)


@given(st.lists(st.tuples(st.integers(0, 100), st.decimals("0", "50", places=2)), min_size=1, max_size=20))
def test_the_last_value_is_that_of_the_latest_time_and_of_the_later_receipt(usage: list[tuple[int, Decimal]]) -> None:
    store = stored(usage)

    latest = max(enumerate(usage), key=lambda one: (one[1][0], one[0]))[1][1]

    assert aggregated(store.between("meter", "customer", 0, 101, received_by=1_000), "last", None) == latest


def tiered(first: int, second: int, amounts: tuple[int, int, int]) -> list[dict[str, object]]:
    """Three tiers without flat amounts."""
    return [
        {"up_to": bound, "unit_amount_decimal": str(amount), "flat_amount_decimal": None}
        for bound, amount in zip((first, first + second, None), amounts, strict=True)
    ]


@given(st.integers(1, 500), st.integers(1, 500), st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), QUANTITIES)
def test_graduated_lines_share_out_the_whole_quantity(
    first: int, second: int, amounts: tuple[int, int, int], quantity: Decimal
) -> None:
    found = graduated(tiered(first, second, amounts), quantity)

    assert sum(part.quantity for part in found) == quantity
    assert all(part.amount == rounded(part.quantity * (part.unit_amount or 0)) for part in found)


@given(st.integers(1, 500), st.integers(1, 500), AMOUNTS, QUANTITIES)
def test_tiers_of_one_amount_cost_what_no_tiers_cost(first: int, second: int, amount: int, quantity: Decimal) -> None:
    """In whole units, where no line is rounded."""
    whole = quantity.to_integral_value()
    tiers = tiered(first, second, (amount, amount, amount))
    plain = {"billing_scheme": "per_unit", "unit_amount_decimal": str(amount), "transform_quantity": None}

    [once] = parts(plain, [], whole)

    assert sum(part.amount for part in graduated(tiers, whole)) == once.amount
    assert sum(part.amount for part in volume(tiers, whole)) == once.amount
