"""Sentences about cases: where our numbers and a platform's part, and what people decide."""

from typing import Final

from ledger.domain.case_events import (
    CaseAction,
    CaseAssigned,
    CaseChoice,
    CaseCommented,
    CaseOpened,
    CaseReassessed,
    CaseReopened,
    CaseResolved,
    CaseSettled,
)
from ledger.domain.events import Event
from ledger.domain.phrases import instant, money, noted, quoted
from ledger.domain.reconciliation_facts import Difference, Subject
from ledger.domain.values import plain

_CHOICES: Final[dict[CaseChoice, str]] = {
    "resend": "send the usage again",
    "cancel": "cancel what was sent",
    "credit": "give a credit",
    "adjust_usage": "adjust the usage here",
    "accept_theirs": "accept the platform's numbers",
    "accept_ours": "stand by the ledger's numbers",
    "write_off": "write the money off",
}
_ABOUT: Final[dict[Subject, str]] = {
    "amount": "the invoice",
    "unbilled_account": "the unbilled usage",
    "unknown_customer": "the bill, without an account,",
    "inexpressible_price": "a price that the ledger cannot express",
}


def sentence(event: Event) -> str | None:
    """The sentence; None for an event of another kind."""
    match event:
        case CaseOpened():
            return f"A case was opened: {_what(event.difference)}{_cause(event.difference)}."
        case CaseReassessed():
            return f"The case has other numbers or causes: {_what(event.difference)}{_cause(event.difference)}."
        case CaseAssigned(assignee=None):
            return f"{event.assigned_by} took the case {quoted(event.case)} from whom it was assigned to."
        case CaseAssigned():
            return f"{event.assigned_by} assigned the case {quoted(event.case)} to {event.assignee}."
        case CaseCommented():
            return f"{event.commented_by} commented on the case {quoted(event.case)}: {noted(event.comment)}."
        case CaseResolved():
            return (
                f"{event.resolved_by} resolved the case {quoted(event.case)}, to {_CHOICES[event.decision]}"
                f"{_action(event.action)}, because of {quoted(event.reason)} ({noted(event.comment)})."
            )
        case CaseReopened(difference=None):
            return f"{event.reopened_by} reopened the case {quoted(event.case)}: {noted(event.comment)}."
        case CaseReopened(difference=found) if found is not None:
            return f"A case was reopened, because {noted(event.comment)}: {_what(found)}{_cause(found)}."
        case CaseSettled():
            return f"The case {quoted(event.case)} was settled: the numbers agree."
        case _:
            return None


def _what(one: Difference) -> str:
    if one.account is not None:
        owner = f"the account {quoted(one.account)}"
    else:
        owner = f"the customer {quoted(one.customer or 'unknown')}"
    about = f"the usage of {quoted(one.meter or 'all meters')}" if one.subject == "quantity" else _ABOUT[one.subject]
    of = "" if one.meter is None or one.subject == "quantity" else f" of the meter {quoted(one.meter)}"
    said = f"{about}{of} of {owner} on {one.platform} from {instant(one.start)} to {instant(one.end)}"
    if one.ours is not None and one.theirs is not None:
        said += f" is {plain(one.ours)} here and {plain(one.theirs)} there"
    if one.money is not None:
        said += f", {money(one.money)} more here than there"
    return said


def _cause(one: Difference) -> str:
    return f", and the likeliest cause is {quoted(one.findings[0].cause)}" if one.findings else ""


def _action(action: CaseAction | None) -> str:
    if action is None:
        return ""
    if action.adjustment is not None:
        return f" by the adjustment {quoted(action.adjustment)}"
    count = len(action.positions)
    return f" ({count} usage event{'s' if count != 1 else ''})"
