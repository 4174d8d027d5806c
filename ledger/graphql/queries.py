"""The queries: where every read begins."""

from datetime import datetime
from typing import Annotated

import strawberry

from ledger.domain.access import may
from ledger.domain.pricing_refusals import (
    AmountTooLarge,
    ChargeUnknown,
    ContractMissing,
    LastTierExceeded,
    PlanUnknown,
    PlanVersionUnknown,
    QuantityNegative,
)
from ledger.domain.refusals import (
    AccountUnknown,
    ArgumentInvalid,
    Forbidden,
    OutOfScope,
    PositionNotSealed,
    TreeSizeUnknown,
)
from ledger.graphql import (
    closings,
    comparisons,
    held,
    invoices,
    log,
    meters,
    plans,
    platforms,
    replays,
    seals,
    watermarks,
)
from ledger.graphql.access import Needs
from ledger.graphql.accounts import Account, AccountConnection, account_page, find_account
from ledger.graphql.adjustment_queries import AdjustmentQuery
from ledger.graphql.adjustments import find_adjustments
from ledger.graphql.agreements import TERMS
from ledger.graphql.case_queries import CaseQuery
from ledger.graphql.cases import case_node
from ledger.graphql.comparisons import Sample, WhatIf
from ledger.graphql.context import Context, Info
from ledger.graphql.contract_inputs import PlanChoiceInput
from ledger.graphql.fields import field
from ledger.graphql.held import HeldRequest, HeldUsageConnection
from ledger.graphql.history import HistoryConnection, Outcome, TrailRequest, trail
from ledger.graphql.invoices import PROJECTING
from ledger.graphql.lines import CLOSED, line_key
from ledger.graphql.log import EventConnection, EventRequest
from ledger.graphql.meters import Meter, MeterConnection
from ledger.graphql.nodes import Node, kind_and_key
from ledger.graphql.pages import EVENTS_PAGE_MAX, page, position_of
from ledger.graphql.plans import Plan, PlanConnection, PlanTermsInput
from ledger.graphql.platforms import Following
from ledger.graphql.previews import InvoicePreview, QuantityInput, preview_invoice
from ledger.graphql.reconciling import ReconciliationQuery
from ledger.graphql.replays import Replay
from ledger.graphql.scalars import Position
from ledger.graphql.seals import ConsistencyProof, InclusionProof, TreeHeadConnection
from ledger.graphql.send_queries import SendQuery
from ledger.graphql.watermarks import Projection


@strawberry.type(description="The API key that asks.")
class Viewer:
    """`account` is the one that the key is bound to, null for a key that sees all."""

    key_id: str
    name: str
    roles: list[str]
    account: Account | None


