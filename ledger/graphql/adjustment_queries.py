"""The queries on adjustments and on the rules that they are decided by."""

import strawberry

from ledger.graphql.access import Needs
from ledger.graphql.adjusting import TRYING, AdjustmentEffect, adjustment_effect
from ledger.graphql.adjustment_inputs import AdjustmentInput
from ledger.graphql.adjustments import (
    Adjustment,
    AdjustmentConnection,
    AdjustmentFilterInput,
    AdjustmentLimit,
    AdjustmentOrder,
    Listed,
    ReasonCode,
    adjustment_limits,
    adjustment_page,
    find_adjustment,
    reason_codes,
)
from ledger.graphql.context import Info
from ledger.graphql.fields import field
from ledger.graphql.pages import page


@strawberry.type
class AdjustmentQuery:
    """The part of the queries that is about adjustments."""

    @field("The adjustment of an account with a key.", needs=Needs("read_usage", account="account"))
    async def adjustment(self, info: Info, account: str, key: str) -> Adjustment | None:
        """Null where there is none."""
        return await find_adjustment(info.context, account, key)

    @field("Adjustments: what waits for a decision, and what was decided.", needs=Needs("read_usage"))
    async def adjustments(
        self,
        info: Info,
        filter: AdjustmentFilterInput | None = None,  # noqa: A002 - an argument of the API
        order: AdjustmentOrder = AdjustmentOrder.OLDEST,
        first: int | None = None,
        after: str | None = None,
    ) -> AdjustmentConnection:
        """At most 100 a page. A bound key sees its account's."""
        wanted = page(first=first, after=after, last=None, before=None)
        return await adjustment_page(info.context, wanted, Listed(filter or AdjustmentFilterInput(), order))

    @field(
        "What an adjustment would do to the invoice, and whether another person would have to approve it.",
        needs=Needs("propose_adjustments", account="account"),
        refuses=(*TRYING,),
    )
    async def adjustment_effect(self, info: Info, account: str, adjustment: AdjustmentInput) -> AdjustmentEffect:
        """Nothing is stored."""
        return await adjustment_effect(info.context, account, adjustment)

    @field("The reasons that decisions on adjustments may give, in order of the alphabet.", needs=Needs("read_usage"))
    async def reason_codes(
        self,
        info: Info,
        include_retired: bool = False,
    ) -> list[ReasonCode]:
        """Retired ones only where asked for."""
        await info.context.follower.refresh()
        return reason_codes(info.context, includes_retired=include_retired)

    @field("What people may adjust without a second person, by role and currency.", needs=Needs("read_usage"))
    async def adjustment_limits(self, info: Info) -> list[AdjustmentLimit]:
        """None where nobody set any: then everything needs a second person."""
        await info.context.follower.refresh()
        return adjustment_limits(info.context)
