"""The queries on cases: one, the queue, and what they come to."""

from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Final, Self, cast

import strawberry

from ledger.domain.names import reconciliation_stream
from ledger.domain.reconciliation_events import ReconciliationFinished
from ledger.domain.topics import decode
from ledger.domain.values import DIVISION
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
from ledger.graphql.context import Context, Info
from ledger.graphql.fields import field
from ledger.graphql.money import Money
from ledger.graphql.pages import page
from ledger.graphql.scalars import BigInt
from ledger.graphql.watermarks import Watermark
from ledger.log_streams import newest
from ledger.projections import cases as model

SHARE_STEP: Final = Decimal("0.000001")
"""Rounded down, so that 1 says that all agrees."""


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


@strawberry.type(description="What a reconciliation run came to, in numbers.")
class RunSummary:
    """`share` is how much of what was compared agrees, to the cent unless the run had tolerances; null for nothing."""

    run: str
    period_at: datetime
    finished_at: datetime
    compared: BigInt
    agreeing: BigInt
    differing: BigInt
    share: Decimal | None
    leaks: list[Money] = strawberry.field(description="What we would bill and the platform does not, by currency.")
    overbilled: list[Money] = strawberry.field(description="What the platform bills and we would not.")

    @classmethod
    def of(cls, run: ReconciliationFinished) -> Self:
        """The run as the API shows it."""
        share = DIVISION.divide(Decimal(run.agreeing), Decimal(run.compared)) if run.compared else None
        return cls(
            run=run.run,
            period_at=run.period_at,
            finished_at=run.finished_at,
            compared=BigInt(run.compared),
            agreeing=BigInt(run.agreeing),
            differing=BigInt(run.differing),
            share=None if share is None else share.quantize(SHARE_STEP, ROUND_FLOOR),
            leaks=[Money.of(money) for money in run.leaks],
            overbilled=[Money.of(money) for money in run.excesses],
        )


@strawberry.type(description="How well the ledger and a platform agree: what a run found, and where the cases stand.")
class ReconciliationSummary:
    """`oldest` is the oldest case that nobody resolved. The cases are as they stand now, whichever run is asked for."""

    run: RunSummary | None = strawberry.field(description="Null before the first, and for bound keys.")
    counts: list[CaseCount]
    leaks: list[CaseLeak]
    oldest: Case | None
    watermark: Watermark


async def reconciliation_summary(context: Context, platform: str, run: str | None) -> ReconciliationSummary:
    """The summary; raises `ArgumentInvalid`."""
    bounded("platform", platform)
    account = context.key.account
    finished = None if account is not None else await _finished(context, platform, bounded("run", run))
    mark, found = await model.summary(context.pool, platform=platform, account=account)
    return ReconciliationSummary(
        run=None if finished is None else RunSummary.of(finished),
        counts=[
            CaseCount(state=state, count=BigInt(found.counts[state.value]))
            for state in CaseState
            if state.value in found.counts
        ],
        leaks=[
            CaseLeak(subject=CaseSubject(one.subject), leaks=Money.of(one.leaks), overbilled=Money.of(one.overbilled))
            for one in found.leaks
        ],
        oldest=None if found.oldest is None else Case.of(found.oldest.case),
        watermark=Watermark.of(mark),
    )


async def _finished(context: Context, platform: str, run: str | None) -> ReconciliationFinished | None:
    """What a run came to, the last one unless told; None where there is no such run."""
    stream = reconciliation_stream(platform)
    rows = await newest(context.pool, [stream])
    if not rows:
        return None
    last = cast("ReconciliationFinished", decode(rows[stream]["topic"], rows[stream]["state"]))
    if run in (None, last.run):
        return last
    past = [decode(one.topic, one.state) for one in await context.log.stream(stream)]
    return next((one for one in past if isinstance(one, ReconciliationFinished) and one.run == run), None)


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

    @field(
        "How well the ledger and a platform agree: what a run found, the last unless told, and where the cases stand.",
        needs=Needs("read_usage"),
    )
    async def reconciliation_summary(
        self, info: Info, platform: str = "stripe", run: str | None = None
    ) -> ReconciliationSummary:
        """A bound key sees its account's cases."""
        return await reconciliation_summary(info.context, platform, run)
