"""Entitlements: what a contract includes, and how much of it is used."""

from decimal import Decimal
from typing import Literal

import pytest

from ledger.domain.agreements import ContractTerms, Entitlement
from ledger.domain.entitlements import Standing, entitlements_at, use_of
from ledger.domain.events import EntitlementChanged
from tests.domain.agreed import contract, started, utc

D = Decimal


@pytest.mark.parametrize(
    ("limit", "used", "left", "over", "standing"),
    [
        ("soft", 9, 1, 0, "within"),
        ("soft", 10, 0, 0, "within"),
        ("soft", 11, 0, 1, "over"),
        ("hard", 9, 1, 0, "within"),
        ("hard", 10, 0, 0, "stopped"),
        ("hard", 11, 0, 1, "stopped"),
    ],
)
def test_a_soft_limit_may_be_passed_and_a_hard_one_is_reached(
    limit: Literal["soft", "hard"], used: int, left: int, over: int, standing: Standing
) -> None:
    use = use_of(Entitlement(meter="seats", quantity=D(10), limit=limit), D(used))
    assert (use.left, use.over, use.standing) == (D(left), D(over), standing)


def test_without_a_limit_all_use_is_within() -> None:
    use = use_of(Entitlement(meter="seats", quantity=None), D(10))
    assert (use.used, use.left, use.over, use.standing) == (D(10), None, None, "within")


def test_the_entitlement_that_was_set_last_stands() -> None:
    first, second = (Entitlement(meter="seats", quantity=D(quantity)) for quantity in (10, 20))
    other = Entitlement(meter="calls", quantity=D(5))
    agreed = ContractTerms(currency="EUR", entitlements=(first, other))
    changed = EntitlementChanged(account="acme", effective_at=utc("2026-02-01"), entitlement=second)
    now = contract(started(agreed=agreed), changed)
    assert entitlements_at(now, utc("2025-12-31")) == {}
    assert entitlements_at(now, utc("2026-01-31")) == {"seats": first, "calls": other}
    assert entitlements_at(now, utc("2026-02-01")) == {"seats": second, "calls": other}
