"""Sentences about events: for every event that the log may hold, of words that people read."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ledger.domain import sentences
from ledger.domain.adjustment_events import Adjustment, AdjustmentProposed
from ledger.domain.audit_events import AttemptRefused
from ledger.domain.events import AccountRenamed, Event, UsageDismissed
from ledger.domain.money import Money
from ledger.domain.sentences import SENTENCE_LENGTH_MAX, sentence
from tests.domain.test_events import EXAMPLES

TIME = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_event_has_a_sentence(name: str) -> None:
    said = sentence(EXAMPLES[name])
    assert said.endswith((".", "?", "...")), said
    assert len(said) <= SENTENCE_LENGTH_MAX
    assert said.isprintable()
    assert "  " not in said
    assert '""' not in said
    assert not any(part in said for part in ("None", "datetime", "Decimal(", "{", "}"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_sentence_is_only_the_words_of_a_topic(name: str) -> None:
    assert sentence(EXAMPLES[name]) != sentences._of_topic(EXAMPLES[name])


def test_a_time_has_its_zone_and_money_its_currency() -> None:
    adjustment = Adjustment(
        adjustment="outage", kind="credit", at=TIME, reason="service_outage", note="", amount=Money(1250, "EUR")
    )
    event = AdjustmentProposed(
        account="acme",
        adjustment=adjustment,
        proposed_by="olivia",
        role="ops",
        proposed_at=TIME,
        expires_at=TIME,
        effect=Money(-1250, "EUR"),
    )
    assert "a credit of 12.50 EUR" in sentence(event)
    assert "2026-03-01 12:30:15 UTC" in sentence(EXAMPLES["MeterRetired"])
    assert "2026-06-01 00:00 UTC" in sentence(EXAMPLES["UsageBackfilled"])


def test_a_quantity_is_told_as_it_was_written() -> None:
    adjustment = Adjustment(
        adjustment="a", kind="usage", at=TIME, reason="r", note="", meter="tokens", quantity=Decimal("-1E+3")
    )
    event = AdjustmentProposed(
        account="acme", adjustment=adjustment, proposed_by="o", role="", proposed_at=TIME, expires_at=TIME,
        effect=Money(0, "JPY"),
    )  # fmt: skip
    assert 'a change of usage of -1000 on "tokens"' in sentence(event)


@pytest.mark.parametrize(
    "event",
    [
        AccountRenamed(account="a" * 256, name="b" * 256),
        UsageDismissed(supersedes=(1,), reason="other", note="long " * 400),
        AttemptRefused(operation="x", code="y", message="z" * 500),
    ],
)
def test_a_long_text_is_cut(event: Event) -> None:
    assert len(sentence(event)) <= SENTENCE_LENGTH_MAX


def test_what_people_wrote_stays_on_one_line() -> None:
    said = sentence(UsageDismissed(supersedes=(1, 2), reason="other", note="first\nsecond\x00third"))
    assert said == 'It was decided that the events at 1 and 2 shall not count, because of "other" (first second third).'


def test_usage_is_told_without_its_properties() -> None:
    assert "12345678901234567890" not in sentence(EXAMPLES["UsageRecorded"])
