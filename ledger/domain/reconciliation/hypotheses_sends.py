"""Causes that the log itself knows of: what was never sent, or not taken, or sent and taken back here only.

Each hypothesis looks at what every usage event should have come to there and at what was acknowledged for it.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from ledger.domain.money import total
from ledger.domain.reconciliation.evidence import Explained, OurSend, OurUsage, QuantityFacts
from ledger.domain.reconciliation.subsets import subset_of
from ledger.domain.values import EXACT, plain

BACKDATING_MAX: Final = timedelta(days=35)
FUTURE_MAX: Final = timedelta(minutes=5)
IDENTIFIER_KEPT: Final = timedelta(hours=24)
"""How long Stripe is sure to know an identifier again; the others know it as long or longer."""
POSITIONS_MAX: Final = 100
"""How many candidate events a finding names."""
CODES: Final[dict[str, str]] = {
    "timestamp_too_far_in_past": "outside_backdating_window",
    "too_old_to_send": "outside_backdating_window",
    "timestamp_in_future": "future_dated",
    "archived_meter": "meter_archived",
    "no_meter": "meter_archived",
    "meter_event_customer_not_found": "customer_not_found",
    "customer_not_found": "customer_not_found",
}
"""What a platform's code for a rejection says."""
_SENTENCES: Final = {
    "unsent": "{count} usage events, {quantity} in all, were never sent.",
    "send_rejected": "{count} sends, {quantity} in all, were rejected.",
    "outside_backdating_window": "{count} usage events, {quantity} in all, were too old when they were to be sent.",
    "future_dated": "{count} sends, {quantity} in all, were dated in the platform's future.",
    "meter_archived": "{count} sends, {quantity} in all, met an archived meter or none.",
    "customer_not_found": "{count} sends, {quantity} in all, named a customer that the platform did not know.",
    "before_sending_started": "{count} usage events, {quantity} in all, came before sending was switched on.",
    "voided_still_counted": "{count} voided usage events still count there, with {quantity} in all.",
    "cancelled_still_used": "{count} sends, {quantity} in all, were cancelled there; their usage counts here.",
    "amended_after_send": "{count} usage events were amended after they were sent, which makes {quantity}.",
    "value_differs": "{count} sends told another value than their usage has, which makes {quantity}.",
    "sent_for_another_account": "{count} sends, {quantity} in all, went to another customer.",
    "adjusted_here_only": "{count} approved adjustments of usage, {quantity} in all, were never sent.",
    "late_after_finalisation": "{count} usage events, {quantity} in all, came after the invoice was final.",
}


class _Part(NamedTuple):
    """What one usage event, or one send without usage here, makes of the difference."""

    cause: str
    quantity: Decimal
    position: int
    code: str | None = None


def of_sends(facts: QuantityFacts) -> list[Explained]:
    """What is certain without asking the platform, one for each cause, whatever the difference is."""
    by_cause: dict[str, list[_Part]] = {}
    for part in _parts(facts):
        by_cause.setdefault(part.cause, []).append(part)
    return [_explained(cause, parts) for cause, parts in by_cause.items()]


def of_unknown_sends(facts: QuantityFacts, target: Decimal) -> Explained | None:
    """Sends of which no outcome is known: some of them may not have arrived."""
    unknown = [send for send in facts.sends if send.state in ("unknown", "intended")]
    counting = {one.position for one in facts.usage if one.standing == "counts"}
    unknown = [send for send in unknown if send.position in counting and not _has_arrived(send, facts)]
    if not unknown:
        return None
    found = subset_of([send.value for send in unknown], target)
    chosen = unknown if found is None else [unknown[index] for index in found.indices]
    quantity = total(send.value for send in chosen)
    told = f"{len(chosen)} of {len(unknown)}" if len(chosen) < len(unknown) else str(len(unknown))
    evidence = {"sends": str(len(chosen)), "unknown_sends": str(len(unknown))}
    if found is not None:
        evidence["is_only_combination"] = str(found.is_only).lower()
    sentence = f"{told} sends without a known outcome, {plain(quantity)} in all, may not have arrived."
    return Explained("send_unknown", quantity, sentence, evidence, _positions(send.position for send in chosen))


