"""What may be done about a send when, and what the platform's sums settle."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ledger.domain.send_events import Settlement, UsageSend
from ledger.domain.sends import (
    OPEN_PER_MINUTE_MAX,
    Circuit,
    Told,
    arrived,
    is_cancel_lost,
    next_step,
    repeated,
    told_again,
    undoing,
)

NOW = datetime(2026, 11, 5, 9, 30, 17, tzinfo=UTC)
PATIENCE = timedelta(minutes=5)
SEND = UsageSend(
    identifier="u1",
    position=7,
    account="acme",
    meter="tokens",
    customer="cus_1",
    event_type="tokens",
    value=Decimal("1.5"),
    timestamp=NOW,
)
TOLD = Told(SEND, "1", "unknown", NOW)


@pytest.mark.parametrize(
    ("hours", "step"),
    [(0, "wait"), (1, "tell"), (22.99, "tell"), (23, "look_up"), (24.5, "look_up"), (24 * 34, "look_up")],
)
def test_a_send_is_told_again_only_while_its_identifier_is_surely_known(hours: float, step: str) -> None:
    """Fails where the window is a minute longer: the case of 23 hours."""
    assert next_step(TOLD, NOW + timedelta(hours=hours), patience=PATIENCE) == step


def test_a_sum_is_believed_an_hour_after_the_last_attempt() -> None:
    tried = TOLD._replace(settled_at=NOW + timedelta(hours=22, minutes=59))
    assert next_step(tried, NOW + timedelta(hours=23, minutes=58), patience=PATIENCE) == "wait"
    assert next_step(tried, NOW + timedelta(hours=23, minutes=59), patience=PATIENCE) == "look_up"


def test_what_might_be_refused_for_its_age_alone_is_not_told_again() -> None:
    late = TOLD._replace(due_at=NOW + timedelta(days=35), send=SEND)
    assert next_step(late, late.due_at + timedelta(minutes=30), patience=PATIENCE) == "wait"
    assert next_step(late, late.due_at + timedelta(hours=2), patience=PATIENCE) == "look_up"


def test_a_refusal_of_a_repeat_does_not_say_that_the_first_one_failed() -> None:
    refusal = Settlement(identifier="u1", outcome="rejected", code="archived_meter")
    assert told_again(refusal, TOLD).outcome == "unknown"
    known = Settlement(identifier="u1", outcome="delivered_before")
    assert told_again(known, TOLD) == known


@pytest.mark.parametrize(
    ("theirs", "sure", "doubtful", "found"),
    [
        ("10", "10", ["5"], set()),
        ("15", "10", ["5"], {0}),
        ("12", "10", ["5"], None),
        ("13", "10", ["1", "2", "4"], {0, 1}),
        ("13", "10", ["1", "2", "3"], None),
        ("15", "10", ["5", "5"], None),
        ("5", "10", ["-5"], {0}),
        ("10", "10", ["5", "-5"], None),
        ("0.3", "0.1", ["0.2"], {0}),
    ],
)
def test_a_sum_settles_what_one_set_alone_explains(
    theirs: str, sure: str, doubtful: list[str], found: set[int] | None
) -> None:
    answer = arrived(Decimal(theirs), Decimal(sure), [Decimal(one) for one in doubtful])
    assert answer == (None if found is None else frozenset(found))


def test_too_many_doubtful_sends_are_left_to_a_person() -> None:
    values = [Decimal(2) ** number for number in range(OPEN_PER_MINUTE_MAX + 1)]
    assert arrived(Decimal(0), Decimal(0), values) is None


def test_repeats_and_undoings_have_identifiers_of_their_own_that_are_the_same_each_time() -> None:
    made = [repeated(SEND), repeated(repeated(SEND)), undoing(SEND, 9), undoing(repeated(SEND), 9)]
    assert len({SEND.identifier, *(one.identifier for one in made)}) == 5
    assert repeated(SEND) == made[0]
    assert (made[2].value, made[2].undoes, made[2].position) == (Decimal("-1.5"), "u1", 9)


def test_a_cancel_that_was_intended_too_late_was_never_asked_for() -> None:
    accepted = TOLD._replace(state="accepted", cancel="intended")
    in_time = accepted._replace(cancel_at=NOW + timedelta(hours=23))
    too_late = accepted._replace(cancel_at=NOW + timedelta(hours=24))
    later = NOW + timedelta(hours=30)
    assert is_cancel_lost(in_time, later)
    assert not is_cancel_lost(in_time, NOW + timedelta(hours=24, minutes=59))
    assert not is_cancel_lost(too_late, later)


def test_a_circuit_opens_after_faults_in_a_row_and_lets_one_probe_through() -> None:
    circuit = Circuit()
    for _ in range(Circuit.FAULTS_MAX - 1):
        circuit.failed(NOW)
    assert not circuit.is_open(NOW)
    circuit.failed(NOW)
    assert circuit.is_open(NOW)
    probe = NOW + Circuit.PAUSE
    assert not circuit.is_open(probe)
    assert circuit.is_probing
    circuit.failed(probe)
    assert circuit.is_open(probe + Circuit.PAUSE)
    circuit.answered()
    assert not circuit.is_open(probe)
    assert not circuit.is_probing


def test_the_pause_of_a_circuit_is_bounded() -> None:
    circuit = Circuit()
    for _ in range(100):
        circuit.failed(NOW)
    assert not circuit.is_open(NOW + Circuit.PAUSE_MAX)
