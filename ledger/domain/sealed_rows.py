"""What became of rows that are not what was sealed: changed, removed, inserted or moved."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from ledger.domain.entries import at_position
from ledger.domain.merkle import leaf_hash

Kind = Literal["changed", "removed", "inserted", "moved"]

COMPARED_MAX: Final = 200
"""Up to so many rows each is held against the seal of every other; beyond, against that of its neighbours."""


class Fate(NamedTuple):
    """What became of the row at a position; a moved one was sealed at `sealed_at`."""

    kind: Kind
    position: int
    sealed_at: int | None = None


class Suspect(NamedTuple):
    """A row that is not what was sealed at its position: its entry's hash if it stood one position before or after.

    `entry` is kept of the first ones only.
    """

    before: bytes
    after: bytes
    entry: bytes | None


def suspect(entry: bytes, position: int, *, is_kept: bool) -> Suspect:
    """What is to be remembered of a row in order to find out what became of it."""
    before, after = (leaf_hash(at_position(entry, position + step)) for step in (-1, 1))
    return Suspect(before, after, entry if is_kept else None)


def fates(suspects: Mapping[int, Suspect], sealed: Mapping[int, bytes]) -> list[Fate]:
    """What became of each row and of each sealed position that no row fits, in order of position.

    `suspects` are rows by position, `sealed` the leaf hashes, by position, of what should be there.
    """
    moved: dict[int, int] = {}
    for position, row in suspects.items():
        found = _sealed_at(position, row, sealed, compares_all=len(suspects) <= COMPARED_MAX)
        if found is not None:
            moved[position] = found
    unaccounted = sealed.keys() - moved.values()
    found_fates = [Fate("moved", position, sealed_at) for position, sealed_at in moved.items()]
    for position in suspects.keys() - moved.keys():
        kind: Kind = "changed" if position in unaccounted else "inserted"
        found_fates.append(Fate(kind, position))
    changed = {fate.position for fate in found_fates if fate.kind == "changed"}
    found_fates += [Fate("removed", position) for position in unaccounted - changed]
    return sorted(found_fates, key=lambda fate: (fate.position, fate.kind))


def _sealed_at(position: int, row: Suspect, sealed: Mapping[int, bytes], *, compares_all: bool) -> int | None:
    if sealed.get(position - 1) == row.before:
        return position - 1
    if sealed.get(position + 1) == row.after:
        return position + 1
    if compares_all and row.entry is not None:
        for other, leaf in sealed.items():
            if leaf_hash(at_position(row.entry, other)) == leaf:
                return other
    return None
