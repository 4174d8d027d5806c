"""What-if: invoices as they are against those on another plan or at other prices."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, Self

import strawberry

from ledger.domain import comparisons
from ledger.domain.agreements import PlanChoice
from ledger.domain.catalogue import Account
from ledger.domain.invoices import sums
from ledger.domain.refusals import ArgumentInvalid
from ledger.graphql.context import Context
from ledger.graphql.contract_inputs import PlanChoiceInput, billable
from ledger.graphql.explain import dimensions
from ledger.graphql.invoices import checked_choice, comparable
from ledger.graphql.line_kinds import LineKind
from ledger.graphql.money import Money
from ledger.graphql.pages import PAGE_MAX
from ledger.graphql.scalars import BigInt
from ledger.graphql.usage import DimensionValue
from ledger.graphql.watermarks import Watermark
from ledger.projections.invoices import Asked, projected_invoices


@strawberry.type(description="One line on both sides, over all parts of the period; nothing where a side has none.")
class LineDifference:
    """A credit's money is below zero."""

    kind: LineKind
    key: str
    label: str
    dimensions: list[DimensionValue]
    before: Money
    after: Money
    difference: Money

    @classmethod
    def of(cls, line: comparisons.LineDifference) -> Self:
        """The difference as the API shows it."""
        return cls(
            kind=LineKind(line.kind),
            key=line.key,
            label=line.label,
            dimensions=dimensions([name for name, _ in line.group], [value for _, value in line.group]),
            before=Money.of(line.before),
            after=Money.of(line.after),
            difference=Money.of(line.difference),
        )


@strawberry.type(description="An account's invoice as it is and as it would be.")
class InvoiceComparison:
    """The lines' differences, unchanged lines among them, add up to `difference`."""

    account_key: str
    lines: list[LineDifference]
    before: Money
    after: Money
    difference: Money
    watermark: Watermark


@strawberry.type(description="What one account would pay more, or below zero less.")
class AccountDifference:
    """For the period that the moment is in."""

    account_key: str
    before: Money
    after: Money
    difference: Money


@strawberry.type(description="What all of them would pay more, in one currency.")
class CurrencyDifference:
    """Currencies never mix."""

    currency: str
    before: Money
    after: Money
    difference: Money


@strawberry.type(description="What a plan or price would make different.")
class WhatIf:
    """`skipped` accounts have no contract then, or one in another currency or interval than the plan's."""

    accounts: list[AccountDifference]
    totals: list[CurrencyDifference]
    skipped: BigInt
    watermark: Watermark


class Sample(NamedTuple):
    """Whom a what-if is about: the accounts named, or the `first` of all in order of key."""

    accounts: Sequence[str] | None
    first: int | None


SAMPLE_DEFAULT: Final = 25


async def invoice_comparison(
    context: Context, key: str, told: PlanChoiceInput, at: datetime | None
) -> InvoiceComparison:
    """Both invoices of one account in one snapshot; raises those of `invoices.PROJECTING`."""
    await context.follower.refresh()
    account = context.account(key)
    now = datetime.now(UTC)
    instant = now if at is None else billable("at", at)
    choice = checked_choice(context.catalogue, account, told, instant)
    asked = [Asked(account.key, instant), Asked(account.key, instant, choice)]
    mark, [before, after] = await projected_invoices(context.pool, context.log, context.catalogue, asked, now=now)
    found = comparisons.compare(before, after)
    return InvoiceComparison(
        account_key=account.key,
        lines=[LineDifference.of(line) for line in found.lines],
        before=Money.of(found.before),
        after=Money.of(found.after),
        difference=Money.of(found.difference),
        watermark=Watermark.of(mark),
    )


async def what_if(context: Context, told: PlanChoiceInput, sample: Sample, at: datetime | None) -> WhatIf:
    """The difference for several accounts, in one snapshot; raises those of `invoices.PROJECTING`.

    An account that is named must be comparable; of a sample, those that are not are skipped.
    """
    await context.follower.refresh()
    now = datetime.now(UTC)
    instant = now if at is None else billable("at", at)
    accounts, choice, skipped = _sampled(context, told, sample, instant)
    asked = [Asked(account.key, instant) for account in accounts]
    changed = [one._replace(choice=choice) for one in asked]
    mark, found = await projected_invoices(context.pool, context.log, context.catalogue, asked + changed, now=now)
    before, after = found[: len(asked)], found[len(asked) :]
    earlier, later = sums(before), sums(after)
    return WhatIf(
        accounts=[
            AccountDifference(
                account_key=account.key,
                before=Money.of(old.total),
                after=Money.of(new.total),
                difference=Money.of(new.total - old.total),
            )
            for account, old, new in zip(accounts, before, after, strict=True)
        ],
        totals=[
            CurrencyDifference(
                currency=currency,
                before=Money.of(earlier[currency]),
                after=Money.of(later[currency]),
                difference=Money.of(later[currency] - earlier[currency]),
            )
            for currency in sorted(earlier)
        ],
        skipped=BigInt(skipped),
        watermark=Watermark.of(mark),
    )


def _sampled(
    context: Context, told: PlanChoiceInput, sample: Sample, instant: datetime
) -> tuple[list[Account], PlanChoice | None, int]:
    """The accounts, the plan, and how many accounts in between were skipped."""
    if sample.accounts is not None and sample.first is not None:
        raise ArgumentInvalid(argument="first", why="give either `accounts` or `first`")
    first = SAMPLE_DEFAULT if sample.first is None else sample.first
    count = first if sample.accounts is None else len(sample.accounts)
    if not 0 <= count <= PAGE_MAX:
        name = "first" if sample.accounts is None else "accounts"
        raise ArgumentInvalid(argument=name, why=f"it is about 0 to {PAGE_MAX} accounts")
    catalogue = context.catalogue
    if sample.accounts is not None:
        named = list({account.key: account for account in map(context.account, sample.accounts)}.values())
        for account in named:
            checked_choice(catalogue, account, told, instant)
        return named, told.struct(), 0
    mine = context.key.account
    candidates = [catalogue.accounts[key] for key in sorted(catalogue.accounts) if mine in (None, key)]
    found: list[Account] = []
    skipped = 0
    choice: PlanChoice = told.struct()
    for account in candidates:
        if len(found) == count:
            break
        checked_choice(catalogue, account, told, instant)
        if comparable(catalogue, account, choice, instant):
            found.append(account)
        else:
            skipped += 1
    return found, choice, skipped
