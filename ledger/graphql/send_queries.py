"""The queries about what platforms are told, and about work that failed."""

import strawberry

from ledger.graphql import dead_letters, sends
from ledger.graphql.access import Needs
from ledger.graphql.context import Info
from ledger.graphql.dead_letters import DeadLetter
from ledger.graphql.fields import field
from ledger.graphql.pages import page
from ledger.graphql.sends import CancelState, SendConnection, SendRequest, SendState


@strawberry.type
class SendQuery:
    """The part of the queries that is about sends."""

    @field("What the billing platform was told of an account's usage.", needs=Needs("read_usage"))
    async def sends(
        self,
        info: Info,
        account: str,
        state: SendState | None = None,
        cancel: CancelState | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> SendConnection:
        """At most 100 a page, in the order in which they were intended."""
        request = SendRequest(account, state, cancel)
        return await sends.sends(info.context, page(first=first, after=after, last=None, before=None), request)

    @field(
        "Background work that failed for good, the latest first; `redriveDeadLetter` tries it again.",
        needs=Needs("operate", is_global=True),
    )
    async def dead_letters(self, info: Info, first: int = 25) -> list[DeadLetter]:
        """At most 100. Not for bound keys."""
        return await dead_letters.dead_letters(info.context, first)
