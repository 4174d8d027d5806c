"""Causes of a difference of money: the quantity that was billed, the price, the line, or something beside the lines.

A meter's difference is taken apart step by step, so that the parts add up to it: our price for our quantity, our price
for theirs, their price for theirs, and what their lines say. Parts are in minor units.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from ledger.domain.charges import Charge
from ledger.domain.money import Money, payable
from ledger.domain.platform_objects import PlatformLine
from ledger.domain.pricing_refusals import LastTierExceeded, QuantityNegative
from ledger.domain.rating import Metered, rate
from ledger.domain.reconciliation.evidence import AmountFacts, Explained, OurLine
from ledger.domain.reconciliation_facts import Finding
from ledger.domain.values import EXACT, ZERO, plain

QUANTITY_CAUSES_MAX: Final = 5


def of_quantities(facts: AmountFacts, findings: Sequence[Finding]) -> Iterator[Explained]:
    """What the quantities that were billed make of the difference: by the causes of theirs, where one is exact."""
    if facts.price is None or facts.used is None or facts.billed is None or _is_whole(facts):
        return
    ours = _rated(facts.price.charge, facts.used, facts)
    theirs = _rated(facts.price.charge, _billed_once(facts), facts)
    if ours is None or theirs is None or ours == theirs:
        return
    exact = [one for one in findings if one.is_exact and one.quantity is not None]
    for one in exact[:QUANTITY_CAUSES_MAX]:
        evidence = {**one.evidence, "quantity": plain(one.quantity or ZERO), "rated_by": facts.price.version}
        yield Explained(one.cause, Decimal(ours - theirs), one.sentence, evidence, one.positions)
    if not exact:
        sentence = (
            f"The platform billed {plain(_billed_once(facts))}, we {plain(facts.used)}; "
            f"at our price that makes {_shown(ours - theirs, facts)}."
        )
        evidence = {"ours": plain(facts.used), "theirs": plain(_billed_once(facts))}
        yield Explained("quantity_differs", Decimal(ours - theirs), sentence, evidence)


def of_lines(facts: AmountFacts) -> Iterator[Explained]:
    """What prices, lines and invoices make of the difference, whatever was used."""
    whole = _whole(facts)
    if whole is not None:
        yield whole
    elif facts.meter is None:
        yield from _beside_usage(facts)
    elif facts.price is None or facts.billed is None:
        yield from _one_sided(facts.our_lines, facts.lines, facts)
    else:
        yield from _of_prices(facts, facts.price.charge)


def _is_whole(facts: AmountFacts) -> bool:
    return _whole(facts) is not None


def _whole(facts: AmountFacts) -> Explained | None:
    """What explains all of it at once: no invoice, a void one, or another currency."""
    gap = Decimal(facts.gap.minor_units)
    if facts.ours.currency != facts.theirs.currency and facts.lines:
        sentence = f"We bill in {facts.ours.currency}, the platform in {facts.theirs.currency}."
        evidence = {"ours": facts.ours.currency, "theirs": facts.theirs.currency}
        return Explained("currency_mismatch", gap, sentence, evidence)
    if facts.status is None and not facts.lines:
        return Explained("invoice_missing", gap, "The platform has no final invoice for the period.")
    if facts.status in ("void", "deleted"):
        return Explained("invoice_void", gap, f"The platform's invoice is {facts.status}.")
    return None


def _of_prices(facts: AmountFacts, ours: Charge) -> Iterator[Explained]:
    billed = _billed_once(facts)
    at_our_price = _rated(ours, billed, facts)
    if at_our_price is None:
        return
    there = facts.theirs.minor_units
    if facts.subscriptions > 1 and not there % facts.subscriptions:
        once = there // facts.subscriptions
        sentence = f"{facts.subscriptions} subscriptions bill the same {plain(billed)}; one of them would do."
        evidence = {"subscriptions": str(facts.subscriptions), "quantity_each": plain(billed)}
        yield Explained("duplicate_subscription", Decimal(once - there), sentence, evidence)
        there = once
    if facts.their_price is None:
        if at_our_price != there:
            sentence = "The ledger cannot rate the platform's price, so that it cannot tell price and line apart."
            yield Explained("inexpressible_price", Decimal(at_our_price - there), sentence)
        return
    at_their_price = _rated(facts.their_price, billed, facts)
    if at_their_price is None:
        return
    if at_our_price != at_their_price:
        yield _of_price(facts, facts.their_price, billed, at_our_price - at_their_price)
    if at_their_price != there:
        yield _of_edit(facts, at_their_price, there)


def _of_price(facts: AmountFacts, theirs: Charge, billed: Decimal, apart: int) -> Explained:
    """Why their price comes to something else for the same quantity."""
    assert facts.price is not None, "there is a price of ours to compare with"
    ours = facts.price.charge
    evidence = {"quantity": plain(billed), "ours": facts.price.version, "money": _shown(apart, facts)}
    if billed < 0 and ours.negative != theirs.negative:
        sentence = f"A total of {plain(billed)} is {theirs.negative} there and {ours.negative} here."
        return Explained("clamped_negative", Decimal(apart), sentence, evidence)
    exact = [rate(charge, Metered(quantity=billed)).amount for charge in (ours, theirs)]
    if exact[0] == exact[1]:
        sentence = f"Both come to {plain(exact[0])} before rounding: {ours.rounding} here, {theirs.rounding} there."
        return Explained("rounding", Decimal(apart), sentence, evidence | {"unrounded": plain(exact[0])})
    for other in facts.other_prices:
        if _rated(other.charge, billed, facts) == _rated(theirs, billed, facts):
            sentence = f"The platform bills by {other.version}, we by {facts.price.version}."
            return Explained("plan_version", Decimal(apart), sentence, evidence | {"theirs": other.version})
    sentence = f"For {plain(billed)} the price there comes to {_shown(-apart, facts)} more than ours."
    return Explained("price_differs", Decimal(apart), sentence, evidence)


def _of_edit(facts: AmountFacts, due: int, there: int) -> Explained:
    """Why their lines are not what their own price comes to."""
    evidence = {"by_their_price": _shown(due, facts), "their_lines": _shown(there, facts)}
    if any(line.is_proration for line in facts.lines):
        sentence = f"The platform prorated its line: {_shown(there, facts)} of {_shown(due, facts)}."
        return Explained("proration", Decimal(due - there), sentence, evidence)
    if abs(due - there) <= len(facts.lines):
        sentence = f"Their {len(facts.lines)} lines are rounded otherwise than their price."
        return Explained("rounding", Decimal(due - there), sentence, evidence)
    sentence = f"By its own price the line should be {_shown(due, facts)}; it is {_shown(there, facts)}."
    return Explained("manual_edit", Decimal(due - there), sentence, evidence)


def _beside_usage(facts: AmountFacts) -> Iterator[Explained]:
    """Lines and notes of one side that the other has nothing like."""
    given = [note for note in facts.credit_notes if not note.is_void]
    adjusted = [line for line in facts.our_lines if line.kind == "adjustment"]
    for line in list(adjusted):
        twin = next((note for note in given if note.money == -line.money), None)
        if twin is not None:
            given.remove(twin)
            adjusted.remove(line)
    if given:
        money = sum(note.money.minor_units for note in given)
        sentence = f"{len(given)} credit notes there, {_shown(money, facts)} in all, have no adjustment here."
        evidence = {"credit_notes": ", ".join(note.id for note in given)}
        yield Explained("credit_note_there_only", Decimal(money), sentence, evidence)
    if adjusted:
        money = sum(line.money.minor_units for line in adjusted)
        sentence = f"{len(adjusted)} adjustments here, {_shown(money, facts)} in all, were not made there."
        evidence = {"adjustments": ", ".join(line.label for line in adjusted)}
        yield Explained("adjusted_amount_here_only", Decimal(money), sentence, evidence)
    others = [line for line in facts.our_lines if line.kind != "adjustment"]
    yield from _one_sided(others, facts.lines, facts)


def _one_sided(ours: Sequence[OurLine], theirs: Sequence[PlatformLine], facts: AmountFacts) -> Iterator[Explained]:
    """Lines by what they are, once those that are alike on both sides are put aside."""
    here, there = list(ours), list(theirs)
    for line in ours:
        twin = next((one for one in there if one.money == line.money), None)
        if twin is not None:
            here.remove(line)
            there.remove(twin)
    by_cause: dict[str, list[tuple[str, int]]] = {}
    for one in there:
        cause = _kind_of(one, facts)
        by_cause.setdefault(cause, []).append((one.label, -one.money.minor_units))
    for line in here:
        by_cause.setdefault("line_here_only", []).append((line.label, line.money.minor_units))
    for cause, lines in by_cause.items():
        apart = sum(money for _, money in lines)
        labels = ", ".join(label for label, _ in lines)
        side = "here" if cause == "line_here_only" else "there"
        sentence = (
            f"{len(lines)} lines {side}, {_shown(abs(apart), facts)} in all, are without a counterpart: {labels}."
        )
        yield Explained(cause, Decimal(apart), sentence, {"lines": labels})


def _kind_of(line: PlatformLine, facts: AmountFacts) -> str:
    """What a line there is that we have nothing like."""
    if line.price is None:
        return "manual_line"
    if line.price in facts.inexpressible:
        return "inexpressible_price"
    return "proration" if line.is_proration else "line_there_only"


def _billed_once(facts: AmountFacts) -> Decimal:
    """The quantity that one subscription billed."""
    billed = facts.billed or ZERO
    each = billed / facts.subscriptions
    return each if EXACT.multiply(each, Decimal(facts.subscriptions)) == billed else billed


def _rated(charge: Charge, quantity: Decimal, facts: AmountFacts) -> int | None:
    """The minor units that a quantity comes to; None where the charge refuses it."""
    try:
        amount = rate(charge, Metered(quantity=quantity)).amount
    except (LastTierExceeded, QuantityNegative):
        return None
    return payable(amount, facts.ours.currency, charge.rounding).minor_units


def _shown(minor_units: int, facts: AmountFacts) -> str:
    money = Money(minor_units, facts.ours.currency)
    return f"{money.amount} {money.currency}"
