"""The time of the sandbox: told, and moved by those who test."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

MINUTE = 60
HOUR = 3_600
DAY = 86_400


class Clock:
    """A clock that reads what it was given, plus what it was advanced by.

    Given a moment it stands still until advanced; given a function, as `lambda: datetime.now(UTC)`, it runs.
    """

    __slots__ = ("_ahead", "_read")

    def __init__(self, told: datetime | Callable[[], datetime]) -> None:
        moment = told
        self._read: Callable[[], datetime] = moment if callable(moment) else lambda: moment
        self._ahead = timedelta()

    @property
    def moment(self) -> datetime:
        """The present, aware, in UTC."""
        return (self._read() + self._ahead).astimezone(UTC)

    @property
    def seconds(self) -> int:
        """The present in whole seconds since the epoch, as Stripe's first API counts."""
        return unix(self.moment)

    def move_to(self, seconds: int) -> None:
        """Advance to a second since the epoch; a clock never goes back, so an earlier one changes nothing."""
        self._ahead += max(timedelta(seconds=seconds) - (self.moment - EPOCH), timedelta())


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def unix(moment: datetime) -> int:
    """Whole seconds since the epoch, rounded down."""
    return (moment - EPOCH) // timedelta(seconds=1)


def moment_at(seconds: int) -> datetime:
    """The moment at a second since the epoch, in UTC."""
    return EPOCH + timedelta(seconds=seconds)


def rfc3339(seconds: int) -> str:
    """A second as Stripe's second API writes it: `2026-11-22T10:00:00.000Z`."""
    return moment_at(seconds).strftime("%Y-%m-%dT%H:%M:%S.000Z")
