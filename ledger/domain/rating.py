"""The calculator: what a charge comes to for what was metered, step by step.

One function of the period's totals, `rated`, serves every purpose: whole periods, parts of a period as differences
of it, and single events as differences of running totals.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import assert_never

import msgspec

from ledger.domain.charges import (
    Cell,
    Charge,
    Conversion,
    Dimensional,
    Dynamic,
    Flat,
    Graduated,
    GraduatedPercentage,
    Package,
    PerUnit,
    QuantityModel,
    Volume,
)
from ledger.domain.money import ONE, add, divide, minus, multiply, percent_of, subtract, total
from ledger.domain.percentage import Percentage, percentage_steps
from ledger.domain.pricing_refusals import QuantityNegative
from ledger.domain.rounding import Rounding
from ledger.domain.steps import Group, Line, Step, difference, extended, grouped, line_of
from ledger.domain.tiers import Portion, covered, graduated_steps, prorated_steps, volume_steps
from ledger.domain.values import ZERO


class Grouped(msgspec.Struct, frozen=True):
    """The quantity of one combination of dimension values."""

    values: dict[str, str | None]
    quantity: Decimal


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """What was metered from the period's start: what a charge's model needs of it, and no more.

    `quantity` is for all models of one total; `full_quantity` chooses the tier of a volume charge where `quantity`
    was prorated; `events` are amounts in order of occurrence (percentage, dynamic); `groups` the quantity by
    dimension values (dimensional); `portions` prorated units in order of occurrence (prorated graduated).
    """

    quantity: Decimal = ZERO
    full_quantity: Decimal | None = None
    events: tuple[Decimal, ...] = ()
    groups: tuple[Grouped, ...] = ()
    portions: tuple[Portion, ...] = ()


def rate(charge: Charge, metered: Metered) -> Line:
    """The exact line of a whole period. Raises `LastTierExceeded` or `QuantityNegative` where the charge says so."""
    return rate_so_far(charge, metered, is_final=True)


def rate_so_far(charge: Charge, metered: Metered, *, is_final: bool) -> Line:
    """The exact line of everything metered so far; the minimum is due only once the period `is_final`."""
    quantity, steps = rated(charge, metered)
    return _bounded(charge, line_of(quantity, steps), billed=ZERO, is_last=is_final)


def rate_part(charge: Charge, *, before: Metered | None, until: Metered, billed: Decimal, is_last: bool) -> Line:
    """The exact line of a part of a period, from the totals `before` (None: it is the first part) to `until`.

    The maximum and the minimum look at what the parts before were `billed`; a part is never lowered below zero.
    Volume and flat charges are not billed by difference but with one part (see there). Source: OpenMeter's
    progressive billing.
    """
    quantity, steps = rated(charge, until)
    earlier, earlier_steps = (ZERO, []) if before is None else rated(charge, before)
    match charge.model:
        case Volume():
            steps = steps if is_last else []
        case Flat(term="in_advance"):
            steps = steps if before is None else []
        case Flat():
            steps = steps if is_last else []
        case _:
            steps = difference(steps, earlier_steps)
    line = line_of(subtract(quantity, earlier), steps)
    return _bounded(charge, line, billed=billed, is_last=is_last)


def increments(charge: Charge, running: Iterable[Metered | None]) -> Iterator[Decimal]:
    """What each running total adds to the amount of the one before it; None is a total of nothing yet, worth zero.

    This is how usage is paid in advance: f(total) - f(total before), never f(new).
    """
    before = ZERO
    for metered in running:
        amount = ZERO if metered is None else rate_so_far(charge, metered, is_final=False).amount
        yield subtract(amount, before)
        before = amount


def high_water(totals: Iterable[Decimal]) -> Iterator[Decimal | None]:
    """The highest of the running totals so far, None while they were below zero: only growth above it is billed."""
    highest: Decimal | None = None
    for quantity in totals:
        if quantity >= (highest or ZERO):
            highest = quantity
        yield highest


def rated(charge: Charge, metered: Metered) -> tuple[Decimal, list[Step]]:
    """The billed quantity and the steps before maximum and minimum: a function of the totals alone."""
    quantity, steps = _model_steps(charge, metered)
    if charge.standing_amount:
        steps.insert(0, Step(kind="standing", amount=charge.standing_amount))
    amount = total(step.amount for step in steps)
    if charge.discount_percent and amount:
        off = percent_of(amount, charge.discount_percent)
        steps.append(Step(kind="discount_percent", rate=charge.discount_percent, amount=minus(off)))
        amount = subtract(amount, off)
    off = min(charge.discount_amount, max(amount, ZERO))
    if off:
        steps.append(Step(kind="discount_amount", amount=minus(off)))
    return quantity, steps


def _bounded(charge: Charge, line: Line, *, billed: Decimal, is_last: bool) -> Line:
    sum_billed = add(billed, line.amount)
    if charge.amount_max is not None and sum_billed > charge.amount_max and line.amount > 0:
        over = min(subtract(sum_billed, charge.amount_max), line.amount)
        return extended(line, Step(kind="maximum", amount=minus(over)))
    if charge.amount_min is not None and is_last and sum_billed < charge.amount_min:
        missing = subtract(charge.amount_min, sum_billed)
        return extended(line, Step(kind="minimum", amount=missing))
    return line


def _model_steps(charge: Charge, metered: Metered) -> tuple[Decimal, list[Step]]:
    match charge.model:
        case Graduated(is_prorated=True) as model:
            steps = prorated_steps(
                model.tiers,
                metered.portions,
                flat_at_zero=model.flat_at_zero,
                past_last_tier=model.past_last_tier,
            )
            return total(portion.units for portion in metered.portions), list(steps)
        case Flat(amount=amount):
            return ONE, [Step(kind="flat", quantity=ONE, rate=amount, amount=amount)]
        case Percentage() as model:
            moved = total(metered.events)
            is_nothing = moved < 0 and _not_below_zero(charge, moved) == 0
            return moved, [] if is_nothing else list(percentage_steps(model, metered.events))
        case Dynamic(multiplier=multiplier):
            carried = _not_below_zero(charge, total(metered.events)) if metered.quantity else ZERO
            amount = multiply(carried, multiplier)
            step = Step(kind="events", quantity=carried, rate=multiplier, amount=amount)
            return metered.quantity, [step] if amount else []
        case Dimensional() as model:
            return _dimensional_steps(charge, model, metered.groups)
        case _ as model:
            lead, quantity = _billable(charge, metered.quantity)
            tier_quantity = quantity
            if metered.full_quantity is not None:
                _, tier_quantity = _billable(charge, metered.full_quantity)
            return quantity, [*lead, *_quantity_steps(model, quantity, tier_quantity)]


def _billable(charge: Charge, quantity: Decimal) -> tuple[list[Step], Decimal]:
    """The quantity converted, rounded, not below zero, and without what is included, and the steps to it."""
    steps = []
    if charge.conversion is not None:
        quantity = converted(charge.conversion, quantity)
        steps.append(Step(kind="converted", quantity=quantity, amount=ZERO))
    quantity = _not_below_zero(charge, quantity)
    free = min(charge.included_quantity, max(quantity, ZERO))
    if free:
        quantity = subtract(quantity, free)
        steps.append(Step(kind="included", quantity=minus(free), amount=ZERO))
    return steps, quantity


def converted(conversion: Conversion, quantity: Decimal) -> Decimal:
    """The quantity in the other unit, rounded as the conversion says."""
    operation = multiply if conversion.operation == "multiply" else divide
    result = operation(quantity, conversion.factor)
    if conversion.rounding is None:
        return result
    return Rounding(conversion.places, conversion.rounding).apply(result)


def _not_below_zero(charge: Charge, quantity: Decimal) -> Decimal:
    if quantity >= 0 or charge.negative == "signed":
        return quantity
    if charge.negative == "error":
        raise QuantityNegative(quantity=quantity)
    return ZERO


def _quantity_steps(model: QuantityModel, quantity: Decimal, tier_quantity: Decimal) -> Iterator[Step]:
    match model:
        case PerUnit(unit_amount=price):
            if quantity:
                amount = multiply(quantity, price)
                yield Step(kind="units", quantity=quantity, rate=price, amount=amount)
        case Graduated() | GraduatedPercentage():
            priced = covered(model.tiers, quantity, model.past_last_tier)
            yield from graduated_steps(model.tiers, priced, flat_at_zero=model.flat_at_zero)
        case Volume():
            reached = covered(model.tiers, tier_quantity, model.past_last_tier)
            yield from volume_steps(
                model.tiers,
                min(quantity, reached) if reached < tier_quantity else quantity,
                tier_quantity=reached,
                flat_at_zero=model.flat_at_zero,
            )
        case Package():
            count = packages(model, quantity)
            if count:
                amount = multiply(count, model.package_amount)
                yield Step(kind="packages", quantity=count, rate=model.package_amount, amount=amount)
        case _:
            assert_never(model)


def packages(model: Package, quantity: Decimal) -> Decimal:
    """The packages that the units after the free ones need, a begun one counting whole; none at or below zero."""
    rest = subtract(quantity, model.free_units)
    if rest <= 0:
        return ZERO
    return Rounding(0, "ceil").apply(divide(rest, model.package_size))


def _dimensional_steps(charge: Charge, model: Dimensional, groups: Sequence[Grouped]) -> tuple[Decimal, list[Step]]:
    cells = sorted(model.cells, key=lambda cell: -len(cell.match))
    by_cell: list[Decimal | None] = [None] * (len(cells) + 1)
    for group in groups:
        index = next((i for i, cell in enumerate(cells) if _matches(cell, group.values)), len(cells))
        by_cell[index] = add(by_cell[index] or ZERO, group.quantity)
    steps: list[Step] = []
    for cell, quantity in zip([*cells, None], by_cell, strict=True):
        price = model.otherwise if cell is None else cell.price
        if quantity is not None and price is not None:
            quantity = _not_below_zero(charge, quantity)
            steps += grouped(_quantity_steps(price, quantity, quantity), _group(cell))
    return total(group.quantity for group in groups), steps


def _matches(cell: Cell, values: dict[str, str | None]) -> bool:
    return all(values.get(key) in wanted for key, wanted in cell.match.items())


def _group(cell: Cell | None) -> Group:
    """How the cell is named in steps: each key with its value, or its values joined by " | "."""
    if cell is None:
        return ()
    return tuple((key, _joined(wanted)) for key, wanted in cell.match.items())


def _joined(values: tuple[str | None, ...]) -> str | None:
    if len(values) == 1:
        return values[0]
    return " | ".join("(none)" if value is None else value for value in values)
