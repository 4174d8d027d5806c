"""Golden reconciliation cases through late usage and proration: each kind is one question to them."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ledger.domain.late_usage import delta, deltas_by_period
from ledger.domain.money import Money, payable
from ledger.domain.periods import Period
from ledger.domain.proration import (
    WHOLE,
    Discount,
    Share,
    change_for_the_rest,
    discounted,
    prorated,
    recurring_weight,
    remaining_time,
    seats_for_the_rest,
    served_time,
    with_tax,
)
from ledger.domain.rating import Metered, rate
from ledger.domain.tiers import Portion
from ledger.domain.values import ZERO
from tests.golden import Case, Unsupported
from tests.golden.charges import CURRENCY_OF_PLACES, charge_of, decimal, metered_of
from tests.golden.periods import day_span, instant

Answer = Mapping[str, object]
CURRENCY = "USD"


def check(case: Case) -> list[str]:
    """What differs from the expected money; a null there claims nothing."""
    if (question := _KINDS.get(case["kind"])) is None:
        raise Unsupported(f"unknown: the kind {case['kind']}")
    got = question(case)
    if unknown := sorted({field for field in case if field.startswith("expected")} - set(got)):
        raise Unsupported(f"unknown: {', '.join(unknown)}")
    return [
        f"{field}: expected {case[field]}, got {_number(answer)}"
        for field, answer in got.items()
        if case.get(field) is not None and _number(case[field]) != _number(answer)
    ]


def _number(value: object) -> object:
    """The value with text that is a number, and money, made comparable."""
    if isinstance(value, list | tuple):
        return [_number(item) for item in value]
    if isinstance(value, dict):
        return {key: _number(item) for key, item in value.items()}
    if isinstance(value, Money):
        return value.amount
    if isinstance(value, int | Decimal):
        return decimal(value)
    return decimal(value) if isinstance(value, str) and value[-1:].isdigit() else value


def _money(amount: object) -> Money:
    return payable(decimal(amount), CURRENCY, "half_up")


def _late_usage_delta(case: Case) -> Answer:
    charge = charge_of(case["model"], case["params"])
    totals = case["cumulative_quantities"]
    booked = Money(0, CURRENCY)
    due = []
    for number, quantity in enumerate(totals, start=1):
        metered = metered_of(case["model"], {"quantity": quantity})
        is_final = number == len(totals) and case.get("last_is_final", True)
        _, money = delta(charge, metered, booked, is_final=is_final)
        booked += money
        due.append(money)
    return {"expected_totals": due}


def _late_usage_period_preserving(case: Case) -> Answer:
    charge = charge_of(case["model"], case["params"])
    booked: list[Money] = []
    sums: list[Money] = []
    by_period = []
    for number, snapshot in enumerate(case["snapshots"], start=1):
        totals = [metered_of(case["model"], {"quantity": quantity}) for quantity in snapshot]
        is_final = number == len(case["snapshots"]) and case.get("last_is_final", True)
        due = deltas_by_period(charge, totals, booked, CURRENCY, is_final=is_final)
        earlier = [*booked, *[Money(0, CURRENCY)] * (len(due) - len(booked))]
        booked = [old + new for old, new in zip(earlier, due, strict=True)]
        sums.append(sum(due, start=Money(0, CURRENCY)))
        by_period.append({f"P{index}": money for index, money in enumerate(due, start=1)})
    return {"expected_totals": sums, "expected_by_period": by_period}


def _recurring_prorated_graduated(case: Case) -> Answer:
    """Lago: what is left of earlier periods is one block of full weight, new events weigh by their days."""
    zone = case["timezone"]
    span = day_span(case["period"], zone)
    events = [(instant(event.get("date") or event["time"], zone), decimal(event["value"])) for event in case["events"]]
    carried = sum((units for at, units in events if at < span.start), ZERO)
    portions = [_portion(carried, WHOLE)] if carried else []
    portions += [_portion(units, recurring_weight(at, span, zone)) for at, units in events if at in span]
    charge = charge_of("graduated_prorated", case["params"])
    line = rate(charge, Metered(portions=tuple(portions)))
    return {
        "expected_units": line.quantity,
        "expected_amount": payable(line.amount, CURRENCY, charge.rounding),
    }


def _portion(units: Decimal, share: Share) -> Portion:
    return Portion(units, Decimal(share.numerator), Decimal(share.denominator))


def _rest(case: Case) -> Share:
    span = Period(instant(case["period_start"]), instant(case["period_end"]))
    return remaining_time(span, instant(case["changed_at"]))


def _discount(told: Case | None) -> Discount | None:
    if told is None:
        return None
    value = decimal(told["value"])
    return Discount(percent=value) if told["type"] == "percentage" else Discount(amount=value)


def _plan_change(case: Case) -> Answer:
    both = case.get("discount")
    [old] = discounted([_money(case["old_amount"])], _discount(case.get("old_discount") or both))
    [new] = discounted([_money(case["new_amount"])], _discount(case.get("new_discount") or both))
    is_full = case.get("new_starts_full_period", False)
    credit, debit = change_for_the_rest(old, new, _rest(case), new_starts_full_period=is_full)
    return {"expected_credit": credit, "expected_debit": debit}


def _seat_change(case: Case) -> Answer:
    unit = decimal(case["unit_amount"])
    other = [_money(case["other_amount"])] if case.get("other_amount") else []
    change = seats_for_the_rest(
        _money(unit * case["old_seats"]),
        _money(unit * case["new_seats"]),
        _rest(case),
        other=other,
        discount=_discount(case.get("discount")),
    )
    direction = "debit" if change.minor_units > 0 else "credit" if change.minor_units < 0 else None
    return {"expected_amount": abs(change.amount), "expected_direction": direction}


def _discount_then_prorate(case: Case) -> Answer:
    lines = discounted([_money(amount) for amount in case["line_amounts"]], _discount(case["discount"]))
    ratio = case["ratio"]
    return {"expected_line_amounts": prorated(lines, Share(ratio["numerator"], ratio["denominator"]))}


def _fee_by_time_ratio(case: Case) -> Answer:
    served = Period(instant(case["service_from"]), instant(case["service_to"]))
    full = Period(instant(case["full_from"]), instant(case["full_to"]))
    currency = CURRENCY_OF_PLACES[case.get("places", 2)]
    fee = payable(served_time(served, full).of(decimal(case["amount"])), currency, "half_up")
    return {"expected_amount": fee}


def _by_days(case: Case) -> Decimal:
    """The exact part of the amount that the case's days are of its period; all of it where it tells no days."""
    days = [case[key] for key in ("days", "unused_days", "remaining_days") if key in case]
    days += [case["of"] - case["used_days"]] if "used_days" in case else []
    amount = decimal(case["amount"])
    return Share(days[0], case["of"]).of(amount) if days else amount


