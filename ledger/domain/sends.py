"""What may be done about a send when: told, told again, settled by the platform's sums, cancelled, undone."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Final, Literal, NamedTuple

import msgspec

from ledger.domain.platform_objects import Formula
from ledger.domain.send_events import SendOutcome, Settlement, UsageSend
from ledger.domain.sending import identifier_of
from ledger.domain.values import EXACT, ZERO

SendState = Literal["intended", "accepted", "delivered_before", "rejected", "unknown", "cancelled"]
CancelState = Literal["intended", "unknown", "done", "needless", "undone", "impossible"]
"""`needless`: what was to be cancelled never counted. `undone`: another send takes its value back. `impossible`: it
counts there for good, and a person has to see to it.
"""
ACKNOWLEDGED: Final = frozenset({"accepted", "delivered_before"})
OPEN: Final = frozenset({"intended", "unknown"})

IDENTIFIER_WINDOW: Final = timedelta(hours=23)
"""How long a send may be told again under its identifier: platforms promise to know it for 24 hours."""
CANCEL_WINDOW: Final = timedelta(hours=24)
"""How long after its receipt a platform can cancel a send."""
AGE_MAX: Final = timedelta(days=35)
"""Older usage is taken by no platform. What might be refused for that alone is not told again, but looked up."""
AGE_MARGIN: Final = timedelta(hours=1)
SUMS_SETTLE: Final = timedelta(hours=1)
"""How long after the last send of a minute its sum is believed."""
OPEN_PER_MINUTE_MAX: Final = 12
"""More sends without an outcome in one minute than that are left to a person: their subsets are too many."""

TOO_OLD: Final = "too_old_to_send"
NEVER_ARRIVED: Final = "never_arrived"
NEVER_COUNTED: Final = "never_counted"
UNDONE: Final = "undone_by_a_send"
CANNOT_CANCEL: Final = "cannot_cancel"
SUSPECT: Final = "suspect"
"""It was acknowledged, and it may be one of those that the platform then rejected without naming them."""
SUSPECT_STILL: Final = "suspect_still"
"""The sums do not tell which of several it was."""
UNNAMED: Final = "rejected_unnamed"

Step = Literal["wait", "tell", "look_up"]


class Told(NamedTuple):
    """A send as it stands: `due_at` is before which it was not told for the first time."""

    send: UsageSend
    batch: str
    state: SendState
    due_at: datetime
    settled_at: datetime | None = None
    attempts: int = 0
    code: str | None = None
    cancel: CancelState | None = None
    cancelled_by: int | None = None
    cancel_at: datetime | None = None

    @property
    def last_at(self) -> datetime:
        """When it was last seen on its way."""
        return self.due_at if self.settled_at is None else max(self.due_at, self.settled_at)


def due_at(send: UsageSend, intended_at: datetime) -> datetime:
    """From when on a send is told: platforms refuse usage of the future."""
    return max(intended_at, send.timestamp)


def is_too_old(send: UsageSend, now: datetime) -> bool:
    """Whether no platform takes the usage any more."""
    return send.timestamp < now - AGE_MAX


def too_old(send: UsageSend) -> Settlement:
    """What becomes of a send that was never told because it is too old."""
    message = f"The usage is more than {AGE_MAX.days} days old: no platform takes it."
    return Settlement(identifier=send.identifier, outcome="rejected", code=TOO_OLD, message=message)


def next_step(told: Told, now: datetime, *, patience: timedelta) -> Step:
    """What is to be done about a send without an outcome.

    Inside the identifier's window it is told again, once nobody can be telling it any more (`patience`). After that
    it may have been forgotten there and be counted twice, so the sums are looked up.
    """
    if now < told.due_at + patience:
        return "wait"
    is_young = told.send.timestamp >= now - AGE_MAX + AGE_MARGIN
    if now < told.due_at + IDENTIFIER_WINDOW and is_young:
        return "tell"
    return "look_up" if now >= told.last_at + SUMS_SETTLE else "wait"


def told_again(answer: Settlement, before: Told) -> Settlement:
    """The answer to a repeated send. A refusal does not tell what became of the first one, so it stays unknown."""
    if answer.outcome != "rejected":
        return answer
    return msgspec.structs.replace(answer, outcome="unknown", code=answer.code or before.code)


def standing(told: Told, code: str | None = None, message: str | None = None) -> Settlement:
    """The outcome that an acknowledged send has already, with something to say about it."""
    outcome: SendOutcome = "accepted" if told.state == "accepted" else "delivered_before"
    return Settlement(identifier=told.send.identifier, outcome=outcome, code=code, message=message)


def weight(send: UsageSend, formula: Formula) -> Decimal:
    """What a send adds to the platform's sum."""
    return Decimal(1) if formula == "count" else send.value


