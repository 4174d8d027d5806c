"""What a decision means for an account's invoice, and how a step is told."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ledger.domain.agreements import ContractTerms, PlanChoice
from ledger.domain.catalogue import Catalogue
from ledger.domain.differences import Decided, QuantityChange, Run, Step, concerns, reason, recounts
from ledger.domain.events import (
    AccountRenamed,
    AccountZoneChanged,
    ContractStarted,
    Event,
    MeterChanged,
    PlanRetired,
    UsageDismissed,
)
from ledger.domain.metering import MeterDefinition
from ledger.domain.money import Money
from ledger.domain.sentences import sentence
from ledger.projections.as_of import DECIDING_TOPICS
from tests.domain.test_events import EXAMPLES

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STARTED = ContractStarted(
    account="acme", started_at=NOW, choice=PlanChoice(plan="pro"), terms=ContractTerms(currency="EUR")
)
CHANGED = MeterChanged(
    meter="tokens", definition=MeterDefinition(name="T", event_type="t", aggregation="sum", property="v")
)


def step(*decisions: Event, events: int = 0, effect: int = 0, before: int = 1, after: int = 1) -> Step:
    usage = Run(events, 7, 9, (7, 9)) if events else None
    changes = (QuantityChange("tokens", Decimal(before), Decimal(after)),)
    decided = tuple(Decided(number, NOW, one) for number, one in enumerate(decisions, 3))
    return Step(decided, usage, changes, (), Money(effect, "EUR"))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (AccountRenamed(account="acme", name="x"), True),
        (AccountRenamed(account="other", name="x"), False),
        (CHANGED, True),
        (PlanRetired(plan="pro", retired_at=NOW), True),
        (PlanRetired(plan="max", retired_at=NOW), False),
        (UsageDismissed(supersedes=(1,), reason="x"), True),
    ],
)
def test_a_decision_concerns_the_account_its_plans_and_the_meters_it_is_rated_on(event: Event, expected: bool) -> None:
    catalogue = Catalogue()
    catalogue.apply(STARTED, 1)
    assert concerns(event, "acme", catalogue, {"tokens"}) is expected
    assert not concerns(CHANGED, "acme", catalogue, {"others"})


def test_what_moves_past_usage_counts_it_anew() -> None:
    assert recounts(AccountZoneChanged(account="acme", zone="UTC"))
    assert recounts(CHANGED)
    assert not recounts(AccountRenamed(account="acme", name="x"))


def test_a_step_is_told_in_a_sentence() -> None:
    assert reason(step(AccountRenamed(account="acme", name="X"))) == (
        'The account "acme" was renamed to "X": the total stayed the same'
    )
    assert reason(step(events=1_200, effect=-250, before=9, after=4)) == (
        "1,200 usage events were told: tokens fell from 9 to 4, the total fell by 2.50 EUR"
    )
    several = step(STARTED, CHANGED, events=1, effect=5, after=2)
    assert reason(several) == (
        "2 decisions were made and 1 usage event was told: tokens rose from 1 to 2, the total rose by 0.05 EUR"
    )
    assert (several.kind, several.positions) == ("several", (3, 9))
    assert (step(STARTED).kind, step(events=2).kind) == ("decision", "usage")


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=lambda event: event.TOPIC)
def test_a_decision_is_told_in_the_words_of_the_history(event: Event) -> None:
    told = sentence(event).removesuffix(".")
    assert reason(step(event)) in (f"{told}: the total stayed the same", f"{told}; the total stayed the same")


@pytest.mark.parametrize("event", EXAMPLES.values(), ids=lambda event: event.TOPIC)
def test_what_is_not_looked_at_for_the_past_of_an_account_changes_nothing_that_is_known_of_it(event: Event) -> None:
    """Fails for a topic that the catalogue learns to take in and `DECIDING_TOPICS` does not name."""
    if event.TOPIC in DECIDING_TOPICS:
        return
    catalogue = Catalogue()
    if event.TOPIC in ("KeyRevoked", "ReasonCodeRetired", "InvoiceClosed"):
        return  # of keys and reasons, and what its period tells already
    catalogue.apply(event, 1)
    known = (catalogue.accounts, catalogue.names, catalogue.meters, catalogue.plans, catalogue.contracts)
    assert not any((*known, catalogue.adjustments, catalogue.closings))