def _taxed(case: Case, *, is_credit: bool) -> Answer:
    net, tax = with_tax(_by_days(case), decimal(case.get("tax_percent")), CURRENCY, is_credit=is_credit)
    return {
        "expected_amount": net,
        "expected_net": net,
        "expected_credit": net,
        "expected_tax": tax,
        "expected_total": net + tax,
    }


def _invoice_sum(case: Case) -> Answer:
    told: Sequence[Any] = next(case[key] for key in ("lines", "fees", "items", "parts", "amounts") if key in case)
    lines = [line if isinstance(line, dict) else {"amount": line} for line in told]
    nothing = Money(0, CURRENCY)
    taxes = [
        with_tax(_by_days(line), decimal(line.get("tax_percent", case.get("tax_percent"))), CURRENCY, is_credit=False)
        for line in lines
    ]
    net = sum((net for net, _ in taxes), start=nothing)
    tax = sum((tax for _, tax in taxes), start=nothing)
    total = net + tax
    return {
        "expected_amount": net if "expected_total" in case or not tax.minor_units else total,
        "expected_net": net,
        "expected_tax": tax,
        "expected_total": total,
        "expected_line_amounts": [net for net, _ in taxes],
    }


_KINDS: Mapping[str, Callable[[Case], Answer]] = {
    "late_usage_delta": _late_usage_delta,
    "late_usage_period_preserving": _late_usage_period_preserving,
    "recurring_prorated_graduated": _recurring_prorated_graduated,
    "plan_change_remaining_time": _plan_change,
    "seat_change_remaining_time": _seat_change,
    "discount_then_prorate": _discount_then_prorate,
    "fee_by_time_ratio": _fee_by_time_ratio,
    "fee_by_days": lambda case: _taxed(case, is_credit=False),
    "credit_for_unused_days": lambda case: _taxed(case, is_credit=True),
    "invoice_sum": _invoice_sum,
}
