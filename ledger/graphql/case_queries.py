"""The queries on cases: one, the queue, and what they come to."""

from typing import Self

import strawberry

from ledger.graphql.access import Needs
from ledger.graphql.cases import (
    Case,
    CaseConnection,
    CaseFilterInput,
    CaseOrder,
    CaseState,
    CaseSubject,
    Listed,
    bounded,
    case_node,
    case_page,
)
from ledger.graphql.context import Info
from ledger.graphql.fields import field
from ledger.graphql.money import Money
from ledger.graphql.pages import page
from ledger.graphql.scalars import BigInt
from ledger.graphql.watermarks import Watermark
from ledger.projections import cases as model


@strawberry.type(description="How many cases stand so.")
class CaseCount:
    """States without any are left out."""

    state: CaseState
    count: BigInt


@strawberry.type(description="What the cases of a subject that are not settled come to, in one currency.")
class CaseLeak:
    """A difference of quantities may come back as one of amounts: subjects are not added up."""

    subject: CaseSubject
    leaks: Money = strawberry.field(description="What we would bill and the platform does not.")
    overbilled: Money = strawberry.field(description="What the platform bills and we would not.")


@strawberry.type(description="Where the cases stand.")
class CaseSummary:
    """`oldest` is the oldest that nobody resolved."""

    counts: list[CaseCount]
    leaks: list[CaseLeak]
    oldest: Case | None
    watermark: Watermark

    @classmethod
    def of(cls, watermark: Watermark, found: model.CasesSummary) -> Self:
        """The summary as the API shows it."""
        return cls(
            counts=[
                CaseCount(state=state, count=BigInt(found.counts[state.value]))
                for state in CaseState
                if state.value in found.counts
            ],
            leaks=[
                CaseLeak(
                    subject=CaseSubject(one.subject), leaks=Money.of(one.leaks), overbilled=Money.of(one.overbilled)
                )
                for one in found.leaks
            ],
            oldest=None if found.oldest is None else Case.of(found.oldest.case),
            watermark=watermark,
        )


@strawberry.type
class CaseQuery:
    """The part of the queries that is about cases."""

    @field("The case with a key.", needs=Needs("read_usage"))
    async def case(self, info: Info, key: str) -> Case | None:
        """Null where there is none, or none that the key may see. As the log has it at this moment."""
        return await case_node(info.context, key)

    @field("Cases: those that wait, and those that are over.", needs=Needs("read_usage"))
    async def cases(
        self,
        info: Info,
        filter: CaseFilterInput | None = None,  # noqa: A002 - an argument of the API
        order: CaseOrder = CaseOrder.OLDEST,
        first: int | None = None,
        after: str | None = None,
    ) -> CaseConnection:
        """At most 100 a page. A bound key sees its account's."""
        wanted = page(first=first, after=after, last=None, before=None)
        return await case_page(info.context, wanted, Listed(filter or CaseFilterInput(), order))

    @field("Where the cases stand, and what they come to.", needs=Needs("read_usage"))
    async def case_summary(self, info: Info, platform: str | None = None) -> CaseSummary:
        """Of all platforms unless one is told. A bound key sees its account's."""
        mark, found = await model.summary(
            info.context.pool, platform=bounded("platform", platform), account=info.context.key.account
        )
        return CaseSummary.of(Watermark.of(mark), found)
