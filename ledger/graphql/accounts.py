"""Accounts, with their usage and their part of the log."""

from datetime import date, datetime
from typing import Annotated, Self

import strawberry

from ledger.domain import catalogue
from ledger.domain.refusals import (
    AccountUnknown,
    ArgumentInvalid,
    DimensionUndeclared,
    Forbidden,
    MeterUnknown,
    OutOfScope,
    PastBusy,
    PositionNotReached,
    RangeTooLarge,
)
from ledger.graphql import allowances, closings
from ledger.graphql.access import Needs
from ledger.graphql.adjustments import (
    AdjustmentConnection,
    AdjustmentFilterInput,
    AdjustmentOrder,
    AdjustmentState,
    Listed,
    adjustment_page,
)
from ledger.graphql.allowances import CreditReport, EntitlementReport
from ledger.graphql.as_of import LOOKING, AccountAsOf, AsOfInput, account_as_of
from ledger.graphql.closings import ClosedPeriod, ClosedPeriodConnection
from ledger.graphql.comparisons import InvoiceComparison, invoice_comparison
from ledger.graphql.context import Context, Info
from ledger.graphql.contract_inputs import PlanChoiceInput
from ledger.graphql.contracts import Contract
from ledger.graphql.difference import Difference, invoice_difference
from ledger.graphql.fields import field
from ledger.graphql.history import HistoryConnection, account_history
from ledger.graphql.invoices import PROJECTING, READING, Invoice, InvoiceRequest, invoice
from ledger.graphql.log import EventConnection, EventRequest, events
from ledger.graphql.nodes import Node
from ledger.graphql.pages import EVENTS_PAGE_MAX, CountedConnection, Page, edges_of, page
from ledger.graphql.platforms import AccountPlatform
from ledger.graphql.scalars import BigInt, Position
from ledger.graphql.usage import (
    ROWS_DEFAULT,
    UsageFilter,
    UsageRequest,
    UsageSeries,
    UsageWindow,
    usage_series,
)
from ledger.graphql.watermarks import Watermark
from ledger.projections.accounts import AccountRow, accounts

SEARCH_LENGTH_MAX = 256


