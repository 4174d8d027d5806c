"""The walk along log and seal side by side that finds where they part, and says which of the two was altered."""

from typing import Final, NamedTuple

from ledger.domain.merkle import EMPTY_ROOT, Peaks, leaf_hash
from ledger.domain.sealed_rows import COMPARED_MAX, Suspect, suspect
from ledger.domain.tree_heads import TreeHead
from ledger.sealing.tree import TILE_LEVELS

SUSPECTS_MAX: Final = 100_000
"""Of so many altered rows it is told what became of them; of more, only how many there are."""


class Part(NamedTuple):
    """Something in the seal's tables, or outside, that is not as it was: `table`, the row's key, and how it shows."""

    table: str
    key: str
    why: str


class _Doubt(NamedTuple):
    """A position at which row and seal differ, until a head tells which is right."""

    position: int
    row: Suspect | None
    sealed: bytes


class Walk:
    """Takes in positions in order, each with its row's entry and its sealed leaf, and the heads between them.

    Two trees grow: one of the rows and one of the sealed leaves. While nothing differs they are one. A signed head
    fits one of them, and from there on both go on as that one, so what is found later is found by itself.
    """

    def __init__(self) -> None:
        self._rows = Peaks()
        self._sealed: Peaks | None = None
        self._doubts: list[_Doubt] = []
        self._upper: dict[tuple[int, int], set[bytes]] = {}
        self.suspects: dict[int, Suspect] = {}
        """Rows that are not what was sealed, by position."""
        self.expected: dict[int, bytes] = {}
        """The leaf hash that was sealed at positions where the row is another or none."""
        self.uncounted = 0
        """How many more positions differ than are remembered."""
        self.parts: list[Part] = []

    def take(self, position: int, entry: bytes | None, sealed: bytes | None) -> None:
        """Go on by one position; `entry` is None where the row is missing, `sealed` where its hash is."""
        own = None if entry is None else leaf_hash(entry)
        if own != sealed and self._sealed is None:
            self._sealed = self._rows.copy()
        if own is None or (sealed is not None and own != sealed):
            is_kept = len(self._doubts) + len(self.suspects) < COMPARED_MAX
            row = None if entry is None else suspect(entry, position, is_kept=is_kept)
            self._doubt(_Doubt(position, row, sealed or b""))
        # What one of the two lacks is taken from the other, so that whatever comes after is compared as it was.
        self._grow(self._rows, own or sealed or EMPTY_ROOT)
        if self._sealed is not None:
            self._grow(self._sealed, sealed or own or EMPTY_ROOT)

    def compare(self, head: TreeHead, where: tuple[str, str]) -> None:
        """Hold a head whose signature is sound against both trees; it covers all that was taken."""
        fits_sealed = self._sealed is not None and head.root == self._sealed.root()
        if head.root == self._rows.root():
            self._settle(is_row_sound=True)
        elif fits_sealed and self._sealed is not None:
            self._settle(is_row_sound=False)
            self._rows = self._sealed
        else:
            self.parts.append(Part(*where, "its root is neither that of the rows nor that of the kept hashes"))
            return
        self._sealed = None

    def finish(self) -> None:
        """Nothing more comes: what no head told is laid to the rows."""
        self._settle(is_row_sound=False)

    def upper(self) -> dict[tuple[int, int], set[bytes]]:
        """What the hashes above the leaves may be, by level and index; those taken in since the last call."""
        found, self._upper = self._upper, {}
        return found

    def _doubt(self, doubt: _Doubt) -> None:
        if len(self._doubts) + len(self.suspects) < SUSPECTS_MAX:
            self._doubts.append(doubt)
        else:
            self.uncounted += 1

    def _settle(self, *, is_row_sound: bool) -> None:
        for position, row, sealed in self._doubts:
            if is_row_sound and row is not None:
                self.parts.append(Part("tree_hashes", f"level 0, hash {position - 1}", "it is not that of its event"))
                continue
            if row is not None:
                self.suspects[position] = row
            self.expected[position] = sealed
        self._doubts = []

    def _grow(self, tree: Peaks, leaf: bytes) -> None:
        for level, index, found in tree.add(leaf):
            if level % TILE_LEVELS == 0:
                self._upper.setdefault((level // TILE_LEVELS, index), set()).add(found)
