"""Contracts: started, changed, paused, resumed, ended, given credit; one at a time, and never in the past."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from ledger.domain.agreements import (
    PARTS_MAX,
    ChargeOverride,
    Commitment,
    ContractTerms,
    CreditGrant,
    Entitlement,
    LateAction,
    LatePolicy,
    PlanChoice,
    late_action,
)
from ledger.domain.catalogue import Catalogue
from ledger.domain.charges import Charge, Graduated, PerUnit
from ledger.domain.contracting import (
    ChangeEntitlement,
    ChangePlan,
    ContractCommand,
    EndContract,
    GrantCredit,
    PauseContract,
    ResumeContract,
    RevokeCredit,
    StartContract,
    decide,
)
from ledger.domain.contracts import (
    ContractEvent,
    Granted,
    Pause,
    Phase,
    contract_at,
    with_plan,
)
from ledger.domain.events import (
    ContractEnded,
    ContractPaused,
    ContractPlanChanged,
    ContractResumed,
    CreditGranted,
    CreditRevoked,
    EntitlementChanged,
    PlanDefined,
)
from ledger.domain.money import Money
from ledger.domain.pricing_refusals import (
    ChangeOutOfOrder,
    ChargeUnknown,
    ContractBeforeAccount,
    ContractEndedAlready,
    ContractInvalid,
    ContractMissing,
    ContractNotStarted,
    ContractsOverlap,
    CurrencyMismatch,
    CurrencyUnknown,
    EffectiveInPast,
    GrantExists,
    GrantUnknown,
    IntervalMismatch,
    NumberTooLong,
    PauseMissing,
    PauseOverlaps,
    PlanRetiredAlready,
    PlanUnknown,
    PlanVersionUnknown,
    PriceNegative,
)
from ledger.domain.refusals import AccountUnknown, NameInvalid, Refusal
from ledger.domain.tiers import Tier
from tests.domain.agreed import IN_EUR, ON_MAX, ON_PRO, PLANS, contract, eur, folded, grant, started, utc

D = Decimal
TICK = timedelta.resolution
OPENED, START = utc("2025-12-24"), utc("2026-01-01")
NOW, SOON, LATER = utc("2026-03-01"), utc("2026-03-10"), utc("2026-03-20")
SEATS = Entitlement(meter="seats", quantity=D(10), limit="hard")

STARTED = started()
CHANGED = ContractPlanChanged(account="acme", effective_at=SOON, choice=ON_MAX)
PAUSED = ContractPaused(account="acme", effective_at=SOON)
RESUMED = ContractResumed(account="acme", effective_at=LATER)
ENDED = ContractEnded(account="acme", effective_at=SOON)
GRANTED = CreditGranted(account="acme", grant=grant("g", 10))
OTHER = CreditGranted(account="acme", grant=grant("other", 5))
REVOKED = CreditRevoked(account="acme", grant="g", effective_at=SOON)

START_PRO = StartContract("acme", START, ON_PRO, IN_EUR)
TO_MAX = ChangePlan("acme", SOON, ON_MAX)


def decided(past: list[ContractEvent], command: ContractCommand, opened_at: datetime | None = OPENED) -> Any:
    return decide(folded(*past), command, now=NOW, opened_at=opened_at, plans=PLANS)


@pytest.mark.parametrize(
    ("past", "command", "then"),
    [
        ([], START_PRO, [STARTED]),
        ([], START_PRO._replace(started_at=OPENED), [started("2025-12-24")]),
        ([STARTED], START_PRO, []),
        ([STARTED, ENDED], START_PRO._replace(started_at=SOON), [started("2026-03-10")]),
        ([STARTED], TO_MAX, [CHANGED]),
        ([STARTED], ChangePlan("acme", SOON, ON_PRO), []),
        ([STARTED], TO_MAX._replace(effective_at=NOW), [msgspec.structs.replace(CHANGED, effective_at=NOW)]),
        ([started("2026-03-10")], TO_MAX, [CHANGED]),
        ([STARTED, CHANGED], TO_MAX, []),
        ([STARTED, CHANGED], ChangePlan("acme", SOON, ON_PRO), [msgspec.structs.replace(CHANGED, choice=ON_PRO)]),
        ([STARTED], PauseContract("acme", SOON), [PAUSED]),
        ([STARTED, PAUSED], PauseContract("acme", SOON), []),
        (
            [STARTED, PAUSED, RESUMED],
            PauseContract("acme", LATER),
            [ContractPaused(account="acme", effective_at=LATER)],
        ),
        ([STARTED, PAUSED], ResumeContract("acme", LATER), [RESUMED]),
        ([STARTED, PAUSED, RESUMED], ResumeContract("acme", LATER), []),
        ([STARTED], EndContract("acme", SOON), [ENDED]),
        ([STARTED, ENDED], EndContract("acme", SOON), []),
        ([STARTED], GrantCredit("acme", grant("g", 10)), [GRANTED]),
        ([STARTED, GRANTED], GrantCredit("acme", grant("g", 10)), []),
        ([STARTED, OTHER, GRANTED], GrantCredit("acme", grant("g", 10)), []),
        ([STARTED, OTHER, GRANTED], RevokeCredit("acme", "g", SOON), [REVOKED]),
        ([STARTED, GRANTED], RevokeCredit("acme", "g", SOON), [REVOKED]),
        ([STARTED, GRANTED, REVOKED], RevokeCredit("acme", "g", SOON), []),
        (
            [STARTED],
            ChangeEntitlement("acme", SOON, SEATS),
            [EntitlementChanged(account="acme", effective_at=SOON, entitlement=SEATS)],
        ),
    ],
)
def test_a_command_leads_to_its_event_and_repeated_to_none(
    past: list[ContractEvent], command: ContractCommand, then: list[ContractEvent]
) -> None:
    assert decided(past, command) == then


@pytest.mark.parametrize(
    ("past", "command", "refusal"),
    [
        ([], START_PRO._replace(started_at=OPENED - TICK), ContractBeforeAccount),
        ([STARTED], START_PRO._replace(choice=ON_MAX), ContractsOverlap),
        ([STARTED, ENDED], START_PRO._replace(started_at=SOON - TICK), ContractsOverlap),
        ([], START_PRO._replace(choice=PlanChoice(plan="none")), PlanUnknown),
        ([], START_PRO._replace(choice=PlanChoice(plan="old")), PlanRetiredAlready),
        ([], START_PRO._replace(choice=PlanChoice(plan="pro", version=2)), PlanVersionUnknown),
        ([], START_PRO._replace(choice=PlanChoice(plan="pro", version=0)), PlanVersionUnknown),
        ([], START_PRO._replace(choice=PlanChoice(plan="dollar")), CurrencyMismatch),
        ([], TO_MAX, ContractMissing),
        ([STARTED], TO_MAX._replace(effective_at=NOW - TICK), EffectiveInPast),
        ([STARTED], PauseContract("acme", NOW - TICK), EffectiveInPast),
        ([STARTED], EndContract("acme", NOW - TICK), EffectiveInPast),
        ([started("2026-03-20")], TO_MAX, ContractNotStarted),
        ([STARTED, CHANGED], TO_MAX._replace(effective_at=SOON - TICK), ChangeOutOfOrder),
        ([STARTED], TO_MAX._replace(choice=PlanChoice(plan="dollar")), CurrencyMismatch),
        ([STARTED], TO_MAX._replace(choice=PlanChoice(plan="weekly")), IntervalMismatch),
        ([STARTED, PAUSED], PauseContract("acme", LATER), PauseOverlaps),
        ([STARTED, PAUSED, RESUMED], PauseContract("acme", LATER - TICK), PauseOverlaps),
        ([STARTED], ResumeContract("acme", SOON), PauseMissing),
        ([STARTED, PAUSED], ResumeContract("acme", SOON), PauseMissing),
        ([STARTED, PAUSED, RESUMED], ResumeContract("acme", LATER + TICK), PauseMissing),
        ([STARTED, ENDED], TO_MAX, ContractEndedAlready),
        ([STARTED, ENDED], EndContract("acme", SOON - TICK), ContractEndedAlready),
        ([STARTED, ENDED], PauseContract("acme", SOON), ContractEndedAlready),
        ([STARTED, GRANTED], GrantCredit("acme", grant("g", 11)), GrantExists),
        ([STARTED], RevokeCredit("acme", "g", SOON), GrantUnknown),
        ([STARTED, GRANTED, REVOKED], RevokeCredit("acme", "g", LATER), GrantUnknown),
        ([STARTED, GRANTED], RevokeCredit("acme", "g", NOW - TICK), EffectiveInPast),
        ([STARTED], ChangeEntitlement("acme", SOON, Entitlement(meter="", quantity=D(1))), NameInvalid),
        ([STARTED], ChangeEntitlement("acme", SOON, Entitlement(meter="m", quantity=D(-1))), PriceNegative),
    ],
)
def test_what_breaks_a_rule_is_refused(
    past: list[ContractEvent], command: ContractCommand, refusal: type[Refusal]
) -> None:
    with pytest.raises(refusal):
        decided(past, command)


def test_a_contract_needs_an_account() -> None:
    with pytest.raises(AccountUnknown, match="Open it first"):
        decided([], START_PRO, opened_at=None)


def test_a_refusal_says_what_to_do() -> None:
    with pytest.raises(ContractsOverlap, match="Change its plan, or end it first"):
        decided([STARTED], START_PRO._replace(choice=ON_MAX))
    with pytest.raises(EffectiveInPast, match="Choose now or later"):
        decided([STARTED], TO_MAX._replace(effective_at=START))


def commitment(**more: Any) -> Commitment:
    agreed: dict[str, Any] = {"key": "c", "label": "Commitment", "amount": D(1)}
    return Commitment(**(agreed | more))


@pytest.mark.parametrize(
    ("changes", "refusal", "why"),
    [
        ({"currency": "XYZ"}, CurrencyUnknown, "XYZ"),
        ({"anchor_day": 1}, ContractInvalid, "no anchor"),
        ({"anchor": START}, ContractInvalid, "no anchor"),
        ({"alignment": "anniversary", "anchor_day": 32}, ContractInvalid, "32"),
        ({"late_usage": LatePolicy(small_amount=D(-1))}, PriceNegative, "small_amount"),
        ({"entitlements": (SEATS, SEATS)}, ContractInvalid, "same meter"),
        ({"entitlements": (Entitlement(meter="", quantity=None),)}, NameInvalid, "meter"),
        ({"entitlements": (Entitlement(meter="m", quantity=D("1E+20")),)}, NumberTooLong, "entitlement"),
        ({"commitments": (commitment(),) * (PARTS_MAX + 1)}, ContractInvalid, "more than 200"),
        ({"commitments": (commitment(),) * 2}, ContractInvalid, "same key"),
        ({"commitments": (commitment(key=""),)}, NameInvalid, "a commitment"),
        ({"commitments": (commitment(label=""),)}, NameInvalid, "a line"),
        ({"commitments": (commitment(amount=D(-1)),)}, PriceNegative, "commitment c"),
        ({"commitments": (commitment(per="total"),)}, ContractInvalid, "needs an end"),
        ({"commitments": (commitment(until=LATER),)}, ContractInvalid, "needs an end"),
        ({"commitments": (commitment(per="total", until=START),)}, ContractInvalid, "before the contract starts"),
    ],
)
def test_terms_that_could_not_be_billed_are_refused(changes: Any, refusal: type[Refusal], why: str) -> None:
    with pytest.raises(refusal, match=why):
        decided([], START_PRO._replace(terms=msgspec.structs.replace(IN_EUR, **changes)))


def test_terms_that_can_be_billed_pass() -> None:
    agreed = ContractTerms(
        currency="EUR",
        anchor=START,
        anchor_day=31,
        entitlements=(SEATS, Entitlement(meter="calls", quantity=None)),
        commitments=(commitment(), commitment(key="d", per="total", until=LATER)),
    )
    assert decided([], START_PRO._replace(terms=agreed)) == [started(agreed=agreed)]


PRORATED = Charge(model=Graduated(tiers=(Tier(up_to=None),), is_prorated=True))


def override(key: str, price: object) -> ChargeOverride:
    return ChargeOverride(charge=key, price=Charge(model=PerUnit(unit_amount=D(str(price)))))


@pytest.mark.parametrize(
    ("overrides", "refusal", "why"),
    [
        ((override("seats", 1),), ChargeUnknown, "It has: calls"),
        ((override("calls", 1), override("calls", 2)), ContractInvalid, "two prices"),
        ((override("calls", -1),), PriceNegative, "unit_amount"),
        ((ChargeOverride(charge="calls", price=PRORATED),), ContractInvalid, "not meter yet"),
    ],
)
def test_prices_of_its_own_must_be_for_charges_of_the_plan(
    overrides: tuple[ChargeOverride, ...], refusal: type[Refusal], why: str
) -> None:
    choice = PlanChoice(plan="pro", overrides=overrides)
    with pytest.raises(refusal, match=why):
        decided([], START_PRO._replace(choice=choice))
    with pytest.raises(refusal, match=why):
        decided([STARTED], TO_MAX._replace(choice=choice))


def test_a_contract_may_have_prices_of_its_own() -> None:
    choice = PlanChoice(plan="pro", overrides=(override("calls", 3),))
    assert decided([], START_PRO._replace(choice=choice)) == [started(choice=choice)]


@pytest.mark.parametrize(
    ("bad", "refusal", "why"),
    [
        (grant("", 1), NameInvalid, "a credit grant"),
        (grant("g", 1, label=""), NameInvalid, "a line"),
        (msgspec.structs.replace(grant("g", 1), amount=Money(1, "USD")), CurrencyMismatch, "USD, not in EUR"),
        (grant("g", 0), ContractInvalid, "of nothing"),
        (grant("g", 1, expires_at=START), ContractInvalid, "before it takes effect"),
        (grant("g", 1, scope=("seats",)), ChargeUnknown, "seats"),
        (grant("g", 1, scope=("calls",) * (PARTS_MAX + 1)), ContractInvalid, "more than 200"),
    ],
)
def test_credit_that_could_never_be_used_is_refused(bad: CreditGrant, refusal: type[Refusal], why: str) -> None:
    with pytest.raises(refusal, match=why):
        decided([STARTED], GrantCredit("acme", bad))


@pytest.mark.parametrize("version", [None, 1])
def test_credit_may_be_for_charges_of_the_plan_alone(version: int | None) -> None:
    past: list[ContractEvent] = [started(choice=PlanChoice(plan="pro", version=version))]
    good = grant("g", 1, scope=("calls",), expires_at=LATER)
    assert decided(past, GrantCredit("acme", good)) == [CreditGranted(account="acme", grant=good)]


def test_what_stands_follows_from_the_events() -> None:
    limit = EntitlementChanged(account="acme", effective_at=SOON, entitlement=SEATS)
    earlier = EntitlementChanged(
        account="acme", effective_at=NOW, entitlement=Entitlement(meter="seats", quantity=None)
    )
    now = contract(STARTED, CHANGED, PAUSED, RESUMED, GRANTED, OTHER, REVOKED, limit, earlier)
    assert now.phases == (Phase(START, ON_PRO), Phase(SOON, ON_MAX))
    assert now.pauses == (Pause(SOON, LATER),)
    assert now.grants == (Granted(GRANTED.grant, SOON), Granted(OTHER.grant))
    assert now.entitlements == ((NOW, earlier.entitlement), (SOON, SEATS))
    assert now.ended_at is None


def test_a_change_at_the_same_moment_replaces_the_one_before() -> None:
    back = msgspec.structs.replace(CHANGED, choice=PlanChoice(plan="pro", version=1))
    assert contract(STARTED, CHANGED, back).phases == (Phase(START, ON_PRO), Phase(SOON, back.choice))


def test_a_contract_runs_from_its_start_up_to_its_end() -> None:
    state = folded(STARTED, ENDED, started("2026-03-20"))
    first, second = state
    assert contract_at(state, START - TICK) is None
    assert contract_at(state, START) == contract_at(state, SOON - TICK) == first
    assert contract_at(state, SOON) is contract_at(state, LATER - TICK) is None
    assert contract_at(state, LATER) == second


def test_what_if_puts_the_whole_past_on_another_plan() -> None:
    assert with_plan(contract(STARTED, CHANGED), ON_MAX).phases == (Phase(START, ON_MAX),)


def test_amounts_of_credit_are_whole_minor_units() -> None:
    assert GRANTED.grant.amount == eur(10) == Money(1000, "EUR")


@pytest.mark.parametrize(
    ("action", "difference", "then"),
    [
        ("carry_forward", 2, "carry_forward"),
        ("carry_forward", -2, "carry_forward"),
        ("carry_forward", 1, "absorb"),
        ("bill_now", -1, "absorb"),
        ("bill_now", 2, "bill_now"),
        ("credit", -2, "credit"),
        ("credit", 2, "absorb"),
        ("absorb", 2, "absorb"),
    ],
)
def test_late_usage_is_settled_by_policy_and_small_amounts_are_dropped(
    action: LateAction, difference: int, then: LateAction
) -> None:
    assert late_action(LatePolicy(action=action, small_amount=D(1)), eur(difference)) == then


def test_no_difference_leads_to_nothing() -> None:
    assert late_action(LatePolicy(action="bill_now"), eur(0)) == "absorb"


def test_the_catalogue_holds_plans_and_each_accounts_contracts() -> None:
    catalogue = Catalogue()
    pro = PLANS["pro"].versions[0].terms
    for position, event in enumerate((PlanDefined(plan="pro", terms=pro), STARTED, CHANGED), start=1):
        catalogue.apply(event, position)
    assert catalogue.plans == {"pro": PLANS["pro"]}
    assert catalogue.contracts == {"acme": folded(STARTED, CHANGED)}
