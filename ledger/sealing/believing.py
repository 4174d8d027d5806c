"""Which keys and heads are believed: those that lead by signatures to a key that is."""

from collections.abc import Sequence
from typing import NamedTuple

from ledger.domain.tree_heads import SUCCESSOR, PublicKey, SealUnsound, TreeHead, opened_head, public_key, successor
from ledger.sealing.heads import Head, SealKey
from ledger.sealing.walk import Part


class Compared(NamedTuple):
    """A head that was kept or told: `head` is None unless its signature is sound; `where` is where it stands."""

    number: int
    size: int
    head: TreeHead | None
    where: tuple[str, str]


def believed_keys(stored: Sequence[SealKey], trusted: Sequence[PublicKey]) -> tuple[list[PublicKey], list[Part]]:
    """The keys to believe: those given, else the first stored one, and those that a believed one named."""
    believed, parts = list(trusted), []
    for number, one in enumerate(stored, 1):
        try:
            _believe(one, number, believed, is_first_enough=not trusted)
        except SealUnsound as fault:
            parts.append(Part("seal_keys", f"number {one.number}", str(fault)))
    return believed, parts


def _believe(stored: SealKey, number: int, believed: list[PublicKey], *, is_first_enough: bool) -> None:
    key = public_key(stored.public_key)
    if str(key) != stored.public_key:
        raise SealUnsound("it is not written as keys are")
    if stored.number != number or (number == 1) != (stored.note is None):
        raise SealUnsound("its number is not the next")
    if stored.note is not None and _named(stored.note, believed) == key and key not in believed:
        believed.append(key)
    if number == 1 and is_first_enough:
        believed.append(key)
    if key not in believed:
        raise SealUnsound("it is none of the keys given, nor named by one of them")


def _named(note: str, believed: list[PublicKey]) -> PublicKey:
    require_plain(note)
    return successor(note, believed)


def published_heads(notes: Sequence[str], believed: list[PublicKey], parts: list[Part]) -> list[Compared]:
    """The heads among notes that were told outside; a key that one of them names is believed from there on."""
    found = []
    for number, note in enumerate(notes, 1):
        where = ("published", f"note {number}")
        try:
            if note.startswith(f"{SUCCESSOR}\n"):
                key = successor(note, believed)
                believed += [key] if key not in believed else []
                continue
            head = opened_head(note, believed)
            found.append(Compared(0, head.size, head, where))
        except SealUnsound as fault:
            parts.append(Part(*where, str(fault)))
    return sorted(found, key=lambda one: one.size)


def stored_heads(stored: Sequence[Head], believed: list[PublicKey], parts: list[Part], seen: int) -> list[Compared]:
    """The stored heads, opened; what is wrong with one is told at once. `seen` is the number before the first."""
    found = []
    for one in stored:
        where = ("tree_heads", f"number {one.number}")
        if one.number != seen + 1:
            parts.append(Part(*where, f"the one before has the number {seen}"))
        seen = one.number
        try:
            found.append(Compared(one.number, one.size, _opened(one, believed), where))
        except SealUnsound as fault:
            parts.append(Part(*where, str(fault)))
            found.append(Compared(one.number, one.size, None, where))
    return found


def _opened(stored: Head, believed: list[PublicKey]) -> TreeHead:
    require_plain(stored.note)
    head = opened_head(stored.note, believed)
    if head.size != stored.size:
        raise SealUnsound(f"it is signed for {head.size} events, not {stored.size}")
    return head


def require_plain(note: str) -> None:
    """Raise `SealUnsound` unless the note has one signature and no more lines than we write."""
    text, _, signatures = note.partition("\n\n")
    if signatures.count("\n") != 1 or not signatures.endswith("\n") or text.count("\n") not in (1, 2):
        raise SealUnsound("there is more in it than was signed here")
