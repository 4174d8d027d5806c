"""Percentages price single events: allowances first, then rate and fixed amount, then bounds."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.money import total
from ledger.domain.percentage import Percentage, event_prices, percentage_steps

D = Decimal
amounts = st.decimals(min_value=0, max_value=10**6, places=2)
optional = st.none() | st.decimals(min_value=0, max_value=1000, places=2)


@st.composite
def models(draw: st.DrawFn) -> Percentage:
    low = draw(optional)
    return Percentage(
        rate_percent=draw(st.decimals(min_value=0, max_value=100, places=3)),
        fixed_amount=draw(st.decimals(min_value=0, max_value=100, places=2)),
        free_events=draw(st.none() | st.integers(min_value=0, max_value=5)),
        free_total=draw(optional),
        event_amount_min=low,
        event_amount_max=draw(st.none() | st.decimals(min_value=low or 0, max_value=2000, places=2)),
    )


def amount(model: Percentage, *events: object) -> Decimal:
    return total(step.amount for step in percentage_steps(model, tuple(D(str(event)) for event in events)))


@given(models(), st.lists(amounts, max_size=10))
def test_the_steps_add_up_to_the_events_prices(model: Percentage, events: list[Decimal]) -> None:
    prices = total(price.amount for price in event_prices(model, events))
    assert amount(model, *events) == (prices if total(events) else 0)


@given(models(), st.lists(amounts, max_size=10), amounts)
def test_one_more_event_changes_no_price_of_those_before(
    model: Percentage, events: list[Decimal], more: Decimal
) -> None:
    assert list(event_prices(model, [*events, more]))[: len(events)] == list(event_prices(model, events))


def test_either_allowance_used_up_ends_both() -> None:
    model = Percentage(rate_percent=D(1), fixed_amount=D(5), free_events=3, free_total=D(15))
    prices = [price.amount for price in event_prices(model, [D(10)] * 3)]
    assert prices == [0, D("5.05"), D("5.1")]
    by_count = Percentage(rate_percent=D(1), fixed_amount=D(5), free_events=1, free_total=D(1000))
    assert [price.amount for price in event_prices(by_count, [D(10)] * 2)] == [0, D("5.1")]


def test_the_total_allowance_is_free_to_its_last_cent() -> None:
    model = Percentage(rate_percent=D(10), fixed_amount=D(1), free_total=D(20))
    assert [price.amount for price in event_prices(model, [D(20), D(10)])] == [0, 2]


def test_bounds_hold_for_paid_events_after_rate_and_fixed_amount() -> None:
    model = Percentage(
        rate_percent=D(1),
        fixed_amount=D("0.5"),
        free_events=1,
        event_amount_min=D("1.75"),
        event_amount_max=D(2),
    )
    assert [price.amount for price in event_prices(model, [D(1), D(100), D(140), D(10_000)])] == [
        0,
        D("1.75"),
        D("1.9"),
        2,
    ]
    kinds = [step.kind for step in percentage_steps(model, (D(1), D(100), D(140), D(10_000)))]
    assert kinds == ["rate", "fixed_fee", "event_minimum", "event_maximum"]


@pytest.mark.parametrize("events", [(), ("0", "0"), ("5", "-5")])
def test_events_that_add_up_to_nothing_cost_nothing(events: tuple[str, ...]) -> None:
    assert amount(Percentage(rate_percent=D(1), fixed_amount=D(2)), *events) == 0


def test_an_estimate_bills_the_fixed_amount_at_zero() -> None:
    assert amount(Percentage(rate_percent=D(1), fixed_amount=D(2), fixed_at_zero=True), 0) == 2


def test_free_events_alone_make_no_steps() -> None:
    assert not list(percentage_steps(Percentage(rate_percent=D(1), free_events=2), (D(5), D(5))))


def test_without_a_fixed_amount_there_is_no_step_for_it() -> None:
    steps = percentage_steps(Percentage(rate_percent=D(2)), (D(50), D(100)))
    assert [(step.kind, step.amount) for step in steps] == [("rate", D(3))]
