"""A proof that one event is in a sealed log, as a file that is checked with nothing but a public key."""

import base64
import binascii
from collections.abc import Sequence

import msgspec

from ledger.domain.entries import Entry, EntryUnreadable, decode
from ledger.domain.merkle import ProofUnsound, leaf_hash, root_by_inclusion
from ledger.domain.tree_heads import PublicKey, SealUnsound, TreeHead, opened_head


class SignedHead(msgspec.Struct, frozen=True):
    """The signed note of a head."""

    note: str


class ProofFile(msgspec.Struct, frozen=True, rename="camel"):
    """What GraphQL's `inclusionProof` answers and `ledger seals proof` writes; bytes are base64, hashes SHA-256."""

    entry: str
    leaf_index: int
    tree_size: int
    path: list[str]
    head: SignedHead


def read(content: bytes) -> ProofFile:
    """The proof in a file's bytes; raises `SealUnsound`."""
    try:
        return msgspec.json.decode(content, type=ProofFile)
    except msgspec.DecodeError as fault:
        raise SealUnsound(f"it is no proof: {fault}") from None


def check(proof: ProofFile, keys: Sequence[PublicKey]) -> tuple[Entry, TreeHead]:
    """The event that is proven, and the head that signs for it; raises `SealUnsound`."""
    head = opened_head(proof.head.note, list(keys))
    if head.size != proof.tree_size:
        raise SealUnsound(f"the proof is for {proof.tree_size} events, the head signs for {head.size}")
    try:
        written = base64.b64decode(proof.entry, validate=True)
        path = [base64.b64decode(one, validate=True) for one in proof.path]
        found = root_by_inclusion(leaf_hash(written), proof.leaf_index, proof.tree_size, path)
        entry = decode(written)
    except (binascii.Error, ProofUnsound, EntryUnreadable, ValueError) as fault:
        raise SealUnsound(str(fault)) from None
    if found != head.root:
        raise SealUnsound("the event and its path do not lead to the root that is signed")
    if entry.position != proof.leaf_index + 1:
        raise SealUnsound(f"the entry is of position {entry.position}, the proof of {proof.leaf_index + 1}")
    return entry, head


def text(content: bytes) -> str:
    """Bytes as they stand in a proof."""
    return base64.b64encode(content).decode()
