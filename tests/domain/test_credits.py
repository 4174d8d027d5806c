"""Prepaid credit: used in order, within its scope and balance, and never beyond what is due."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.agreements import CreditGrant
from ledger.domain.charges import Flat
from ledger.domain.contracts import Granted
from ledger.domain.credits import applied, balance, covers, is_in_effect, net_amounts
from ledger.domain.events import ContractEnded, ContractPlanChanged, CreditGranted, CreditRevoked
from ledger.domain.invoices import Invoice, project
from ledger.domain.lines import Used
from ledger.domain.money import Money
from ledger.domain.pricing import PlanDiscount
from tests.domain.agreed import JANUARY, ON_MAX, charge, contract, eur, fee, grant, plan, started, terms, units, utc

D = Decimal
PLAN = terms(charge("a"), charge("b"), fees=(fee("base", 10),))
USED = (Used("a", units(20)), Used("b", units(30)))


def invoice(*grants: CreditGrant, spent: dict[str, Money] | None = None, **more: Any) -> Invoice:
    plans = {"pro": plan("pro", more.pop("offer", PLAN))}
    events = [CreditGranted(account="acme", grant=one) for one in grants]
    now = contract(started(), *events, *more.pop("after", ()))
    return project(now, plans, JANUARY, USED, zone="UTC", as_of=JANUARY.end, spent=spent or {})


def told(of: Invoice) -> list[tuple[str, Decimal, Decimal]]:
    return [(credit.grant, credit.money.amount, credit.left.amount) for credit in of.credits]


@pytest.mark.parametrize(
    ("grants", "then"),
    [
        ([grant("g", 15)], [("g", D(15), D(0))]),
        ([grant("g", 100)], [("g", D(60), D(40))]),
        ([grant("g", 100, scope=("a",))], [("g", D(20), D(80))]),
        ([grant("late", 50), grant("first", 50, priority=1)], [("first", D(50), D(0)), ("late", D(10), D(40))]),
        (
            [grant("never", 50), grant("soon", 50, expires_at=utc("2026-03-01"))],
            [("soon", D(50), D(0)), ("never", D(10), D(40))],
        ),
        (
            [grant("young", 50, effective_at=utc("2026-01-02")), grant("z", 50)],
            [("z", D(50), D(0)), ("young", D(10), D(40))],
        ),
        ([grant("z", 50), grant("y", 50)], [("y", D(50), D(0)), ("z", D(10), D(40))]),
        ([grant("g", 60), grant("h", 60)], [("g", D(60), D(0))]),
        ([grant("all", 15, priority=1), grant("a", 20, scope=("a",))], [("all", D(15), D(0)), ("a", D(20), D(0))]),
    ],
)
def test_grants_are_used_by_priority_then_expiry_then_beginning(grants: list[CreditGrant], then: list[Any]) -> None:
    of = invoice(*grants)
    assert told(of) == then
    assert of.total == of.subtotal - of.credited == eur(60) - eur(sum(paid for _, paid, _ in then))


def test_a_credit_pays_first_what_the_fewest_grants_could_pay_and_says_so() -> None:
    [credit] = invoice(grant("g", 25)).credits
    assert credit.lines == ((2, eur(10)), (0, eur(15)))
    wide, _ = invoice(grant("g", 25), grant("h", 5, scope=("a",))).credits
    assert wide.lines == ((2, eur(10)), (1, eur(15)))


@pytest.mark.parametrize(
    ("granted", "closes_at", "pays"),
    [
        (Granted(grant("g", 1)), utc("2026-01-01"), False),
        (Granted(grant("g", 1)), utc("2026-01-01") + timedelta.resolution, True),
        (Granted(grant("g", 1, expires_at=utc("2026-02-01"))), utc("2026-02-01"), True),
        (Granted(grant("g", 1, expires_at=utc("2026-02-01"))), utc("2026-02-01") + timedelta.resolution, False),
        (Granted(grant("g", 1), utc("2026-02-01")), utc("2026-02-01"), True),
        (Granted(grant("g", 1, expires_at=utc("2026-03-01")), utc("2026-02-01")), utc("2026-02-02"), False),
    ],
)
def test_a_grant_pays_what_closes_while_it_is_in_effect(granted: Granted, closes_at: datetime, pays: bool) -> None:
    assert is_in_effect(granted, closes_at) is pays


def test_a_grant_that_was_revoked_or_begins_after_the_end_pays_nothing() -> None:
    revoked = CreditRevoked(account="acme", grant="g", effective_at=utc("2026-01-20"))
    assert told(invoice(grant("g", 10), after=[revoked])) == []
    ended = ContractEnded(account="acme", effective_at=utc("2026-01-20"))
    assert told(invoice(grant("g", 10, effective_at=utc("2026-01-25")), after=[ended])) == []


def test_what_earlier_invoices_used_is_gone() -> None:
    assert told(invoice(grant("g", 15), spent={"g": eur(10)})) == [("g", D(5), D(0))]
    assert told(invoice(grant("g", 15), spent={"g": eur(15)})) == []
    assert balance(grant("g", 15), {"g": eur(20)}) == eur(0)


def test_a_grant_covers_the_usage_in_its_scope_or_everything() -> None:
    of_a, base = invoice().lines[0], invoice().lines[2]
    assert covers(grant("g", 1), base)
    assert covers(grant("g", 1, scope=("a",)), of_a)
    assert not covers(grant("g", 1, scope=("b",)), of_a)
    assert not covers(grant("g", 1, scope=("base",)), base)


def test_a_discount_lowers_what_a_grant_may_pay_of_each_line() -> None:
    half = PlanDiscount(key="half", label="Half", percent=D(50))
    offer = terms(charge("a"), charge("b"), fees=(fee("base", 10),), discounts=(half,))
    of = invoice(grant("g", 100, scope=("a",)), offer=offer)
    assert (of.subtotal, told(of)) == (eur(30), [("g", D(10), D(90))])


def test_a_standing_credit_is_taken_off_the_other_lines_and_then_off_other_segments() -> None:
    change = ContractPlanChanged(account="acme", effective_at=utc("2026-01-11"), choice=ON_MAX)
    refund = charge("refund", Flat(amount=D(-25)), prorates_amounts=False)
    plans = {"pro": plan("pro", terms(charge("a"), refund)), "max": plan("max", terms(charge("b")))}
    used = (Used("a", units(20), 0), Used("b", units(30), 1))
    of = project(contract(started(), change), plans, JANUARY, used, zone="UTC", as_of=JANUARY.end, spent={})
    assert net_amounts(of.lines, "EUR") == [0, 0, 2500]


def test_an_invoice_below_zero_takes_no_credit() -> None:
    offer = terms(charge("a"), charge("refund", Flat(amount=D(-100))))
    of = invoice(grant("g", 10), offer=offer)
    assert (of.total, told(of)) == (eur(-80), [])
    assert net_amounts(of.lines, "EUR") == [0, 0]


grants = st.builds(
    lambda number, amount, priority, expires, scope: grant(
        f"g{number}", amount, priority=priority, expires_at=expires, scope=scope
    ),
    st.integers(0, 99),
    st.integers(1, 100),
    st.integers(0, 2),
    st.sampled_from((None, utc("2026-01-20"), utc("2026-02-01"), utc("2026-03-01"))),
    st.sampled_from(((), ("a",), ("b",), ("a", "b"), ("c",))),
)
several = st.lists(grants, max_size=6, unique_by=lambda one: one.grant)
discounts = st.sampled_from(
    ((), (PlanDiscount(key="d", label="D", percent=D("33.3")),), (PlanDiscount(key="d", label="D", amount=D("41.37")),))
)


@settings(deadline=None)
@given(several, discounts, st.permutations(["a", "b"]), st.integers(-70, 0), st.randoms(use_true_random=False))
def test_credit_never_exceeds_balance_scope_or_total_in_whatever_order_it_is_listed(
    listed: list[CreditGrant], off: tuple[PlanDiscount, ...], keys: list[str], standing: int, chance: Any
) -> None:
    refund = charge("refund", Flat(amount=D(standing)))
    offer = terms(*map(charge, keys), refund, fees=(fee("base", 10),), discounts=off)
    of = invoice(*listed, offer=offer)
    lines, due = of.lines, net_amounts(of.lines, "EUR")
    assert sum(due) == max(of.subtotal.minor_units, 0)
    assert all(0 <= net <= max(line.money.minor_units, 0) for net, line in zip(due, lines, strict=True))
    assert of.total.minor_units >= min(of.subtotal.minor_units, 0)
    by_key = {one.grant: one for one in listed}
    paid = [0] * len(lines)
    for credit in of.credits:
        assert credit.money + credit.left == by_key[credit.grant].amount
        assert credit.money == sum((part for _, part in credit.lines), start=eur(0))
        assert all(covers(by_key[credit.grant], lines[place]) for place, _ in credit.lines)
        for place, part in credit.lines:
            paid[place] += part.minor_units
    assert all(of_line <= net for of_line, net in zip(paid, due, strict=True))
    other_plan = terms(refund, *map(charge, reversed(keys)), fees=(fee("base", 10),), discounts=off)
    other = invoice(*chance.sample(listed, len(listed)), offer=other_plan)
    assert told(other) == told(of)
    assert other.total == of.total


def test_without_lines_nothing_is_paid() -> None:
    assert applied([], [Granted(grant("g", 1))], closes_at=JANUARY.end, spent={}, currency="EUR") == []
