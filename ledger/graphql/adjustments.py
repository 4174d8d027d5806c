"""Adjustments as they are read: one, an account's, or a queue of those that wait."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Final, NamedTuple, Self, assert_never

import strawberry

from ledger.domain import adjustment_events
from ledger.domain.adjustments import Standing
from ledger.domain.catalogue import Catalogue
from ledger.domain.refusals import ArgumentInvalid
from ledger.graphql.context import Context
from ledger.graphql.money import Money
from ledger.graphql.nodes import Node
from ledger.graphql.pages import CountedConnection, Page, edges_of, position_of
from ledger.graphql.scalars import BigInt, Position
from ledger.graphql.usage import DimensionValue
from ledger.graphql.watermarks import Watermark
from ledger.projections import adjustments
from ledger.projections.adjustments import AdjustmentFilter, AdjustmentRow

FILTER_LENGTH_MAX: Final = 256


@strawberry.enum(description="What an adjustment changes: money down, money up, a quantity, or money given up.")
class AdjustmentKind(Enum):
    """As `ledger.domain.adjustment_events.AdjustmentKind`."""

    CREDIT = "credit"
    DEBIT = "debit"
    USAGE = "usage"
    WRITE_OFF = "write_off"


@strawberry.enum(description="What a reason code is for: a kind of adjustment, a REJECTION, the RESOLUTION of a case.")
class ReasonUse(Enum):
    """As `ledger.domain.adjustment_events.ReasonUse`."""

    CREDIT = "credit"
    DEBIT = "debit"
    USAGE = "usage"
    WRITE_OFF = "write_off"
    REJECTION = "rejection"
    RESOLUTION = "resolution"


@strawberry.enum(description="Where an adjustment stands; an EXPIRED one was not decided on in time.")
class AdjustmentState(Enum):
    """As `ledger.domain.adjustments.AdjustmentState`."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    REVERSED = "reversed"


@strawberry.enum(description="LARGEST is by currency, then by what the effect comes to, whichever way it goes.")
class AdjustmentOrder(Enum):
    """As `ledger.projections.adjustments.Order`."""

    OLDEST = "oldest"
    NEWEST = "newest"
    LARGEST = "largest"


@strawberry.enum(description="What a piece of evidence is; an EVENT is referred to by its position.")
class EvidenceKind(Enum):
    """As `ledger.domain.adjustment_events.EvidenceKind`."""

    EVENT = "event"
    CASE = "case"
    INVOICE = "invoice"
    ADJUSTMENT = "adjustment"


@strawberry.type(description="What an adjustment rests on.")
class AdjustmentEvidence:
    """`reference` is a position of the log, or the key of a case, an invoice or an adjustment of the account."""

    kind: EvidenceKind
    reference: str


@strawberry.type(description="What was decided on an adjustment, and by whom.")
class AdjustmentOutcome:
    """`recorded_at` and `position` are null in the moment before the read model has them."""

    state: AdjustmentState = strawberry.field(description="APPROVED, REJECTED or WITHDRAWN.")
    decided_by: str
    is_automatic: bool = strawberry.field(
        description="Within the limit of who proposed it, so without a second person."
    )
    reason: str | None = strawberry.field(description="The reason code of a rejection.")
    note: str
    recorded_at: datetime | None
    position: Position | None


@strawberry.type(description="Something that was put right by hand, or shall be.")
class Adjustment(Node):
    """It changes the projected invoice of the period that `at` lies in once it is approved.

    `position` is of its proposal, null in the moment before the read model has it.
    """

    account_key: str
    key: str
    kind: AdjustmentKind
    state: AdjustmentState
    at: datetime
    amount: Money | None = strawberry.field(description="Above zero; the kind says which way it goes.")
    meter_key: str | None
    quantity: Decimal | None = strawberry.field(description="Of the meter, below zero for less; null for one in money.")
    dimensions: list[DimensionValue]
    effect: Money = strawberry.field(
        description="What it would have changed of the invoice's subtotal when it was proposed."
    )
    reason: str
    note: str
    evidence: list[AdjustmentEvidence]
    reverses: str | None = strawberry.field(description="The key of the adjustment that it undoes.")
    reversed_by: str | None = strawberry.field(description="The key of the adjustment that undid it.")
    proposed_by: str = strawberry.field(description='A person, or "ledger" for what late usage comes to.')
    role: str = strawberry.field(description="The proposer's role whose limit holds, empty where none has one.")
    proposed_at: datetime
    expires_at: datetime
    position: Position | None
    outcome: AdjustmentOutcome | None = strawberry.field(description="Null while nobody decided.")

    def node_key(self) -> str:
        """The account and the adjustment's own key."""
        return f"{self.account_key}\n{self.key}"

    @classmethod
    def of(cls, standing: Standing, now: datetime, row: AdjustmentRow | None = None) -> Self:
        """The adjustment as it stands; `row` is the read model's, which knows where in the log it is."""
        proposed, told = standing.proposed, standing.adjustment
        return cls(
            account_key=proposed.account,
            key=told.adjustment,
            kind=AdjustmentKind(told.kind),
            state=AdjustmentState(standing.state(now)),
            at=told.at,
            amount=None if told.amount is None else Money.of(told.amount),
            meter_key=told.meter,
            quantity=told.quantity,
            dimensions=[DimensionValue(name=name, value=value) for name, value in told.dimensions.items()],
            effect=Money.of(proposed.effect),
            reason=told.reason,
            note=told.note,
            evidence=[
                AdjustmentEvidence(kind=EvidenceKind(one.kind), reference=one.reference) for one in told.evidence
            ],
            reverses=told.reverses,
            reversed_by=standing.reversed_by,
            proposed_by=proposed.proposed_by,
            role=proposed.role,
            proposed_at=proposed.proposed_at,
            expires_at=proposed.expires_at,
            position=None if row is None else Position(row.position),
            outcome=_outcome(standing, row),
        )


