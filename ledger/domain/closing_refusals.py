"""Every rule that can keep a billing period from being closed, or its bounds from being moved afterwards."""

from dataclasses import dataclass
from datetime import datetime

from ledger.domain.refusals import Refusal


@dataclass(eq=False)
class PeriodNotEnded(Refusal):
    """The next period of the account "{account}" to be closed is the one from {start}, which ends at {end}. Close it
    after that.
    """

    account: str
    start: datetime
    end: datetime


@dataclass(eq=False)
class PeriodOutOfOrder(Refusal):
    """The next period of the account "{account}" to be closed is the one from {next_start}, not one from {start}."""

    account: str
    start: datetime
    next_start: datetime


@dataclass(eq=False)
class PeriodsAllClosed(Refusal):
    """The account "{account}" has no period left to close: its contract ended at {ended_at}."""

    account: str
    ended_at: datetime


@dataclass(eq=False)
class PeriodNotClosed(Refusal):
    """No period of the account "{account}" that begins at {start} is closed."""

    account: str
    start: datetime


@dataclass(eq=False)
class InvoiceTooLong(Refusal):
    """The invoice of the account "{account}" has {lines} lines. At most {lines_max} can be closed: group by less."""

    account: str
    lines: int
    lines_max: int


@dataclass(eq=False)
class MeterBeingComputed(Refusal):
    """The usage in the meter "{meter}" is being computed anew. Close the period when that is done."""

    meter: str


@dataclass(eq=False)
class ZoneFixed(Refusal):
    """The account "{account}" has closed periods, from {since} on, whose bounds would move with its time zone."""

    account: str
    since: datetime
