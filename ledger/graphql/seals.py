"""The seal of the log: signed tree heads, and proofs that anybody can check without trusting us."""

import base64
from typing import Self

import strawberry

from ledger.domain.refusals import PositionNotSealed
from ledger.domain.tree_heads import tree_head
from ledger.graphql.context import Context
from ledger.graphql.pages import CountedConnection, Page, edges_of, position_of
from ledger.graphql.scalars import SAFE_INTEGER_MAX, BigInt, Position
from ledger.sealing import heads, proofs


@strawberry.type(description="What the first `size` events of the log hash to, signed.")
class TreeHead:
    """`root` is base64; `note` is the signed head itself, a C2SP tlog-checkpoint."""

    number: BigInt
    size: BigInt
    origin: str
    root: str
    note: str

    @classmethod
    def of(cls, head: heads.Head) -> Self:
        """A stored head."""
        text, _, _ = head.note.rpartition("\n\n")
        signed = tree_head(f"{text}\n")
        return cls(
            number=BigInt(head.number),
            size=BigInt(head.size),
            origin=signed.origin,
            root=_text(signed.root),
            note=head.note,
        )


@strawberry.type
class TreeHeadConnection(CountedConnection[TreeHead]):
    """Heads in order of size."""


@strawberry.type(description="Proves that an event is in the log that a head signs (RFC 9162 section 2.1.3).")
class InclusionProof:
    """`entry` (the bytes of the event that were hashed) and `path` are base64; leaf `i` is at position `i + 1`.

    `head` is the signed one of just this size, null where none was made of it.
    """

    position: Position
    leaf_index: BigInt
    tree_size: BigInt
    entry: str
    path: list[str]
    head: TreeHead | None


@strawberry.type(description="Proves that a later log only adds to an earlier one (RFC 9162 section 2.1.4).")
class ConsistencyProof:
    """Roots and `path` are base64."""

    from_size: BigInt
    to_size: BigInt
    from_root: str
    to_root: str
    path: list[str]


async def tree_heads(context: Context, page: Page) -> TreeHeadConnection:
    """A page of heads; raises `ArgumentInvalid`."""
    found = await heads.head_page(
        context.pool,
        after=position_of("after", page.after) or 0,
        before=position_of("before", page.before) or SAFE_INTEGER_MAX,
        limit=page.limit + 1,
        is_backwards=page.is_backwards,
    )
    edges, edge_info = edges_of(page, [TreeHead.of(one) for one in found], lambda one: str(one.number))
    total = await heads.count_heads(context.pool)
    return TreeHeadConnection(edges=edges, page_info=edge_info, total_count=BigInt(total))


async def inclusion_proof(context: Context, position: int, size: int | None) -> InclusionProof:
    """The proof of an event that the key may see; raises `PositionNotSealed`, `TreeSizeUnknown`.

    What a bound key may not see looks as if it was not there.
    """
    names = context.names(None)
    if names is not None:
        seen = await context.log.page(after=position - 1, before=position + 1, names=names, limit=1)
        if not seen:
            last = await heads.last_head(context.pool)
            raise PositionNotSealed(position=position, sealed=last.size if last else 0)
    proof = await proofs.inclusion(context.pool, position, size)
    return InclusionProof(
        position=Position(position),
        leaf_index=BigInt(proof.leaf),
        tree_size=BigInt(proof.size),
        entry=_text(proof.entry),
        path=[_text(one) for one in proof.path],
        head=None if proof.head is None else TreeHead.of(proof.head),
    )


async def consistency_proof(context: Context, first: int, second: int) -> ConsistencyProof:
    """The proof between two sizes; raises `TreeSizeUnknown`."""
    proof = await proofs.consistency(context.pool, first, second)
    return ConsistencyProof(
        from_size=BigInt(proof.first),
        to_size=BigInt(proof.second),
        from_root=_text(proof.first_root),
        to_root=_text(proof.second_root),
        path=[_text(one) for one in proof.path],
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
