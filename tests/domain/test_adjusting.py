"""Adjustments as they are decided on, without a database: rules, and what holds for every history of decisions."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.adjusting import (
    ADJUSTMENTS_MAX,
    EVIDENCE_MAX,
    LIMIT_WINDOW,
    AdjustmentCommand,
    ApproveAdjustment,
    Effect,
    ProposeAdjustment,
    RejectAdjustment,
    WithdrawAdjustment,
    decide,
    opposite,
)
from ledger.domain.adjustment_events import (
    LEDGER,
    Adjustment,
    AdjustmentApproved,
    AdjustmentEvent,
    AdjustmentLimitChanged,
    AdjustmentProposed,
    Evidence,
    ReasonCodeAdded,
    ReasonCodeRetired,
)
from ledger.domain.adjustment_refusals import (
    AdjustmentDecided,
    AdjustmentExpired,
    AdjustmentInvalid,
    AdjustmentNotReversible,
    AdjustmentsTooMany,
    FourEyes,
)
from ledger.domain.adjustments import Adjustments, Rules, evolve_rules, folded, is_approved, person_key, signed
from ledger.domain.money import Money
from ledger.domain.refusals import ReasonInvalid, Refusal, VersionTaken

NOW = datetime(2026, 7, 2, 9, 30, tzinfo=UTC)
AT = datetime(2026, 6, 1, tzinfo=UTC)
CREDIT = Adjustment(adjustment="a", kind="credit", at=AT, reason="goodwill", note="", amount=Money(1_000, "EUR"))


def rules(*limits: tuple[str, int]) -> Rules:
    """A reason for everything, and limits of the role ops in the order in which somebody set them."""
    state = evolve_rules(Rules(), ReasonCodeAdded(code="goodwill", label="Goodwill"))
    for by, minor_units in limits:
        changed = AdjustmentLimitChanged(role="ops", limit=Money(minor_units, "EUR"), changed_by=by)
        state = evolve_rules(state, changed)
    return state


def propose(
    state: Adjustments, adjustment: Adjustment = CREDIT, *, person: str = "Ann", **how: Any
) -> ProposeAdjustment:
    money = how.get("effect", signed(adjustment) if adjustment.amount is not None else Money(0, "EUR"))
    expires_at = how.get("expires_at", NOW + timedelta(days=14))
    return ProposeAdjustment(
        "acme", adjustment, person, ("ops",), expires_at, Effect(money, True), how.get("seen", state)
    )


class Account:
    """An account's stream of adjustments."""

    def __init__(self, by: Rules) -> None:
        self.rules = by
        self.events: list[AdjustmentEvent] = []
        self.now = NOW

    @property
    def state(self) -> Adjustments:
        return folded(self.events)

    def carry_out(self, command: AdjustmentCommand) -> list[AdjustmentEvent]:
        made = decide(self.state, command, now=self.now, rules=self.rules, head=100)
        self.events += made
        return made


def test_what_is_approved_within_a_limit_counts_for_thirty_days() -> None:
    account = Account(rules(("Ada", 1_500)))
    assert len(account.carry_out(propose(account.state))) == 2
    other = msgspec.structs.replace(CREDIT, adjustment="b")
    assert len(account.carry_out(propose(account.state, other))) == 1
    account.now += LIMIT_WINDOW
    third = msgspec.structs.replace(CREDIT, adjustment="c")
    expires_at = account.now + timedelta(days=1)
    assert len(account.carry_out(propose(account.state, third, expires_at=expires_at))) == 2


def test_a_limit_that_one_set_oneself_covers_nothing_and_one_that_another_set_after_does() -> None:
    account = Account(rules(("Ada", 100_000), ("ANN", 1_000_000)))
    assert len(account.carry_out(propose(account.state))) == 1
    account.rules = rules(("ann", 1_000_000), ("Ada", 1_000))
    other = msgspec.structs.replace(CREDIT, adjustment="b")
    assert len(account.carry_out(propose(account.state, other))) == 2


