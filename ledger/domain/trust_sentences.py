"""Sentences about adjustments, closed periods, attempts and replays."""

from typing import Final

from ledger.domain.adjustment_events import (
    Adjustment,
    AdjustmentApproved,
    AdjustmentLimitChanged,
    AdjustmentProposed,
    AdjustmentRejected,
    AdjustmentWithdrawn,
    ReasonCodeAdded,
    ReasonCodeRetired,
)
from ledger.domain.audit_events import AttemptRefused, AttemptRepeated, UsageBackfilled
from ledger.domain.closing_events import InvoiceClosed, LateUsageAssessed, PeriodClosed
from ledger.domain.events import Event
from ledger.domain.phrases import because, instant, money, noted, quoted
from ledger.domain.reconciliation_events import ReconciliationFinished
from ledger.domain.replay_events import ReplayFinished
from ledger.domain.values import plain

_NAMES: Final = {"credit": "a credit", "debit": "a debit", "usage": "a change of usage", "write_off": "a write-off"}
_ACTIONS: Final = {
    "carry_forward": "carried forward",
    "credit": "to be credited",
    "bill_now": "to be billed now",
    "absorb": "absorbed",
}


def sentence(event: Event) -> str | None:
    """The sentence; None for an event of another kind."""
    return _of_adjustments(event) or _of_rules(event) or _of_periods(event) or _of_attempts(event)


def _of_adjustments(event: Event) -> str | None:
    match event:
        case AdjustmentProposed():
            one = event.adjustment
            note = f" ({noted(one.note)})" if one.note else ""
            undone = "" if one.reverses is None else f" to undo {quoted(one.reverses)}"
            return (
                f"{event.proposed_by} proposed {_what(one)} for {quoted(event.account)} as {quoted(one.adjustment)}"
                f"{undone}, because of {quoted(one.reason)}{note}: it changes the invoice by {money(event.effect)}."
            )
        case AdjustmentApproved():
            alone = ", within the proposer's limit" if event.is_automatic else ""
            note = f" ({noted(event.note)})" if event.note else ""
            return f"{_adjustment(event)} was approved by {event.approved_by}{alone}{note}."
        case AdjustmentRejected():
            return f"{_adjustment(event)} was rejected by {event.rejected_by}{because(event)}."
        case AdjustmentWithdrawn():
            return f"{_adjustment(event)} was withdrawn by {event.withdrawn_by}."
        case _:
            return None


def _of_rules(event: Event) -> str | None:
    match event:
        case ReasonCodeAdded():
            return f"The reason code {quoted(event.code)} was added: {noted(event.label)}."
        case ReasonCodeRetired():
            return f"The reason code {quoted(event.code)} was retired."
        case AdjustmentLimitChanged():
            return f"{event.changed_by} let the role {event.role} adjust {money(event.limit)} without a second person."
        case _:
            return None


def _of_periods(event: Event) -> str | None:
    match event:
        case PeriodClosed():
            return (
                f"The period from {instant(event.start)} to {instant(event.end)} of {quoted(event.account)} was closed "
                f"at {money(event.total)}, with the log up to position {event.position}."
            )
        case InvoiceClosed():
            count = len(event.invoice.lines)
            return f"The invoice of {quoted(event.account)} was closed with {count} line{'s' if count != 1 else ''}."
        case LateUsageAssessed():
            proposed = "" if event.adjustment is None else f" by the adjustment {quoted(event.adjustment)}"
            return (
                f"The closed period of {quoted(event.account)} from {instant(event.start)} was rated anew at "
                f"{money(event.rated)}: {money(event.difference)} {_ACTIONS[event.action]}{proposed}."
            )
        case _:
            return None


def _of_attempts(event: Event) -> str | None:
    match event:
        case AttemptRefused():
            return f"{event.operation} was refused ({event.code}): {noted(event.message)}"
        case AttemptRepeated():
            where = "" if event.position is None else f", as of position {event.position}"
            return f"{event.operation} changed nothing: it was so already{where}."
        case UsageBackfilled():
            return (
                f"{event.count} usage event{'s' if event.count != 1 else ''} of {quoted(event.account)} from "
                f"{instant(event.since)} to {instant(event.until)} {'were' if event.count != 1 else 'was'} told by "
                f"hand{because(event)}."
            )
        case ReplayFinished(unreadable=None):
            count = "none" if event.is_equal else event.divergences_found
            return (
                f"A replay of the log up to position {event.position} found differences to what queries see: {count}."
            )
        case ReplayFinished(unreadable=one) if one is not None:
            return f"A replay of the log stopped at position {one.position}: {noted(one.why)}."
        case ReconciliationFinished():
            return (
                f"A reconciliation with {quoted(event.platform)} compared {event.compared} numbers: "
                f"{event.agreeing} agree, {event.differing} differ."
            )
        case _:
            return None


def _what(one: Adjustment) -> str:
    if one.amount is not None:
        return f"{_NAMES[one.kind]} of {money(one.amount)}"
    quantity = "nothing" if one.quantity is None else plain(one.quantity)
    return f"{_NAMES[one.kind]} of {quantity} on {quoted(one.meter or '')}"


def _adjustment(event: AdjustmentApproved | AdjustmentRejected | AdjustmentWithdrawn) -> str:
    return f"The adjustment {quoted(event.adjustment)} of {quoted(event.account)}"
