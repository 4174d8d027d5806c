"""Percentages of single events: a rate on the money each event moved, a fixed amount, free allowances, bounds."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from ledger.domain.money import add, multiply, percent_of, subtract, total
from ledger.domain.steps import Step
from ledger.domain.values import ZERO


class Percentage(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="model", tag="percentage"
):
    """A percentage of each event's amount, and a fixed amount for each event.

    Events are free until either allowance is used up: `free_events` of them, or `free_total` moved (None or 0: no
    such allowance). The event that crosses `free_total` pays the rate on its excess and the whole fixed amount; what
    is left of the other allowance is lost. `event_amount_min` and `event_amount_max` bound what one paid event
    costs, after rate and fixed amount. Events that add up to exactly zero cost nothing, unless `fixed_at_zero`.
    Source: Lago's percentage charges; Stripe and Adyen price payments like this.
    """

    rate_percent: Decimal
    fixed_amount: Decimal = ZERO
    free_events: int | None = None
    free_total: Decimal | None = None
    event_amount_min: Decimal | None = None
    event_amount_max: Decimal | None = None
    fixed_at_zero: bool = False


class EventPrice(msgspec.Struct, frozen=True):
    """What one event costs: `paid` of its amount at the rate, the fixed amount, and what the bounds add or take.

    A free event has None in place of `paid` and costs nothing.
    """

    paid: Decimal | None
    rate_amount: Decimal
    fixed_amount: Decimal
    lifted: Decimal
    lowered: Decimal

    @property
    def amount(self) -> Decimal:
        """The event's whole price."""
        return total((self.rate_amount, self.fixed_amount, self.lifted, self.lowered))


_FREE = EventPrice(None, ZERO, ZERO, ZERO, ZERO)


def event_prices(model: Percentage, events: Iterable[Decimal]) -> Iterator[EventPrice]:
    """The price of each event, in order of occurrence."""
    is_free = bool(model.free_events or model.free_total)
    count, moved = 0, ZERO
    for amount in events:
        paid = amount
        if is_free:
            count, moved = count + 1, add(moved, amount)
            if model.free_events and count > model.free_events:
                is_free = False
            elif model.free_total and moved > model.free_total:
                is_free = False
                paid = subtract(moved, model.free_total)
        yield _FREE if is_free else _paid(model, paid)


def _paid(model: Percentage, amount: Decimal) -> EventPrice:
    rate_amount = percent_of(amount, model.rate_percent)
    price = add(rate_amount, model.fixed_amount)
    low, high = model.event_amount_min, model.event_amount_max
    lifted = lowered = ZERO
    if low is not None and price < low:
        lifted = subtract(low, price)
    elif high is not None and price > high:
        lowered = subtract(high, price)
    return EventPrice(amount, rate_amount, model.fixed_amount, lifted, lowered)


def percentage_steps(model: Percentage, events: tuple[Decimal, ...]) -> Iterator[Step]:
    """The events' prices added up by kind: rate, fixed amounts, and what the bounds added and took."""
    if not model.fixed_at_zero and not total(events):
        return
    prices = [price for price in event_prices(model, events) if price.paid is not None]
    if not prices:
        return
    paid = total(price.paid for price in prices if price.paid is not None)
    yield Step(
        kind="rate",
        quantity=paid,
        rate=model.rate_percent,
        amount=percent_of(paid, model.rate_percent),
    )
    if model.fixed_amount:
        count = Decimal(len(prices))
        yield Step(
            kind="fixed_fee",
            quantity=count,
            rate=model.fixed_amount,
            amount=multiply(count, model.fixed_amount),
        )
    if lifted := [price.lifted for price in prices if price.lifted]:
        yield Step(kind="event_minimum", quantity=Decimal(len(lifted)), amount=total(lifted))
    if lowered := [price.lowered for price in prices if price.lowered]:
        yield Step(kind="event_maximum", quantity=Decimal(len(lowered)), amount=total(lowered))
