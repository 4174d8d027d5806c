"""The hash tree: against the vectors that implementations of RFC 6962 and 9162 share, and against its definition."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.merkle import (
    EMPTY_ROOT,
    Peaks,
    ProofUnsound,
    Range,
    complete_subtrees,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    range_hash,
    require_consistent,
    root,
    root_by_inclusion,
)

INPUTS = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
"""The eight leaves of the test vectors of Certificate Transparency, in hex."""
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
N01 = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
LEAF0 = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
LEAF1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
N23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
N47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
LEAF4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
N67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
N45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSIONS = [
    (0, 1, []),
    (0, 8, [LEAF1, N23, N47]),
    (5, 8, [LEAF4, N67, ROOTS[3]]),
    (2, 3, [N01]),
    (1, 5, [LEAF0, N23, LEAF4]),
]
CONSISTENCIES = [(1, 1, []), (1, 8, [LEAF1, N23, N47]), (6, 8, [N45, N67, ROOTS[3]]), (2, 5, [N23, LEAF4])]
LEAVES = [leaf_hash(bytes.fromhex(one)) for one in INPUTS]


def defined_root(entries: Sequence[bytes]) -> bytes:
    """The Merkle Tree Hash as section 2.1.1 of RFC 9162 defines it."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    middle = 1
    while middle * 2 < len(entries):
        middle *= 2
    return hashlib.sha256(b"\x01" + defined_root(entries[:middle]) + defined_root(entries[middle:])).digest()


def hashes(leaves: Sequence[bytes], ranges: Sequence[Range]) -> list[bytes]:
    def subtree(level: int, index: int) -> bytes:
        return root(leaves[index << level : (index + 1) << level])

    return [range_hash(span, subtree) for span in ranges]


def in_hex(found: Sequence[bytes]) -> list[str]:
    return [one.hex() for one in found]


def tree(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(size)]


def altered(path: Sequence[bytes], number: int) -> list[bytes]:
    """The path with one bit of one of its hashes turned."""
    at = number % (len(path) * 256)
    hash_, bit = divmod(at, 256)
    turned = bytearray(path[hash_])
    turned[bit // 8] ^= 1 << bit % 8
    return [*path[:hash_], bytes(turned), *path[hash_ + 1 :]]


def test_the_roots_are_those_of_the_shared_vectors() -> None:
    assert [root(LEAVES[: size + 1]).hex() for size in range(8)] == list(ROOTS)
    assert root([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


@pytest.mark.parametrize(("index", "size", "path"), INCLUSIONS)
def test_inclusion_proofs_are_those_of_the_shared_vectors(index: int, size: int, path: list[str]) -> None:
    found = hashes(LEAVES, inclusion_path(index, size))
    assert in_hex(found) == path
    assert root_by_inclusion(LEAVES[index], index, size, found).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("first", "second", "path"), CONSISTENCIES)
def test_consistency_proofs_are_those_of_the_shared_vectors(first: int, second: int, path: list[str]) -> None:
    found = hashes(LEAVES, consistency_path(first, second))
    assert in_hex(found) == path
    require_consistent(first, root(LEAVES[:first]), second, root(LEAVES[:second]), found)


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_the_growing_tree_is_the_defined_one_at_every_size(entries: list[bytes]) -> None:
    peaks = Peaks()
    for size, entry in enumerate(entries, 1):
        peaks.add(leaf_hash(entry))
        assert peaks.size == size
        assert peaks.root() == defined_root(entries[:size])


@given(st.integers(1, 600))
def test_a_tree_goes_on_from_its_complete_subtrees(size: int) -> None:
    leaves = tree(size + 5)
    complete = complete_subtrees(size)
    peaks = Peaks([(level, root(leaves[index << level : (index + 1) << level])) for level, index in complete])
    assert peaks.size == size
    for leaf in leaves[size:]:
        for level, index, found in peaks.add(leaf):
            assert found == root(leaves[index << level : (index + 1) << level])
    assert peaks.root() == root(leaves)


@given(st.integers(1, 300), st.data())
def test_every_inclusion_proof_holds_and_no_altered_one(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = tree(size)
    path = hashes(leaves, inclusion_path(index, size))
    top = root(leaves)
    assert len(path) <= (size - 1).bit_length()
    assert root_by_inclusion(leaves[index], index, size, path) == top
    assert root_by_inclusion(leaf_hash(b"other"), index, size, path) != top
    if path:
        number = data.draw(st.integers(0, 2**16))
        assert root_by_inclusion(leaves[index], index, size, altered(path, number)) != top
        with pytest.raises(ProofUnsound):
            root_by_inclusion(leaves[index], index, size, path[:-1])
    with pytest.raises(ProofUnsound):
        root_by_inclusion(leaves[index], index, size, [*path, bytes(32)])


@given(st.integers(1, 300), st.data())
def test_a_proof_holds_for_its_own_index_alone(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1))
    leaves = tree(size)
    path = hashes(leaves, inclusion_path(index, size))
    try:
        holds = root_by_inclusion(leaves[index], other, size, path) == root(leaves)
    except ProofUnsound:
        holds = False
    assert holds == (index == other)


@given(st.integers(1, 300), st.data())
def test_every_consistency_proof_holds_and_no_altered_one(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, second))
    leaves = tree(second)
    path = hashes(leaves, consistency_path(first, second))
    roots = root(leaves[:first]), root(leaves)
    require_consistent(first, roots[0], second, roots[1], path)
    with pytest.raises(ProofUnsound):
        require_consistent(first, leaf_hash(b"other"), second, roots[1], path)
    with pytest.raises(ProofUnsound):
        require_consistent(first, roots[0], second, leaf_hash(b"other"), path)
    with pytest.raises(ProofUnsound):
        require_consistent(first, roots[0], second, roots[1], [*path, bytes(32)])
    if path:
        number = data.draw(st.integers(0, 2**16))
        with pytest.raises(ProofUnsound):
            require_consistent(first, roots[0], second, roots[1], altered(path, number))
        with pytest.raises(ProofUnsound):
            require_consistent(first, roots[0], second, roots[1], path[:-1])


@pytest.mark.parametrize(("first", "second"), [(0, 5), (6, 5), (-1, 5)])
def test_sizes_that_cannot_be_are_unsound(first: int, second: int) -> None:
    with pytest.raises(ProofUnsound):
        require_consistent(first, bytes(32), second, bytes(32), [])
    with pytest.raises(ProofUnsound):
        root_by_inclusion(bytes(32), second, second, [])


def test_a_leaf_is_never_a_node() -> None:
    """Else whoever knows a node's children could show them as an entry (RFC 9162 section 2.1.1)."""
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)
