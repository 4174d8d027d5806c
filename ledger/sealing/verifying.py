"""Holds a whole log against its seal: every row, every kept hash, every head, and heads that were told outside."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import asyncpg

from ledger import log_entries
from ledger.database import Connection
from ledger.domain.sealed_rows import Fate, fates, suspect
from ledger.domain.tree_heads import PublicKey
from ledger.sealing import heads, tree
from ledger.sealing.believing import Compared, believed_keys, published_heads, stored_heads
from ledger.sealing.walk import Part, Walk

CHUNK_EVENTS: Final = 32 * tree.TILE_HASHES
HEADS_PAGE: Final = 100
POSITION_MAX: Final = 2**63 - 1

Progress = Callable[[int], None]
"""Told how many events were held against the seal."""


class Verdict(NamedTuple):
    """What was found. `fates` are rows, `parts` what is altered elsewhere; both empty where all is as sealed.

    `uncounted` is how many more rows differ; `keys` are those whose heads were believed; `is_key_given` whether one of
    them came from outside the database.
    """

    fates: list[Fate]
    parts: list[Part]
    uncounted: int
    sealed: int
    unsealed: int
    heads: int
    published: int
    keys: list[PublicKey]
    is_key_given: bool

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not (self.fates or self.parts or self.uncounted)


def _quiet(_: int) -> None:
    pass


async def verify(
    connection: Connection,
    *,
    trusted: Sequence[PublicKey] = (),
    published: Sequence[str] = (),
    progress: Progress = _quiet,
) -> Verdict:
    """Walk through the whole log, in the snapshot of the caller's transaction.

    `trusted` are public keys from outside; without one the database's own first key is believed. `published` are
    notes that were told outside. Memory does not grow with the log, but by an eighth of a byte an event.
    """
    stored = await heads.keys(connection)
    believed, parts = believed_keys(stored, trusted)
    outside = published_heads(published, believed, parts)
    sealed = await _sealed_size(connection, believed)
    walk = Walk()
    upper = _upper(await tree.upper_rows(connection), walk.parts)
    seen = 0
    for start in range(0, sealed, CHUNK_EVENTS):
        end = min(start + CHUNK_EVENTS, sealed)
        between = stored_heads(
            await heads.heads_by_size(connection, after=start, up_to=end), believed, walk.parts, seen
        )
        seen = between[-1].number if between else seen
        await _take(connection, walk, start, end, [*between, *(one for one in outside if start < one.size <= end)])
        _compare_upper(walk, upper)
        progress(end)
    walk.finish()
    parts += walk.parts
    parts += [Part("tree_hashes", f"level {level}, hash {at}", "there are not so many") for level, at in upper]
    parts += await _beyond(connection, sealed, believed)
    parts += [
        Part("published", f"head of {one.size}", f"the seal covers {sealed} events only")
        for one in outside
        if one.size > sealed
    ]
    after = await log_entries.events_after(connection, sealed)
    return Verdict(
        await _fates(connection, walk, sealed, after),
        parts,
        walk.uncounted,
        sealed,
        after.events,
        await heads.count_heads(connection),
        len(outside),
        believed,
        bool(trusted),
    )


async def _take(connection: Connection, walk: Walk, start: int, end: int, compared: list[Compared]) -> None:
    """Take in the positions from `start` + 1 to `end`, comparing each head when all that it covers is in."""
    stored = _placed(await tree.leaf_rows(connection, start=start, end=end), start, end, walk.parts)
    entries: dict[int, bytes] = {}
    for position, entry in await log_entries.entries(connection, after=start, up_to=end):
        if position in entries:  # without its key the table may hold two
            walk.suspects.setdefault(-position, suspect(entry, position, is_kept=False))
        entries.setdefault(position, entry)
    due = {size: list(group) for size, group in groupby(sorted(compared, key=lambda one: one.size), lambda one: one[1])}
    for position in range(start + 1, end + 1):
        walk.take(position, entries.get(position), stored.get(position - 1))
        for one in due.get(position, ()):
            if one.head is not None:
                walk.compare(one.head, one.where)


def _placed(rows: Sequence[asyncpg.Record], start: int, end: int, parts: list[Part]) -> dict[int, bytes]:
    """The kept leaf hashes by index; a row that does not follow the one before is told."""
    found: dict[int, bytes] = {}
    following = start
    for first, hashes in rows:
        if first != following:
            parts.append(Part("tree_hashes", f"level 0, hash {min(first, following)}", "hashes are missing or double"))
        for number, one in enumerate(tree.hashes_of(hashes)):
            found.setdefault(first + number, one)
        following = first + len(hashes) // 32
    if following < end:
        parts.append(Part("tree_hashes", f"level 0, hash {following}", "hashes are missing"))
    if following > end:
        parts.append(Part("tree_hashes", f"level 0, hash {end}", "no head covers it: a head was removed or altered"))
    return found


def _upper(rows: Sequence[asyncpg.Record], parts: list[Part]) -> dict[tuple[int, int], bytes]:
    """The kept hashes above the leaves by level and index."""
    found: dict[tuple[int, int], bytes] = {}
    for level, first, hashes in rows:
        for number, one in enumerate(tree.hashes_of(hashes)):
            if (level, first + number) in found:
                parts.append(Part("tree_hashes", f"level {level}, hash {first + number}", "it is double"))
            found[level, first + number] = one
    return found


def _compare_upper(walk: Walk, upper: dict[tuple[int, int], bytes]) -> None:
    for (level, index), sound in walk.upper().items():
        kept = upper.pop((level, index), None)
        if kept not in sound:
            why = "it is missing" if kept is None else "it is not that of the hashes below it"
            walk.parts.append(Part("tree_hashes", f"level {level}, hash {index}", why))


async def _sealed_size(connection: Connection, believed: list[PublicKey]) -> int:
    """How many events the newest head covers whose signature is sound."""
    before = POSITION_MAX
    while page := await heads.head_page(connection, after=0, before=before, limit=HEADS_PAGE, is_backwards=True):
        for one in stored_heads(page, believed, [], 0):
            if one.head is not None:
                return one.size
        before = page[-1].number
    return 0


async def _beyond(connection: Connection, sealed: int, believed: list[PublicKey]) -> list[Part]:
    """What is kept beyond the newest sound head, or where nothing can be."""
    parts: list[Part] = []
    for one in await heads.heads_beside(connection, sealed):
        stored_heads([one], believed, parts, one.number - 1)
    for first, _ in await tree.leaf_rows(connection, start=sealed, end=POSITION_MAX):
        parts.append(Part("tree_hashes", f"level 0, hash {first}", "no head covers it: a head was removed or altered"))
    return parts


async def _fates(connection: Connection, walk: Walk, sealed: int, after: log_entries.After) -> list[Fate]:
    """What became of the rows that differ; rows that cannot be there, and holes behind the seal, too."""
    suspects = dict(walk.suspects)
    if walk.expected and after.lowest == sealed + 1:  # the last sealed row may have been pushed beyond the seal
        [row] = await log_entries.entries(connection, after=sealed, up_to=sealed + 1)
        pushed = suspect(row["entry"], sealed + 1, is_kept=True)
        if any(
            one.position == sealed + 1 and one.kind == "moved" for one in fates({sealed + 1: pushed}, walk.expected)
        ):
            suspects[sealed + 1] = pushed
    found = [fate._replace(position=abs(fate.position)) for fate in fates(suspects, walk.expected)]
    found += [Fate("inserted", position) for position in await log_entries.positions_before_first(connection)]
    if after.events and after.highest != sealed + after.events:
        found.append(Fate("removed", await _first_hole(connection, sealed, after)))
    return sorted(found, key=lambda fate: fate.position)


async def _first_hole(connection: Connection, sealed: int, after: log_entries.After) -> int:
    """The first position behind the seal at which no event is."""
    for start in range(sealed, after.highest or sealed, CHUNK_EVENTS):
        rows = await log_entries.entries(connection, after=start, up_to=start + CHUNK_EVENTS)
        for expected, row in _numbered(rows, start + 1):
            if row["position"] != expected:
                return expected
        if len(rows) < CHUNK_EVENTS:
            return start + len(rows) + 1
    return sealed + 1


def _numbered(rows: Sequence[asyncpg.Record], first: int) -> Iterator[tuple[int, asyncpg.Record]]:
    return zip(range(first, first + len(rows)), rows, strict=True)
