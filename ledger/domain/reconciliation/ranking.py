"""Which causes explain a difference, likeliest first.

Exact ones go before partial ones; among them what was witnessed before what was recounted and what merely fits, fewer
causes before more, the larger share first. Two causes that together leave nothing are exact, and so is all that was
witnessed, where that leaves nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Final

from ledger.domain.money import Money, total
from ledger.domain.reconciliation.causes import CAUSES, PLUS, STRENGTHS, codes_of, order_of
from ledger.domain.reconciliation.comparing import Tolerance
from ledger.domain.reconciliation.evidence import AmountFacts, Explained, QuantityFacts
from ledger.domain.reconciliation.hypotheses_amounts import of_lines, of_quantities
from ledger.domain.reconciliation.hypotheses_counts import RECOUNTINGS
from ledger.domain.reconciliation.hypotheses_minutes import of_minutes
from ledger.domain.reconciliation.hypotheses_sends import of_repeated_sends, of_sends, of_unknown_sends
from ledger.domain.reconciliation_facts import Finding
from ledger.domain.values import DIVISION, EXACT, ZERO

FINDINGS_MAX: Final = 20
_SHARE_PLACES: Final = Decimal("0.000001")
Adjusted = Callable[[Decimal], Iterable[Explained]]
_ADJUSTABLE: Final = (of_unknown_sends, of_repeated_sends, *RECOUNTINGS)


def explain_quantity(facts: QuantityFacts, tolerance: Tolerance) -> tuple[Finding, ...]:
    """What may be behind a difference of quantity, likeliest first, at most 20."""
    fixed = [one for one in (*of_sends(facts), *of_minutes(facts)) if one.quantity]
    return ranked(
        Finding(
            cause=one.cause,
            sentence=one.sentence,
            share=share_of(one.quantity, facts.gap),
            is_exact=tolerance.lets_pass(facts.gap, one.quantity),
            quantity=one.quantity,
            evidence=dict(one.evidence),
            positions=one.positions,
        )
        for one in _with_combinations(facts.gap, fixed, partial(_adjusted, facts))
    )


def explain_amount(facts: AmountFacts, tolerance: Tolerance) -> tuple[Finding, ...]:
    """What may be behind a difference of money, likeliest first, at most 20."""
    gap = facts.gap
    causes = of_quantities(facts, () if facts.quantity is None else explain_quantity(facts.quantity, tolerance))
    fixed = [one for one in (*causes, *of_lines(facts)) if one.quantity]
    return ranked(
        Finding(
            cause=one.cause,
            sentence=one.sentence,
            share=share_of(one.quantity, Decimal(gap.minor_units)),
            is_exact=one.quantity == gap.minor_units,
            money=Money(int(one.quantity), gap.currency),
            evidence=dict(one.evidence),
            positions=one.positions,
        )
        for one in _with_combinations(Decimal(gap.minor_units), fixed, lambda _: ())
    )


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings in order, each cause once."""
    first: dict[frozenset[str], Finding] = {}
    for finding in sorted(findings, key=_rank):
        first.setdefault(frozenset(codes_of(finding.cause)), finding)
    return tuple(first.values())[:FINDINGS_MAX]


def share_of(part: Decimal, whole: Decimal) -> Decimal:
    """The part's share of a whole that is not zero, to six places."""
    return DIVISION.divide(part, whole).quantize(_SHARE_PLACES, context=DIVISION).normalize(DIVISION) + ZERO


def _rank(finding: Finding) -> tuple[object, ...]:
    codes = codes_of(finding.cause)
    strength = max(STRENGTHS.index(CAUSES[code].strength) for code in codes)
    off = abs(EXACT.subtract(finding.share, Decimal(1)))
    is_exact = finding.is_exact
    return not is_exact, strength if is_exact else 0, len(codes) if is_exact else 0, off, sum(map(order_of, codes))


def _adjusted(facts: QuantityFacts, target: Decimal) -> Iterator[Explained]:
    """What those hypotheses say that choose among events or rules by what is to be explained."""
    for hypothesis in _ADJUSTABLE:
        found = hypothesis(facts, target)
        if found is not None and found.quantity:
            yield found


def _with_combinations(gap: Decimal, fixed: Sequence[Explained], adjusted: Adjusted) -> Iterator[Explained]:
    """Each cause, and those that together leave nothing of the difference: two of them, or all that are fixed."""
    yield from fixed
    yield from adjusted(gap)
    for index, one in enumerate(fixed):
        rest = EXACT.subtract(gap, one.quantity)
        others = [*fixed[index + 1 :], *adjusted(rest)] if rest else []
        yield from (_joined([one, other]) for other in others if other.quantity == rest and _are_apart([one, other]))
    if len(fixed) > 2 and total(one.quantity for one in fixed) == gap and _are_apart(fixed):
        yield _joined(fixed)


def _are_apart(parts: Sequence[Explained]) -> bool:
    """Whether no event stands behind two of them, and each is another cause."""
    positions = [position for one in parts for position in one.positions]
    causes = {one.cause for one in parts}
    return len(positions) == len(set(positions)) and len(causes) == len(parts)


def _joined(parts: Sequence[Explained]) -> Explained:
    ordered = sorted(parts, key=lambda one: order_of(one.cause))
    evidence = {f"{one.cause}.{key}": value for one in ordered for key, value in one.evidence.items()}
    return Explained(
        PLUS.join(one.cause for one in ordered),
        total(one.quantity for one in ordered),
        " ".join(one.sentence for one in ordered),
        evidence,
        tuple(sorted(position for one in ordered for position in one.positions)),
    )
