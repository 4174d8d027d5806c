"""Sentences about cases: where our numbers and a platform's differ, and what people decide."""

from ledger.domain.case_events import (
    CaseAssigned,
    CaseCommented,
    CaseOpened,
    CaseReassessed,
    CaseReopened,
    CaseResolved,
    CaseSettled,
)
from ledger.domain.events import Event
from ledger.domain.phrases import noted, quoted


def sentence(event: Event) -> str | None:
    """The sentence; None for an event of another kind."""
    match event:
        case CaseOpened():
            return f"The case {quoted(event.case)} was opened by the reconciliation {quoted(event.run)}."
        case CaseReassessed():
            return f"The case {quoted(event.case)} was assessed anew by the reconciliation {quoted(event.run)}."
        case CaseAssigned(assignee=None):
            return f"{event.assigned_by} took the case {quoted(event.case)} from whom it was assigned to."
        case CaseAssigned():
            return f"{event.assigned_by} assigned the case {quoted(event.case)} to {event.assignee}."
        case CaseCommented():
            return f"{event.commented_by} commented on the case {quoted(event.case)}: {noted(event.comment)}."
        case CaseResolved():
            comment = f" ({noted(event.comment)})" if event.comment else ""
            decision = event.decision.replace("_", " ")
            return (
                f"{event.resolved_by} resolved the case {quoted(event.case)}: {decision}, because of "
                f"{quoted(event.reason)}{comment}."
            )
        case CaseReopened():
            comment = f": {noted(event.comment)}" if event.comment else ""
            return f"{event.reopened_by} reopened the case {quoted(event.case)}{comment}."
        case CaseSettled():
            return f"The case {quoted(event.case)} was settled: the reconciliation {quoted(event.run)} found agreement."
        case _:
            return None
