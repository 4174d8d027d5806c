"""Plans: defined, revised, retired, and the terms that could not be invoiced."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ledger.domain.charges import Cell, Dimensional, Graduated, PerUnit
from ledger.domain.events import PlanDefined, PlanRetired, PlanRevised
from ledger.domain.plans import (
    DefinePlan,
    Plan,
    PlanCommand,
    PlanEvent,
    RetirePlan,
    RevisePlan,
    decide,
    evolve,
    version_at,
)
from ledger.domain.pricing import PARTS_MAX, PlanDiscount, PlanTerms, check_terms
from ledger.domain.pricing_refusals import (
    ChargeRepeated,
    CurrencyMismatch,
    CurrencyUnknown,
    DurationInvalid,
    EffectiveInPast,
    IntervalMismatch,
    NumberTooLong,
    PlanExists,
    PlanInvalid,
    PlanRetiredAlready,
    PlanUnknown,
    PriceNegative,
    RevisionOutOfOrder,
    TiersOverlap,
)
from ledger.domain.refusals import DimensionUndeclared, MeterUnknown, NameInvalid, Refusal
from ledger.domain.tiers import Tier
from tests.domain.agreed import MAX, METERS, PRO, charge, fee, terms, utc

D = Decimal
NOW, LATER = utc("2026-03-01"), utc("2026-04-01")
DEFINED = PlanDefined(plan="pro", terms=PRO)
REVISED = PlanRevised(plan="pro", terms=MAX, valid_from=LATER)
RETIRED = PlanRetired(plan="pro", retired_at=NOW)


def state(past: list[PlanEvent]) -> Plan | None:
    plan: Plan | None = None
    for event in past:
        plan = evolve(plan, event)
    return plan


def decided(past: list[PlanEvent], command: PlanCommand) -> list[PlanEvent]:
    return decide(state(past), command, now=NOW, meters=METERS)


@pytest.mark.parametrize(
    ("past", "command", "then"),
    [
        ([], DefinePlan("pro", PRO), [DEFINED]),
        ([DEFINED], DefinePlan("pro", PRO), []),
        ([DEFINED], RevisePlan("pro", MAX, LATER), [REVISED]),
        ([DEFINED], RevisePlan("pro", MAX, NOW), [PlanRevised(plan="pro", terms=MAX, valid_from=NOW)]),
        ([DEFINED, REVISED], RevisePlan("pro", MAX, LATER), []),
        ([DEFINED], RetirePlan("pro", NOW), [RETIRED]),
    ],
)
def test_a_plan_is_defined_revised_and_retired(
    past: list[PlanEvent], command: PlanCommand, then: list[PlanEvent]
) -> None:
    assert decided(past, command) == then


@pytest.mark.parametrize(
    ("past", "command", "refusal"),
    [
        ([DEFINED], DefinePlan("pro", MAX), PlanExists),
        ([DEFINED, REVISED], DefinePlan("pro", PRO), PlanExists),
        ([], DefinePlan(" pro", PRO), NameInvalid),
        ([], RevisePlan("pro", PRO, LATER), PlanUnknown),
        ([], RetirePlan("pro", LATER), PlanUnknown),
        ([DEFINED, RETIRED], RevisePlan("pro", MAX, LATER), PlanRetiredAlready),
        ([DEFINED, RETIRED], RetirePlan("pro", LATER), PlanRetiredAlready),
        ([DEFINED], RevisePlan("pro", MAX, NOW - timedelta.resolution), EffectiveInPast),
        ([DEFINED, REVISED], RevisePlan("pro", PRO, LATER), RevisionOutOfOrder),
        ([DEFINED], RevisePlan("pro", terms(currency="USD"), LATER), CurrencyMismatch),
        ([DEFINED], RevisePlan("pro", terms(interval="year"), LATER), IntervalMismatch),
        ([DEFINED], RevisePlan("pro", terms(interval_count=3), LATER), IntervalMismatch),
        ([], DefinePlan("pro", terms(charge("a", meter="unknown"))), MeterUnknown),
        ([], DefinePlan("pro", terms(charge("a", group_by=("zone",)))), DimensionUndeclared),
        ([], DefinePlan("pro", terms(charge("a", filters={"zone": ("eu",)}))), DimensionUndeclared),
        ([DEFINED], RevisePlan("pro", terms(charge("a", meter="unknown")), LATER), MeterUnknown),
    ],
)
def test_what_breaks_a_rule_is_refused(past: list[PlanEvent], command: PlanCommand, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        decided(past, command)


def test_dimensions_that_the_meter_has_none_of_are_told() -> None:
    with pytest.raises(DimensionUndeclared, match="It has: none"):
        decided([], DefinePlan("pro", terms(charge("a", meter="tokens", group_by=("region",)))))
    assert decided([], DefinePlan("pro", terms(charge("a", group_by=("region",), filters={"tier": ("x", None)}))))


def test_a_version_holds_from_its_moment_on_and_the_first_at_any_time_before() -> None:
    plan = state([DEFINED, REVISED])
    assert plan is not None
    assert version_at(plan, utc("1999-01-01")) == version_at(plan, LATER - timedelta.resolution) == 1
    assert version_at(plan, LATER) == version_at(plan, utc("2040-01-01")) == 2
    retired = state([DEFINED, REVISED, RETIRED])
    assert retired == plan._replace(retired_at=NOW)


def discount(**more: Any) -> PlanDiscount:
    return PlanDiscount(key="off", label="Off", **more)


MATRIX = Dimensional(cells=(Cell(match={"region": ("eu",)}, price=PerUnit(unit_amount=D(1))),))


@pytest.mark.parametrize(
    ("bad", "refusal", "why"),
    [
        (terms(name=""), NameInvalid, "a plan"),
        (terms(currency="EURO"), CurrencyUnknown, "EURO"),
        (terms(interval_count=0), DurationInvalid, "count"),
        (terms(charge("a"), charge("a")), ChargeRepeated, '"a" is given twice'),
        (terms(charge("a"), fees=(fee("a", 1),)), ChargeRepeated, '"a" is given twice'),
        (terms(charge("a"), discounts=(discount(percent=D(1)),) * 2), ChargeRepeated, '"off"'),
        (terms(charge("")), NameInvalid, "a charge, fee or discount"),
        (terms(charge("a", label="")), NameInvalid, "a line"),
        (terms(*(charge(f"c{number}") for number in range(PARTS_MAX + 1))), PlanInvalid, "more than 500"),
        (terms(charge("a", PerUnit(unit_amount=D(-1)))), PriceNegative, "unit_amount"),
        (terms(charge("a", Graduated(tiers=(Tier(up_to=None),), is_prorated=True))), PlanInvalid, "not meter yet"),
        (terms(charge("a", PerUnit(unit_amount=D("1E+20")))), NumberTooLong, "38 digits"),
        (terms(charge("a", Graduated(tiers=(Tier(up_to=None), Tier(up_to=None))))), TiersOverlap, "Tier 2"),
        (terms(charge("a", filters={"region": ()})), PlanInvalid, "1 to 256 values"),
        (terms(charge("a", filters={"region": ("x",) * 257})), PlanInvalid, "1 to 256 values"),
        (terms(charge("a", group_by=("region", "region"))), PlanInvalid, "twice"),
        (terms(charge("a", MATRIX, group_by=("tier",))), PlanInvalid, 'prices by "region"'),
        (terms(fees=(fee("a", -1),)), PriceNegative, "fee a"),
        (terms(fees=(fee("a", "1E-19"),)), NumberTooLong, "fee a"),
        (terms(fees=(fee("a", "NaN"),)), NumberTooLong, "fee a"),
        (terms(discounts=(discount(),)), PlanInvalid, "either"),
        (terms(discounts=(discount(percent=D(1), amount=D(1)),)), PlanInvalid, "either"),
        (terms(discounts=(discount(percent=D(101)),)), PlanInvalid, "100 percent"),
        (terms(discounts=(discount(amount=D(-1)),)), PriceNegative, "discount off"),
        (terms(amount_min=D(-1)), PriceNegative, "amount_min"),
        (terms(amount_max=D("1E+20")), NumberTooLong, "amount_max"),
        (terms(amount_min=D(2), amount_max=D(1)), PlanInvalid, "above its maximum"),
    ],
)
def test_terms_that_could_not_be_invoiced_are_refused(bad: PlanTerms, refusal: type[Refusal], why: str) -> None:
    with pytest.raises(refusal, match=why):
        check_terms("pro", bad)


def test_terms_that_can_be_invoiced_pass() -> None:
    discounts = (discount(percent=D(100)), PlanDiscount(key="b", label="B", amount=D(1)))
    check_terms("pro", terms(charge("a", MATRIX, group_by=("region", "tier")), discounts=discounts, amount_max=D(0)))
    check_terms("pro", terms(amount_min=D(1), amount_max=D(1)))


def test_a_plan_says_how_often_it_is_billed() -> None:
    assert (terms().rhythm, terms(interval="week", interval_count=2).rhythm) == ("month", "2 weeks")