def of_repeated_sends(facts: QuantityFacts, target: Decimal) -> Explained | None:
    """Sends that were told again so late that the platform may have forgotten their identifiers."""
    repeated = [send for send in facts.sends if send.is_acknowledged and send.attempts > 1]
    minutes = [one for one in facts.minutes if one.gap < 0]
    if minutes:
        repeated = [send for send in repeated if any(one.start <= send.timestamp < one.end for one in minutes)]
    found = subset_of([send.value for send in repeated], EXACT.minus(target))
    if found is None:
        return None
    chosen = [repeated[index] for index in found.indices]
    spans = [send.settled_at - send.intended_at for send in chosen if send.settled_at and send.intended_at]
    longest = max(spans, default=timedelta())
    evidence = {
        "sends": str(len(chosen)),
        "attempts_max": str(max(send.attempts for send in chosen)),
        "hours_between": str(longest // timedelta(hours=1)),
        "is_beyond_identifier_window": str(longest >= IDENTIFIER_KEPT).lower(),
        "is_only_combination": str(found.is_only).lower(),
    }
    sentence = (
        f"{len(chosen)} sends, {plain(EXACT.minus(target))} in all, were told more than once and may count twice."
    )
    return Explained("sent_twice", target, sentence, evidence, _positions(send.position for send in chosen))


def _has_arrived(send: OurSend, facts: QuantityFacts) -> bool:
    """Whether the platform counts just that much more in its minute than was acknowledged."""
    return any(one.start <= send.timestamp < one.end and -one.gap == send.value for one in facts.minutes)


def _parts(facts: QuantityFacts) -> Iterator[_Part]:
    if not facts.is_sent_by_us:
        yield from _late_parts(facts)
        return
    sends: dict[int, list[OurSend]] = {}
    for send in facts.sends:
        sends.setdefault(send.position, []).append(send)
    counting = {old: one for one in facts.usage if one.standing == "counts" for old in one.supersedes}
    for one in facts.usage:
        told = sends.get(one.position, [])
        if one.standing == "counts":
            yield from _of_counting(one, told, sends, facts)
        elif one.standing == "voided":
            successor = counting.get(one.position)
            is_amended = successor is not None and successor.position not in sends
            acknowledged = total(send.value for send in told if send.is_acknowledged)
            if acknowledged and not is_amended:
                yield _Part("voided_still_counted", EXACT.minus(acknowledged), one.position)


def _of_counting(
    one: OurUsage, told: Sequence[OurSend], sends: dict[int, list[OurSend]], facts: QuantityFacts
) -> Iterator[_Part]:
    """What a usage event that counts here makes of the difference, if anything."""
    before = [send for old in one.supersedes for send in sends.get(old, ()) if send.is_acknowledged]
    acknowledged = [send for send in told if send.is_acknowledged]
    if _is_late(one, acknowledged, facts):
        yield _Part("late_after_finalisation", one.value, one.position)
    elif acknowledged:
        there = total(send.value for send in acknowledged if send.customer == facts.customer)
        elsewhere = total(send.value for send in acknowledged if send.customer != facts.customer)
        if elsewhere:
            yield _Part("sent_for_another_account", elsewhere, one.position)
        if rest := EXACT.subtract(one.value, EXACT.add(there, elsewhere)):
            yield _Part("value_differs", rest, one.position)
    elif not told and before:
        change = EXACT.subtract(one.value, total(send.value for send in before))
        yield _Part("amended_after_send", change, one.position)
    elif not told:
        yield _Part(_why_unsent(one, facts), one.value, one.position)
    elif told[-1].state == "rejected":
        yield _Part(_why_rejected(told[-1], one), one.value, one.position, told[-1].code)
    elif told[-1].state == "cancelled":
        yield _Part("cancelled_still_used", one.value, one.position)


def _is_late(one: OurUsage, acknowledged: Sequence[OurSend], facts: QuantityFacts) -> bool:
    """Whether usage reached the platform, or where it never did the ledger, after the invoice was final."""
    reached = min((send.settled_at for send in acknowledged if send.settled_at), default=one.recorded_at)
    return facts.finalized_at is not None and reached > facts.finalized_at


def _late_parts(facts: QuantityFacts) -> Iterator[_Part]:
    for one in facts.usage:
        if one.standing == "counts" and _is_late(one, (), facts):
            yield _Part("late_after_finalisation", one.value, one.position)


def _why_unsent(one: OurUsage, facts: QuantityFacts) -> str:
    if one.is_adjustment:
        return "adjusted_here_only"
    if facts.sending_since is not None and min(one.recorded_at, one.time) < facts.sending_since:
        return "before_sending_started"
    return "outside_backdating_window" if one.recorded_at - one.time > BACKDATING_MAX else "unsent"


def _why_rejected(send: OurSend, one: OurUsage) -> str:
    """By the platform's code, and where it gave none that says it, by how the times lie."""
    if send.code in CODES:
        return CODES[send.code]
    sent_at = send.intended_at or one.recorded_at
    if sent_at - send.timestamp > BACKDATING_MAX:
        return "outside_backdating_window"
    return "future_dated" if send.timestamp - sent_at > FUTURE_MAX else "send_rejected"


def _explained(cause: str, parts: Sequence[_Part]) -> Explained:
    quantity = total(part.quantity for part in parts)
    codes = sorted({part.code for part in parts if part.code})
    evidence = {"events": str(len(parts)), "quantity": plain(quantity)}
    if codes:
        evidence["codes"] = ", ".join(codes)
    shown = plain(abs(quantity) if cause == "voided_still_counted" else quantity)
    sentence = _SENTENCES[cause].format(count=len(parts), quantity=shown)
    return Explained(cause, quantity, sentence, evidence, _positions(part.position for part in parts))


def _positions(positions: Iterator[int]) -> tuple[int, ...]:
    return tuple(sorted(positions)[:POSITIONS_MAX])


def acknowledged_of(facts: QuantityFacts) -> Decimal:
    """What the platform acknowledged for its customer; what counts here where we do not send."""
    if not facts.is_sent_by_us:
        return facts.used
    if facts.acknowledged is not None:
        return facts.acknowledged
    return total(send.value for send in facts.sends if send.is_acknowledged and send.customer == facts.customer)
