"""The tree's hashes as they are kept: rows of up to 256, which never change, and what is read from them.

Level 0 has the leaves, level n the roots of complete subtrees of 256^n leaves: the tiles of C2SP `tlog-tiles`, but
a tile is filled by rows that follow each other, because rows are only ever added.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import asyncpg

from ledger.database import Connection
from ledger.domain.merkle import HASH_BYTES, Peaks, Range, Subtree, complete_subtrees, node_hash, range_hash

TILE_HASHES: Final = 256
TILE_LEVELS: Final = 8
"""A tile's hashes make up a subtree of so many levels."""

INSERT_HASHES = """
insert into tree_hashes (level, first, hashes)
select level, first, hashes from unnest($1::smallint[], $2::bigint[], $3::bytea[]) as t (level, first, hashes)
"""
SELECT_TILES = """
select h.level, h.first, h.hashes
from unnest($1::smallint[], $2::bigint[]) as t (level, tile)
join tree_hashes h on h.level = t.level and h.first >= t.tile * 256 and h.first < (t.tile + 1) * 256
order by h.level, h.first limit 100000
"""
SELECT_LEAVES = """
select first, hashes from tree_hashes where level = 0 and first >= $1 and first < $2 order by first limit 100000
"""
SELECT_UPPER = """
select level, first, hashes from tree_hashes where level > 0 order by level, first limit 10000000
"""


class Run(NamedTuple):
    """Hashes of one level that follow each other, from the one with index `first` on; all in one tile."""

    level: int
    first: int
    hashes: bytes


class HashMissing(Exception):
    """A hash is not kept that the tree's size asks for: something was removed."""


def grow(peaks: Peaks, leaves: Iterable[bytes]) -> list[Run]:
    """Add leaves to the tree and return what is to be kept of it."""
    runs: dict[tuple[int, int], list[bytes]] = {}
    firsts: dict[tuple[int, int], int] = {}

    def keep(level: int, index: int, found: bytes) -> None:
        tile = level, index // TILE_HASHES
        firsts.setdefault(tile, index)
        runs.setdefault(tile, []).append(found)

    for leaf in leaves:
        keep(0, peaks.size, leaf)
        for level, index, found in peaks.add(leaf):
            if level % TILE_LEVELS == 0:
                keep(level // TILE_LEVELS, index, found)
    return [Run(tile[0], firsts[tile], b"".join(hashes)) for tile, hashes in sorted(runs.items())]


def hashes_of(run: bytes) -> list[bytes]:
    """The hashes in a row of them."""
    return [run[at : at + HASH_BYTES] for at in range(0, len(run), HASH_BYTES)]


async def keep_runs(connection: Connection, runs: list[Run]) -> None:
    """Add rows within the caller's transaction; raises `UniqueViolationError` where another sealer was first."""
    await connection.execute(INSERT_HASHES, *(list(column) for column in zip(*runs, strict=True)))


async def peaks_at(connection: Connection, size: int) -> Peaks:
    """The tree of a size that was sealed, ready to grow."""
    wanted = complete_subtrees(size)
    subtree = await _reader(connection, wanted)
    return Peaks([(level, subtree(level, index)) for level, index in wanted])


async def range_hashes(connection: Connection, ranges: list[Range]) -> list[bytes]:
    """The hashes over ranges of sealed leaves; reads each tile that they need once."""
    wanted: list[tuple[int, int]] = []

    def note(level: int, index: int) -> bytes:
        wanted.append((level, index))
        return b""

    for span in ranges:
        range_hash(span, note)
    subtree = await _reader(connection, wanted)
    return [range_hash(span, subtree) for span in ranges]


async def leaf_rows(connection: Connection, *, start: int, end: int) -> list[asyncpg.Record]:
    """The rows (first, hashes) of leaves that begin in a range."""
    return await connection.fetch(SELECT_LEAVES, start, end)


async def upper_rows(connection: Connection) -> list[asyncpg.Record]:
    """All rows (level, first, hashes) above the leaves: one hash for each 256 events and some."""
    return await connection.fetch(SELECT_UPPER)


async def _reader(connection: Connection, wanted: list[tuple[int, int]]) -> Subtree:
    """What answers with the wanted subtrees, its tiles read."""
    tiles = sorted({_tile(level, index) for level, index in wanted})
    rows = await connection.fetch(SELECT_TILES, [level for level, _ in tiles], [tile for _, tile in tiles])
    kept = dict(_placed(rows))

    def subtree(level: int, index: int) -> bytes:
        above, within = divmod(level, TILE_LEVELS)
        first = index << within
        try:
            hashes = [kept[above, first + number] for number in range(1 << within)]
        except KeyError as missing:
            raise HashMissing(f"level {above}, hash {missing.args[0][1]}") from None
        while len(hashes) > 1:
            hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
        return hashes[0]

    return subtree


def _tile(level: int, index: int) -> tuple[int, int]:
    above, within = divmod(level, TILE_LEVELS)
    return above, (index << within) // TILE_HASHES


def _placed(rows: list[asyncpg.Record]) -> Iterator[tuple[tuple[int, int], bytes]]:
    for level, first, hashes in rows:
        for number, one in enumerate(hashes_of(hashes)):
            yield (level, first + number), one
