"""Cases: one for each subject, settled when the numbers agree and never before, reopened when they part."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.adjustment_events import Adjustment, AdjustmentKind, AdjustmentProposed, Evidence, ReasonCodeAdded
from ledger.domain.adjustments import Rules, Standing, evolve_rules
from ledger.domain.case_events import (
    CaseAction,
    CaseAssigned,
    CaseChoice,
    CaseCommented,
    CaseEvent,
    CaseOpened,
    CaseReassessed,
    CaseReopened,
    CaseSettled,
)
from ledger.domain.case_refusals import CaseInvalid, CaseNotOpen, CaseNotResolved, CaseTooLong, CaseUnknown
from ledger.domain.cases import UNEXPLAINED, Case, case_key, covers, evolve, folded, key_of, stream_of
from ledger.domain.casework import (
    AWAITED_FOR,
    COMMENT_LENGTH_MAX,
    EVENTS_MAX,
    POSITIONS_MAX,
    AssignCase,
    CaseCommand,
    CommentCase,
    ObserveAgreement,
    ObserveDifference,
    ReopenCase,
    ResolveCase,
    check_adjustment,
    decide,
)
from ledger.domain.money import Money
from ledger.domain.reconciliation_facts import Difference
from ledger.domain.refusals import NameInvalid, ReasonInvalid, Refusal
from tests.domain.case_examples import DIFFERENCE, LEAST

NOW = datetime(2026, 7, 2, tzinfo=UTC)
RULES = evolve_rules(Rules(), ReasonCodeAdded(code="too_small", label="Too small", kinds=("resolution",)))
CASE = key_of(DIFFERENCE)
FOUND = ObserveDifference("run-1", DIFFERENCE)


def difference(theirs: str = "1500", cents: int | None = 37, **changes: Any) -> Difference:
    """The example, with another number there."""
    money = None if cents is None else Money(cents, "EUR")
    return msgspec.structs.replace(DIFFERENCE, theirs=Decimal(theirs), money=money, **changes)


def resolve(decision: CaseChoice = "accept_theirs", **changes: Any) -> ResolveCase:
    """A decision that acts on nothing unless told."""
    return ResolveCase(CASE, decision, "too_small", "3 cents", "olivia")._replace(**changes)


def after(*commands: CaseCommand, now: datetime = NOW) -> Case:
    """The case that commands lead to."""
    state: Case | None = None
    for command in commands:
        for event in decide(state, command, now=now, rules=RULES):
            state = evolve(state, event)
    assert state is not None
    return state


def told(state: Case | None, command: CaseCommand, now: datetime = NOW) -> list[type[CaseEvent]]:
    """The kinds of the events that a command leads to."""
    return [type(event) for event in decide(state, command, now=now, rules=RULES)]


def test_a_difference_opens_a_case_once() -> None:
    case = after(FOUND)
    assert (case.case, case.state, case.cause) == (CASE, "open", "unsent")
    assert told(case, FOUND) == []
    assert told(case, FOUND._replace(run="run-2")) == []


def test_other_numbers_are_told_and_the_same_ones_are_not() -> None:
    worse = ObserveDifference("run-2", difference("1400", 137))
    assert told(after(FOUND), worse) == [CaseReassessed]
    case = after(FOUND, worse)
    assert (case.difference, case.run, case.state) == (worse.difference, "run-2", "open")


@pytest.mark.parametrize(
    "other",
    [
        difference(platform="lago"),
        difference(subject="amount"),
        difference(account="globex"),
        difference(account=None, customer="acme"),
        difference(meter="calls"),
        difference(meter=None),
        difference(start=DIFFERENCE.start + timedelta(days=1)),
    ],
)
def test_another_subject_is_another_case(other: Difference) -> None:
    assert key_of(other) != CASE


def test_what_the_same_subject_is_found_to_be_is_the_same_case() -> None:
    assert key_of(difference("7", customer="cus_2", end=NOW, note="n", findings=())) == CASE
    moved = DIFFERENCE.start.astimezone(tz=None)
    assert key_of(difference(start=moved)) == CASE
    assert key_of(LEAST) != key_of(msgspec.structs.replace(LEAST, customer="cus_8"))


def test_a_key_is_that_of_a_stream_and_other_texts_are_none() -> None:
    assert stream_of(CASE) is not None
    assert [stream_of(text) for text in ("", "x", CASE.upper(), CASE.replace("-", ""), f"{{{CASE}}}")] == [None] * 5
    same = case_key(
        platform="stripe", subject="quantity", account="acme", customer=None, meter="tokens", start=DIFFERENCE.start
    )
    assert same == CASE


def test_agreement_settles_a_case_whatever_was_decided() -> None:
    agreed = ObserveAgreement("run-2", CASE)
    for commands in ([FOUND], [FOUND, AssignCase(CASE, "olivia", "ada")], [FOUND, resolve()]):
        case = after(*commands, agreed)
        assert (case.state, case.run, case.settled_at) == ("settled", "run-2", NOW)
        assert told(case, agreed) == []
    assert told(None, agreed) == []


def test_a_settled_case_is_reopened_when_the_numbers_part_again() -> None:
    settled = after(FOUND, AssignCase(CASE, "olivia", "ada"), resolve(), ObserveAgreement("run-2", CASE))
    assert told(settled, FOUND) == [CaseReopened]
    case = after(FOUND, AssignCase(CASE, "olivia", "ada"), ObserveAgreement("run-2", CASE), FOUND)
    assert (case.state, case.reopenings, case.settled_at, case.resolution) == ("investigating", 1, None, None)


@pytest.mark.parametrize(
    ("later", "is_covered"),
    [
        (difference("1500", 37), True),
        (difference("1510", 26), True),
        (difference("1536.5", 0), True),
        (difference("1499", 38), False),
        (difference("1500", 38), False),
        (difference("1540", -4), False),
        (difference("1500", None), True),
        (msgspec.structs.replace(DIFFERENCE, money=Money(37, "USD")), False),
        (msgspec.structs.replace(DIFFERENCE, theirs=None, money=None), True),
    ],
)
def test_a_decision_covers_what_is_no_larger_and_goes_the_same_way(later: Difference, *, is_covered: bool) -> None:
    assert covers(DIFFERENCE, later) == is_covered
    command = ObserveDifference("run-2", later)
    kinds = told(after(FOUND, resolve()), command)
    assert (CaseReopened in kinds) != is_covered
    assert told(after(FOUND, resolve(), command), command) == []


def test_numbers_that_were_not_there_before_are_not_covered() -> None:
    assert not covers(LEAST, DIFFERENCE)
    assert covers(LEAST, LEAST)


def test_a_resend_that_changes_nothing_for_days_is_reopened_and_an_acceptance_is_not() -> None:
    sent = after(FOUND, resolve("resend", action=CaseAction(positions=(17,))))
    assert told(sent, FOUND, NOW + AWAITED_FOR) == []
    assert told(sent, FOUND, NOW + AWAITED_FOR + timedelta(seconds=1)) == [CaseReopened]
    assert told(after(FOUND, resolve()), FOUND, NOW + timedelta(days=400)) == []


def test_assigning_moves_a_case_and_repeating_it_does_nothing() -> None:
    assign = AssignCase(CASE, "olivia", "ada")
    assert after(FOUND, assign).state == "investigating"
    assert told(after(FOUND, assign), assign) == []
    assert told(after(FOUND, assign), AssignCase(CASE, None, "ada")) == [CaseAssigned]
    assert after(FOUND, assign, AssignCase(CASE, None, "ada")).state == "open"
    with pytest.raises(NameInvalid):
        told(after(FOUND), AssignCase(CASE, " ", "ada"))


def test_only_an_open_case_is_assigned_or_resolved_and_only_a_resolved_one_reopened_by_a_person() -> None:
    resolved, settled = after(FOUND, resolve()), after(FOUND, ObserveAgreement("run-2", CASE))
    for state in (resolved, settled):
        for command in (AssignCase(CASE, "olivia", "ada"), resolve("accept_ours")):
            with pytest.raises(CaseNotOpen):
                told(state, command)
    for state in (after(FOUND), settled):
        with pytest.raises(CaseNotResolved):
            told(state, ReopenCase(CASE, "look again", "olivia"))
    assert told(resolved, ReopenCase(CASE, "look again", "olivia")) == [CaseReopened]
    assert after(FOUND, resolve(), ReopenCase(CASE, "look again", "olivia")).state == "open"


def test_the_same_decision_told_again_changes_nothing() -> None:
    state = after(FOUND, resolve())
    assert told(state, resolve(person="OLIVIA ")) == []
    with pytest.raises(CaseNotOpen):
        told(state, resolve(person="ben"))


def test_a_decision_needs_a_reason_that_is_good_for_it_and_a_comment() -> None:
    with pytest.raises(ReasonInvalid, match="too_small"):
        told(after(FOUND), resolve(reason="goodwill"))
    for comment in ("", "  ", "x" * (COMMENT_LENGTH_MAX + 1), "a\0b"):
        with pytest.raises(CaseInvalid, match="say why"):
            told(after(FOUND), resolve(comment=comment))
        with pytest.raises(CaseInvalid, match="say why"):
            told(after(FOUND), CommentCase(CASE, comment, "olivia"))


@pytest.mark.parametrize(
    ("decision", "action"),
    [
        ("accept_theirs", CaseAction(adjustment="a")),
        ("accept_ours", CaseAction(positions=(1,))),
        ("credit", None),
        ("credit", CaseAction(positions=(1,))),
        ("adjust_usage", CaseAction()),
        ("write_off", CaseAction(adjustment="a", positions=(1,))),
        ("resend", None),
        ("resend", CaseAction(adjustment="a")),
        ("cancel", CaseAction(positions=tuple(range(POSITIONS_MAX + 1)))),
    ],
)
def test_a_decision_comes_with_what_it_brought_about_and_nothing_else(
    decision: CaseChoice, action: CaseAction | None
) -> None:
    with pytest.raises(CaseInvalid):
        told(after(FOUND), resolve(decision, action=action))


def adjusted(kind: AdjustmentKind = "credit", case: str = CASE) -> dict[str, Standing]:
    """An account's adjustments: one, that rests on a case."""
    evidence = (Evidence(kind="event", reference="1"), Evidence(kind="case", reference=case))
    one = Adjustment(adjustment="a", kind=kind, at=NOW, reason="r", note="", amount=Money(1, "EUR"), evidence=evidence)
    proposed = AdjustmentProposed(
        account="acme", adjustment=one, proposed_by="olivia", role="", proposed_at=NOW, expires_at=NOW,
        effect=Money(1, "EUR"),
    )  # fmt: skip
    return {"a": Standing(proposed)}