@strawberry.type(description="Everything that can be read.")
class Query(AdjustmentQuery, CaseQuery, ReconciliationQuery, SendQuery):
    """Each field declares the right that it needs."""

    @field("The API key that asks.", needs=Needs(None))
    async def viewer(self, info: Info) -> Viewer:
        """Any key may know itself."""
        key = info.context.key
        account = None if key.account is None else await find_account(info.context, key.account)
        return Viewer(key_id=key.key_id, name=key.name, roles=list(key.roles), account=account)

    @field("The object with a global id.", needs=Needs(None))
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:  # noqa: A002 - the Relay specification's name
        """Null for what is not there and for what the key may not see."""
        found = kind_and_key(id)
        return None if found is None else await _node(info.context, *found)

    @field("The account with a key or alias.", needs=Needs("read_usage"))
    async def account(self, info: Info, key: str) -> Account | None:
        """Null where there is none; refused where the API key is bound to another."""
        return await find_account(info.context, key)

    @field("Accounts in order of key; `search` is looked for in keys, names and aliases.", needs=Needs("read_usage"))
    async def accounts(
        self,
        info: Info,
        search: str | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> AccountConnection:
        """At most 100 a page. A bound key sees its own."""
        return await account_page(info.context, page(first=first, after=after, last=last, before=before), search)

    @field("The meter with a key.", needs=Needs("read_usage"))
    def meter(self, info: Info, key: str) -> Meter | None:
        """Null where there is none."""
        return meters.meter(info.context, key)

    @field("Meters in order of key.", needs=Needs("read_usage"))
    def meters(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> MeterConnection:
        """At most 100 a page."""
        return meters.meters(info.context, page(first=first, after=after, last=last, before=before))

    @field("The plan with a key.", needs=Needs("read_usage"))
    def plan(self, info: Info, key: str) -> Plan | None:
        """Null where there is none."""
        return plans.plan(info.context, key)

    @field("Plans in order of key.", needs=Needs("read_usage"))
    def plans(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> PlanConnection:
        """At most 100 a page."""
        return plans.plans(info.context, page(first=first, after=after, last=last, before=before))

    @field(
        "What given quantities come to in a whole period on given terms.",
        needs=Needs("read_usage"),
        refuses=(*TERMS, ChargeUnknown, LastTierExceeded, QuantityNegative, AmountTooLarge, ArgumentInvalid, Forbidden),
    )
    def preview_invoice(self, terms: PlanTermsInput, quantities: list[QuantityInput]) -> InvoicePreview:
        """Reads nothing: neither meters nor accounts need to exist."""
        return preview_invoice(terms, quantities)

    @field(
        "What some accounts would pay for a period on another plan, or at other prices. Name them, or take the `first` "
        "of all in order of key.",
        needs=Needs("read_usage"),
        refuses=(*PROJECTING,),
    )
    async def what_if(
        self,
        info: Info,
        plan: PlanChoiceInput,
        accounts: list[str] | None = None,
        first: int | None = None,
        at: datetime | None = None,
    ) -> WhatIf:
        """At most 100 accounts. A bound key asks about its own."""
        return await comparisons.what_if(info.context, plan, Sample(accounts, first), at)

    @field("Usage that does not count (yet), and why.", needs=Needs("read_usage"))
    async def held_usage(
        self,
        info: Info,
        account: str | None = None,
        code: str | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> HeldUsageConnection:
        """At most 100 a page. A bound key sees what was told under its account's names."""
        wanted = page(first=first, after=after, last=None, before=None)
        return await held.held_usage(info.context, wanted, HeldRequest(account, code))

    @field("The log.", needs=Needs("read_log"))
    async def events(
        self,
        info: Info,
        accounts: list[str] | None = None,
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
        """At most 1,000 a page. A bound key sees what belongs to its account."""
        request = EventRequest(accounts, topics, recorded_from, recorded_to, after_position, before_position)
        wanted = page(first=first, after=after, last=last, before=before, limit_max=EVENTS_PAGE_MAX)
        return await log.events(info.context, wanted, request)

    @field(
        "Everything that anybody decided, or tried, in order of position: by a key's actor or a person, a mutation's "
        "name, an outcome, a time.",
        needs=Needs("read_log", is_global=True),
    )
    async def audit_trail(
        self,
        info: Info,
        actor: str | None = None,
        operation: str | None = None,
        outcome: Outcome | None = None,
        recorded_from: datetime | None = None,
        recorded_to: datetime | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> HistoryConnection:
        """At most 100 a page, of 5,000 decisions looked at; `last` begins with the newest. Not for bound keys."""
        request = TrailRequest(actor, operation, outcome, recorded_from, recorded_to)
        return await trail(info.context, page(first=first, after=after, last=last, before=before), request)

    @field("How far every read model has come.", needs=Needs("read_usage"))
    async def projections(self, info: Info) -> list[Projection]:
        """By name."""
        return await watermarks.projections(info.context)

    @field("The billing platforms that tell the ledger what happens there.", needs=Needs("read_log", is_global=True))
    async def platforms(self, info: Info) -> list[Following]:
        """By name. Not for bound keys."""
        return await platforms.followings(info.context)

    @field("What the latest replays found, newest first.", needs=Needs("read_log", is_global=True))
    async def replays(self, info: Info, first: int = 10) -> list[Replay]:
        """At most 100. Not for bound keys."""
        return await replays.replays(info.context, first)

    @field("The signed heads of the log's hash tree.", needs=Needs("read_log"))
    async def tree_heads(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> TreeHeadConnection:
        """At most 100 a page."""
        return await seals.tree_heads(info.context, page(first=first, after=after, last=last, before=before))

    @field(
        "The proof that an event is in the sealed log of so many events, of the newest head's unless told.",
        needs=Needs("read_log"),
        refuses=(PositionNotSealed, TreeSizeUnknown, Forbidden, OutOfScope),
    )
    async def inclusion_proof(
        self, info: Info, position: Position, tree_size: Position | None = None
    ) -> InclusionProof:
        """A bound key proves what it may see."""
        return await seals.inclusion_proof(info.context, position, tree_size)

    @field(
        "The proof that the sealed log of `to` events only adds to that of `from`.",
        needs=Needs("read_log"),
        refuses=(TreeSizeUnknown, Forbidden),
    )
    async def consistency_proof(
        self,
        info: Info,
        from_: Annotated[Position, strawberry.argument(name="from")],
        to: Position,
    ) -> ConsistencyProof:
        """It tells hashes, no events."""
        return await seals.consistency_proof(info.context, from_, to)


async def _node(context: Context, kind: str, key: str) -> Node | None:
    """The object of a kind, checked as its own field would be."""
    match kind:
        case "Account" if may(context.key, "read_usage"):
            if context.key.account not in (None, key) or key not in context.catalogue.accounts:
                return None
            return await find_account(context, key)
        case "Meter" if may(context.key, "read_usage"):
            return meters.meter(context, key)
        case "Adjustment" if may(context.key, "read_usage"):
            account, _, adjustment = key.partition("\n")
            if context.key.account not in (None, account):
                return None
            return next(iter(await find_adjustments(context, account, [adjustment])), None)
        case "Case" if may(context.key, "read_usage"):
            return await case_node(context, key)
        case "Plan" if may(context.key, "read_usage"):
            return plans.plan(context, key)
        case "InvoiceLine" if may(context.key, "read_usage"):
            return await _line(context, key)
        case "ClosedPeriod" if may(context.key, "read_usage"):
            return await closings.closed_period_node(context, key)
        case "Event" if may(context.key, "read_log"):
            position = position_of("id", key)
            return None if position is None else await log.event(context, position)
        case _:
            return None


async def _line(context: Context, key: str) -> Node | None:
    """The line with a key, null for what is not there any more."""
    place = line_key(key)
    if place is None or context.key.account not in (None, place.account):
        return None
    try:
        if key.startswith(CLOSED):
            return await closings.closed_line(context, place)
        return await invoices.invoice_line(context, place)
    except (AccountUnknown, ContractMissing, PlanUnknown, PlanVersionUnknown):
        return None
