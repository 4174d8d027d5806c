"""Every rule that can turn a command or an event down: one class each, its docstring is the message.

A refusal is an answer, not a fault: the edges show its `code`, its `message` and its facts to the caller.
"""

import re
from dataclasses import dataclass, fields
from datetime import datetime


class Refusal(Exception):
    """Something asked of the ledger breaks one of its rules."""

    @property
    def code(self) -> str:
        """The rule's permanent name in snake case, e.g. `account_unknown`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def message(self) -> str:
        """The docstring with the facts filled in."""
        return " ".join((type(self).__doc__ or "").format(**self.facts).split())

    @property
    def facts(self) -> dict[str, object]:
        """The attributes by name, as the caller may see them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(eq=False)
class UsageUnreadable(Refusal):
    """The event cannot be read: {why}."""

    why: str


@dataclass(eq=False)
class NameInvalid(Refusal):
    """The text "{name}" cannot name {what}: use 1 to 256 printable characters without outer spaces."""

    what: str
    name: str


@dataclass(eq=False)
class ZoneUnknown(Refusal):
    """The text "{zone}" is not a time zone of the IANA database; an example is Europe/Paris."""

    zone: str


@dataclass(eq=False)
class AccountUnknown(Refusal):
    """There is no account "{account}". Open it first."""

    account: str


@dataclass(eq=False)
class NameTaken(Refusal):
    """The name "{name}" already belongs to the account "{account}". Choose another, or remove the alias there first."""

    name: str
    account: str


@dataclass(eq=False)
class AliasUnknown(Refusal):
    """The name "{alias}" is not an alias of the account "{account}"."""

    alias: str
    account: str


@dataclass(eq=False)
class MeterUnknown(Refusal):
    """There is no meter "{meter}". Define it first."""

    meter: str


@dataclass(eq=False)
class MeterExists(Refusal):
    """The meter "{meter}" is already defined. Change it, or choose another key."""

    meter: str


@dataclass(eq=False)
class MeterRetiredAlready(Refusal):
    """The meter "{meter}" was retired and changes no more. Define a new one under another key."""

    meter: str


@dataclass(eq=False)
class MeterInvalid(Refusal):
    """The meter "{meter}" cannot be defined like this: {why}."""

    meter: str
    why: str


@dataclass(eq=False)
class DimensionUndeclared(Refusal):
    """The meter "{meter}" declares no dimension "{dimension}". It has: {declared}."""

    meter: str
    dimension: str
    declared: str


@dataclass(eq=False)
class UsageUnknown(Refusal):
    """There is no usage event at position {position}."""

    position: int


@dataclass(eq=False)
class UsageSettledAlready(Refusal):
    """The usage event at position {position} was already mended or dismissed by the event at {settled_by}."""

    position: int
    settled_by: int


@dataclass(eq=False)
class UsageNotHeld(Refusal):
    """The usage event at position {position} is not held: it counts as it is."""

    position: int


@dataclass(eq=False)
class UsageHeld(Refusal):
    """The usage event at position {position} is held and does not count. Mend or dismiss it as held usage."""

    position: int


@dataclass(eq=False)
class ReasonInvalid(Refusal):
    """The text "{reason}" is not a reason for this decision. Choose one of: {reasons}."""

    reason: str
    reasons: str


@dataclass(eq=False)
class KeyUnknown(Refusal):
    """There is no API key "{key_id}"."""

    key_id: str


@dataclass(eq=False)
class KeyInvalid(Refusal):
    """The API key cannot be made like this: {why}."""

    why: str


@dataclass(eq=False)
class Forbidden(Refusal):
    """This needs the role {role}, which the API key does not have."""

    role: str


@dataclass(eq=False)
class OutOfScope(Refusal):
    """The API key is bound to another account."""


@dataclass(eq=False)
class ArgumentInvalid(Refusal):
    """The argument "{argument}" is not usable: {why}."""

    argument: str
    why: str


@dataclass(eq=False)
class RangeTooLarge(Refusal):
    """From {start} to {end} there are {count} {unit}, more than the {count_max} that one answer may hold."""

    start: datetime
    end: datetime
    unit: str
    count: int
    count_max: int


@dataclass(eq=False)
class PositionNotReached(Refusal):
    """The read model is at position {reached} and did not get to {wanted} in time. Ask again."""

    wanted: int
    reached: int


@dataclass(eq=False)
class VersionTaken(Refusal):
    """Somebody else decided on the same thing at the same moment. Look at it again and repeat."""


@dataclass(eq=False)
class LedgerBusy(Refusal):
    """The ledger has more waiting to be written than it takes at once. Repeat after {retry_after_seconds} s."""

    retry_after_seconds: int


@dataclass(eq=False)
class LedgerUnavailable(Refusal):
    """The ledger's database cannot be reached at the moment ({why}). Repeat: nothing is stored twice."""

    why: str


@dataclass(eq=False)
class PositionUnknown(Refusal):
    """The log has no position {position}: its last is {head}."""

    position: int
    head: int


@dataclass(eq=False)
class MomentInFuture(Refusal):
    """The moment {moment} has not come yet. It is {now}."""

    moment: datetime
    now: datetime


@dataclass(eq=False)
class AccountUnknownThen(Refusal):
    """There was no account "{account}" yet at position {position} of the log."""

    account: str
    position: int


@dataclass(eq=False)
class PastBusy(Refusal):
    """The ledger is asked about the past more often than it answers at once. Repeat after {retry_after_seconds} s."""

    retry_after_seconds: int


@dataclass(eq=False)
class PositionNotSealed(Refusal):
    """There is no sealed event at position {position}: the seal covers the first {sealed}."""

    position: int
    sealed: int


@dataclass(eq=False)
class TreeSizeUnknown(Refusal):
    """A tree of {size} events cannot be proven: it is 1 to {sealed}, no less than what is proven in it."""

    size: int
    sealed: int
