"""Explanations: every line, step and credit says in a sentence why it is there."""

from decimal import Decimal
from typing import Any, get_args

import pytest

from ledger.domain.agreements import Commitment, ContractTerms
from ledger.domain.charges import Graduated
from ledger.domain.events import CreditGranted
from ledger.domain.explanations import credit_reason, explain, line_reason, step_reason
from ledger.domain.invoices import Invoice, project
from ledger.domain.lines import Used
from ledger.domain.pricing import PlanDiscount
from ledger.domain.steps import Step, StepKind
from ledger.domain.tiers import Tier
from tests.domain.agreed import JANUARY, charge, contract, fee, grant, plan, started, terms, units

D = Decimal
TIERS = (Tier(up_to=D(100), unit_amount=D("0.10")), Tier(up_to=None, unit_amount=D("0.05"), flat_amount=D(3)))


def invoice(start: str = "2026-01-01", group: str | None = "eu", **bounds: Any) -> Invoice:
    offer = terms(
        charge("calls", Graduated(tiers=TIERS), group_by=("region",)),
        fees=(fee("base", 31, term="in_advance"),),
        discounts=(PlanDiscount(key="off", label="Off", percent=D(10)),),
        **bounds,
    )
    commitment = Commitment(key="c", label="Commitment", amount=D(100))
    agreed = ContractTerms(currency="EUR", alignment="calendar", commitments=(commitment,))
    events = (started(start, agreed=agreed), CreditGranted(account="acme", grant=grant("g", 500)))
    used = (Used("calls", units("200.5"), group=(("region", group),)),)
    return project(
        contract(*events), {"pro": plan("pro", offer)}, JANUARY, used, zone="UTC", as_of=JANUARY.end, spent={}
    )


def test_each_line_and_step_has_its_reason() -> None:
    usage, base, off, commitment = explain(invoice())
    assert usage.why == "200.5 units of the meter calls for region = eu, at the charge's price"
    assert [why for _, why in usage.steps] == [
        "100 units in tier 1 at 0.1 EUR each",
        "100.5 units in tier 2 at 0.05 EUR each",
        "the flat amount of tier 2, which was entered",
        "rounded once to whole minor units of EUR",
    ]
    assert base.why == "a fixed fee in advance, due whether anything is used or not"
    assert [why for _, why in base.steps] == ["31 EUR for the period"]
    assert off.why == "a discount on the 49.03 EUR of the plan's lines before it"
    assert off.steps[0][1] == "10 percent off"
    assert commitment.why == "44.13 EUR was spent, which is below what was committed"
    assert [why for _, why in commitment.steps] == ["55.87 EUR is missing to the minimum"]


def test_the_share_of_the_period_is_told() -> None:
    _, base, _, commitment = explain(invoice("2026-01-22"))
    assert base.steps[0][1] == "31 EUR for the period (32.2581 percent of the period)"
    assert (
        commitment.steps[0][1] == "about 7.028064516129 EUR is missing to the minimum (32.2581 percent of the period)"
    )


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        ({"amount_max": D(40)}, "the plan's lines come to 44.13 EUR, which is above its maximum"),
        ({"amount_min": D(50)}, "the plan's lines come to 44.13 EUR, which is below its minimum"),
    ],
)
def test_a_bound_says_what_it_is_reckoned_on(bounds: dict[str, Any], why: str) -> None:
    assert line_reason(invoice(**bounds).lines[3]) == why


def test_a_missing_value_is_called_none() -> None:
    assert "region = (none)" in line_reason(invoice(group=None).lines[0])


def test_a_credit_says_what_it_pays_and_leaves() -> None:
    [credit] = invoice().credits
    assert credit_reason(credit) == "prepaid credit pays 100.00 EUR; 400.00 EUR of it is left"


@pytest.mark.parametrize("kind", get_args(StepKind))
def test_every_kind_of_step_has_a_reason(kind: StepKind) -> None:
    line = invoice().lines[1]
    step = Step(kind=kind, amount=D(-1), quantity=D(1) / D(3), rate=D(2), tier=1, group=(("region", "eu"),))
    assert step_reason(step, line).endswith(" for region = eu")
    assert step_reason(Step(kind=kind, amount=D(1)), line)


def test_long_numbers_are_shortened_and_said_to_be() -> None:
    step = Step(kind="units", quantity=D(1) / D(3), rate=D(1), amount=D(1))
    assert step_reason(step, invoice().lines[0]) == "about 0.333333333333 units at 1 EUR each"
