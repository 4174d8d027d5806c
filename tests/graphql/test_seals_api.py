"""The seal over GraphQL: heads in pages, and proofs that hold without the server."""

import base64
from pathlib import Path
from typing import Any

from ledger.database import connect
from ledger.domain.merkle import require_consistent
from ledger.domain.proof_files import ProofFile, SignedHead, check
from ledger.domain.tree_heads import public_key
from ledger.sealing.heads import keys
from ledger.sealing.sealer import Sealer
from tests.edges import Edge, cloud_event, open_accounts

HEADS = """
query ($first: Int, $last: Int, $after: String) {
  treeHeads(first: $first, last: $last, after: $after) {
    totalCount
    edges { cursor node { number size origin root note } }
    pageInfo { hasNextPage hasPreviousPage }
  }
}
"""
INCLUSION = """
query ($position: Position!, $treeSize: Position) {
  inclusionProof(position: $position, treeSize: $treeSize) {
    __typename
    ... on InclusionProof { position leafIndex treeSize entry path head { size note } }
    ... on PositionNotSealed { code message position sealed }
    ... on TreeSizeUnknown { code size sealed }
  }
}
"""
CONSISTENCY = """
query ($from: Position!, $to: Position!) {
  consistencyProof(from: $from, to: $to) {
    __typename
    ... on ConsistencyProof { fromSize toSize fromRoot toRoot path }
    ... on TreeSizeUnknown { code message size sealed }
  }
}
"""


async def seal(edge: Edge, url: str, directory: Path, *, limit: int = 100) -> None:
    connection = await connect(url, application="sealer")
    sealer = Sealer(connection, directory)
    while await sealer.step(limit):
        pass
    await connection.close()


async def seal_twice(edge: Edge, url: str, directory: Path) -> int:
    """An account's events under two heads; the size of the first."""
    await open_accounts(edge, ["acme", "other"])
    await seal(edge, url, directory)
    first = await edge.head()
    for number in range(1, 4):
        await edge.client.post(
            "/v1/usage", json=cloud_event(number), headers={"authorization": f"Bearer {await edge.key('admin')}"}
        )
    await seal(edge, url, directory)
    return first


async def test_heads_come_in_pages(edge: Edge, database_url: str, tmp_path: Path) -> None:
    assert (await edge.data(HEADS))["treeHeads"]["totalCount"] == 0
    first = await seal_twice(edge, database_url, tmp_path)
    page = (await edge.data(HEADS, {"first": 1}))["treeHeads"]
    assert page["totalCount"] == 2
    [edge_] = page["edges"]
    assert edge_["node"]["size"] == first
    assert edge_["node"]["note"].startswith(f"{edge_['node']['origin']}\n{first}\n{edge_['node']['root']}\n\n")
    assert page["pageInfo"] == {"hasNextPage": True, "hasPreviousPage": False}
    rest = (await edge.data(HEADS, {"after": edge_["cursor"]}))["treeHeads"]
    assert [one["node"]["number"] for one in rest["edges"]] == [2]
    newest = (await edge.data(HEADS, {"last": 1}))["treeHeads"]
    assert [one["node"]["size"] for one in newest["edges"]] == [await edge.head()]


async def test_an_inclusion_proof_holds_with_nothing_but_the_key(edge: Edge, database_url: str, tmp_path: Path) -> None:
    first = await seal_twice(edge, database_url, tmp_path)
    key = public_key((await keys(edge.pool))[0].public_key)
    for position, size in ((1, None), (2, first), (await edge.head(), None)):
        proof = (await edge.data(INCLUSION, {"position": position, "treeSize": size}))["inclusionProof"]
        assert proof["__typename"] == "InclusionProof"
        file = ProofFile(
            proof["entry"], proof["leafIndex"], proof["treeSize"], proof["path"], SignedHead(proof["head"]["note"])
        )
        entry, head = check(file, [key])
        assert entry.position == position
        assert head.size == (size or await edge.head())
    unsigned = (await edge.data(INCLUSION, {"position": 1, "treeSize": first + 1}))["inclusionProof"]
    assert unsigned["head"] is None


async def test_a_consistency_proof_holds(edge: Edge, database_url: str, tmp_path: Path) -> None:
    first = await seal_twice(edge, database_url, tmp_path)
    second = await edge.head()
    proof: dict[str, Any] = (await edge.data(CONSISTENCY, {"from": first, "to": second}))["consistencyProof"]
    roots = (base64.b64decode(proof[name]) for name in ("fromRoot", "toRoot"))
    require_consistent(first, next(roots), second, next(roots), [base64.b64decode(one) for one in proof["path"]])


async def test_what_cannot_be_proven_is_a_typed_answer(edge: Edge, database_url: str, tmp_path: Path) -> None:
    await seal_twice(edge, database_url, tmp_path)
    head = await edge.head()
    for position in (0, head + 1, 2**53 - 1):
        answer = (await edge.data(INCLUSION, {"position": position}))["inclusionProof"]
        assert (answer["code"], answer["position"], answer["sealed"]) == ("position_not_sealed", position, head)
    answer = (await edge.data(INCLUSION, {"position": 3, "treeSize": 2}))["inclusionProof"]
    assert answer == {"__typename": "TreeSizeUnknown", "code": "tree_size_unknown", "size": 2, "sealed": head}
    answer = (await edge.data(CONSISTENCY, {"from": 1, "to": head + 1}))["consistencyProof"]
    assert (answer["code"], answer["size"]) == ("tree_size_unknown", head + 1)
    answer = (await edge.data(CONSISTENCY, {"from": 3, "to": 2}))["consistencyProof"]
    assert (answer["code"], answer["size"]) == ("tree_size_unknown", 3)


async def test_a_bound_key_proves_only_what_it_may_see(edge: Edge, database_url: str, tmp_path: Path) -> None:
    await seal_twice(edge, database_url, tmp_path)
    positions = {row["account"]: row["position"] for row in await edge.log.page(after=0, before=100, limit=100)}
    bound = await edge.key("auditor", account="acme")
    own = (await edge.data(INCLUSION, {"position": positions["acme"]}, key=bound))["inclusionProof"]
    assert own["__typename"] == "InclusionProof"
    others = (await edge.data(INCLUSION, {"position": positions["other"]}, key=bound))["inclusionProof"]
    assert others["__typename"] == "PositionNotSealed"
