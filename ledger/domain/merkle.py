"""The hash tree over the log (RFC 9162 section 2.1): roots, proofs, and how to check them.

A hash is 32 bytes of SHA-256. Leaf `i` is the event at position `i + 1`. A `Range` names the subtree over the leaves
`[start, end)`; proofs are first worked out as ranges, so that whoever keeps hashes decides how to come by them.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256().digest()
"""The root of the tree without leaves."""


class Range(NamedTuple):
    """The subtree over the leaves from `start` up to, not including, `end`."""

    start: int
    end: int


Subtree = Callable[[int, int], bytes]
"""(level, index) -> the hash of the complete subtree over the leaves `[index << level, (index + 1) << level)`."""


class ProofUnsound(ValueError):
    """A proof does not lead from what it is about to the root: one of them is not what it was."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node with two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(leaves: int) -> int:
    """How many of so many leaves (2 or more) are in the left subtree: the largest power of two below their number."""
    return 1 << ((leaves - 1).bit_length() - 1)


class Peaks:
    """A tree that only grows: it keeps the complete subtrees that its leaves make up, at most one a level.

    Adding a leaf costs two hashes on average, a root at most one for each peak.
    """

    def __init__(self, peaks: Iterable[tuple[int, bytes]] = ()) -> None:
        self._peaks = list(peaks)
        """(level, hash), the largest first; their sizes are the binary digits of `size`."""
        self.size = sum(1 << level for level, _ in self._peaks)

    def copy(self) -> "Peaks":
        """A tree with the same leaves that grows by itself."""
        return Peaks(self._peaks)

    def add(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf's hash; the subtrees above it that it completes: (level, index, hash), lowest first."""
        peaks = self._peaks
        completed = []
        level, top = 0, leaf
        while peaks and peaks[-1][0] == level:
            top = node_hash(peaks.pop()[1], top)
            level += 1
            completed.append((level, self.size >> level, top))
        peaks.append((level, top))
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        top = self._peaks[-1][1]
        for _, peak in reversed(self._peaks[:-1]):
            top = node_hash(peak, top)
        return top


def root(leaves: Iterable[bytes]) -> bytes:
    """The root of the tree over these leaves' hashes."""
    tree = Peaks()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def complete_subtrees(size: int) -> list[tuple[int, int]]:
    """The complete subtrees (level, index) that a tree of so many leaves is made of, the largest first."""
    return [(level, (size >> level) - 1) for level in reversed(range(size.bit_length())) if size >> level & 1]


def range_hash(span: Range, subtree: Subtree) -> bytes:
    """The hash over a range that is a subtree of some tree: complete, or the right edge."""
    leaves = span.end - span.start
    if leaves & (leaves - 1) == 0:
        level = leaves.bit_length() - 1
        return subtree(level, span.start >> level)
    middle = span.start + split(leaves)
    return node_hash(range_hash(Range(span.start, middle), subtree), range_hash(Range(middle, span.end), subtree))


def inclusion_path(index: int, size: int) -> list[Range]:
    """The subtrees that prove leaf `index` in the tree of `size` leaves, from the leaf up (section 2.1.3.1)."""
    assert 0 <= index < size, "the leaf is in the tree"
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append(Range(middle, end))
            end = middle
        else:
            path.append(Range(start, middle))
            start = middle
    return path[::-1]


def consistency_path(first: int, second: int) -> list[Range]:
    """The subtrees that prove the tree of `first` leaves to be the beginning of that of `second` (section 2.1.4.1)."""
    assert 0 < first <= second, "the smaller tree has leaves"
    path = []
    start, end = 0, second
    while first != end:
        middle = start + split(end - start)
        if first <= middle:
            path.append(Range(middle, end))
            end = middle
        else:
            path.append(Range(start, middle))
            start = middle
    if start:
        path.append(Range(start, end))
    return path[::-1]


def root_by_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that a leaf's hash and its path lead to (section 2.1.3.2); raises `ProofUnsound` for an unfit path."""
    if not 0 <= index < size:
        raise ProofUnsound(f"there is no leaf {index} in a tree of {size}")
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofUnsound("the path is too long")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofUnsound("the path is too short")
    return found


def require_consistent(first: int, first_root: bytes, second: int, second_root: bytes, path: Sequence[bytes]) -> None:
    """Raise `ProofUnsound` unless the tree of `first` leaves is the beginning of that of `second` (section 2.1.4.2)."""
    if not 0 < first <= second:
        raise ProofUnsound(f"a tree of {first} leaves is no beginning of one of {second}")
    if first == second:
        if path or first_root != second_root:
            raise ProofUnsound("two trees of one size have two roots")
        return
    whole = [first_root, *path] if first & (first - 1) == 0 else list(path)
    if not whole:
        raise ProofUnsound("the path is too short")
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    smaller = larger = whole[0]
    for sibling in whole[1:]:
        if last == 0:
            raise ProofUnsound("the path is too long")
        if node & 1 or node == last:
            smaller, larger = node_hash(sibling, smaller), node_hash(sibling, larger)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            larger = node_hash(larger, sibling)
        node, last = node >> 1, last >> 1
    if last or smaller != first_root or larger != second_root:
        raise ProofUnsound("the path does not lead from one root to the other")
