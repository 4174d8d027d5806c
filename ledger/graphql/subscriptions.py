"""The subscriptions: what happens from a position of the log on, as it happens."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Final

import strawberry

from ledger.domain.refusals import KeyUnknown
from ledger.graphql.access import Needs
from ledger.graphql.cases import Case, CaseEntry, case_node, entry
from ledger.graphql.context import Context, Info
from ledger.graphql.fields import field
from ledger.graphql.scalars import Position
from ledger.projections.cases import TOPICS

POLL_SECONDS: Final = 0.1
PAGE_EVENTS: Final = 1_000
"""How many decisions are read at once; the next ones are when the client has taken these."""


@strawberry.type(description="Something happened to a case.")
class CaseChange(CaseEntry):
    """`position` is where to go on from: give it as `after` to miss nothing and see nothing twice."""

    account_key: str | None

    @field("The case as it stands now, which may be later.", needs=Needs("read_usage"))
    async def case(self, info: Info) -> Case | None:
        """Looked up only where it is asked for."""
        return await case_node(info.context, self.case_key)


async def _case_changed(info: Info, after: Position | None = None) -> AsyncGenerator[CaseChange, None]:
    """From the end of the log on unless told. A bound key hears of its account's; a revoked key of nothing more."""
    context = info.context
    position: int = (await context.log.head()).position if after is None else after
    while True:
        _require_good_key(context)
        # Only when there is a decision that this process knows of: who waits asks the database nothing.
        is_behind = context.catalogue.position > position
        rows = await context.log.decisions_since(position, limit=PAGE_EVENTS) if is_behind else []
        for at, topic, recorded_at, state, account in rows:
            position = at
            if topic in TOPICS and context.key.account in (None, account):
                told = entry(at, recorded_at, topic, state)
                yield CaseChange(**vars(told), account_key=account)
        if not rows:
            await asyncio.sleep(POLL_SECONDS)


def _require_good_key(context: Context) -> None:
    """Raise `KeyUnknown` once the key that asked was revoked, or has expired."""
    key = context.key
    is_expired = key.expires_at is not None and datetime.now(UTC) >= key.expires_at
    if is_expired or key.key_id not in context.catalogue.keys:
        raise KeyUnknown(key_id=key.key_id)


@strawberry.type(description="Everything that can be followed, over the protocol graphql-transport-ws.")
class Subscription:
    """Each field declares the right that it needs."""

    case_changed: AsyncGenerator[CaseChange, None] = strawberry.subscription(
        resolver=_case_changed,
        description="What happens to cases after a position, oldest first, then as it happens.",
        extensions=[Needs("read_usage")],
    )
