"""What adjustments would do to an invoice, and the mutations on them and on the rules that they are decided by."""

from datetime import UTC, datetime
from typing import Final

import strawberry

from ledger.commands.adjustments import change_adjustment, change_rule, require_fit
from ledger.commands.decision import ATTEMPTS_MAX
from ledger.domain import adjustment_events, comparisons
from ledger.domain.access import GRANTS
from ledger.domain.adjusting import (
    AdjustmentCommand,
    ApproveAdjustment,
    Effect,
    ProposeAdjustment,
    RejectAdjustment,
    WithdrawAdjustment,
    approval_of,
    opposite,
    require_reason,
)
from ledger.domain.adjustment_refusals import (
    AdjustmentDecided,
    AdjustmentExists,
    AdjustmentExpired,
    AdjustmentInvalid,
    AdjustmentNotReversible,
    AdjustmentsTooMany,
    AdjustmentUnknown,
    EvidenceUnknown,
    FourEyes,
    MoneyRequired,
    PersonRequired,
    ProposerRequired,
    ReasonCodeExists,
    ReasonCodeInvalid,
    ReasonCodeUnknown,
)
from ledger.domain.governing import AddReasonCode, RetireReasonCode, RuleCommand, SetAdjustmentLimit
from ledger.domain.invoices import Invoice as ProjectedInvoice
from ledger.domain.money import Money as Amount
from ledger.domain.pricing_refusals import AmountTooLarge, AmountUnrounded, CurrencyUnknown, NumberTooLong
from ledger.domain.refusals import AccountUnknown, MeterUnknown, NameInvalid, ReasonInvalid, VersionTaken
from ledger.graphql.access import Needs
from ledger.graphql.adjustment_inputs import AdjustmentEvidenceInput, AdjustmentInput, expiry, person_of
from ledger.graphql.adjustments import (
    Adjustment,
    AdjustmentLimit,
    ReasonCode,
    ReasonUse,
    adjustment_limits,
    find_adjustments,
    reason_codes,
)
from ledger.graphql.comparisons import LineDifference
from ledger.graphql.context import Context, Info
from ledger.graphql.fields import field
from ledger.graphql.invoices import PROJECTING, Invoice, anchor_of, shown
from ledger.graphql.lines import Place
from ledger.graphql.money import Money, MoneyInput
from ledger.graphql.refusals import COMMON
from ledger.graphql.scalars import Position
from ledger.graphql.watermarks import Watermark
from ledger.projections.invoices import Asked, projected_invoices
from ledger.projections.watermark import Watermark as Seen

TRYING: Final = (
    *(PersonRequired, AdjustmentInvalid, AdjustmentUnknown, ReasonInvalid, MoneyRequired, MeterUnknown),
    *(AmountUnrounded, *PROJECTING),
)
"""What an adjustment may be refused for before it is proposed."""
PROPOSING: Final = (
    *(AdjustmentExists, AdjustmentsTooMany, AdjustmentNotReversible, EvidenceUnknown, NameInvalid),
    *(*TRYING, *COMMON),
)
"""What a proposal may be refused for."""
DECIDING: Final = (
    *(PersonRequired, AccountUnknown, AdjustmentUnknown, AdjustmentDecided, AdjustmentExpired, AdjustmentInvalid),
    *COMMON,
)
"""What a decision on a proposal may be refused for."""


@strawberry.type(description="What an adjustment would do, and what it would need: nothing is stored.")
class AdjustmentEffect:
    """The lines' differences, unchanged lines among them, add up to the difference of the totals."""

    before: Invoice
    after: Invoice
    lines: list[LineDifference]
    effect: Money = strawberry.field(description="What the invoice's subtotal changes by, before prepaid credit.")
    difference: Money = strawberry.field(description="What its total changes by.")
    needs_approval: bool = strawberry.field(description="Another person must approve it.")
    why: str
    watermark: Watermark


@strawberry.type(description="An adjustment as it is after a decision.")
class AdjustmentDecision:
    """`position` is of the decision, or of the last one where this changed nothing."""

    position: Position
    adjustment: Adjustment


@strawberry.type(description="A reason code as it is after a decision.")
class ReasonCodeDecision:
    """`position` is of the decision, or of the last one where this changed nothing."""

    position: Position
    reason_code: ReasonCode


@strawberry.type(description="A limit as it is after a decision.")
class AdjustmentLimitDecision:
    """`position` is of the decision, or of the last one where this changed nothing."""

    position: Position
    limit: AdjustmentLimit