def _outcome(standing: Standing, row: AdjustmentRow | None) -> AdjustmentOutcome | None:
    decided = standing.decided
    if decided is None:
        return None
    reason: str | None = None
    note, is_automatic = "", False
    match decided:
        case adjustment_events.AdjustmentApproved():
            state, by = AdjustmentState.APPROVED, decided.approved_by
            note, is_automatic = decided.note, decided.is_automatic
        case adjustment_events.AdjustmentRejected():
            state, by, reason, note = AdjustmentState.REJECTED, decided.rejected_by, decided.reason, decided.note
        case adjustment_events.AdjustmentWithdrawn():
            state, by = AdjustmentState.WITHDRAWN, decided.withdrawn_by
        case _:
            assert_never(decided)
    return AdjustmentOutcome(
        state=state,
        decided_by=by,
        is_automatic=is_automatic,
        reason=reason,
        note=note,
        recorded_at=None if row is None else row.decided_at,
        position=None if row is None or row.decided_position is None else Position(row.decided_position),
    )


@strawberry.type
class AdjustmentConnection(CountedConnection[Adjustment]):
    """Adjustments in the order that was asked for."""

    watermark: Watermark


@strawberry.input(description="Which adjustments to list; null is any.")
class AdjustmentFilterInput:
    """A state is as of now: what waited until it expired is EXPIRED."""

    account: str | None = strawberry.field(default=None, description="Its key or alias.")
    state: AdjustmentState | None = None
    kind: AdjustmentKind | None = None
    reason: str | None = None
    proposed_by: str | None = strawberry.field(default=None, description="However the name is written.")


@strawberry.type(description="A reason that decisions on adjustments may give.")
class ReasonCode:
    """`kinds` tell what it is for, all where there are none; a retired one explains old decisions only."""

    code: str
    label: str
    kinds: list[ReasonUse]
    is_retired: bool


@strawberry.type(description="What people in a role may adjust without a second person.")
class AdjustmentLimit:
    """Together in 30 days, for one account. It does not count for who set it."""

    role: str
    limit: Money
    changed_by: str


class Listed(NamedTuple):
    """Which adjustments, and in which order."""

    filter: AdjustmentFilterInput
    order: AdjustmentOrder


async def adjustment_page(context: Context, page: Page, wanted: Listed) -> AdjustmentConnection:
    """A page of adjustments, forwards only; raises `ArgumentInvalid`, `AccountUnknown`, `OutOfScope`."""
    await context.follower.refresh()
    told = wanted.filter
    now = datetime.now(UTC)
    asked = AdjustmentFilter(
        now,
        context.key.account if told.account is None else context.account(told.account).key,
        None if told.state is None else told.state.value,
        None if told.kind is None else told.kind.value,
        _bounded("reason", told.reason),
        _bounded("proposedBy", told.proposed_by),
    )
    after = position_of("after", page.after)
    mark, rows, total = await adjustments.adjustments(
        context.pool, asked, order=wanted.order.value, after=after, limit=page.limit + 1
    )
    await context.follower.refresh()  # the rows may be newer than what was known before
    places = {(row.account, row.key): str(row.position) for row in rows}
    edges, edge_info = edges_of(
        page, _shown(context.catalogue, rows, now), lambda one: places[one.account_key, one.key]
    )
    return AdjustmentConnection(
        edges=edges, page_info=edge_info, total_count=BigInt(total), watermark=Watermark.of(mark)
    )


async def find_adjustments(context: Context, account: str, keys: Iterable[str]) -> list[Adjustment]:
    """The adjustments of an account with these keys, in order of the keys; those that are not there are left out."""
    now = datetime.now(UTC)
    known = context.catalogue.adjustments.get(account, {})
    there = [key for key in keys if key in known]
    if not there:
        return []
    rows = {row.key: row for row in await adjustments.rows_of(context.pool, account, there)}
    return [Adjustment.of(known[key], now, rows.get(key)) for key in there]


async def find_adjustment(context: Context, account: str, key: str) -> Adjustment | None:
    """An account's adjustment; raises `OutOfScope`, `AccountUnknown`."""
    await context.follower.refresh()
    found = await find_adjustments(context, context.account(account).key, [key])
    return found[0] if found else None


def _shown(catalogue: Catalogue, rows: Sequence[AdjustmentRow], now: datetime) -> list[Adjustment]:
    return [Adjustment.of(catalogue.adjustments[row.account][row.key], now, row) for row in rows]


def reason_codes(context: Context, *, includes_retired: bool) -> list[ReasonCode]:
    """The reason codes in order of the alphabet."""
    reasons = context.catalogue.rules.reasons
    return [
        ReasonCode(
            code=one.code, label=one.label, kinds=[ReasonUse(kind) for kind in one.kinds], is_retired=one.is_retired
        )
        for _, one in sorted(reasons.items())
        if includes_retired or not one.is_retired
    ]


def adjustment_limits(context: Context) -> list[AdjustmentLimit]:
    """The limits by role and currency."""
    return [
        AdjustmentLimit(role=role, limit=Money.of(limit.money), changed_by=limit.changed_by)
        for (role, _), limit in sorted(context.catalogue.rules.limits.items())
    ]


def _bounded(argument: str, text: str | None) -> str | None:
    if text is not None and (len(text) > FILTER_LENGTH_MAX or "\0" in text):
        raise ArgumentInvalid(argument=argument, why=f"it is at most {FILTER_LENGTH_MAX} characters, none of them NUL")
    return text
