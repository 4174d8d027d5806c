"""Golden rating cases through the calculator: parameters become a charge, and each mode one of its functions."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from ledger.domain.charges import Charge
from ledger.domain.money import Money, allocate, exactly, total
from ledger.domain.proration import WHOLE, Share, commitment_due
from ledger.domain.rating import Metered, converted, high_water, increments, rate, rate_part
from ledger.domain.refusals import Refusal
from ledger.domain.rounding import Rounding
from ledger.domain.steps import Line
from ledger.domain.values import ZERO
from tests.golden import Case, Unsupported
from tests.golden.charges import CURRENCY_OF_PLACES, ROUNDING, charge_of, decimal, metered_of, values_of

EXPECTED = {"expected_amount", "expected_error", "expected_increments", "expected_lines"}


def check(case: Case) -> list[str]:
    """What differs from the expected amount, increments and lines; a null amount expects a refusal."""
    if unknown := sorted({field for field in case if field.startswith("expected")} - EXPECTED):
        raise Unsupported(f"unknown: {', '.join(unknown)}")
    try:
        return _differences(case)
    except Refusal as refusal:
        return [] if case["expected_amount"] is None else [f"refused: {refusal}"]


def _differences(case: Case) -> list[str]:
    if (special := _SPECIAL.get(case["model"])) is not None:
        got = special(case)
        return [] if got == _expected(case) else [f"expected {_expected(case)}, got {got}"]
    charge = charge_of(case["model"], case["params"])
    line, parts = _rated(case, charge)
    got_amount = rounding_of(case, line.amount if parts is None else total(parts))
    found = same(case["expected_amount"], got_amount, "amount")
    if "expected_increments" in case:
        found += _increments_differ(case, _increments(case, charge) if parts is None else parts)
    if "expected_lines" in case:
        found += _lines_differ(case["expected_lines"], line)
    return found


def _expected(case: Case) -> object:
    expected = case["expected_amount"]
    if isinstance(expected, dict):
        return {key: Decimal(amount) for key, amount in expected.items()}
    return None if expected is None else Decimal(expected)


def _rated(case: Case, charge: Charge) -> tuple[Line, list[Decimal] | None]:
    """The line of the case, and the increments that add up to its amount where it is billed by increments."""
    match case.get("mode"):
        case "split":
            return _split(case, charge), None
        case "incremental" | "incremental_high_water":
            return rate(charge, metered_of(case["model"], case)), _increments(case, charge)
        case _:
            return rate(charge, metered_of(case["model"], case)), None


def _split(case: Case, charge: Charge) -> Line:
    before = decimal(case.get("pre_quantity"))
    until = before + decimal(case.get("line_quantity"))
    position = case.get("position", "single")
    is_first = position in {"single", "first"} and not before
    return rate_part(
        charge,
        before=None if is_first else metered_of(case["model"], {"quantity": before}),
        until=metered_of(case["model"], {"quantity": until}),
        billed=decimal(case.get("previously_billed")),
        is_last=position in {"single", "last"},
    )


def _increments(case: Case, charge: Charge) -> list[Decimal]:
    events = case["events"]
    running: list[Metered | None] = [
        metered_of(case["model"], {"events": events[:count]}) for count in range(1, len(events) + 1)
    ]
    if case.get("mode") == "incremental_high_water":
        totals = [metered.quantity for metered in running if metered is not None]
        running = [None if high is None else Metered(quantity=high) for high in high_water(totals)]
    return list(increments(charge, running))


def _increments_differ(case: Case, got: Sequence[Decimal]) -> list[str]:
    expected = case["expected_increments"]
    found = [] if len(expected) == len(got) else [f"expected {len(expected)} increments, got {len(got)}"]
    for number, (one, other) in enumerate(zip(expected, got, strict=False), start=1):
        if same(one, other, ""):
            found += same(one, rounding_of(case, other), f"increment {number}")
    return found


def rounding_of(case: Case, amount: Decimal) -> Decimal:
    """The amount rounded as the case says, or as it is."""
    if not (rounding := case.get("rounding")):
        return amount
    return Rounding(rounding["places"], ROUNDING[rounding["mode"]]).apply(amount)


def same(expected: str | None, got: Decimal, what: str) -> list[str]:
    """Nothing where the two are equal. A quotient that does not end is compared to the places that are expected."""
    if expected is None:
        return [f"{what}: expected a refusal, got {got}"]
    wanted = Decimal(expected)
    places = -cast("int", wanted.as_tuple().exponent)
    is_endless = cast("int", got.as_tuple().exponent) < -60 and places > 8
    if wanted == (Rounding(places, "half_up").apply(got) if is_endless else got):
        return []
    return [f"{what}: expected {expected}, got {got:f}"]


def _lines_differ(expected: Sequence[Case], line: Line) -> list[str]:
    """Each expected line must be there with all that it tells, and no other line may come to anything."""
    got = _lines(line)
    found = []
    for wanted in expected:
        key = wanted["tier"] if "tier" in wanted else _group_key(wanted["group"])
        facts = got.pop(key, {})
        for field in wanted.keys() - {"tier", "group"}:
            found += same(wanted[field], facts.get(_NAMES.get(field, field), ZERO), f"line {key} {field}")
    return found + [f"line {key} was not expected: {facts}" for key, facts in got.items() if facts["total"]]


_NAMES = dict.fromkeys(("percentage_total", "percent_total", "rate_total"), "unit_total") | {
    "amount": "total",
    "rate_percent": "rate",
    "unit_amount": "rate",
}


def _lines(line: Line) -> dict[object, dict[str, Decimal]]:
    """The facts of each tier or group: its quantity at a rate, its flat amount, and what they come to."""
    lines: dict[object, dict[str, Decimal]] = {}
    for step in line.steps:
        key = step.tier if step.group is None else step.group
        if key is None:
            continue
        facts = lines.setdefault(key, dict.fromkeys(("quantity", "unit_total", "flat", "total"), ZERO))
        facts["total"] += step.amount
        if step.kind == "tier_flat":
            facts["flat"] += step.amount
        else:
            facts["unit_total"] += step.amount
            facts["quantity"] += step.quantity or ZERO
            facts["rate"] = step.rate or ZERO
    return lines


def _group_key(group: Mapping[str, Any] | str) -> tuple[tuple[str, str | None], ...]:
    if isinstance(group, str):
        return () if group == "default" else ((group, None),)
    return tuple((key, values_of(value)[0]) for key, value in group.items())


def _quantity_of(case: Case) -> Decimal:
    charge = charge_of(case["model"], case["params"])
    line = (
        _split(case, charge)
        if case.get("mode") == "split"
        else rate(charge, Metered(quantity=decimal(case["quantity"])))
    )
    return line.quantity


def _converted(case: Case) -> Decimal:
    charge = charge_of(case["model"], case["params"])
    if case.get("mode") == "split":
        return _split(case, charge).quantity
    assert charge.conversion is not None, "the model is a conversion"
    got = converted(charge.conversion, decimal(case["quantity"]))
    return Decimal(case["expected_amount"]) if not same(case["expected_amount"], got, "") else got


def _rounding(case: Case) -> Decimal:
    params = case["params"]
    quantity = decimal(case["quantity"])
    mode = ROUNDING.get(params.get("mode") or "none")
    return quantity if mode is None else Rounding(params.get("places") or 0, mode).apply(quantity)


def _allocated(case: Case) -> dict[str, Decimal]:
    """Shares in the units of any number of places: the yen, which has none, stands for the unit."""
    params = case["params"]
    weights = [(key, decimal(weight)) for key, weight in params["weights"]]
    units = exactly(decimal(params["amount"]).scaleb(params["places"]), "JPY")
    shares = allocate(units, weights)
    if not params.get("omit_zero", True):
        shares = {key: shares.get(key, Money(0, "JPY")) for key, _ in weights}
    return {key: share.amount.scaleb(-params["places"]) for key, share in shares.items()}


def _commitment(case: Case) -> Decimal:
    params = case["params"]
    used = params["used"] if isinstance(params["used"], list) else [params["used"]]
    proration = params.get("proration")
    return commitment_due(
        decimal(params["minimum"]),
        [decimal(part) for part in used],
        CURRENCY_OF_PLACES[(case.get("rounding") or {"places": 2})["places"]],
        share=Share(proration["days"], proration["of"]) if proration else WHOLE,
        round_first=params.get("round_commitment_first", False),
    ).amount


_SPECIAL: dict[str, Callable[[Case], object]] = {
    "usage_discount": _quantity_of,
    "unit_conversion": _converted,
    "rounding": _rounding,
    "allocation": _allocated,
    "min_commit": _commitment,
}
