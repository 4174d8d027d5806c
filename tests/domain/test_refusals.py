"""Refusals: answers with a permanent code, a message for people and the facts."""

import re
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_type_hints

import pytest

from ledger.domain import (
    adjustment_refusals,
    case_refusals,
    closing_refusals,
    pricing_refusals,
    refusals,
    send_refusals,
)
from ledger.domain.refusals import AccountUnknown, LedgerBusy, Refusal, UsageUnreadable, VersionTaken

EVERY = sorted(Refusal.__subclasses__(), key=lambda refusal: refusal.__name__)
EXAMPLES: dict[object, object] = {
    str: "X{y",
    int: 7,
    Decimal: Decimal("1.5"),
    Decimal | None: Decimal("1.5"),
    datetime: datetime(2026, 3, 1, tzinfo=UTC),
}


def example(refusal: type[Refusal]) -> Refusal:
    hints = get_type_hints(refusal)
    return refusal(**{field.name: EXAMPLES[hints[field.name]] for field in fields(refusal)})  # type: ignore[arg-type]


def test_a_refusal_tells_its_code_its_message_and_its_facts() -> None:
    refusal = AccountUnknown(account="acme")
    assert refusal.code == "account_unknown"
    assert refusal.message == 'There is no account "acme". Open it first.'
    assert refusal.facts == {"account": "acme"}
    assert str(refusal) == f"account_unknown: {refusal.message}"


def test_a_refusal_without_facts_has_none() -> None:
    assert VersionTaken().facts == {}


def test_a_fact_may_hold_braces() -> None:
    assert UsageUnreadable(why="expected {").message == "The event cannot be read: expected {."


@pytest.mark.parametrize("refusal", EVERY, ids=lambda refusal: refusal.__name__)
def test_every_refusal_has_a_whole_sentence_with_all_its_facts_in_it(refusal: type[Refusal]) -> None:
    one = example(refusal)
    assert re.fullmatch(r"[A-Z0-9].*\.", one.message, re.DOTALL)
    assert all(f"{{{name}}}" in (refusal.__doc__ or "") for name in one.facts)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", one.code)


def test_codes_are_permanent() -> None:
    """A client may rely on a code: one that goes missing here breaks it."""
    assert {example(refusal).code for refusal in EVERY} >= CODES


def test_two_refusals_are_two_answers() -> None:
    assert LedgerBusy(retry_after_seconds=1) != LedgerBusy(retry_after_seconds=1)


def test_every_refusal_of_the_module_is_known() -> None:
    declared = {
        one
        for module in (refusals, pricing_refusals, adjustment_refusals, case_refusals, closing_refusals, send_refusals)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Refusal) and one is not Refusal
    }
    assert declared == set(EVERY)


CODES = set(
    """
    account_unknown alias_unknown argument_invalid dimension_undeclared forbidden key_invalid
    key_unknown ledger_busy ledger_unavailable meter_exists meter_invalid meter_retired_already
    meter_unknown name_invalid name_taken out_of_scope position_not_reached range_too_large
    reason_invalid usage_not_held usage_settled_already usage_unknown usage_unreadable version_taken
    zone_unknown
    """.split()
)
