"""Signed tree heads: what a sealer says the whole log hashes to, in the forms that others' tools read.

A head is a C2SP `tlog-checkpoint` (origin, size, root) in a C2SP `signed-note`, signed with Ed25519 (RFC 8032). Keys
are written as Go's `sumdb/note` writes them: a public one `NAME+HASH+KEY`, a private one `PRIVATE+KEY+NAME+HASH+KEY`.
"""

import base64
import binascii
import hashlib
import re
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.domain.merkle import HASH_BYTES

ED25519: Final = b"\x01"
"""The algorithm's number in keys of signed notes."""
SIGNATURE: Final = "\N{EM DASH} "
PRIVATE: Final = "PRIVATE+KEY+"
SUCCESSOR: Final = "ledger seal key"
"""The first line of the note by which a key names the next."""
NOTE_CHARACTERS_MAX: Final = 4_096

_NAME: Final = re.compile(r"[^\s+]{1,200}")
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,17}")


class SealUnsound(ValueError):
    """A head, a key or a signature is not what it should be; the message says how."""


class PublicKey(NamedTuple):
    """Who may have signed: `name` is also the origin of the log, 32 bytes of `key`."""

    name: str
    key: bytes

    @property
    def key_hash(self) -> bytes:
        """The four bytes by which a signature names its key (signed-note, "Signatures")."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_hash.hex()}+{_text(ED25519 + self.key)}"


class TreeHead(NamedTuple):
    """The log of `size` events of the ledger `origin` hashes to `root`."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{_text(self.root)}\n"


def public_key(written: str) -> PublicKey:
    """The public key in its text form; raises `SealUnsound`."""
    name, _, rest = written.strip().partition("+")
    hexadecimal, _, key = rest.partition("+")
    found = PublicKey(name, _key_bytes(key))
    if not _NAME.fullmatch(name) or found.key_hash.hex() != hexadecimal:
        raise SealUnsound("it is no public key of the form NAME+HASH+KEY")
    return found


class PrivateKey:
    """What signs. Its text form is a secret."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def read(cls, written: str) -> "PrivateKey":
        """The key in its text form; raises `SealUnsound`, never with the text in it."""
        name, _, rest = written.strip().removeprefix(PRIVATE).partition("+")
        hexadecimal, _, seed = rest.partition("+")
        found = cls(name, _key_bytes(seed))
        if not written.startswith(PRIVATE) or found.public.key_hash.hex() != hexadecimal:
            raise SealUnsound("it is no private key of the form PRIVATE+KEY+NAME+HASH+KEY")
        return found

    def write(self) -> str:
        """The text form."""
        return f"{PRIVATE}{self.public.name}+{self.public.key_hash.hex()}+{_text(ED25519 + self._seed)}"

    def sign(self, text: str) -> str:
        """The signed note of a text that ends in a line feed."""
        signature = _text(self.public.key_hash + self._key.sign(text.encode()))
        return f"{text}\n{SIGNATURE}{self.public.name} {signature}\n"


def successor_text(key: PublicKey) -> str:
    """What a key signs to name the one that signs after it."""
    return f"{SUCCESSOR}\n{key}\n"


def opened(note: str, keys: list[PublicKey]) -> tuple[str, PublicKey]:
    """The text of a note and which of the keys signed it; raises `SealUnsound`.

    Signatures of others beside it (witnesses, say) are passed over, as the specification asks.
    """
    text, mark, signatures = note.rpartition("\n\n")
    if len(note) > NOTE_CHARACTERS_MAX or not mark or not signatures.endswith("\n"):
        raise SealUnsound("it is no signed note")
    text += "\n"
    for line in signatures[:-1].split("\n"):
        name, _, encoded = line.removeprefix(SIGNATURE).partition(" ")
        signature = _bytes(encoded)
        if not line.startswith(SIGNATURE) or len(signature) < 5:
            raise SealUnsound("a line of its signatures is none")
        for key in keys:
            if (key.name, key.key_hash) == (name, signature[:4]):
                _require_signed(text, signature[4:], key)
                return text, key
    raise SealUnsound("it is not signed by a key that is known")


def tree_head(text: str) -> TreeHead:
    """The head that a note's text is; raises `SealUnsound`. Further lines, which are others', are passed over."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not lines[0] or not _DECIMAL.fullmatch(lines[1]):
        raise SealUnsound("it is no tree head")
    top = _bytes(lines[2])
    if len(top) != HASH_BYTES:
        raise SealUnsound("its root is no SHA-256")
    return TreeHead(lines[0], int(lines[1]), top)


def opened_head(note: str, keys: list[PublicKey]) -> TreeHead:
    """The head in a signed note, if one of the keys signed it in its own name; raises `SealUnsound`."""
    text, key = opened(note, keys)
    head = tree_head(text)
    if head.origin != key.name:
        raise SealUnsound(f"it is of {head.origin}, its key of {key.name}")
    return head


def successor(note: str, keys: list[PublicKey]) -> PublicKey:
    """The key that one of the keys names as the next; raises `SealUnsound`."""
    text, key = opened(note, keys)
    title, _, written = text.partition("\n")
    found = public_key(written)
    if title != SUCCESSOR or text != successor_text(found) or found.name != key.name:
        raise SealUnsound("it names no next key of the same ledger")
    return found


def notes_in(text: str) -> list[str]:
    """The notes of a file of published ones, one after the other with an empty line between."""
    notes, lines = [], list[str]()
    has_signature = False
    for line in _LINE.findall(text):
        is_signature = line.startswith(SIGNATURE)
        if has_signature and not is_signature:
            notes.append("".join(lines))
            lines, has_signature = [], False
            if line == "\n":
                continue
        lines.append(line)
        has_signature = is_signature
    return [*notes, "".join(lines)] if lines else notes


def _require_signed(text: str, signature: bytes, key: PublicKey) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.key).verify(signature, text.encode())
    except InvalidSignature:
        raise SealUnsound(f"its signature is not that of {key.name}") from None


def _key_bytes(written: str) -> bytes:
    found = _bytes(written)
    if len(found) != 33 or found[:1] != ED25519:
        raise SealUnsound("it is no Ed25519 key")
    return found[1:]


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(written: str) -> bytes:
    try:
        found = base64.b64decode(written.encode(), validate=True)
    except (binascii.Error, ValueError):
        raise SealUnsound("it is no base64") from None
    # Bits that base64 leaves over may be set without changing the bytes; one text for one content.
    if _text(found) != written:
        raise SealUnsound("it is no canonical base64")
    return found