@strawberry.type(description="A customer's account.")
class Account(Node):
    """Its days begin in its zone. `opened_at` is null in the moment before the read model has it."""

    key: str
    name: str
    zone: str
    aliases: list[str]
    opened_at: datetime | None

    def node_key(self) -> str:
        """Its key."""
        return self.key

    @field(
        "Quantities in one meter from one local day up to another, exclusive.",
        needs=Needs("read_usage"),
        refuses=(
            *(MeterUnknown, DimensionUndeclared, RangeTooLarge, ArgumentInvalid, PositionNotReached),
            *(AccountUnknown, OutOfScope, Forbidden),
        ),
    )
    async def usage(
        self,
        info: Info,
        meter: str,
        from_: Annotated[date, strawberry.argument(name="from")],
        to: date,
        window: UsageWindow = UsageWindow.DAY,
        group_by: list[str] | None = None,
        where: list[UsageFilter] | None = None,
        limit: int = ROWS_DEFAULT,
        at_least_position: Position | None = None,
    ) -> UsageSeries:
        """At most 400 days and 10,000 rows."""
        request = UsageRequest(
            self.key, meter, from_, to, window, group_by or (), where or (), limit, at_least_position
        )
        return await usage_series(info.context, request)

    @field("The account's part of the log.", needs=Needs("read_log"))
    async def events(
        self,
        info: Info,
        topics: list[str] | None = None,
        recorded_from: datetime | None = None,
        recorded_to: datetime | None = None,
        after_position: Position | None = None,
        before_position: Position | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> EventConnection:
        """In order of position, told under the account's key or any of its aliases."""
        request = EventRequest([self.key], topics, recorded_from, recorded_to, after_position, before_position)
        wanted = page(first=first, after=after, last=last, before=before, limit_max=EVENTS_PAGE_MAX)
        return await events(info.context, wanted, request)

    @field("The account's adjustments.", needs=Needs("read_usage"))
    async def adjustments(
        self,
        info: Info,
        state: AdjustmentState | None = None,
        order: AdjustmentOrder = AdjustmentOrder.OLDEST,
        first: int | None = None,
        after: str | None = None,
    ) -> AdjustmentConnection:
        """At most 100 a page."""
        wanted = page(first=first, after=after, last=None, before=None)
        filter_ = AdjustmentFilterInput(account=self.key, state=state)
        return await adjustment_page(info.context, wanted, Listed(filter_, order))

    @field("The account's contracts in order of start, one at a time.", needs=Needs("read_usage"))
    def contracts(self, info: Info) -> list[Contract]:
        """With phases, pauses, credit grants and entitlements."""
        return [Contract.of(one) for one in info.context.catalogue.contracts.get(self.key, ())]

    @field(
        "What the billing period of a moment comes to, now where none is given; or what it would on another plan.",
        needs=Needs("read_usage"),
        refuses=(*PROJECTING,),
    )
    async def projected_invoice(
        self,
        info: Info,
        at: datetime | None = None,
        plan: PlanChoiceInput | None = None,
        at_least_position: Position | None = None,
    ) -> Invoice:
        """What is due if nothing more is used."""
        return await invoice(info.context, InvoiceRequest(self.key, at, plan, at_least_position))

    @field(
        "The invoice of a period as it is against the one on another plan, or at other prices.",
        needs=Needs("read_usage"),
        refuses=(*PROJECTING,),
    )
    async def invoice_comparison(
        self, info: Info, plan: PlanChoiceInput, at: datetime | None = None
    ) -> InvoiceComparison:
        """The difference in money by line."""
        return await invoice_comparison(info.context, self.key, plan, at)

    @field(
        "How much of what the contract includes was used in the period of a moment.",
        needs=Needs("read_usage"),
        refuses=(*READING,),
    )
    async def entitlements(self, info: Info, at: datetime | None = None) -> EntitlementReport:
        """Now, where no moment is given."""
        return await allowances.entitlement_report(info.context, self.key, at)

    @field(
        "What is left of the contract's prepaid credit after the period of a moment, and what it paid.",
        needs=Needs("read_usage"),
        refuses=(*PROJECTING,),
    )
    async def credit_balances(self, info: Info, at: datetime | None = None) -> CreditReport:
        """Now, where no moment is given."""
        return await allowances.credit_report(info.context, self.key, at)

    @field(
        "Everything that was decided about the account, or tried, in order of position; usage too where asked for.",
        needs=Needs("read_log"),
    )
    async def history(
        self,
        info: Info,
        include_usage: bool = False,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> HistoryConnection:
        """At most 100 a page; `last` begins with the newest."""
        wanted = page(first=first, after=after, last=last, before=before)
        return await account_history(info.context, self.key, wanted, includes_usage=include_usage)

    @field("What billing platforms hold of the account.", needs=Needs("read_usage"))
    def platform(self) -> AccountPlatform:
        """Of the customers there whose ids are aliases of it."""
        return AccountPlatform(names=[self.key, *self.aliases])

    @field("The account's closed billing periods, in order of start.", needs=Needs("read_usage"))
    async def closed_periods(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> ClosedPeriodConnection:
        """At most 100 a page."""
        wanted = page(first=first, after=after, last=last, before=before)
        return await closings.closed_periods(info.context, self.key, wanted)

    @field("The closed period that a moment is in.", needs=Needs("read_usage"))
    async def closed_period(self, info: Info, at: datetime) -> ClosedPeriod | None:
        """Null while it is not closed."""
        return await closings.closed_period(info.context, self.key, at)

    @field(
        "The account as it was known at a position of the log, or at a moment.",
        needs=Needs("read_usage"),
        refuses=LOOKING,
    )
    async def as_of(self, info: Info, moment: AsOfInput) -> AccountAsOf:
        """Folded from the log up to there."""
        return await account_as_of(info.context, self.key, moment)

    @field(
        "Why the invoice of a period is another one than it was known to be, now where no `to` is given.",
        needs=Needs("read_log"),
        refuses=(*LOOKING, *PROJECTING, PastBusy),
    )
    async def difference(
        self,
        info: Info,
        from_: Annotated[AsOfInput, strawberry.argument(name="from")],
        to: AsOfInput | None = None,
        at: datetime | None = None,
    ) -> Difference:
        """What happened in between, step by step, and what each step changed."""
        return await invoice_difference(info.context, self.key, at, from_, to)

    @classmethod
    def of(cls, account: AccountRow | catalogue.Account) -> Self:
        """The account as the read model or the catalogue has it."""
        return cls(
            key=account.key,
            name=account.name,
            zone=account.zone,
            aliases=list(account.aliases),
            opened_at=account.opened_at if isinstance(account, AccountRow) else None,
        )


@strawberry.type
class AccountConnection(CountedConnection[Account]):
    """Accounts in order of key."""

    watermark: Watermark


async def find_account(context: Context, name: str) -> Account | None:
    """The account with a key or alias; raises `OutOfScope`."""
    try:
        known = context.account(name)
    except AccountUnknown:
        return None
    everything = Page(1, is_backwards=False, after=None, before=None)
    _, rows, _ = await _read(context, everything, search=None, only=known.key)
    found = Account.of(known)
    found.opened_at = rows[0].opened_at if rows else None
    return found


async def account_page(context: Context, page: Page, search: str | None) -> AccountConnection:
    """A page of the accounts that the key may see, those that match a search where there is one."""
    if search is not None and (len(search) > SEARCH_LENGTH_MAX or "\0" in search):
        raise ArgumentInvalid(argument="search", why=f"it is at most {SEARCH_LENGTH_MAX} characters, none of them NUL")
    mark, rows, total = await _read(context, page, search=search, only=context.key.account)
    edges, edge_info = edges_of(page, [Account.of(row) for row in rows], lambda one: one.key)
    return AccountConnection(edges=edges, page_info=edge_info, total_count=BigInt(total), watermark=mark)


async def _read(
    context: Context, page: Page, *, search: str | None, only: str | None
) -> tuple[Watermark, list[AccountRow], int]:
    mark, rows, total = await accounts(
        context.pool,
        search=search,
        after=page.after,
        before=page.before,
        limit=page.limit + 1,
        is_backwards=page.is_backwards,
        only=only,
    )
    return Watermark.of(mark), rows, total