def arrived(theirs: Decimal, acknowledged: Decimal, doubtful: Sequence[Decimal]) -> frozenset[int] | None:
    """Which of the doubtful values, by their places, are in the platform's sum; None where that is not told.

    It is told where just one set of them makes up what the sum has beyond what is acknowledged.
    """
    if len(doubtful) > OPEN_PER_MINUTE_MAX:
        return None
    beyond = EXACT.subtract(theirs, acknowledged)
    found: frozenset[int] | None = None
    for size in range(len(doubtful) + 1):
        for places in combinations(range(len(doubtful)), size):
            total = ZERO
            for place in places:
                total = EXACT.add(total, doubtful[place])
            if total == beyond:
                if found is not None:
                    return None
                found = frozenset(places)
    return found


def minute_of(moment: datetime) -> datetime:
    """The whole minute that a moment lies in: the finest that sums are told for."""
    return moment.replace(second=0, microsecond=0)


def repeated(send: UsageSend) -> UsageSend:
    """The send told anew, under an identifier of its own: only for one that surely does not count."""
    identifier = identifier_of("repeated send", send.identifier)
    return msgspec.structs.replace(send, identifier=identifier, repeats=send.identifier)


def undoing(send: UsageSend, position: int) -> UsageSend:
    """The send that takes another one's value back, because of the event at a position."""
    identifier = identifier_of("undoing send", send.identifier)
    return msgspec.structs.replace(
        send, identifier=identifier, position=position, value=-send.value, repeats=None, undoes=send.identifier
    )


def can_cancel(told: Told, now: datetime) -> bool:
    """Whether the platform may still cancel a send: it was received at or after it was due."""
    return now < told.due_at + CANCEL_WINDOW


def is_cancel_lost(told: Told, now: datetime) -> bool:
    """Whether a cancel may have been asked for, got no answer that settles it, and can be asked for no more.

    One that was intended too late was never asked for.
    """
    if told.cancel not in ("intended", "unknown") or told.cancel_at is None or told.state not in ACKNOWLEDGED:
        return False
    end = told.due_at + CANCEL_WINDOW
    return told.cancel_at < end and now >= end + SUMS_SETTLE


def can_undo(told: Told, formula: Formula, now: datetime) -> bool:
    """Whether a send of the negative value takes a send back: sums alone, and not of what is too old."""
    return formula == "sum" and not is_too_old(told.send, now)


class Circuit:
    """Whether a platform is asked at all: after `FAULTS_MAX` faults in a row nobody asks for a while, then one does.

    The pause doubles with every probe that fails too, up to `PAUSE_MAX`.
    """

    FAULTS_MAX: Final = 5
    PAUSE: Final = timedelta(seconds=15)
    PAUSE_MAX: Final = timedelta(minutes=10)

    def __init__(self) -> None:
        self._faults = 0
        self._open_until: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether to leave the platform alone."""
        return self._open_until is not None and now < self._open_until

    @property
    def is_probing(self) -> bool:
        """Whether one call has to find out if the platform answers again, before others follow."""
        return self._faults >= self.FAULTS_MAX

    def answered(self) -> None:
        """The platform gave an answer."""
        self._faults, self._open_until = 0, None

    def failed(self, now: datetime) -> None:
        """The platform gave none, or took nothing."""
        self._faults += 1
        if self._faults >= self.FAULTS_MAX:
            doublings = min(self._faults - self.FAULTS_MAX, 8)
            self._open_until = now + min(self.PAUSE * 2**doublings, self.PAUSE_MAX)