async def adjustment_effect(context: Context, account: str, told: AdjustmentInput) -> AdjustmentEffect:
    """The effect of an adjustment; raises those of `TRYING`."""
    person = person_of(context)
    await context.follower.refresh()
    owner = context.account(account)
    adjustment = told.struct()
    require_reason(context.catalogue.rules, adjustment.reason, adjustment.kind)
    mark, before, after = await _tried(context, owner.key, adjustment)
    effect = _effect(adjustment, before, after)
    state = context.catalogue.adjustments.get(owner.key, {})
    now = datetime.now(UTC)
    command = ProposeAdjustment(owner.key, adjustment, person, _roles(context), expiry(None), effect, state)
    is_automatic, _, why = approval_of(state, command, now=now, rules=context.catalogue.rules)
    assert before.period is not None, "a projected invoice has a period"
    anchor = anchor_of(context.catalogue.contracts.get(owner.key, ()), before.period, adjustment.at)
    place, watermark = Place(owner, anchor, None, None), Watermark.of(mark)
    found = comparisons.compare(before, after)
    return AdjustmentEffect(
        before=shown(before, place, watermark),
        after=shown(after, place, watermark),
        lines=[LineDifference.of(line) for line in found.lines],
        effect=Money.of(effect.money),
        difference=Money.of(found.difference),
        needs_approval=not is_automatic,
        why=why,
        watermark=watermark,
    )


async def _tried(
    context: Context, account: str, adjustment: adjustment_events.Adjustment
) -> tuple[Seen, ProjectedInvoice, ProjectedInvoice]:
    """The invoice without and with the adjustment, in one snapshot."""
    require_fit(context.catalogue, account, adjustment)
    asked = [Asked(account, adjustment.at), Asked(account, adjustment.at, adjustment=adjustment)]
    now = datetime.now(UTC)
    mark, [before, after] = await projected_invoices(context.pool, context.log, context.catalogue, asked, now=now)
    return mark, before, after


def _effect(adjustment: adjustment_events.Adjustment, before: ProjectedInvoice, after: ProjectedInvoice) -> Effect:
    money = after.subtotal - before.subtotal
    return Effect(money, adjustment.amount is not None or (after.is_final and money.minor_units != 0))


def _roles(context: Context) -> tuple[str, ...]:
    """The roles by which the key may propose."""
    return tuple(role for role in context.key.roles if "propose_adjustments" in GRANTS[role])


@strawberry.type
class AdjustmentMutation:
    """The part of the mutations that is about adjustments."""

    @field(
        "Ask for an adjustment. Within the limit of one's role it is approved at once, else by another person.",
        needs=Needs("propose_adjustments", account="account"),
        refuses=(*PROPOSING,),
    )
    async def propose_adjustment(
        self, info: Info, account: str, adjustment: AdjustmentInput, expires_at: datetime | None = None
    ) -> AdjustmentDecision:
        """It expires in two weeks, unless another time is told: from an hour to 90 days."""
        return await propose(info.context, account, adjustment, expires_at)

    @field(
        "Ask for an approved adjustment to be undone, by one that is its exact opposite.",
        needs=Needs("propose_adjustments", account="account"),
        refuses=(*PROPOSING,),
    )
    async def reverse_adjustment(
        self,
        info: Info,
        account: str,
        adjustment: str,
        key: str,
        reason: str,
        note: str = "",
        evidence: list[AdjustmentEvidenceInput] | None = None,
        expires_at: datetime | None = None,
    ) -> AdjustmentDecision:
        """`key` is the new one's."""
        rests_on = tuple(one.struct() for one in evidence or ())
        return await propose(info.context, account, (adjustment, key, reason, note, rests_on), expires_at)

    @field(
        "Let another person's adjustment hold.",
        needs=Needs("approve", account="account"),
        refuses=(FourEyes, AdjustmentNotReversible, *DECIDING),
    )
    async def approve_adjustment(self, info: Info, account: str, key: str, note: str = "") -> AdjustmentDecision:
        """The invoice changes at once."""
        person = person_of(info.context)
        return await _decide(info.context, ApproveAdjustment(info.context.account(account).key, key, person, note))

    @field(
        "Turn another person's adjustment down.",
        needs=Needs("approve", account="account"),
        refuses=(FourEyes, ReasonInvalid, *DECIDING),
    )
    async def reject_adjustment(
        self, info: Info, account: str, key: str, reason: str, note: str = ""
    ) -> AdjustmentDecision:
        """For a reason code that is good for rejections."""
        person = person_of(info.context)
        command = RejectAdjustment(info.context.account(account).key, key, person, reason, note)
        return await _decide(info.context, command)

    @field(
        "Take one's own adjustment back before anybody decides.",
        needs=Needs("propose_adjustments", account="account"),
        refuses=(ProposerRequired, *DECIDING),
    )
    async def withdraw_adjustment(self, info: Info, account: str, key: str) -> AdjustmentDecision:
        """With any key of the person who proposed it."""
        person = person_of(info.context)
        return await _decide(info.context, WithdrawAdjustment(info.context.account(account).key, key, person))

    @field(
        "Let decisions on adjustments give a reason.",
        needs=Needs("govern", is_global=True),
        refuses=(ReasonCodeExists, ReasonCodeInvalid, NameInvalid, *COMMON),
    )
    async def add_reason_code(
        self,
        info: Info,
        code: str,
        label: str,
        kinds: list[ReasonUse] | None = None,
    ) -> ReasonCodeDecision:
        """For some kinds of adjustment or for rejections, for all where nothing is told."""
        return await _decide_reason(info.context, AddReasonCode(code, label, tuple(kind.value for kind in kinds or ())))

    @field(
        "Let no new decision give a reason; those that gave it keep it.",
        needs=Needs("govern", is_global=True),
        refuses=(ReasonCodeUnknown, *COMMON),
    )
    async def retire_reason_code(self, info: Info, code: str) -> ReasonCodeDecision:
        """For good."""
        return await _decide_reason(info.context, RetireReasonCode(code))

    @field(
        "Let people in a role adjust so much without a second person: together in 30 days, for one account.",
        needs=Needs("govern", is_global=True),
        refuses=(PersonRequired, CurrencyUnknown, AmountUnrounded, AmountTooLarge, NumberTooLong, *COMMON),
    )
    async def set_adjustment_limit(self, info: Info, role: str, limit: MoneyInput) -> AdjustmentLimitDecision:
        """It never counts for the person who set it."""
        money = limit.struct()
        position = await _decide_rule(info.context, SetAdjustmentLimit(role, money, person_of(info.context)))
        [found] = [
            one for one in adjustment_limits(info.context) if (one.role, one.limit.currency) == (role, money.currency)
        ]
        return AdjustmentLimitDecision(position=position, limit=found)


