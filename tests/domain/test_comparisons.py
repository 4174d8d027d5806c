"""What-if: two invoices side by side, and the difference in money by line."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.agreements import CreditGrant
from ledger.domain.charges import PerUnit
from ledger.domain.comparisons import compare
from ledger.domain.events import ContractPlanChanged, CreditGranted
from ledger.domain.invoices import Invoice, preview, project
from ledger.domain.lines import Used
from ledger.domain.pricing_refusals import CurrenciesMixed
from tests.domain.agreed import (
    JANUARY,
    MAX,
    ON_MAX,
    PLANS,
    PRO,
    charge,
    contract,
    eur,
    fee,
    grant,
    started,
    terms,
    units,
    utc,
)

D = Decimal


def invoice(*grants: CreditGrant) -> Invoice:
    change = ContractPlanChanged(account="acme", effective_at=utc("2026-01-11"), choice=ON_MAX)
    credit = (CreditGranted(account="acme", grant=one) for one in grants)
    used = (Used("calls", units(10)), Used("calls", units(20), 1))
    past = contract(started(), change, *credit)
    return project(past, PLANS, JANUARY, used, zone="UTC", as_of=JANUARY.end, spent={})


def told(before: Invoice, after: Invoice) -> list[tuple[str, str, Decimal, Decimal]]:
    compared = compare(before, after)
    return [(line.kind, line.key, line.before.amount, line.after.amount) for line in compared.lines]


def test_lines_are_compared_over_all_segments() -> None:
    other = preview(PRO, [Used("calls", units(30))])
    assert told(invoice(), other) == [("usage", "calls", D(50), D(30)), ("fee", "base", D(52), D(31))]
    assert compare(invoice(), other).difference == eur(-41)


def test_what_one_side_lacks_is_nothing_there() -> None:
    one = preview(terms(charge("a")), [Used("a", units(5))])
    other = preview(terms(charge("b"), fees=(fee("base", 1),)), [Used("b", units(6))])
    assert told(one, other) == [("usage", "a", D(5), D(0)), ("usage", "b", D(0), D(6)), ("fee", "base", D(0), D(1))]


def test_credit_is_compared_too() -> None:
    assert told(invoice(), invoice(grant("g", 5)))[-1] == ("credit", "g", D(0), D(-5))


def test_two_currencies_are_not_compared() -> None:
    with pytest.raises(CurrenciesMixed):
        compare(preview(MAX, ()), preview(terms(currency="USD"), ()))


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 50))
def test_the_differences_add_up(quantity: int, price: int, credit: int) -> None:
    changed = terms(charge("calls", PerUnit(unit_amount=D(price) / 100)), fees=(fee("base", 40),))
    before, after = invoice(grant("g", credit)), preview(changed, [Used("calls", units(quantity))])
    compared = compare(before, after)
    assert sum((line.difference for line in compared.lines), start=eur(0)) == compared.difference
    assert compared.after - compared.before == compared.difference
    assert not any(line.difference.minor_units for line in compare(before, before).lines)
