"""Causes on the platform's side, told by the minutes in which it counts otherwise than it acknowledged.

What values fit is a candidate and no proof: other usage of the same value would fit as well.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from ledger.domain.money import total
from ledger.domain.reconciliation.comparing import Sums
from ledger.domain.reconciliation.evidence import Explained, QuantityFacts
from ledger.domain.reconciliation.hypotheses_sends import POSITIONS_MAX, acknowledged_of
from ledger.domain.reconciliation.subsets import Subset, subset_of
from ledger.domain.values import EXACT, plain


class _Valued(NamedTuple):
    position: int
    value: Decimal


class _Fit(NamedTuple):
    """A minute, and the events whose values come to its gap."""

    minute: Sums
    positions: tuple[int, ...]
    is_only: bool


def of_minutes(facts: QuantityFacts) -> list[Explained]:
    """What the parting minutes say, one for each cause; where none is known, what the sums of the period say."""
    if not facts.minutes:
        return _of_the_whole(facts)
    lost: list[_Fit] = []
    doubled: list[_Fit] = []
    foreign: list[_Fit] = []
    missing: list[_Fit] = []
    for minute in facts.minutes:
        if _is_an_unknown_send(minute, facts):
            continue
        events = _events_in(minute, facts)
        fit = _fit(minute, events)
        if minute.gap > 0:
            (missing if fit is None else lost).append(fit or _Fit(minute, (), is_only=True))
        elif minute.gap < 0:
            (foreign if fit is None else doubled).append(fit or _Fit(minute, (), is_only=True))
    found = []
    for cause, fits, sentence in (
        ("lost_there", lost, "In {minutes} the platform lacks {quantity}: {events} acknowledged events fit."),
        ("counted_twice_there", doubled, "In {minutes} the platform has {quantity} too much: {events} events fit."),
        ("told_by_another", foreign, "In {minutes} the platform has {quantity} that no event of ours explains."),
        ("not_counted_there", missing, "In {minutes} the platform lacks {quantity} that no single events come to."),
    ):
        if fits:
            found.append(_explained(cause, fits, sentence))
    return found


def _of_the_whole(facts: QuantityFacts) -> list[Explained]:
    apart = EXACT.subtract(acknowledged_of(facts), facts.theirs)
    if not apart:
        return []
    cause = "not_counted_there" if apart > 0 else "told_by_another"
    word = "less" if apart > 0 else "more"
    sentence = f"The platform counts {plain(abs(apart))} {word} than it acknowledged; the minutes are not known."
    return [Explained(cause, apart, sentence, {"acknowledged": plain(acknowledged_of(facts))})]


def _events_in(minute: Sums, facts: QuantityFacts) -> list[_Valued]:
    if facts.is_sent_by_us:
        return [
            _Valued(send.position, send.value)
            for send in facts.sends
            if send.is_acknowledged and minute.start <= send.timestamp < minute.end
        ]
    usage = (one for one in facts.usage if one.standing == "counts")
    return [_Valued(one.position, one.value) for one in usage if minute.start <= one.time < minute.end]


def _fit(minute: Sums, events: Sequence[_Valued]) -> _Fit | None:
    found: Subset | None = subset_of([one.value for one in events], abs(minute.gap))
    if found is None:
        return None
    return _Fit(minute, tuple(events[index].position for index in found.indices), found.is_only)


def _is_an_unknown_send(minute: Sums, facts: QuantityFacts) -> bool:
    """Whether a send of which no outcome is known arrived in the minute: then nothing is wrong there."""
    values = [
        send.value
        for send in facts.sends
        if send.state in ("unknown", "intended") and minute.start <= send.timestamp < minute.end
    ]
    return subset_of(values, EXACT.minus(minute.gap)) is not None


def _explained(cause: str, fits: Sequence[_Fit], sentence: str) -> Explained:
    quantity = total(fit.minute.gap for fit in fits)
    positions = tuple(sorted(position for fit in fits for position in fit.positions))[:POSITIONS_MAX]
    first = f"{fits[0].minute.start:%Y-%m-%d %H:%M}"
    evidence = {
        "minutes": str(len(fits)),
        "first_minute": first,
        "ours": plain(total(fit.minute.ours for fit in fits)),
        "theirs": plain(total(fit.minute.theirs for fit in fits)),
    }
    if positions:
        evidence["is_only_combination"] = str(all(fit.is_only for fit in fits)).lower()
    minutes = f"the minute {first}" if len(fits) == 1 else f"{len(fits)} minutes from {first} on"
    text = sentence.format(minutes=minutes, quantity=plain(abs(quantity)), events=len(positions))
    return Explained(cause, quantity, text, evidence, positions)