Undoing = tuple[str, str, str, str, tuple[adjustment_events.Evidence, ...]]
"""What is reversed, the new key, reason, note and evidence."""


async def propose(
    context: Context, account: str, told: AdjustmentInput | Undoing, expires_at: datetime | None
) -> AdjustmentDecision:
    """Work out the effect and propose; anew where another adjustment was decided on in between. Raises `PROPOSING`."""
    person, until = person_of(context), expiry(expires_at)
    for attempt in range(ATTEMPTS_MAX):
        await context.follower.refresh()
        owner = context.account(account).key
        state = context.catalogue.adjustments.get(owner, {})
        if isinstance(told, AdjustmentInput):
            adjustment = told.struct()
        else:
            undone, key, reason, note, evidence = told
            adjustment = opposite(state, owner, undone, key=key, reason=reason, note=note, evidence=evidence)
        if adjustment.adjustment in state:
            effect = Effect(Amount(0, state[adjustment.adjustment].proposed.effect.currency), is_settled=False)
        else:
            _, before, after = await _tried(context, owner, adjustment)
            effect = _effect(adjustment, before, after)
        try:
            return await _decide(
                context, ProposeAdjustment(owner, adjustment, person, _roles(context), until, effect, state)
            )
        except VersionTaken:
            if attempt == ATTEMPTS_MAX - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


async def _decide(context: Context, command: AdjustmentCommand) -> AdjustmentDecision:
    await context.follower.refresh()
    now = datetime.now(UTC)
    position = await change_adjustment(context.log, context.catalogue, command, now=now, metadata=context.metadata)
    await context.follower.refresh()
    key = command.adjustment.adjustment if isinstance(command, ProposeAdjustment) else command.adjustment
    [found] = await find_adjustments(context, command.account, [key])
    return AdjustmentDecision(position=Position(position), adjustment=found)


async def _decide_rule(context: Context, command: RuleCommand) -> Position:
    await context.follower.refresh()
    now = datetime.now(UTC)
    position = await change_rule(context.log, context.catalogue, command, now=now, metadata=context.metadata)
    await context.follower.refresh()
    return Position(position)


async def _decide_reason(context: Context, command: AddReasonCode | RetireReasonCode) -> ReasonCodeDecision:
    position = await _decide_rule(context, command)
    [found] = [one for one in reason_codes(context, includes_retired=True) if one.code == command.code]
    return ReasonCodeDecision(position=position, reason_code=found)
