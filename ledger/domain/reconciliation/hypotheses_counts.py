"""Causes that change one convention of counting and look whether the difference then comes out exactly.

Each explains all of the target or nothing: a count by another rule always differs by something.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from ledger.domain.money import total
from ledger.domain.reconciliation.evidence import Explained, QuantityFacts
from ledger.domain.reconciliation.hypotheses_sends import POSITIONS_MAX
from ledger.domain.reconciliation.subsets import subset_of
from ledger.domain.values import EXACT, ZERO, plain

UNITS: Final = tuple(map(Decimal, ("1000", "1000000", "1000000000", "100", "60", "3600", "1024", "1048576")))
"""Factors between units that people confuse: thousands, percents, minutes and hours, kibibytes."""

Recounting = Callable[[QuantityFacts, Decimal], Explained | None]


def clamped_negative(facts: QuantityFacts, target: Decimal) -> Explained | None:
    """A total below zero that the platform bills as nothing."""
    if facts.used >= 0 or facts.theirs or target != facts.used:
        return None
    sentence = f"The total here is {plain(facts.used)}; the platform counts a total below zero as zero."
    return Explained("clamped_negative", target, sentence, {"ours": plain(facts.used)})


def meter_formula(facts: QuantityFacts, target: Decimal) -> Explained | None:
    """Another formula of the platform's meter over the same events."""
    wanted = EXACT.subtract(facts.used, target)
    for formula, quantity in sorted(facts.by_formula.items()):
        if formula != facts.formula and quantity == wanted:
            sentence = f"By {formula} our events come to {plain(quantity)}, as there; here by {facts.formula}."
            return Explained("meter_formula", target, sentence, {"formula_there": formula, "quantity": plain(quantity)})
    return None


def duplicate_customer(facts: QuantityFacts, target: Decimal) -> Explained | None:
    """Usage that the platform holds under another customer of the same account."""
    options = [*facts.elsewhere] if len(facts.elsewhere) == 1 else [None, *facts.elsewhere]
    for one in options:
        held = total(other.quantity for other in facts.elsewhere) if one is None else one.quantity
        if facts.elsewhere and held == target and target:
            names = ", ".join(other.customer for other in facts.elsewhere) if one is None else one.customer
            sentence = f"The platform counts the missing {plain(target)} for {names}, an alias of the same account."
            return Explained("duplicate_customer", target, sentence, {"customers": names, "quantity": plain(held)})
    return None


def other_bounds(facts: QuantityFacts, target: Decimal) -> Explained | None:
    """Other bounds of the period, by another zone or anchor."""
    wanted = EXACT.subtract(facts.used, target)
    for recount in facts.recounts:
        if recount.quantity == wanted:
            start, end = recount.period.start, recount.period.end
            sentence = (
                f"From {start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC, by {recount.name}, "
                f"our usage comes to {plain(recount.quantity)}, as there."
            )
            evidence = {"start": start.isoformat(), "end": end.isoformat(), "quantity": plain(recount.quantity)}
            return Explained(f"{recount.rule}_boundary", target, sentence, evidence)
    return None


def clock_skew(facts: QuantityFacts, target: Decimal) -> Explained | None:
    """The same quantity missing on this side of a bound and too much on the other."""
    for one in facts.outside:
        if one.gap and one.gap == EXACT.minus(target):
            is_before = one.end <= facts.period.start
            side = "before the period starts" if is_before else "after the period ends"
            sentence = (
                f"What differs, {plain(abs(target))}, differs the other way round right {side}: it is dated there."
            )
            evidence = {"start": one.start.isoformat(), "end": one.end.isoformat(), "gap_outside": plain(one.gap)}
            moved = [send for send in facts.sends if send.is_acknowledged]
            found = subset_of([send.value for send in moved], target)
            positions = () if found is None else tuple(moved[index].position for index in found.indices)
            return Explained("clock_skew", target, sentence, evidence, positions[:POSITIONS_MAX])
    return None


def unit_differs(facts: QuantityFacts, target: Decimal) -> Explained | None:
    """The platform's quantity is ours times or through a factor between two units."""
    there = EXACT.subtract(facts.used, target)
    if target != facts.gap or not there or not facts.used:
        return None
    for factor in UNITS:
        if EXACT.multiply(there, factor) == facts.used or EXACT.multiply(facts.used, factor) == there:
            sentence = f"The one is {plain(factor)} times the other: {plain(facts.used)} here, {plain(there)} there."
            return Explained("unit_differs", target, sentence, {"factor": plain(factor)})
    return None


def held_here(facts: QuantityFacts, target: Decimal) -> Explained | None:
    """Held usage whose values come to what the platform has too much."""
    held = [one for one in facts.usage if one.standing == "held"]
    found = subset_of([one.value for one in held], EXACT.minus(target)) if target < ZERO else None
    if found is None:
        return None
    positions = tuple(held[index].position for index in found.indices)[:POSITIONS_MAX]
    shown = plain(abs(target))
    sentence = f"{len(found.indices)} of {len(held)} held usage events come to the {shown} that the platform has more."
    evidence = {"held": str(len(held)), "is_only_combination": str(found.is_only).lower()}
    return Explained("held_here", target, sentence, evidence, positions)


RECOUNTINGS: Final[tuple[Recounting, ...]] = (
    clamped_negative,
    meter_formula,
    duplicate_customer,
    other_bounds,
    clock_skew,
    unit_differs,
    held_here,
)
