"""Holds what was computed anew against what queries see: which accounts differ, which rows, and since which event."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from ledger.domain.metering import MeterDefinition
from ledger.domain.replay_events import ReplayedModel, RowDifference

POSITION_ABSENT: Final = 0

Texts = Mapping[str, str | None]
"""Columns of a row as text."""


class AccountDigest(NamedTuple):
    """How many rows an account has in a table, and the SHA-256 of them."""

    rows: int
    digest: bytes


class Evidence(NamedTuple):
    """The first and the last position of the events behind a row, inclusive."""

    first: int
    last: int


class StoredRow(NamedTuple):
    """A row of a table."""

    key: Texts
    columns: Texts
    evidence: Evidence


class Pair(NamedTuple):
    """A row that is not the same on both sides, or stands on one alone."""

    key: Texts
    living: StoredRow | None
    replayed: StoredRow | None

    @property
    def evidence(self) -> Evidence:
        """The positions behind either."""
        sides = [side.evidence for side in (self.living, self.replayed) if side is not None]
        return Evidence(min(side.first for side in sides), max(side.last for side in sides))

    @property
    def difference(self) -> RowDifference:
        """What is stored about it."""
        living = None if self.living is None else dict(self.living.columns)
        replayed = None if self.replayed is None else dict(self.replayed.columns)
        return RowDifference(key=dict(self.key), living=living, replayed=replayed)


class Suspect(NamedTuple):
    """An event that lies in differing rows: its position, and what it alone adds to the total of one of them."""

    position: int
    total: Decimal


def differing(living: Mapping[str, AccountDigest], replayed: Mapping[str, AccountDigest]) -> list[str]:
    """The accounts whose rows are not the same on both sides, in order."""
    return sorted(
        account for account in living.keys() | replayed.keys() if living.get(account) != replayed.get(account)
    )


def compared(
    name: str, position: int, living: Mapping[str, AccountDigest], replayed: Mapping[str, AccountDigest]
) -> ReplayedModel:
    """What is told of a table as a whole."""
    return ReplayedModel(
        name=name,
        position=position,
        accounts=len(living.keys() | replayed.keys()),
        accounts_differing=len(differing(living, replayed)),
        living_rows=sum(one.rows for one in living.values()),
        living_digest=_whole(living),
        replayed_rows=sum(one.rows for one in replayed.values()),
        replayed_digest=_whole(replayed),
    )


def _whole(digests: Mapping[str, AccountDigest]) -> str:
    """One digest of all accounts: of each the SHA-256 of its key, then its digest."""
    whole = hashlib.sha256()
    for account in sorted(digests):
        whole.update(hashlib.sha256(account.encode()).digest() + digests[account].digest)
    return whole.hexdigest()


def paired(living: Iterable[StoredRow], replayed: Iterable[StoredRow]) -> list[Pair]:
    """The rows of both sides by their keys, in order of the first event behind them."""
    sides: dict[tuple[tuple[str, str | None], ...], Pair] = {}
    for row in living:
        sides[tuple(row.key.items())] = Pair(row.key, row, None)
    for row in replayed:
        key = tuple(row.key.items())
        sides[key] = sides.get(key, Pair(row.key, None, None))._replace(replayed=row)
    return sorted(sides.values(), key=lambda pair: pair.evidence)


def parted_at(pair: Pair, suspects: Sequence[Suspect]) -> int:
    """The lowest position of an event on account of which the row may differ: of a suspect, else of any behind it."""
    return min((suspect.position for suspect in suspects), default=pair.evidence.first)


def candidate(pair: Pair, suspects: Sequence[Suspect]) -> int | None:
    """The position of the one event that explains a row's difference exactly; None where none or several do.

    Where the replay counts one event more, that is a suspect with just the difference of the totals; where it counts
    as many but others, the only suspect there is.
    """
    if pair.replayed is None or "event_count" not in pair.replayed.columns:
        return None
    more = _number(pair.replayed, "event_count") - _number(pair.living, "event_count")
    total = _number(pair.replayed, "total") - _number(pair.living, "total")
    explaining = [one.position for one in suspects if more == 0 or (more == 1 and one.total == total)]
    return explaining[0] if len(explaining) == 1 else None


def _number(row: StoredRow | None, column: str) -> Decimal:
    text = None if row is None else row.columns.get(column)
    return Decimal(0) if text is None else Decimal(text)


def definitions(
    decided: Mapping[str, Sequence[MeterDefinition]],
    living: Mapping[str, MeterDefinition],
    building: Collection[str],
) -> dict[str, MeterDefinition]:
    """By which definition each meter must be counting now, by what was decided on it, oldest first.

    A meter under construction still counts by an earlier definition, or by none where it is new; which one, the
    living side alone knows, and is believed if there ever was such a decision.
    """
    found = {}
    for meter, versions in decided.items():
        if meter not in building:
            found[meter] = versions[-1]
        elif meter in living:
            found[meter] = living[meter] if living[meter] in versions else versions[0]
    return found
