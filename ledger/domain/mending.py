"""Usage that a person puts right: mended or amended (other content counts), dismissed or voided (never counts)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from ledger.domain.events import UsageDismissed, UsageMended, UsageRecorded
from ledger.domain.refusals import ReasonInvalid
from ledger.domain.usage import UsageEvent

REASONS: Final = (
    "wrong_account",
    "wrong_type",
    "wrong_value",
    "wrong_time",
    "second_telling_is_right",
    "first_telling_is_right",
    "sent_twice",
    "test_traffic",
    "other",
)

BACKFILL_REASONS: Final = ("late_export", "outage", "migration", "never_told", "other")
"""Why past usage may be told by hand."""


class MendUsage(NamedTuple):
    """Count other content in place of the usage event at `position`; what is None stays as it was told."""

    position: int
    reason: str
    note: str = ""
    subject: str | None = None
    event_type: str | None = None
    time: datetime | None = None
    properties: Mapping[str, Any] | None = None


class DismissUsage(NamedTuple):
    """Never count the usage event at `position`."""

    position: int
    reason: str
    note: str = ""


def require_reason(reason: str, reasons: Sequence[str] = REASONS) -> None:
    """Raise `ReasonInvalid` unless the reason is one of those."""
    if reason not in reasons:
        raise ReasonInvalid(reason=reason[:64], reasons=", ".join(reasons))


def mended(command: MendUsage, usage: UsageEvent, supersedes: Sequence[int]) -> UsageMended:
    """The event that takes the place of those it supersedes."""
    return UsageMended(
        supersedes=tuple(supersedes),
        source=usage.source,
        id=usage.id,
        type=command.event_type or usage.type,
        subject=command.subject or usage.subject,
        time=command.time or usage.time,
        data=dict(command.properties) if command.properties is not None else usage.data,
        reason=command.reason,
        note=command.note,
    )


def is_same_usage(event: UsageMended, usage: UsageEvent) -> bool:
    """Whether a mending leaves everything as it was."""
    return (event.type, event.subject, event.time, event.data) == (usage.type, usage.subject, usage.time, usage.data)


def effective_position(stream: Sequence[tuple[int, UsageRecorded | UsageMended | UsageDismissed]]) -> int | None:
    """The position in a usage event's stream of the telling that stands; None where it was dismissed."""
    standing: int | None = None
    for position, event in stream:
        if isinstance(event, UsageDismissed):
            standing = None if standing in event.supersedes else standing
        else:
            standing = position
    return standing


SETTLED_BY_MENDING: Final = "second_telling_is_right"
"""The reason under which a conflict is dismissed when its content is taken in place of the first telling."""
