"""Signed heads: the forms that other tools read, and every way in which one is not sound."""

import base64

import pytest

from ledger.domain.tree_heads import (
    PrivateKey,
    PublicKey,
    SealUnsound,
    TreeHead,
    notes_in,
    opened,
    opened_head,
    public_key,
    successor,
    successor_text,
    tree_head,
)

PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLISHED_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "\N{EM DASH} PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""The key and the note that the documentation of Go's sumdb/note has as its example."""
OLD, NEW, OTHER = (PrivateKey("ledger", bytes([number]) * 32) for number in (1, 2, 3))
HEAD = TreeHead("ledger", 258, bytes(range(32)))
NOTE = OLD.sign(str(HEAD))


def test_the_published_example_of_a_signed_note_is_read_and_written() -> None:
    key = public_key(PUBLISHED_KEY)
    assert str(key) == PUBLISHED_KEY
    text, signer = opened(PUBLISHED_NOTE, [key])
    assert signer == key
    secret = PrivateKey.read(PUBLISHED_SECRET)
    assert secret.write() == PUBLISHED_SECRET
    assert secret.public == key
    assert secret.sign(text) == PUBLISHED_NOTE, "Ed25519 signs the same text with the same bytes"


def test_a_head_is_a_checkpoint_of_three_lines() -> None:
    root = base64.b64encode(HEAD.root).decode()
    assert NOTE.startswith(f"ledger\n258\n{root}\n\n\N{EM DASH} ledger ")
    assert opened_head(NOTE, [OTHER.public, OLD.public]) == HEAD


def test_signatures_of_witnesses_and_further_lines_are_passed_over() -> None:
    witness = PrivateKey("witness", bytes(32)).sign(str(HEAD)).rpartition("\n\n")[2]
    assert opened_head(NOTE + witness, [OLD.public]) == HEAD
    text, _, signature = NOTE.partition("\n\n")
    assert opened_head(f"{text}\n\n{witness}{signature}", [OLD.public]) == HEAD
    assert opened_head(OLD.sign(f"{HEAD}a further line\n"), [OLD.public]) == HEAD


def test_every_altered_byte_makes_a_note_unsound() -> None:
    for at in range(len(NOTE)):
        for sign in ("x", "\n", "0"):
            changed = NOTE[:at] + sign + NOTE[at + 1 :]
            if changed != NOTE:
                with pytest.raises(SealUnsound):
                    opened_head(changed, [OLD.public])
        with pytest.raises(SealUnsound):
            opened_head(NOTE[:at], [OLD.public])


@pytest.mark.parametrize("keys", [[], [OTHER.public], [PublicKey("other", OLD.public.key)]])
def test_a_note_of_an_unknown_key_is_unsound(keys: list[PublicKey]) -> None:
    with pytest.raises(SealUnsound, match="known"):
        opened(NOTE, keys)


def test_a_head_of_another_origin_is_unsound() -> None:
    with pytest.raises(SealUnsound, match="it is of other"):
        opened_head(OLD.sign(str(HEAD._replace(origin="other"))), [OLD.public])


def test_a_key_names_the_next_of_its_own_ledger() -> None:
    assert successor(OLD.sign(successor_text(NEW.public)), [OLD.public]) == NEW.public
    with pytest.raises(SealUnsound):
        successor(OTHER.sign(successor_text(NEW.public)), [OLD.public])
    with pytest.raises(SealUnsound):
        successor(OLD.sign(successor_text(PrivateKey("other", bytes(32)).public)), [OLD.public])
    with pytest.raises(SealUnsound):
        successor(NOTE, [OLD.public])


def test_a_key_is_never_a_head_nor_a_head_a_key() -> None:
    with pytest.raises(SealUnsound):
        tree_head(successor_text(NEW.public))


@pytest.mark.parametrize("text", ["", "a\n", "a\n1\n", "a\n01\nAAAA\n", "a\n-1\nAAAA\n", "a\n1\nAAAA\n", "\n1\nAAAA\n"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(SealUnsound):
        tree_head(text)


@pytest.mark.parametrize("text", ["", "x", PUBLISHED_SECRET, PUBLISHED_KEY.replace("c7", "c8"), PUBLISHED_KEY[:-4]])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(SealUnsound):
        public_key(text)


def test_what_is_no_private_key_is_refused_without_being_repeated() -> None:
    for text in ("", PUBLISHED_KEY, PUBLISHED_SECRET.replace("c74f20a3", "c74f20a4")):
        with pytest.raises(SealUnsound) as refused:
            PrivateKey.read(text)
        assert not text or text not in str(refused.value)


@pytest.mark.parametrize("separator", ["", "\n"])
def test_published_notes_are_read_one_by_one(separator: str) -> None:
    other = NEW.sign(f"{HEAD._replace(size=300)}a line\n\nmore\n")
    witnessed = NOTE + OTHER.sign(str(HEAD)).rpartition("\n\n")[2]
    assert notes_in(separator.join([NOTE, other, witnessed])) == [NOTE, other, witnessed]
    assert notes_in("") == []
