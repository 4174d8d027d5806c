"""The rules of pricing: plans, contracts, money and invoices. As `refusals`, one class per rule."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ledger.domain.refusals import Refusal


@dataclass(eq=False)
class CurrencyUnknown(Refusal):
    """The text "{currency}" is not a currency code of ISO 4217; an example is EUR."""

    currency: str


@dataclass(eq=False)
class CurrenciesMixed(Refusal):
    """{left} and {right} cannot be put together: convert one of the amounts first."""

    left: str
    right: str


@dataclass(eq=False)
class AmountUnrounded(Refusal):
    """{amount} {currency} has more than the {places} decimal places of its currency. Round it first."""

    amount: Decimal
    currency: str
    places: int


@dataclass(eq=False)
class AmountTooLarge(Refusal):
    """An amount of {digits} digits is beyond the {digits_max} that the ledger holds."""

    digits: int
    digits_max: int


@dataclass(eq=False)
class AllocationInvalid(Refusal):
    """The amount cannot be shared out like this: {why}."""

    why: str


@dataclass(eq=False)
class ChargeInvalid(Refusal):
    """The charge's {field} cannot be used: {why}."""

    field: str
    why: str


@dataclass(eq=False)
class NumberTooLong(Refusal):
    """The charge's {field} is beyond 38 digits: 20 before the point and 18 after it at most."""

    field: str


@dataclass(eq=False)
class PriceNegative(Refusal):
    """The charge's {field} is {price}; it cannot be below zero. Use a discount or a credit instead."""

    field: str
    price: Decimal


@dataclass(eq=False)
class TiersMissing(Refusal):
    """The charge has no tiers. Give at least one."""


@dataclass(eq=False)
class TiersUnsorted(Refusal):
    """Tier {tier} ends at {up_to}, below the end of the tier before it. List tiers from the lowest up."""

    tier: int
    up_to: Decimal


@dataclass(eq=False)
class TiersOverlap(Refusal):
    """Tier {tier} begins within the tier before it, which ends at {previous_up_to}. Each unit belongs to one tier."""

    tier: int
    previous_up_to: Decimal | None


@dataclass(eq=False)
class TiersGapped(Refusal):
    """Tier {tier} begins at {start}, but the tier before it ends at {previous_up_to}: units between have no price."""

    tier: int
    start: Decimal
    previous_up_to: Decimal


@dataclass(eq=False)
class LastTierBounded(Refusal):
    """The last tier ends at {up_to}: units past it have no price. Leave it open, or say what happens past it."""

    up_to: Decimal


@dataclass(eq=False)
class LastTierExceeded(Refusal):
    """{quantity} units are past the last tier, which ends at {up_to}. Add a tier for them."""

    quantity: Decimal
    up_to: Decimal


@dataclass(eq=False)
class QuantityNegative(Refusal):
    """The period's total is {quantity}, and the charge does not take totals below zero."""

    quantity: Decimal


@dataclass(eq=False)
class DurationInvalid(Refusal):
    """The text "{duration}" is not a usable duration: {why}."""

    duration: str
    why: str


@dataclass(eq=False)
class YearOutOfRange(Refusal):
    """The year {year} is too far away to have billing periods."""

    year: int


@dataclass(eq=False)
class PlanUnknown(Refusal):
    """There is no plan "{plan}". Define it first."""

    plan: str


@dataclass(eq=False)
class PlanExists(Refusal):
    """The plan "{plan}" is already defined. Revise it, or choose another key."""

    plan: str


@dataclass(eq=False)
class PlanRetiredAlready(Refusal):
    """The plan "{plan}" was retired at {retired_at} and takes neither revisions nor new contracts. Choose another."""

    plan: str
    retired_at: datetime


@dataclass(eq=False)
class PlanVersionUnknown(Refusal):
    """The plan "{plan}" has the versions 1 to {latest}, none with the number {version}. Choose one of them."""

    plan: str
    version: int
    latest: int


@dataclass(eq=False)
class PlanInvalid(Refusal):
    """The plan "{plan}" cannot be defined like this: {why}."""

    plan: str
    why: str


@dataclass(eq=False)
class ChargeRepeated(Refusal):
    """The key "{charge}" is given twice in the plan "{plan}". Give each charge, fee and discount a key of its own."""

    plan: str
    charge: str


@dataclass(eq=False)
class ChargeUnknown(Refusal):
    """The plan "{plan}" has no charge "{charge}". It has: {charges}."""

    plan: str
    charge: str
    charges: str


@dataclass(eq=False)
class RevisionOutOfOrder(Refusal):
    """A version of the plan "{plan}" is valid from {latest_from}. Let the next one begin after that."""

    plan: str
    latest_from: datetime


@dataclass(eq=False)
class EffectiveInPast(Refusal):
    """The {what} cannot take effect at {effective_at}, before {now}. Choose now or later, or adjust the invoice."""

    what: str
    effective_at: datetime
    now: datetime


@dataclass(eq=False)
class CurrencyMismatch(Refusal):
    """{what} is in {actual}, not in {expected}. One contract has one currency: end it to begin another."""

    what: str
    actual: str
    expected: str


@dataclass(eq=False)
class IntervalMismatch(Refusal):
    """The plan "{plan}" is billed every {actual}, not every {expected}. End the contract to begin another."""

    plan: str
    actual: str
    expected: str


@dataclass(eq=False)
class ContractInvalid(Refusal):
    """The contract of the account "{account}" cannot be like this: {why}."""

    account: str
    why: str


@dataclass(eq=False)
class ContractMissing(Refusal):
    """The account "{account}" has no contract. Start one first."""

    account: str


@dataclass(eq=False)
class ContractBeforeAccount(Refusal):
    """A contract cannot start at {started_at}: the account "{account}" opened at {opened_at}. Start then or later."""

    account: str
    started_at: datetime
    opened_at: datetime


@dataclass(eq=False)
class ContractsOverlap(Refusal):
    """The account "{account}" has a contract since {since}, and one at a time. Change its plan, or end it first."""

    account: str
    since: datetime


@dataclass(eq=False)
class ContractNotStarted(Refusal):
    """The contract of the account "{account}" starts at {started_at}. Choose that moment or a later one."""

    account: str
    started_at: datetime


@dataclass(eq=False)
class ContractEndedAlready(Refusal):
    """The contract of the account "{account}" ends at {ended_at}. Choose an earlier moment, or start another."""

    account: str
    ended_at: datetime


@dataclass(eq=False)
class ChangeOutOfOrder(Refusal):
    """The contract of the account "{account}" changes at {planned_at} already. Choose that moment or a later one."""

    account: str
    planned_at: datetime


@dataclass(eq=False)
class PauseOverlaps(Refusal):
    """The contract of the account "{account}" is paused since {paused_at}. Resume it before it is paused again."""

    account: str
    paused_at: datetime


@dataclass(eq=False)
class PauseMissing(Refusal):
    """The contract of the account "{account}" is not paused. There is nothing to resume."""

    account: str


@dataclass(eq=False)
class GrantExists(Refusal):
    """The account "{account}" has another credit grant "{grant}". Choose another id."""

    account: str
    grant: str


@dataclass(eq=False)
class GrantUnknown(Refusal):
    """The account "{account}" has no credit grant "{grant}" that could be revoked."""

    account: str
    grant: str
