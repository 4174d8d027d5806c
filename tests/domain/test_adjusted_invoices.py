"""Adjustments on the projected invoice: usage before the price, money behind commitments and before credit."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.adjusted_usage import adjustments_of
from ledger.domain.adjustment_events import Adjustment, AdjustmentApproved, AdjustmentProposed
from ledger.domain.adjustment_refusals import AdjustmentInvalid, MoneyRequired
from ledger.domain.adjustment_terms import check_adjustment
from ledger.domain.adjustments import folded
from ledger.domain.agreements import Commitment, ContractTerms, CreditGrant, PlanChoice
from ledger.domain.charges import Cell, Charge, Dimensional, Dynamic, Flat, Model, PerUnit
from ledger.domain.contracts import Contract, Granted, Phase
from ledger.domain.explanations import explain
from ledger.domain.invoices import Invoice, project
from ledger.domain.lines import Used
from ledger.domain.metering import MeterDefinition
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.plans import Plan, PlanVersion
from ledger.domain.pricing import PlanCharge, PlanDiscount, PlanTerms
from ledger.domain.rating import Metered
from ledger.domain.segments import segments

D = Decimal
MARCH = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
MIDDLE = datetime(2026, 3, 16, tzinfo=UTC)
CENT = PerUnit(unit_amount=D("0.01"))
METERS = {"tokens": MeterDefinition(name="T", event_type="t", aggregation="sum", dimensions=("model", "region"))}


def charge(key: str = "tokens", model: Model = CENT, **how: Any) -> PlanCharge:
    return PlanCharge(key=key, label=key, meter="tokens", price=Charge(model=model), **how)


def plan(*charges: PlanCharge, **how: Any) -> Plan:
    return Plan("p", (PlanVersion(None, PlanTerms(name="P", currency="EUR", charges=charges, **how)),))


def contract(**terms: Any) -> Contract:
    agreed = ContractTerms(currency="EUR", alignment="calendar", **terms)
    return Contract("acme", MARCH.start, agreed, (Phase(MARCH.start, PlanChoice(plan="p")),))


def invoice(of: Plan, adjustments: list[Adjustment], *used: Used, on: Contract | None = None) -> Invoice:
    plans = {"p": of, "q": of}
    how: dict[str, Any] = {"zone": "UTC", "as_of": MARCH.end, "spent": {}}
    return project(on or contract(), plans, MARCH, used, adjustments=adjustments, **how)


def of_usage(quantity: str, key: str = "fault", at: datetime = MIDDLE, **dimensions: str | None) -> Adjustment:
    return Adjustment(
        adjustment=key,
        kind="usage",
        at=at,
        reason="fault",
        note="",
        meter="tokens",
        quantity=D(quantity),
        dimensions=dimensions,
    )


def in_money(kind: Any, minor_units: int, key: str = "goodwill") -> Adjustment:
    amount = Money(minor_units, "EUR")
    return Adjustment(adjustment=key, kind=kind, at=MIDDLE, reason="goodwill", note="", amount=amount)


def used(quantity: int, charge: str = "tokens", segment: int = 0, **group: str | None) -> Used:
    return Used(charge, Metered(quantity=D(quantity)), segment, tuple(group.items()))


def test_usage_is_added_to_the_group_that_its_dimensions_name_and_a_missing_one_is_null() -> None:
    of = plan(charge(group_by=("model", "region")))
    metered = [used(1_000, model="large", region="eu"), used(500, model=None, region=None)]
    told = [of_usage("-300", "a", model="large", region="eu"), of_usage("100", "b"), of_usage("7", "c", model="new")]
    found = invoice(of, told, *metered)
    assert {line.group: (line.quantity, line.adjusted, line.adjustments) for line in found.lines} == {
        (("model", "large"), ("region", "eu")): (D(700), D(-300), ("a",)),
        (("model", None), ("region", None)): (D(600), D(100), ("b",)),
        (("model", "new"), ("region", None)): (D(7), D(7), ("c",)),
    }


def test_a_charge_takes_what_its_filters_allow() -> None:
    of = plan(charge("large", filters={"model": ("large",)}), charge("rest", filters={"model": ("small", None)}))
    found = invoice(of, [of_usage("100", model="large"), of_usage("7", "b"), of_usage("1", "c", model="other")])
    assert {line.key: line.quantity for line in found.lines} == {"large": 100, "rest": 7}


def test_a_dimensional_price_takes_it_by_cell() -> None:
    cells = (Cell(match={"model": ("large",)}, price=PerUnit(unit_amount=D(1))),)
    of = plan(charge(model=Dimensional(cells=cells, otherwise=CENT), group_by=("model",)))
    [line] = invoice(of, [of_usage("-4", model="large")], used(10, model="large"), used(100, model="x")).lines
    assert (line.money, line.adjusted, line.adjustments) == (Money(700, "EUR"), D(-4), ("fault",))


def test_it_is_rated_in_the_segment_that_its_instant_lies_in() -> None:
    on = contract()._replace(phases=(Phase(MARCH.start, PlanChoice(plan="p")), Phase(MIDDLE, PlanChoice(plan="q"))))
    of = plan(charge())
    before = of_usage("1", "before", MIDDLE - timedelta.resolution)
    found = invoice(of, [before, of_usage("10", "after")], used(100), used(200, segment=1), on=on)
    assert [(line.quantity, line.adjustments) for line in found.lines] == [(D(101), ("before",)), (D(210), ("after",))]


def test_money_is_not_looked_at_by_discounts_bounds_and_commitments_and_credit_pays_what_is_left() -> None:
    of = plan(charge(), discounts=(PlanDiscount(key="ten", label="Ten", percent=D(10)),))
    commitments = (Commitment(key="least", label="Least", amount=D(100)),)
    on = contract(commitments=commitments)._replace(
        grants=(Granted(CreditGrant(grant="g", label="G", amount=Money(9_000, "EUR"), effective_at=MARCH.start)),)
    )
    told = [in_money("credit", 3_000), in_money("debit", 500, "more"), in_money("write_off", 100, "lost")]
    found = invoice(of, told, used(5_000), on=on)
    assert [(line.kind, line.money.minor_units) for line in found.lines] == [
        ("usage", 5_000),
        ("discount", -500),
        ("commitment", 5_500),
        ("adjustment", -3_000),
        ("adjustment", 500),
        ("adjustment", -100),
    ]
    assert (found.subtotal, found.credited, found.total) == (Money(7_400, "EUR"), Money(7_400, "EUR"), Money(0, "EUR"))


def test_each_line_says_what_was_adjusted() -> None:
    told = [of_usage("-300"), in_money("credit", 50)]
    usage, credit = explain(invoice(plan(charge()), told, used(1_000)))
    assert usage.why.endswith("; what was metered was adjusted by -300 (fault)")
    assert credit.why == "the adjustment goodwill, which was approved, whatever was used"
    assert [why for _, why in credit.steps] == ["-0.5 EUR by hand"]


def test_an_adjustment_is_on_the_invoice_of_one_contract_alone() -> None:
    first = contract()._replace(ended_at=MIDDLE)
    second = contract()._replace(started_at=MIDDLE)
    told = AdjustmentProposed(
        account="acme",
        adjustment=in_money("credit", 1),
        proposed_by="Ann",
        role="",
        proposed_at=MIDDLE,
        expires_at=MARCH.end,
        effect=Money(-1, "EUR"),
    )
    approved = AdjustmentApproved(account="acme", adjustment="goodwill", approved_by="Pat", is_automatic=False)
    assert adjustments_of(second, folded([told]), MARCH) == [], "not yet"
    state = folded([told, approved])
    assert adjustments_of(first, state, MARCH) == []
    assert adjustments_of(second, state, MARCH) == [told.adjustment]
    assert adjustments_of(second, state, Period(MARCH.end, MARCH.end + timedelta(days=30))) == []


@pytest.mark.parametrize(
    ("of", "refusal"),
    [
        (charge(model=Dynamic()), MoneyRequired),
        (charge(model=Flat(amount=D(5))), AdjustmentInvalid),
        (charge(filters={"model": ("large",)}), AdjustmentInvalid),
    ],
    ids=["dynamic", "flat", "filtered"],
)
def test_usage_that_no_charge_could_take_is_refused(of: PlanCharge, refusal: type[Exception]) -> None:
    parts = segments(contract(), {"p": plan(of)}, MARCH, "UTC")
    with pytest.raises(refusal):
        check_adjustment(of_usage("1"), currency="EUR", segments=parts, meters=METERS)


@given(st.lists(st.tuples(st.sampled_from(["credit", "debit", "usage"]), st.integers(1, 10**9)), max_size=12))
def test_adjustments_beside_their_opposites_leave_the_invoice_as_it_was(told: list[tuple[Any, int]]) -> None:
    opposites = {"credit": "debit", "debit": "credit"}
    adjustments = []
    for number, (kind, size) in enumerate(told):
        if kind == "usage":
            adjustments += [of_usage(f"{size}", f"{number}"), of_usage(f"-{size}", f"-{number}")]
        else:
            adjustments += [in_money(kind, size, f"{number}"), in_money(opposites[kind], size, f"-{number}")]
    plain, adjusted = invoice(plan(charge()), [], used(1_000)), invoice(plan(charge()), adjustments, used(1_000))
    assert (adjusted.total, adjusted.lines[0].money) == (plain.total, plain.lines[0].money)