def test_the_adjustment_of_a_decision_is_there_of_its_kind_and_rests_on_the_case() -> None:
    command = resolve("credit", action=CaseAction(adjustment="a"))
    check_adjustment(adjusted(), command)
    check_adjustment({}, resolve())
    for known in ({}, adjusted("debit"), adjusted(case=key_of(LEAST))):
        with pytest.raises(CaseInvalid):
            check_adjustment(known, command)


def test_nobody_works_on_a_case_that_is_not_there_or_too_long() -> None:
    work = (AssignCase(CASE, None, "o"), CommentCase(CASE, "c", "o"), resolve(), ReopenCase(CASE, "c", "o"))
    full = msgspec.structs.replace(after(FOUND), events=EVENTS_MAX)
    for command in work:
        with pytest.raises(CaseUnknown):
            told(None, command)
        with pytest.raises(CaseTooLong):
            told(full, command)
    assert told(full, ObserveDifference("run-2", difference("1"))) == []
    assert told(full, ObserveAgreement("run-2", CASE)) == [CaseSettled]


def test_a_comment_is_told_twice_and_counts_twice() -> None:
    comment = CommentCase(CASE, "called them", "olivia")
    assert told(after(FOUND, comment), comment) == [CaseCommented]
    assert after(FOUND, comment, comment).comments == 2


