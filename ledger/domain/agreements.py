"""What a contract holds beside its plan: billing cycle, entitlements, commitments, prepaid credit, policies."""

from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

import msgspec

from ledger.domain import charges
from ledger.domain.charges import Charge
from ledger.domain.money import Money, minor_digits
from ledger.domain.names import require_name
from ledger.domain.periods import Starts
from ledger.domain.pricing import NOT_METERED, Convention, PlanTerms, is_metered, require_amount
from ledger.domain.pricing_refusals import ChargeUnknown, ContractInvalid, CurrencyMismatch
from ledger.domain.values import ZERO

PARTS_MAX: Final = 200
"""The most overrides, entitlements or commitments of one contract, and the most charges in the scope of a grant."""


LateAction = Literal["carry_forward", "credit", "bill_now", "absorb"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a contract: immutable, closed."""


class ChargeOverride(_Part, frozen=True):
    """Another price for one charge of the plan."""

    charge: str
    price: Charge


class PlanChoice(_Part, frozen=True):
    """The plan that a contract is on, and what it changes of it.

    Without a `version` each period takes the one that is valid when the plan's part of the period begins, so that
    no price changes within a period; with it, that version stays.
    """

    plan: str
    version: int | None = None
    overrides: tuple[ChargeOverride, ...] = ()


class Entitlement(_Part, frozen=True):
    """How much of a meter the contract includes per period; None is no limit.

    A `soft` limit may be passed and is told, a `hard` one says that the product should stop. Neither changes a price:
    free units are a charge's `included_quantity`.
    """

    meter: str
    quantity: Decimal | None
    limit: Literal["soft", "hard"] = "soft"


class Commitment(_Part, frozen=True):
    """The least that is spent, before credit: `per` each period, or in "total" up to `until` or the contract's end.

    What is missing is trued up at the end: for a partial period, its share by the contract's proration.
    """

    key: str
    label: str
    amount: Decimal
    per: Literal["period", "total"] = "period"
    until: datetime | None = None


class CreditGrant(_Part, frozen=True):
    """Prepaid money for the lines of some charges (`scope`), or for any line if that is empty.

    It pays invoices that close while it is in effect: after `effective_at`, and no later than `expires_at`. A lower
    `priority` is used first, then what expires first. Source: Stripe's credit grants.
    """

    grant: str
    label: str
    amount: Money
    effective_at: datetime
    priority: int = 50
    expires_at: datetime | None = None
    scope: tuple[str, ...] = ()


class LatePolicy(_Part, frozen=True):
    """What becomes of the difference that usage makes after its period was closed (DESIGN section 8).

    `carry_forward` puts it on the next invoice; `bill_now` settles it at once, either way; `credit` gives back what
    was billed too much at once and drops the rest; `absorb` drops it. A difference of at most `small_amount` is
    always dropped.
    """

    action: LateAction = "carry_forward"
    small_amount: Decimal = ZERO


def late_action(policy: LatePolicy, difference: Money) -> LateAction:
    """What becomes of a difference: above zero the period owes it, below zero it is owed to the customer."""
    if abs(difference.amount) <= policy.small_amount or not difference.minor_units:
        return "absorb"
    if policy.action == "credit" and difference.minor_units > 0:
        return "absorb"
    return policy.action


class ContractTerms(_Part, frozen=True):
    """What is agreed for the contract's whole life.

    `alignment` tells where periods begin: with the calendar's, or on the anniversaries of `anchor` (the contract's
    start if None), there on `anchor_day` of the month if that is given, at the local midnight or to the second.
    """

    currency: str
    alignment: Literal["anniversary", "calendar"] = "anniversary"
    anchor: datetime | None = None
    anchor_day: int | None = None
    starts: Starts = "instant"
    proration: Convention = "elapsed_time"
    late_usage: LatePolicy = LatePolicy()
    entitlements: tuple[Entitlement, ...] = ()
    commitments: tuple[Commitment, ...] = ()


def check_agreement(account: str, terms: ContractTerms, started_at: datetime) -> None:
    """Refuse what could not be billed. Raises `CurrencyUnknown`, `ContractInvalid`, `NumberTooLong`,
    `PriceNegative`, `NameInvalid`.
    """
    minor_digits(terms.currency)
    if terms.alignment == "calendar" and (terms.anchor is not None or terms.anchor_day is not None):
        raise ContractInvalid(account=account, why="its periods are the calendar's and take no anchor")
    if terms.anchor_day is not None and not 1 <= terms.anchor_day <= 31:
        raise ContractInvalid(account=account, why=f"{terms.anchor_day} is not a day of a month")
    require_amount("late_usage.small_amount", terms.late_usage.small_amount)
    if max(len(terms.entitlements), len(terms.commitments)) > PARTS_MAX:
        raise ContractInvalid(account=account, why=f"it has more than {PARTS_MAX} entitlements or commitments")
    if len({entitlement.meter for entitlement in terms.entitlements}) < len(terms.entitlements):
        raise ContractInvalid(account=account, why="it has two entitlements to the same meter")
    for entitlement in terms.entitlements:
        check_entitlement(entitlement)
    if len({commitment.key for commitment in terms.commitments}) < len(terms.commitments):
        raise ContractInvalid(account=account, why="it has two commitments with the same key")
    for commitment in terms.commitments:
        _check_commitment(account, commitment, started_at)


def check_entitlement(entitlement: Entitlement) -> None:
    """Refuse a limit that is none. Raises `NameInvalid`, `NumberTooLong`, `PriceNegative`."""
    require_name(entitlement.meter, "a meter's key")
    require_amount(f"entitlement to {entitlement.meter}", entitlement.quantity or ZERO)


def _check_commitment(account: str, commitment: Commitment, started_at: datetime) -> None:
    require_name(commitment.key, "a commitment")
    require_name(commitment.label, "a line of an invoice")
    require_amount(f"commitment {commitment.key}", commitment.amount)
    if (commitment.per == "total") != (commitment.until is not None):
        why = f'the commitment "{commitment.key}" needs an end if it is in total, and only then'
        raise ContractInvalid(account=account, why=why)
    if commitment.until is not None and commitment.until <= started_at:
        why = f'the commitment "{commitment.key}" ends before the contract starts'
        raise ContractInvalid(account=account, why=why)


def check_grant(account: str, grant: CreditGrant, currency: str) -> None:
    """Refuse credit that could never be used. Raises `NameInvalid`, `CurrencyMismatch`, `ContractInvalid`."""
    require_name(grant.grant, "a credit grant")
    require_name(grant.label, "a line of an invoice")
    if grant.amount.currency != currency:
        raise CurrencyMismatch(what="The credit grant", actual=grant.amount.currency, expected=currency)
    if grant.amount.minor_units <= 0:
        raise ContractInvalid(account=account, why=f'the credit grant "{grant.grant}" is of nothing')
    if grant.expires_at is not None and grant.expires_at <= grant.effective_at:
        raise ContractInvalid(account=account, why=f'the credit grant "{grant.grant}" expires before it takes effect')
    if len(grant.scope) > PARTS_MAX:
        why = f'the credit grant "{grant.grant}" names more than {PARTS_MAX} charges'
        raise ContractInvalid(account=account, why=why)


def check_overrides(account: str, choice: PlanChoice, terms: PlanTerms) -> None:
    """Refuse prices for charges that the plan has not. Raises `ContractInvalid` and what `charges.check` raises."""
    if len({override.charge for override in choice.overrides}) < len(choice.overrides):
        raise ContractInvalid(account=account, why="it has two prices for the same charge")
    require_charges(choice.plan, terms, tuple(override.charge for override in choice.overrides))
    for override in choice.overrides:
        charges.check(override.price)
        if not is_metered(override.price):
            raise ContractInvalid(account=account, why=f'its price for the charge "{override.charge}" {NOT_METERED}')


def require_charges(plan: str, terms: PlanTerms, keys: tuple[str, ...]) -> None:
    """Raise `ChargeUnknown` for the first key that is no charge of the plan's terms."""
    known = [charge.key for charge in terms.charges]
    for key in keys:
        if key not in known:
            raise ChargeUnknown(plan=plan, charge=key, charges=", ".join(known) or "none")


def overridden(terms: PlanTerms, choice: PlanChoice) -> PlanTerms:
    """The plan's terms with the prices that the contract has in place of them."""
    prices = {override.charge: override.price for override in choice.overrides}
    replaced = (msgspec.structs.replace(charge, price=prices.get(charge.key, charge.price)) for charge in terms.charges)
    return msgspec.structs.replace(terms, charges=tuple(replaced))
