"""What a contract gives beside its prices, and how much of it was used: entitlements and prepaid credit."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Self

import strawberry

from ledger.domain import entitlements as domain
from ledger.graphql.context import Context
from ledger.graphql.contract_inputs import billable
from ledger.graphql.conventions import LimitKind
from ledger.graphql.money import Money
from ledger.graphql.watermarks import Watermark
from ledger.projections import credit_balances
from ledger.projections.invoices import Asked, entitlement_use


@strawberry.enum(description="WITHIN the limit, OVER a soft one, or STOPPED at a hard one.")
class Standing(Enum):
    """As `ledger.domain.entitlements.Standing`."""

    WITHIN = "within"
    OVER = "over"
    STOPPED = "stopped"


@strawberry.type(description="How much of an entitlement was used in a period.")
class EntitlementUse:
    """`quantity`, `left` and `over` are null without a limit, else never below zero."""

    meter_key: str
    quantity: Decimal | None
    limit: LimitKind
    used: Decimal
    left: Decimal | None
    over: Decimal | None
    standing: Standing

    @classmethod
    def of(cls, use: domain.EntitlementUse) -> Self:
        """The use as the API shows it."""
        return cls(
            meter_key=use.entitlement.meter,
            quantity=use.entitlement.quantity,
            limit=LimitKind(use.entitlement.limit),
            used=use.used,
            left=use.left,
            over=use.over,
            standing=Standing(use.standing),
        )


@strawberry.type(description="How much of what a contract includes was used in the period of a moment.")
class EntitlementReport:
    """The entitlements are those of the moment."""

    start: datetime
    end: datetime
    uses: list[EntitlementUse]
    watermark: Watermark


@strawberry.type(description="What a credit grant paid in one period.")
class CreditUse:
    """`left` is what was left of it after that."""

    start: datetime
    end: datetime
    used: Money
    left: Money


@strawberry.type(description="What is left of a credit grant, and the periods that it paid for.")
class CreditBalance:
    """`used` and `left` make up `amount`; after its expiry what is left pays nothing more."""

    grant_id: str
    label: str
    amount: Money
    used: Money
    left: Money
    effective_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    periods: list[CreditUse]

    @classmethod
    def of(cls, balance: credit_balances.CreditBalance) -> Self:
        """The balance as the API shows it."""
        grant = balance.granted.grant
        return cls(
            grant_id=grant.grant,
            label=grant.label,
            amount=Money.of(grant.amount),
            used=Money.of(balance.used),
            left=Money.of(balance.left),
            effective_at=grant.effective_at,
            expires_at=grant.expires_at,
            revoked_at=balance.granted.revoked_at,
            periods=[
                CreditUse(start=one.period.start, end=one.period.end, used=Money.of(one.used), left=Money.of(one.left))
                for one in balance.periods
            ],
        )


@strawberry.type(description="A contract's prepaid credit, up to and with the period of a moment.")
class CreditReport:
    """Grants in order of their making."""

    balances: list[CreditBalance]
    watermark: Watermark


async def entitlement_report(context: Context, key: str, at: datetime | None) -> EntitlementReport:
    """Raises those of `invoices.READING`."""
    await context.follower.refresh()
    account = context.account(key)
    instant = datetime.now(UTC) if at is None else billable("at", at)
    mark, period, uses = await entitlement_use(context.pool, context.catalogue, Asked(account.key, instant))
    return EntitlementReport(
        start=period.start,
        end=period.end,
        uses=[EntitlementUse.of(use) for use in uses],
        watermark=Watermark.of(mark),
    )


async def credit_report(context: Context, key: str, at: datetime | None) -> CreditReport:
    """Raises those of `invoices.PROJECTING`."""
    await context.follower.refresh()
    account = context.account(key)
    now = datetime.now(UTC)
    instant = now if at is None else billable("at", at)
    mark, balances = await credit_balances.credit_balances(
        context.pool, context.log, context.catalogue, account, instant, now=now
    )
    return CreditReport(balances=[CreditBalance.of(one) for one in balances], watermark=Watermark.of(mark))
