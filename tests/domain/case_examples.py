"""Stored examples of what happens to cases."""

from datetime import UTC, datetime
from decimal import Decimal

from ledger.domain.case_events import (
    CaseAction,
    CaseAssigned,
    CaseCommented,
    CaseOpened,
    CaseReassessed,
    CaseReopened,
    CaseResolved,
    CaseSettled,
)
from ledger.domain.events import Event
from ledger.domain.money import Money
from ledger.domain.reconciliation_facts import Difference, Finding

START = datetime(2026, 6, 1, tzinfo=UTC)
END = datetime(2026, 7, 1, tzinfo=UTC)
TIME = datetime(2026, 7, 2, 9, 30, tzinfo=UTC)
CASE = "0b8e1c9a-5d0a-5a0e-9b7f-5b8c1d426f0c"
FINDING = Finding(
    cause="unsent",
    sentence="Usage of 36.5 was never sent to the platform.",
    share=Decimal(1),
    is_exact=True,
    quantity=Decimal("36.5"),
    money=Money(37, "EUR"),
    evidence={"events": "2", "sends": "0"},
    positions=(17, 9_007_199_254_740_993),
)
DIFFERENCE = Difference(
    platform="stripe",
    subject="quantity",
    start=START,
    end=END,
    account="acme",
    customer="cus_1",
    meter="tokens",
    ours=Decimal("1536.5"),
    theirs=Decimal(1500),
    money=Money(37, "EUR"),
    minutes=(datetime(2026, 6, 3, 4, 5, tzinfo=UTC),),
    findings=(FINDING,),
)
LEAST = Difference(platform="stripe", subject="unknown_customer", start=START, end=END, customer="cus_9")

CASE_EXAMPLES: dict[str, Event] = {
    "CaseOpened": CaseOpened(case=CASE, run="run-1", difference=DIFFERENCE, opened_at=TIME),
    "CaseOpened.least": CaseOpened(case=CASE, run="run-1", difference=LEAST, opened_at=TIME),
    "CaseReassessed": CaseReassessed(case=CASE, run="run-2", difference=DIFFERENCE, reassessed_at=TIME),
    "CaseAssigned": CaseAssigned(case=CASE, assignee="olivia", assigned_by="ada"),
    "CaseAssigned.nobody": CaseAssigned(case=CASE, assignee=None, assigned_by="ada"),
    "CaseCommented": CaseCommented(case=CASE, comment="asked the platform's support", commented_by="olivia"),
    "CaseResolved": CaseResolved(
        case=CASE,
        decision="accept_theirs",
        reason="too_small",
        comment="not worth it",
        resolved_by="olivia",
        resolved_at=TIME,
    ),
    "CaseResolved.adjusted": CaseResolved(
        case=CASE,
        decision="credit",
        reason="lost_sends",
        comment="we told it twice",
        resolved_by="olivia",
        resolved_at=TIME,
        action=CaseAction(adjustment="case-1"),
    ),
    "CaseResolved.sent": CaseResolved(
        case=CASE,
        decision="resend",
        reason="lost_sends",
        comment="they never arrived",
        resolved_by="olivia",
        resolved_at=TIME,
        action=CaseAction(positions=(17, 9_007_199_254_740_993)),
    ),
    "CaseReopened": CaseReopened(case=CASE, comment="look again", reopened_by="olivia", reopened_at=TIME),
    "CaseReopened.found": CaseReopened(
        case=CASE,
        comment="the numbers part again",
        reopened_by="ledger",
        run="run-3",
        difference=DIFFERENCE,
        reopened_at=TIME,
    ),
    "CaseSettled": CaseSettled(case=CASE, run="run-4", settled_at=TIME),
}
