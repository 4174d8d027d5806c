"""What people tried: attempts that changed nothing leave a trace too."""

from datetime import datetime

from ledger.domain.events import Event


class AttemptRefused(Event, frozen=True, kw_only=True):
    """Somebody with a valid key asked for something that was refused under the rule `code`."""

    TOPIC = "AttemptRefused"

    operation: str
    code: str
    message: str
    account: str | None = None


class AttemptRepeated(Event, frozen=True, kw_only=True):
    """Somebody asked for what was so already; `position` is of the event that made it so, where that is known."""

    TOPIC = "AttemptRepeated"

    operation: str
    position: int | None = None
    account: str | None = None


class UsageBackfilled(Event, frozen=True, kw_only=True):
    """A person tells past usage of an account: `count` events that occurred in [since, until], and why.

    The usage itself follows in the log; each event of it names this one's position as what caused it.
    """

    TOPIC = "UsageBackfilled"

    account: str
    count: int
    since: datetime
    until: datetime
    reason: str
    note: str = ""
