"""Stored examples of what happens to adjustments, billing periods and attempts."""

from datetime import UTC, datetime
from decimal import Decimal

from ledger.domain.adjustment_events import (
    Adjustment,
    AdjustmentApproved,
    AdjustmentLimitChanged,
    AdjustmentProposed,
    AdjustmentRejected,
    AdjustmentWithdrawn,
    Evidence,
    ReasonCodeAdded,
    ReasonCodeRetired,
)
from ledger.domain.audit_events import AttemptRefused, AttemptRepeated, UsageBackfilled
from ledger.domain.closing_events import InvoiceClosed, LateUsageAssessed, PeriodClosed
from ledger.domain.credits import CreditApplied
from ledger.domain.events import Event
from ledger.domain.invoices import Invoice
from ledger.domain.lines import InvoiceLine
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.pricing import PlanTerms
from ledger.domain.proration import WHOLE
from ledger.domain.segments import Segment
from ledger.domain.steps import Step

START = datetime(2026, 6, 1, tzinfo=UTC)
END = datetime(2026, 7, 1, tzinfo=UTC)
NOW = datetime(2026, 7, 2, 9, 30, tzinfo=UTC)
CREDIT = Adjustment(
    adjustment="outage-17",
    kind="credit",
    at=START,
    reason="service_outage",
    note="42 minutes on 17 June",
    amount=Money(1250, "EUR"),
    evidence=(Evidence(kind="event", reference="9007199254740993"), Evidence(kind="invoice", reference="INV-7")),
)
USAGE = Adjustment(
    adjustment="double-count",
    kind="usage",
    at=START,
    reason="metering_fault",
    note="",
    meter="tokens",
    quantity=Decimal("-1000.50"),
    dimensions={"model": "large", "region": None},
    reverses="outage-17",
)
INVOICE = Invoice(
    currency="EUR",
    lines=(
        InvoiceLine(
            kind="usage",
            key="tokens",
            label="Tokens",
            quantity=Decimal("1000.5"),
            steps=(
                Step(kind="units", amount=Decimal("20.01"), quantity=Decimal("1000.5"), rate=Decimal("0.02")),
                Step(kind="rounding", amount=Decimal("0.00")),
            ),
            amount=Decimal("20.01"),
            money=Money(2001, "EUR"),
            segment=0,
            group=(("model", "large"), ("region", None)),
            meter="tokens",
        ),
    ),
    credits=(
        CreditApplied(
            grant="welcome",
            label="Welcome",
            money=Money(1, "EUR"),
            left=Money(9, "EUR"),
            lines=((0, Money(1, "EUR")),),
        ),
    ),
    subtotal=Money(2001, "EUR"),
    credited=Money(1, "EUR"),
    total=Money(2000, "EUR"),
    account="acme",
    period=Period(START, END),
    segments=(
        Segment(
            index=0,
            plan="team",
            version=1,
            spans=(Period(START, END),),
            share=WHOLE,
            terms=PlanTerms(name="Team", currency="EUR"),
        ),
    ),
    closes_at=END,
    is_final=True,
)

TRUST_EXAMPLES: dict[str, Event] = {
    "AdjustmentProposed": AdjustmentProposed(
        account="acme",
        adjustment=CREDIT,
        proposed_by="olivia",
        role="ops",
        proposed_at=NOW,
        expires_at=END,
        effect=Money(-1250, "EUR"),
    ),
    "AdjustmentProposed.usage": AdjustmentProposed(
        account="acme",
        adjustment=USAGE,
        proposed_by="olivia",
        role="ops",
        proposed_at=NOW,
        expires_at=END,
        effect=Money(0, "EUR"),
    ),
    "AdjustmentApproved": AdjustmentApproved(
        account="acme", adjustment="outage-17", approved_by="pat", is_automatic=False, note="seen"
    ),
    "AdjustmentRejected": AdjustmentRejected(
        account="acme", adjustment="outage-17", rejected_by="pat", reason="duplicate_request", note="see outage-16"
    ),
    "AdjustmentWithdrawn": AdjustmentWithdrawn(account="acme", adjustment="outage-17", withdrawn_by="olivia"),
    "ReasonCodeAdded": ReasonCodeAdded(code="service_outage", label="Service outage", kinds=("credit", "write_off")),
    "ReasonCodeRetired": ReasonCodeRetired(code="service_outage"),
    "AdjustmentLimitChanged": AdjustmentLimitChanged(role="ops", limit=Money(5000, "EUR"), changed_by="ada"),
    "PeriodClosed": PeriodClosed(
        account="acme",
        start=START,
        end=END,
        position=9_007_199_254_740_993,
        rated=Money(2001, "EUR"),
        adjusted=Money(-1250, "EUR"),
        total=Money(750, "EUR"),
        credits={"welcome": Money(1, "EUR")},
        adjustments=("outage-17",),
        closed_by="worker",
    ),
    "InvoiceClosed": InvoiceClosed(account="acme", invoice=INVOICE),
    "LateUsageAssessed": LateUsageAssessed(
        account="acme",
        start=START,
        position=9_007_199_254_740_999,
        rated=Money(2101, "EUR"),
        difference=Money(100, "EUR"),
        action="carry_forward",
        adjustment="late-2026-06-01-1",
    ),
    "AttemptRefused": AttemptRefused(
        operation="approveAdjustment", code="four_eyes", message="Somebody else must approve.", account="acme"
    ),
    "AttemptRepeated": AttemptRepeated(operation="openAccount", position=7, account="acme"),
    "UsageBackfilled": UsageBackfilled(
        account="acme", count=3, since=START, until=END, reason="late_export", note="queue was stuck"
    ),
}
