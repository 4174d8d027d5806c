"""What happens to cases: differences to a billing platform that somebody looks into until the numbers agree."""

from datetime import datetime
from typing import Literal

import msgspec

from ledger.domain.events import Event
from ledger.domain.reconciliation_facts import Difference

CaseChoice = Literal["resend", "cancel", "credit", "adjust_usage", "accept_theirs", "accept_ours", "write_off"]
"""What somebody decides on a case. To accept theirs or ours is to leave the numbers apart, because one side is right
enough; everything else acts.
"""


class CaseAction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a decision brought about: an adjustment of the account by its key, or usage events by their positions whose
    sends were told again or cancelled. What became of it is theirs to say.
    """

    adjustment: str | None = None
    positions: tuple[int, ...] = ()


class CaseOpened(Event, frozen=True, kw_only=True):
    """A run found a difference that had no case."""

    TOPIC = "CaseOpened"

    case: str
    run: str
    difference: Difference
    opened_at: datetime


class CaseReassessed(Event, frozen=True, kw_only=True):
    """A later run found other numbers, or another explanation."""

    TOPIC = "CaseReassessed"

    case: str
    run: str
    difference: Difference
    reassessed_at: datetime


class CaseAssigned(Event, frozen=True, kw_only=True):
    """Somebody looks into the case from now on; nobody, where `assignee` is None."""

    TOPIC = "CaseAssigned"

    case: str
    assignee: str | None
    assigned_by: str


class CaseCommented(Event, frozen=True, kw_only=True):
    """Somebody wrote down what they found or did."""

    TOPIC = "CaseCommented"

    case: str
    comment: str
    commented_by: str


class CaseResolved(Event, frozen=True, kw_only=True):
    """Somebody decided what becomes of the difference. It holds for numbers as they were then, or closer."""

    TOPIC = "CaseResolved"

    case: str
    decision: CaseChoice
    reason: str
    comment: str
    resolved_by: str
    resolved_at: datetime
    action: CaseAction | None = None


class CaseReopened(Event, frozen=True, kw_only=True):
    """The case is not over: a person thinks so, or a run found the numbers apart again, which `difference` tells.

    `reopened_by` is a person, or "ledger" for a run.
    """

    TOPIC = "CaseReopened"

    case: str
    comment: str
    reopened_by: str
    run: str | None = None
    difference: Difference | None = None
    reopened_at: datetime


class CaseSettled(Event, frozen=True, kw_only=True):
    """A run found that the numbers agree."""

    TOPIC = "CaseSettled"

    case: str
    run: str
    settled_at: datetime


CaseEvent = CaseOpened | CaseReassessed | CaseAssigned | CaseCommented | CaseResolved | CaseReopened | CaseSettled
