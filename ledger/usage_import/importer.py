"""Tells the ledger what a file holds, a bounded number of rows at a time, and counts what became of them.

Safe to stop and to repeat: an event's id comes from its row, so what is in the log already is a duplicate.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import IO, Any, Final, NamedTuple

import msgspec

from ledger.commands.usage import record_usage
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import UsageRecorded
from ledger.domain.metadata import Metadata
from ledger.domain.refusals import UsageUnreadable
from ledger.domain.usage import parse
from ledger.event_log import EventLog
from ledger.usage_import.mapping import Row, UsageMapping
from ledger.usage_import.readers import BadRow, RowFile, row_text

BATCH_ROWS: Final = 5_000
EXAMPLE_LINES_MAX: Final = 5

_encoder = msgspec.json.Encoder(decimal_format="number")


class Told(NamedTuple):
    """One row, and the event that it tells or why it tells none."""

    line: int
    row: Row | BadRow
    usage: UsageRecorded | UsageUnreadable


@dataclass(slots=True)
class Reason:
    """How many rows met with the same fate, and the first lines of them."""

    count: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, line: int) -> None:
        """Count one more."""
        self.count += 1
        if len(self.lines) < EXAMPLE_LINES_MAX:
            self.lines.append(line)


@dataclass(slots=True)
class Tally:
    """What became of a file's rows so far; `stored` are new, `held` (also stored) and `refused` are by reason."""

    rows: int = 0
    stored: int = 0
    duplicates: int = 0
    position: int = 0
    held: defaultdict[str, Reason] = field(default_factory=lambda: defaultdict(Reason))
    refused: defaultdict[str, Reason] = field(default_factory=lambda: defaultdict(Reason))


def told(file: RowFile, mapping: UsageMapping | None) -> Iterator[Told]:
    """What each row tells, in order; without a mapping rows are CloudEvents."""
    for line, row in file.rows:
        yield Told(line, row, _usage(line, row, mapping))


def _usage(line: int, row: Row | BadRow, mapping: UsageMapping | None) -> UsageRecorded | UsageUnreadable:
    if isinstance(row, BadRow):
        return UsageUnreadable(why=row.why)
    try:
        return parse(_encoder.encode(row)) if mapping is None else mapping.usage(line, row)
    except UsageUnreadable as refusal:
        return refusal


async def import_usage(
    log: EventLog,
    catalogue: Catalogue,
    rows: Iterator[Told],
    *,
    clock: Callable[[], datetime],
    metadata: Metadata,
    refused: Callable[[], IO[bytes]],
    progress: Callable[[Tally], None],
) -> Tally:
    """Record all rows and return the tally. Refused ones are written to `refused()`, opened for the first of them.

    Raises `LedgerUnavailable`; what was recorded before is durable.
    """
    tally = Tally()
    encoded = metadata.encode()
    while batch := list(islice(rows, BATCH_ROWS)):
        receipt = await record_usage(log, catalogue, [one.usage for one in batch], now=clock(), metadata=encoded)
        tally.rows += len(batch)
        tally.stored += receipt.stored
        tally.position = max(tally.position, receipt.position)
        for exception in receipt.exceptions:
            one = batch[exception.index]
            if exception.fate == "duplicate":
                tally.duplicates += 1
            elif exception.fate == "held":
                tally.held[exception.message or ""].add(one.line)
            else:
                tally.refused[exception.message or ""].add(one.line)
                line = {"line": one.line, "code": exception.code, "why": exception.message, "row": row_text(one.row)}
                refused().write(msgspec.json.encode(line) + b"\n")
        progress(tally)
    return tally


def shown(one: Told) -> dict[str, Any]:
    """What a row tells, as JSON can show it."""
    if isinstance(one.usage, UsageUnreadable):
        return {"line": one.line, "refused": one.usage.message}
    return {"line": one.line, "event": msgspec.to_builtins(one.usage, builtin_types=())}
