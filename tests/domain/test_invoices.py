"""The projected invoice: its lines, their shares of the period, discounts, bounds and commitments."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.agreements import ChargeOverride, Commitment, ContractTerms, PlanChoice
from ledger.domain.charges import Cell, Charge, Dimensional, Flat, Graduated, PerUnit
from ledger.domain.contracts import Contract, ContractEvent, with_plan
from ledger.domain.events import ContractEnded, ContractPaused, ContractPlanChanged
from ledger.domain.invoices import Invoice, preview, project, sums
from ledger.domain.lines import Used
from ledger.domain.money import Money, total
from ledger.domain.periods import Period
from ledger.domain.plans import Plan
from ledger.domain.pricing import FixedFee, PlanCharge, PlanDiscount, PlanTerms
from ledger.domain.pricing_refusals import LastTierExceeded
from ledger.domain.proration import Share
from ledger.domain.rating import rate
from ledger.domain.tiers import Tier
from tests.domain.agreed import (
    IN_EUR,
    JANUARY,
    MAX,
    ON_MAX,
    ON_PRO,
    PLANS,
    charge,
    contract,
    eur,
    fee,
    plan,
    started,
    terms,
    units,
    utc,
)
from tests.domain.strategies import charges, prices, quantities

D = Decimal
TIERS = (Tier(up_to=D(100), unit_amount=D("0.10")), Tier(up_to=None, unit_amount=D("0.05"), flat_amount=D(3)))


def projected(
    *past: ContractEvent, used: tuple[Used, ...] = (), plans: dict[str, Plan] = PLANS, **more: Any
) -> Invoice:
    arguments: dict[str, Any] = {"zone": "UTC", "as_of": JANUARY.end, "spent": {}} | more
    return project(contract(*past), plans, JANUARY, used, **arguments)


def told(invoice: Invoice) -> list[tuple[str, str, int | None, Decimal]]:
    return [(line.kind, line.key, line.segment, line.money.amount) for line in invoice.lines]


def moved(at: str) -> ContractPlanChanged:
    return ContractPlanChanged(account="acme", effective_at=utc(at), choice=ON_MAX)


def ended(at: str) -> ContractEnded:
    return ContractEnded(account="acme", effective_at=utc(at))


def of(*parts: PlanCharge, **more: Any) -> dict[str, Plan]:
    return {"pro": plan("pro", terms(*parts, **more))}


def test_an_invoice_has_a_line_for_each_charge_and_fee() -> None:
    invoice = projected(started(), used=(Used("calls", units(7)),))
    assert told(invoice) == [("usage", "calls", 0, D(7)), ("fee", "base", 0, D(31))]
    assert (invoice.subtotal, invoice.credited, invoice.total) == (eur(38), eur(0), eur(38))
    assert (invoice.account, invoice.period, invoice.closes_at) == ("acme", JANUARY, JANUARY.end)


def test_an_invoice_is_final_once_its_period_has_closed() -> None:
    assert projected(started()).is_final
    assert not projected(started(), as_of=JANUARY.end - timedelta.resolution).is_final
    early = projected(started(), ended("2026-01-10"), as_of=utc("2026-01-10"))
    assert (early.is_final, early.closes_at) == (True, utc("2026-01-10"))


def test_a_change_of_plan_prices_each_segment_by_its_own_plan() -> None:
    used = (Used("calls", units(10), segment=0), Used("calls", units(20), segment=1))
    invoice = projected(started(), moved("2026-01-11"), used=used)
    assert told(invoice) == [
        ("usage", "calls", 0, D(10)),
        ("fee", "base", 0, D(10)),
        ("usage", "calls", 1, D(40)),
        ("fee", "base", 1, D(42)),
    ]
    assert [segment.plan for segment in invoice.segments] == ["pro", "max"]


@given(quantities)
def test_a_change_at_the_start_of_the_period_is_the_new_plan_alone(quantity: Decimal) -> None:
    used = (Used("calls", units(quantity)),)
    changed = projected(started("2025-12-01"), moved("2026-01-01"), used=used)
    alone = projected(started("2025-12-01", choice=ON_MAX), used=used)
    assert changed == alone


def test_a_contract_that_is_paused_or_not_begun_owes_nothing() -> None:
    paused = ContractPaused(account="acme", effective_at=utc("2025-12-20"))
    for past in (
        [started("2025-12-01"), paused],
        [started("2026-02-01")],
        [started("2025-12-01"), ended("2026-01-01")],
    ):
        invoice = projected(*past, used=(Used("calls", units(7)),))
        assert (invoice.lines, invoice.total) == ((), eur(0))


def test_an_override_is_the_price_of_one_charge() -> None:
    half = ChargeOverride(charge="calls", price=Charge(model=PerUnit(unit_amount=D("0.5"))))
    choice = PlanChoice(plan="pro", overrides=(half,))
    invoice = projected(started(choice=choice), used=(Used("calls", units(7)),))
    assert told(invoice) == [("usage", "calls", 0, D("3.5")), ("fee", "base", 0, D(31))]


def test_what_if_is_the_same_contract_on_another_plan() -> None:
    used = (Used("calls", units(7)),)
    other = with_plan(contract(), ON_MAX)
    invoice = project(other, PLANS, JANUARY, used, zone="UTC", as_of=JANUARY.end, spent={})
    assert invoice.lines == preview(MAX, used).lines


@pytest.mark.parametrize(
    ("fixed", "then"),
    [
        (fee("base", 31), [D(10), D(21)]),
        (fee("base", 31, proration="none"), [D(31)]),
        (fee("base", 31, proration="days"), [D(10), D(21)]),
    ],
)
def test_a_fee_is_prorated_by_its_own_convention_or_the_contracts(fixed: FixedFee, then: list[Decimal]) -> None:
    plans = {"pro": plan("pro", terms(fees=(fixed,))), "max": plan("max", terms(fees=(fixed,)))}
    invoice = projected(started(), moved("2026-01-11"), plans=plans)
    assert [line.money.amount for line in invoice.lines] == then


@pytest.mark.parametrize(("term", "segment"), [("in_advance", 0), ("in_arrears", 1)])
def test_a_fee_that_is_not_prorated_falls_on_the_first_or_the_last_segment(term: Any, segment: int) -> None:
    fixed = fee("base", 31, term=term, proration="none")
    plans = {"pro": plan("pro", terms(fees=(fixed,))), "max": plan("max", terms(fees=(fixed,)))}
    [line] = projected(started(), moved("2026-01-11"), plans=plans).lines
    assert (line.segment, line.term, line.money) == (segment, term, eur(31))


def test_the_amounts_per_period_of_a_charge_weigh_by_its_share() -> None:
    parts = (
        charge("flat", Flat(amount=D(31), term="in_advance")),
        charge("minimum", amount_min=D(62)),
        charge("maximum", amount_max=D(93)),
        charge("standing", standing_amount=D(31), discount_amount=D(62)),
        charge("whole", Flat(amount=D(31)), prorates_amounts=False),
        charge("included", included_quantity=D(31)),
        charge("part", included_quantity=D(31), prorates_included=True),
    )
    used = tuple(Used(key, units(100)) for key in ("maximum", "standing", "included", "part"))
    invoice = projected(started("2026-01-22"), used=used, plans=of(*parts))
    assert [(line.key, line.money.amount) for line in invoice.lines] == [
        ("flat", D(10)),
        ("minimum", D(20)),
        ("maximum", D(30)),
        ("standing", D(90)),
        ("whole", D(31)),
        ("included", D(69)),
        ("part", D(90)),
    ]
    assert [line.term for line in invoice.lines[:2]] == ["in_advance", "in_arrears"]


def test_without_proration_bounds_bear_on_each_segment_and_minimums_on_the_last() -> None:
    parts = (charge("calls", amount_min=D(5), amount_max=D(20), included_quantity=D(1), prorates_included=True),)
    agreed = msgspec.structs.replace(IN_EUR, proration="none")
    plans = of(*parts) | {"max": plan("max", terms(*parts))}
    used = (Used("calls", units(30), segment=0), Used("calls", units(4), segment=1))
    invoice = projected(started(agreed=agreed), moved("2026-01-11"), used=used, plans=plans)
    assert [line.money.amount for line in invoice.lines] == [D(20), D(5)]
    idle = projected(started(agreed=agreed), moved("2026-01-11"), plans=plans)
    assert [line.money.amount for line in idle.lines] == [D(0), D(5)]


def test_each_group_is_priced_alone_on_a_line_of_its_own() -> None:
    plans = of(charge("calls", Graduated(tiers=TIERS), group_by=("region",)))
    used = tuple(
        Used("calls", units(quantity), group=(("region", region),))
        for region, quantity in (("us", 200), (None, 50), ("eu", 100))
    )
    invoice = projected(started(), used=used, plans=plans)
    assert [(line.group, line.money.amount) for line in invoice.lines] == [
        ((("region", None),), D(5)),
        ((("region", "eu"),), D(10)),
        ((("region", "us"),), D(18)),
    ]
    assert projected(started(), used=tuple(reversed(used)), plans=plans) == invoice


def test_a_dimensional_charge_puts_its_groups_on_one_line() -> None:
    cell = Cell(match={"region": ("eu",)}, price=PerUnit(unit_amount=D(2)))
    model = Dimensional(cells=(cell,), otherwise=PerUnit(unit_amount=D(1)))
    used = tuple(Used("calls", units(5), group=(("region", region),)) for region in ("us", "eu"))
    [line] = projected(started(), used=used, plans=of(charge("calls", model, group_by=("region",)))).lines
    assert (line.group, line.quantity, line.money) == ((), D(10), eur(15))


def test_usage_of_charges_that_the_plan_has_not_is_passed_over() -> None:
    invoice = projected(started(), used=(Used("other", units(7)), Used("calls", units(7), segment=3)))
    assert invoice.total == eur(31)


@pytest.mark.parametrize(
    "used",
    [
        (Used("calls", units(1)), Used("calls", units(2))),
        (Used("calls", units(1)), Used("calls", units(2), group=(("region", "eu"),))),
    ],
)
def test_usage_told_twice_is_a_fault(used: tuple[Used, ...]) -> None:
    with pytest.raises(AssertionError):
        projected(started(), used=used)


def percent(value: object) -> PlanDiscount:
    return PlanDiscount(key="percent", label="Percent", percent=D(str(value)))


def off(value: object) -> PlanDiscount:
    return PlanDiscount(key="off", label="Off", amount=D(str(value)))


@pytest.mark.parametrize(
    ("more", "quantity", "then"),
    [
        ({"discounts": (off(5), percent(10))}, 100, [("discount", D(-10)), ("discount", D(-5))]),
        ({"discounts": (off(5),)}, 3, [("discount", D(-3))]),
        ({"discounts": (off(5), percent(10))}, 0, []),
        ({"discounts": (percent(50),), "amount_max": D(40)}, 100, [("discount", D(-50)), ("maximum", D(-10))]),
        ({"discounts": (percent(50),), "amount_min": D(60)}, 100, [("discount", D(-50)), ("minimum", D(10))]),
        ({"amount_min": D(60), "amount_max": D(100)}, 100, []),
        ({"amount_min": D(60)}, 0, [("minimum", D(60))]),
    ],
)
def test_discounts_then_maximum_then_minimum(more: Any, quantity: int, then: list[tuple[str, Decimal]]) -> None:
    invoice = projected(started(), used=(Used("calls", units(quantity)),), plans=of(charge("calls"), **more))
    assert [(line.kind, line.money.amount) for line in invoice.lines[1:]] == then


def test_discounts_and_bounds_of_a_part_weigh_by_its_share() -> None:
    plans = of(charge("calls"), discounts=(off(31),), amount_max=D(62), amount_min=D(1))
    invoice = projected(started("2026-01-22"), used=(Used("calls", units(50)),), plans=plans)
    assert told(invoice)[1:] == [("discount", "off", 0, D(-10)), ("maximum", "amount_max", 0, D(-20))]
    idle = projected(started("2026-01-22"), plans=of(charge("calls"), amount_min=D(31)))
    assert idle.total == eur(10)


def committed(*commitments: Commitment, convention: Any = "elapsed_time") -> ContractTerms:
    return ContractTerms(currency="EUR", alignment="calendar", commitments=commitments, proration=convention)


def commitment(key: str, amount: object, **more: Any) -> Commitment:
    return Commitment(key=key, label=key, amount=D(str(amount)), **more)


@pytest.mark.parametrize(
    ("commitments", "quantity", "then"),
    [
        ((commitment("a", 100),), 19, [("commitment", "a", None, D(50))]),
        ((commitment("a", 100),), 69, []),
        (
            (commitment("b", 80), commitment("a", 70)),
            19,
            [("commitment", "a", None, D(20)), ("commitment", "b", None, D(10))],
        ),
    ],
)
def test_what_is_missing_to_a_commitment_is_trued_up(
    commitments: tuple[Commitment, ...], quantity: int, then: list[Any]
) -> None:
    invoice = projected(started(agreed=committed(*commitments)), used=(Used("calls", units(quantity)),))
    assert told(invoice)[2:] == then


@pytest.mark.parametrize(
    ("past", "convention", "due"),
    [
        (["2026-01-22"], "elapsed_time", D(10)),
        (["2026-01-22"], "days", D(10)),
        (["2026-01-22"], "none", D(31)),
        (["2025-12-01", "2026-01-01"], "elapsed_time", None),
    ],
)
def test_a_commitment_per_period_weighs_by_the_share_that_the_contract_ran(
    past: list[str], convention: Any, due: Decimal | None
) -> None:
    agreed = committed(commitment("a", 31), convention=convention)
    events: list[ContractEvent] = [started(past[0], agreed=agreed), *map(ended, past[1:])]
    lines = projected(*events, plans=of()).lines
    assert [line.money.amount for line in lines] == ([] if due is None else [due])


@pytest.mark.parametrize(
    ("past", "until", "due"),
    [
        ([], "2026-01-31", D(29)),
        ([], "2026-02-01", D(29)),
        ([], "2026-02-02", None),
        ([], "2026-01-01", None),
        ([ended("2026-01-15")], "2026-12-31", D(29)),
        ([ended("2026-02-15")], "2026-01-31", D(29)),
    ],
)
def test_a_commitment_in_total_is_trued_up_in_the_period_it_ends_in(
    past: list[ContractEvent], until: str, due: Decimal | None
) -> None:
    agreed = committed(commitment("a", 100, per="total", until=utc(until)))
    invoice = projected(
        started("2025-12-01", agreed=agreed),
        *past,
        used=(Used("calls", units(11)),),
        plans=of(charge("calls")),
        billed_before=eur(60),
    )
    assert [line.money.amount for line in invoice.lines[1:]] == ([] if due is None else [due])


def test_a_quantity_past_the_last_tier_is_refused() -> None:
    model = Graduated(tiers=(Tier(up_to=D(1)),), past_last_tier="error")
    with pytest.raises(LastTierExceeded):
        projected(started(), used=(Used("calls", units(2)),), plans=of(charge("calls", model)))


def test_two_currencies_are_summed_side_by_side() -> None:
    used = (Used("calls", units(2)),)
    dollars = preview(terms(charge("calls"), currency="USD"), used)
    euros = preview(terms(charge("calls")), used)
    assert sums([dollars, euros, euros]) == {"USD": Money(200, "USD"), "EUR": eur(4)}


def test_each_line_is_rounded_once_and_says_by_how_much() -> None:
    [line] = preview(terms(charge("calls", PerUnit(unit_amount=D("0.333")))), [Used("calls", units(1))]).lines
    assert (line.amount, line.money) == (D("0.333"), Money(33, "EUR"))
    assert [(step.kind, step.amount) for step in line.steps] == [("units", D("0.333")), ("rounding", D("-0.003"))]


@st.composite
def offers(draw: st.DrawFn) -> PlanTerms:
    """Random plans of two charges, a fee, discounts and bounds."""
    low = draw(st.none() | prices)
    return terms(
        *(charge(key, meter="calls", **price_of(draw(charges()))) for key in ("a", "b")),
        fees=(fee("base", draw(prices), proration=draw(st.sampled_from((None, "days", "none", "elapsed_time")))),),
        discounts=tuple(draw(st.permutations([percent(draw(st.integers(1, 100))), off(draw(st.integers(1, 99)))]))),
        amount_min=low,
        amount_max=draw(st.none() | st.decimals(min_value=low or 0, max_value=2000, places=2)),
    )


def price_of(price: Charge) -> dict[str, Any]:
    return {name: getattr(price, name) for name in price.__struct_fields__}


conventions = st.sampled_from(("days", "elapsed_time", "none"))
instants = st.integers(1, 31 * 24 * 3600 - 1).map(lambda seconds: JANUARY.start + timedelta(seconds=seconds))


@settings(deadline=None, max_examples=30)
@given(offers(), offers(), instants, conventions, st.lists(quantities, min_size=4, max_size=4))
def test_steps_lines_and_totals_add_up_exactly(
    one: PlanTerms, other: PlanTerms, change: Any, convention: Any, amounts: list[Decimal]
) -> None:
    plans = {"pro": plan("pro", one), "max": plan("max", other)}
    agreed = committed(commitment("c", 50), convention=convention)
    switch = ContractPlanChanged(account="acme", effective_at=change, choice=ON_MAX)
    used = [
        Used(key, units(quantity), segment)
        for (key, segment), quantity in zip((("a", 0), ("b", 0), ("a", 1), ("b", 1)), amounts, strict=True)
    ]
    invoice = projected(started(agreed=agreed), switch, used=tuple(used), plans=plans)
    for line in invoice.lines:
        assert total(step.amount for step in line.steps) == line.money.amount
        assert total(step.amount for step in line.steps if step.kind != "rounding") == line.amount
        assert abs(line.money.amount - line.amount) < D("0.01")
    assert invoice.total == sum((line.money for line in invoice.lines), start=eur(0))
    assert projected(started(agreed=agreed), switch, used=tuple(reversed(used)), plans=plans) == invoice


@settings(deadline=None, max_examples=30)
@given(offers(), quantities, quantities, conventions)
def test_a_whole_period_is_the_preview_of_its_quantities_and_each_line_its_charge(
    offer: PlanTerms, a: Decimal, b: Decimal, convention: Any
) -> None:
    used = (Used("a", units(a)), Used("b", units(b)))
    agreed = committed(convention=convention)
    whole = projected(started(agreed=agreed), used=used, plans={"pro": plan("pro", offer)})
    shown = preview(offer, used)
    assert (whole.lines, whole.total) == (shown.lines, shown.total)
    for of_plan, line in zip(offer.charges, whole.lines, strict=False):
        assert line.amount == rate(of_plan.price, units(a if line.key == "a" else b)).amount


@settings(deadline=None, max_examples=30)
@given(offers(), quantities, st.randoms(use_true_random=False))
def test_the_order_in_which_a_plan_lists_its_charges_changes_no_line(
    offer: PlanTerms, quantity: Decimal, chance: Any
) -> None:
    used = (Used("a", units(quantity)),)
    shuffled = msgspec.structs.replace(offer, charges=tuple(chance.sample(offer.charges, 2)))
    one, other = (
        projected(started(agreed=committed(commitment("c", 9))), used=used, plans={"pro": plan("pro", listed)})
        for listed in (offer, shuffled)
    )
    assert sorted(map(repr, one.lines)) == sorted(map(repr, other.lines))
    assert one.total == other.total


def test_the_share_of_a_line_is_told() -> None:
    [line] = projected(started("2026-01-22"), plans=of(fees=(fee("base", 31),))).lines
    assert line.share.numerator * 31 == line.share.denominator * 10
    [line] = projected(started(), plans=of(fees=(fee("base", 31),))).lines
    assert line.share == Share(1, 1)


def test_a_contract_of_hours_of_another_zone_closes_there() -> None:
    period = Period(utc("2025-12-31T23:00"), utc("2026-01-31T23:00"))
    of_contract: Contract = contract(started("2025-12-01", choice=ON_PRO))
    invoice = project(of_contract, PLANS, period, (), zone="Europe/Paris", as_of=period.start, spent={})
    assert (invoice.total, invoice.closes_at) == (eur(31), period.end)
