"""Proofs that an event is in the log that a head signs, and that a later head only added to an earlier one."""

from typing import NamedTuple

from ledger import log_entries
from ledger.database import Pool
from ledger.domain.merkle import Range, consistency_path, inclusion_path
from ledger.domain.refusals import PositionNotSealed, TreeSizeUnknown
from ledger.sealing.heads import Head, head_of_size, last_head
from ledger.sealing.tree import range_hashes


class Inclusion(NamedTuple):
    """What proves the event at position `leaf` + 1 in the tree of `size` events.

    `head` is the signed one of just that size, None where none was made of it.
    """

    leaf: int
    size: int
    entry: bytes
    path: list[bytes]
    head: Head | None


class Consistency(NamedTuple):
    """What proves the first `first` events of the tree of `second` to be the tree of `first`."""

    first: int
    second: int
    first_root: bytes
    second_root: bytes
    path: list[bytes]


async def inclusion(pool: Pool, position: int, size: int | None) -> Inclusion:
    """The proof in a tree of a size, the newest head's unless given.

    Raises `PositionNotSealed`, `TreeSizeUnknown`. Reads some tiles, however long the log is.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        last = await last_head(connection)
        sealed = last.size if last else 0
        wanted = sealed if size is None else size
        if not 1 <= position <= sealed:
            raise PositionNotSealed(position=position, sealed=sealed)
        if not position <= wanted <= sealed:
            raise TreeSizeUnknown(size=wanted, sealed=sealed)
        path = await range_hashes(connection, inclusion_path(position - 1, wanted))
        head = await head_of_size(connection, wanted)
        rows = await log_entries.entries(connection, after=position - 1, up_to=position)
    if not rows:
        raise PositionNotSealed(position=position, sealed=sealed)
    return Inclusion(position - 1, wanted, rows[0]["entry"], path, head)


async def consistency(pool: Pool, first: int, second: int) -> Consistency:
    """The proof between the trees of two sizes; raises `TreeSizeUnknown`."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        last = await last_head(connection)
        sealed = last.size if last else 0
        if not 1 <= second <= sealed:
            raise TreeSizeUnknown(size=second, sealed=sealed)
        if not 1 <= first <= second:
            raise TreeSizeUnknown(size=first, sealed=second)
        ranges = [Range(0, first), Range(0, second), *consistency_path(first, second)]
        first_root, second_root, *path = await range_hashes(connection, ranges)
    return Consistency(first, second, first_root, second_root, path)