def test_a_difference_that_nothing_explains_says_so() -> None:
    assert after(ObserveDifference("run-1", difference(findings=()))).cause == UNEXPLAINED


COMMANDS = st.one_of(
    st.builds(
        lambda run, theirs, cents: ObserveDifference(run, difference(str(theirs), cents)),
        st.sampled_from(["r1", "r2"]),
        st.integers(1_490, 1_550),
        st.none() | st.integers(-50, 50),
    ),
    st.builds(ObserveAgreement, st.sampled_from(["r1", "r2"]), st.just(CASE)),
    st.builds(AssignCase, st.just(CASE), st.none() | st.just("olivia"), st.just("ada")),
    st.builds(CommentCase, st.just(CASE), st.just("c"), st.just("ada")),
    st.sampled_from(
        [
            resolve(),
            resolve("accept_ours"),
            resolve("resend", action=CaseAction(positions=(1,))),
            resolve("credit", action=CaseAction(adjustment="a")),
        ]
    ),
    st.builds(ReopenCase, st.just(CASE), st.just("c"), st.just("ada")),
)


@given(st.lists(st.tuples(COMMANDS, st.integers(0, 5)), max_size=25))
def test_a_case_is_settled_exactly_when_the_last_run_found_agreement(told: list[tuple[CaseCommand, int]]) -> None:
    """Whatever people decide in between, in any order; and what is told twice changes nothing the second time."""
    stream: list[CaseEvent] = []
    state: Case | None = None
    is_apart = False
    now = NOW
    for command, days in told:
        now += timedelta(days=days)
        try:
            events = decide(state, command, now=now, rules=RULES)
        except Refusal:
            assert not isinstance(command, ObserveDifference | ObserveAgreement)
            continue
        stream += events
        state = folded(stream)
        if isinstance(command, ObserveDifference | ObserveAgreement):
            is_apart = isinstance(command, ObserveDifference)
            assert decide(state, command, now=now, rules=RULES) == []
        assert (state is not None and not state.is_settled) == is_apart
        assert sum(isinstance(event, CaseOpened) for event in stream) == (state is not None)
        if state is not None and is_apart and isinstance(command, ObserveDifference):
            assert state.resolution is None or covers(state.resolved_difference or LEAST, command.difference)
        assert {event.case for event in stream} <= {CASE}