def test_what_the_ledger_proposes_is_approved_by_anybody_but_not_in_its_name() -> None:
    account = Account(rules())
    told = AdjustmentProposed(
        account="acme",
        adjustment=CREDIT,
        proposed_by=LEDGER,
        role="",
        proposed_at=NOW,
        expires_at=NOW + timedelta(days=1),
        effect=Money(-1_000, "EUR"),
    )
    account.events.append(told)
    with pytest.raises(FourEyes):
        account.carry_out(ApproveAdjustment("acme", "a", "Ledger"))
    assert account.carry_out(ApproveAdjustment("acme", "a", "Ann"))


def test_a_proposal_holds_until_the_instant_that_it_expires() -> None:
    account = Account(rules())
    account.carry_out(propose({}))
    account.now = NOW + timedelta(days=14)
    with pytest.raises(AdjustmentExpired):
        account.carry_out(ApproveAdjustment("acme", "a", "Pat"))
    with pytest.raises(AdjustmentExpired):
        account.carry_out(RejectAdjustment("acme", "a", "Pat", "goodwill"))
    account.now -= timedelta.resolution
    assert account.carry_out(ApproveAdjustment("acme", "a", "Pat"))


def test_an_effect_that_was_worked_out_beside_other_adjustments_is_worked_out_again() -> None:
    account = Account(rules())
    account.carry_out(propose({}))
    other = msgspec.structs.replace(CREDIT, adjustment="b")
    with pytest.raises(VersionTaken):
        account.carry_out(propose(account.state, other, seen={}))


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"reason": "unknown"}, ReasonInvalid),
        ({"note": "x" * 2_001}, AdjustmentInvalid),
        ({"evidence": (Evidence(kind="case", reference="c"),) * (EVIDENCE_MAX + 1)}, AdjustmentInvalid),
        ({"adjustment": ""}, Refusal),
    ],
    ids=["reason", "note", "evidence", "key"],
)
def test_what_is_not_bounded_is_refused(changes: dict[str, Any], refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        Account(rules()).carry_out(propose({}, msgspec.structs.replace(CREDIT, **changes)))


@pytest.mark.parametrize("hours", [0, Decimal("0.99"), 24 * 91])
def test_a_proposal_expires_in_an_hour_to_ninety_days(hours: Decimal) -> None:
    expires_at = NOW + timedelta(seconds=int(hours * 3_600))
    with pytest.raises(AdjustmentInvalid):
        Account(rules()).carry_out(propose({}, expires_at=expires_at))


def test_an_account_has_a_bounded_number_of_adjustments() -> None:
    account = Account(rules())
    account.carry_out(propose({}))
    standing = account.state["a"]
    state = {str(number): standing for number in range(ADJUSTMENTS_MAX)}
    with pytest.raises(AdjustmentsTooMany):
        decide(state, propose(state), now=NOW, rules=rules(), head=1)


def test_reasons_are_good_for_their_kinds_until_they_are_retired() -> None:
    by = evolve_rules(rules(), ReasonCodeAdded(code="lost", label="Lost", kinds=("write_off", "rejection")))
    assert by.reasons_for("credit") == ["goodwill"]
    assert by.reasons_for("rejection") == ["goodwill", "lost"]
    by = evolve_rules(by, ReasonCodeRetired(code="lost"))
    assert by.reasons_for("write_off") == ["goodwill"]
    with pytest.raises(ReasonInvalid, match="Choose one of: goodwill"):
        Account(by).carry_out(propose({}, msgspec.structs.replace(CREDIT, kind="write_off", reason="lost")))


def test_a_reversal_is_exactly_the_opposite() -> None:
    account = Account(rules())
    account.carry_out(propose({}))
    account.carry_out(ApproveAdjustment("acme", "a", "Pat"))
    how: dict[str, Any] = {"key": "undo", "reason": "goodwill", "note": "", "evidence": ()}
    undo = opposite(account.state, "acme", "a", **how)
    for wrong in ({"amount": Money(999, "EUR")}, {"kind": "credit"}, {"at": NOW}):
        with pytest.raises(AdjustmentInvalid, match="not the opposite"):
            account.carry_out(propose(account.state, msgspec.structs.replace(undo, **wrong)))
    account.carry_out(propose(account.state, undo))
    account.carry_out(ApproveAdjustment("acme", "undo", "Pat"))
    assert account.state["a"].state(NOW) == "reversed"
    with pytest.raises(AdjustmentNotReversible):
        account.carry_out(propose(account.state, opposite(account.state, "acme", "a", **how | {"key": "again"})))


people = st.sampled_from(["Ann", " ann", "ANN", "Pat", "Paula", LEDGER])
keys = st.sampled_from("abcdef")
kinds = st.sampled_from(["credit", "debit", "write_off", "usage"])
steps = st.lists(
    st.tuples(
        st.sampled_from(["propose", "approve", "reject", "withdraw", "reverse", "wait"]), keys, keys, people, kinds
    ),
    max_size=40,
)


def command_of(account: Account, step: tuple[str, str, str, str, Any]) -> AdjustmentCommand:
    what, key, other, person, kind = step
    match what:
        case "propose":
            told: dict[str, Any] = {"meter": "m", "quantity": Decimal(7), "amount": None} if kind == "usage" else {}
            adjustment = msgspec.structs.replace(CREDIT, adjustment=key, kind=kind, **told)
        case "reverse":
            adjustment = opposite(account.state, "acme", other, key=key, reason="goodwill", note="", evidence=())
        case "approve":
            return ApproveAdjustment("acme", key, person)
        case "reject":
            return RejectAdjustment("acme", key, person, "goodwill")
        case _:
            return WithdrawAdjustment("acme", key, person)
    return propose(account.state, adjustment, person=person.strip(), expires_at=account.now + timedelta(hours=1))


@given(steps, st.integers(0, 3_000))
def test_whatever_is_tried_in_whatever_order_each_is_decided_once_by_another_person(
    tried: list[tuple[str, str, str, str, Any]], limit: int
) -> None:
    account = Account(rules(("Ada", limit)))
    for step in tried:
        if step[0] == "wait":
            account.now += timedelta(minutes=20)
            continue
        try:
            account.carry_out(command_of(account, step))
        except Refusal:
            continue
    decided = [event.adjustment for event in account.events if not isinstance(event, AdjustmentProposed)]
    assert len(set(decided)) == len(decided), "no adjustment is decided on twice"
    automatic = 0
    for standing in account.state.values():
        decision = standing.decided
        if isinstance(decision, AdjustmentApproved):
            is_own = person_key(decision.approved_by) == person_key(standing.proposed.proposed_by)
            assert is_own == decision.is_automatic
            automatic += abs(standing.proposed.effect.minor_units) * decision.is_automatic
    assert automatic <= 3 * limit, "one limit for each of three who propose: Ann, Pat, Paula"


@given(steps)
def test_adjustments_and_their_reversals_come_to_nothing(tried: list[tuple[str, str, str, str, Any]]) -> None:
    account = Account(rules())
    for step in tried:
        try:
            account.carry_out(command_of(account, step))
        except Refusal:
            continue
    state = account.state
    for standing in state.values():
        if not is_approved(standing) or standing.reversed_by is None:
            continue
        undone, undoing = standing.adjustment, state[standing.reversed_by].adjustment
        if undone.amount is None:
            assert (undone.quantity or 0) + (undoing.quantity or 0) == 0
        else:
            assert signed(undone) + signed(undoing) == Money(0, "EUR")
        assert (undone.at, undone.meter, undone.dimensions) == (undoing.at, undoing.meter, undoing.dimensions)


def test_what_was_decided_otherwise_is_told() -> None:
    account = Account(rules())
    account.carry_out(propose({}))
    account.carry_out(WithdrawAdjustment("acme", "a", " ANN"))
    with pytest.raises(AdjustmentDecided, match="withdrawn already"):
        account.carry_out(ApproveAdjustment("acme", "a", "Pat"))
