"""Every rule that can keep usage from being told to a billing platform by hand, or failed work from being repeated."""

from dataclasses import dataclass

from ledger.domain.refusals import Refusal


@dataclass(eq=False)
class CustomerUnclear(Refusal):
    """The account "{account}" cannot be told to {platform}: {why}."""

    account: str
    platform: str
    why: str


@dataclass(eq=False)
class SendingOnAlready(Refusal):
    """The usage of the account "{account}" is told to {platform} already, as that of the customer "{customer}"."""

    account: str
    platform: str
    customer: str


@dataclass(eq=False)
class SendingOff(Refusal):
    """The usage of the account "{account}" is not told to {platform}."""

    account: str
    platform: str


@dataclass(eq=False)
class SendUnknown(Refusal):
    """No send to {platform} has the identifier "{identifier}"."""

    platform: str
    identifier: str


@dataclass(eq=False)
class SendNotRepeatable(Refusal):
    """The usage at the position {position} cannot be told again: {why}."""

    position: int
    why: str


@dataclass(eq=False)
class SendNotCancellable(Refusal):
    """The send "{identifier}" cannot be cancelled: {why}."""

    identifier: str
    why: str


@dataclass(eq=False)
class DeadLetterUnknown(Refusal):
    """No work that failed for good has the id "{letter}"."""

    letter: str


@dataclass(eq=False)
class QueueUnavailable(Refusal):
    """The queue of background work cannot be asked from here: {why}."""

    why: str
