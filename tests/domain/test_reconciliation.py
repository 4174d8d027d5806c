"""What stands first among the causes of a difference is what is behind it, for each cause alone and for two at once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.charges import Charge, PerUnit, Volume
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.platform_objects import CreditNote, PlatformLine
from ledger.domain.reconciliation.causes import CAUSES, codes_of
from ledger.domain.reconciliation.comparing import Sums, Tolerance
from ledger.domain.reconciliation.evidence import (
    AmountFacts,
    Elsewhere,
    OurLine,
    OurPrice,
    OurSend,
    OurUsage,
    QuantityFacts,
    Recount,
)
from ledger.domain.reconciliation.ranking import explain_amount, explain_quantity
from ledger.domain.tiers import Tier

D = Decimal
START = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
MARCH = Period(START, END)
MINUTE = timedelta(minutes=1)
TOLERANCE = Tolerance()


def at(position: int) -> datetime:
    """When the usage at a position happened: one event an hour."""
    return START + timedelta(hours=position, seconds=7)


def used(position: int, value: object = None, **more: Any) -> OurUsage:
    known: dict[str, Any] = {"time": at(position), "recorded_at": at(position) + MINUTE}
    return OurUsage(position=position, value=D(str(value or 2**position)), **(known | more))


def sent(position: int, value: object = None, state: str = "accepted", **more: Any) -> OurSend:
    known: dict[str, Any] = {
        "customer": "cus_1",
        "timestamp": at(position),
        "intended_at": at(position) + MINUTE,
        "settled_at": at(position) + MINUTE,
    }
    value = D(str(value or 2**position))
    return OurSend(identifier=f"s{position}", position=position, value=value, state=state, **(known | more))  # type: ignore[arg-type]


USAGE = tuple(used(position) for position in range(1, 9))
SENDS = tuple(sent(position) for position in range(1, 9))
TOTAL = D(510)
LATE = used(20, 9, recorded_at=END + timedelta(days=2), time=at(20))


def without(*positions: int) -> tuple[OurSend, ...]:
    return tuple(send for send in SENDS if send.position not in positions)


def gap(position: int, apart: object, ours: object = 0) -> Sums:
    start = at(position).replace(second=0)
    return Sums(start, start + MINUTE, D(str(ours)), D(str(ours)) - D(str(apart)))


def facts(**more: Any) -> QuantityFacts:
    """All sent and acknowledged, but for what is said."""
    known: dict[str, Any] = {
        "account": "acme",
        "customer": "cus_1",
        "meter": "tokens",
        "period": MARCH,
        "used": TOTAL,
        "theirs": TOTAL,
        "usage": USAGE,
        "sends": SENDS,
    }
    return QuantityFacts(**(known | more))


PLANTED: dict[str, QuantityFacts] = {
    "unsent": facts(sends=without(3), theirs=TOTAL - 8),
    "send_rejected": facts(sends=(*without(3), sent(3, state="rejected", code="odd")), theirs=TOTAL - 8),
    "outside_backdating_window": facts(
        sends=(*without(3), sent(3, state="rejected", code="timestamp_too_far_in_past")), theirs=TOTAL - 8
    ),
    "future_dated": facts(
        sends=(*without(3), sent(3, state="rejected", intended_at=at(3) - timedelta(hours=1))), theirs=TOTAL - 8
    ),
    "meter_archived": facts(sends=(*without(3), sent(3, state="rejected", code="archived_meter")), theirs=TOTAL - 8),
    "customer_not_found": facts(
        sends=(*without(3), sent(3, state="rejected", code="meter_event_customer_not_found")), theirs=TOTAL - 8
    ),
    "before_sending_started": facts(sends=without(1, 2), theirs=TOTAL - 6, sending_since=at(3)),
    "voided_still_counted": facts(
        usage=(*USAGE, used(12, 7, standing="voided")), sends=(*SENDS, sent(12, 7)), theirs=TOTAL + 7
    ),
    "cancelled_still_used": facts(sends=(*without(3), sent(3, state="cancelled")), theirs=TOTAL - 8),
    "amended_after_send": facts(
        usage=(*USAGE, used(12, 7, standing="voided"), used(13, 5, supersedes=(12,))),
        sends=(*SENDS, sent(12, 7)),
        used=TOTAL + 5,
        theirs=TOTAL + 7,
    ),
    "value_differs": facts(sends=(*without(3), sent(3, 80)), theirs=TOTAL + 72),
    "sent_for_another_account": facts(sends=(*without(3), sent(3, customer="cus_2")), theirs=TOTAL - 8),
    "adjusted_here_only": facts(usage=(*USAGE, used(15, -10, is_adjustment=True)), used=TOTAL - 10),
    "late_after_finalisation": facts(usage=(*USAGE, LATE), used=TOTAL + 9, finalized_at=END + timedelta(hours=1)),
    "sent_twice": facts(
        sends=(*without(3), sent(3, attempts=2, settled_at=at(3) + timedelta(hours=30))),
        theirs=TOTAL + 8,
        minutes=(gap(3, -8, 8),),
    ),
    "send_unknown": facts(sends=(*without(3, 4), *(sent(n, state="unknown") for n in (3, 4))), theirs=TOTAL - 16),
    "clamped_negative": facts(used=D(-5), theirs=D(0), usage=(used(1, -5),), sends=(sent(1, -5),)),
    "meter_formula": facts(theirs=D(8), by_formula={"count": D(8), "sum": TOTAL, "last": D(256)}),
    "duplicate_customer": facts(theirs=TOTAL - 300, elsewhere=(Elsewhere("cus_2", D(300)),)),
    "zone_boundary": facts(theirs=TOTAL - 31, recounts=(Recount("zone", "UTC", MARCH, TOTAL - 31),)),
    "anchor_boundary": facts(theirs=TOTAL + 31, recounts=(Recount("anchor", "the 15th", MARCH, TOTAL + 31),)),
    "clock_skew": facts(
        theirs=TOTAL - 256, outside=(Sums(END, END + timedelta(days=1), D(0), D(256)),), minutes=(gap(8, 256, 256),)
    ),
    "unit_differs": facts(theirs=TOTAL * 1000),
    "held_here": facts(usage=(*USAGE, used(12, 7, standing="held")), theirs=TOTAL + 7, minutes=(gap(12, -7),)),
    "lost_there": facts(theirs=TOTAL - 16, minutes=(gap(4, 16, 16),)),
    "counted_twice_there": facts(theirs=TOTAL + 16, minutes=(gap(4, -16, 16),)),
    "told_by_another": facts(theirs=TOTAL + 11, minutes=(gap(4, -11, 16),)),
    "not_counted_there": facts(theirs=TOTAL - 11, minutes=(gap(4, 11, 16),)),
}


@pytest.mark.parametrize("cause", PLANTED)
def test_the_cause_of_a_difference_of_quantity_stands_first(cause: str) -> None:
    found = explain_quantity(PLANTED[cause], TOLERANCE)
    assert found[0].cause == cause, [one.cause for one in found]
    assert found[0].is_exact
    assert found[0].share == 1
    assert found[0].quantity == PLANTED[cause].gap


@pytest.mark.parametrize(
    ("causes", "planted"),
    [
        (
            {"unsent", "send_rejected"},
            facts(sends=(*without(3, 5), sent(5, state="rejected")), theirs=TOTAL - 40),
        ),
        ({"unsent", "lost_there"}, facts(sends=without(3), theirs=TOTAL - 24, minutes=(gap(4, 16, 16),))),
        (
            {"voided_still_counted", "told_by_another"},
            facts(
                usage=(*USAGE, used(12, 7, standing="voided")),
                sends=(*SENDS, sent(12, 7)),
                theirs=TOTAL + 18,
                minutes=(gap(4, -11, 16),),
            ),
        ),
        (
            {"send_unknown", "unsent"},
            facts(sends=(*without(3, 4, 5), sent(4, state="unknown"), sent(5, state="unknown")), theirs=TOTAL - 40),
        ),
        (
            {"unsent", "duplicate_customer"},
            facts(sends=without(3), theirs=TOTAL - 308, elsewhere=(Elsewhere("cus_2", D(300)),)),
        ),
        (
            {"unsent", "send_rejected", "lost_there"},
            facts(sends=(*without(3, 5), sent(5, state="rejected")), theirs=TOTAL - 56, minutes=(gap(4, 16, 16),)),
        ),
    ],
)
def test_causes_that_explain_all_of_it_together_stand_before_each_of_them(
    causes: set[str], planted: QuantityFacts
) -> None:
    first, *others = explain_quantity(planted, TOLERANCE)
    assert set(codes_of(first.cause)) == causes, [first.cause, *(one.cause for one in others)]
    assert first.is_exact
    assert all(not one.is_exact or len(codes_of(one.cause)) >= 2 for one in others)


def test_an_unknown_send_that_arrived_is_no_cause() -> None:
    """Its minute has just that much more than was acknowledged; what is lost elsewhere is the cause."""
    arrived = facts(
        sends=(*without(3), sent(3, state="unknown")),
        theirs=TOTAL - 16,
        minutes=(gap(3, -8), gap(4, 16, 16)),
    )
    assert [(one.cause, one.is_exact) for one in explain_quantity(arrived, TOLERANCE)] == [("lost_there", True)]


def test_two_events_that_fit_equally_are_told_as_candidates() -> None:
    twins = facts(
        usage=(used(1, 5), used(1, 5)._replace(position=2)),
        sends=(sent(1, 5), sent(1, 5)._replace(position=2)),
        used=D(10),
        theirs=D(5),
        minutes=(gap(1, 5, 10),),
    )
    first, *_ = explain_quantity(twins, TOLERANCE)
    assert first.cause == "lost_there"
    assert first.evidence["is_only_combination"] == "false"


def test_without_a_minute_the_sums_of_the_period_still_say_which_side_has_more() -> None:
    first, *_ = explain_quantity(facts(theirs=TOTAL + 3), TOLERANCE)
    assert (first.cause, first.quantity) == ("told_by_another", D(-3))


@given(st.sets(st.integers(1, 8)), st.sets(st.integers(1, 8)))
def test_what_was_never_sent_and_what_was_rejected_always_add_up(unsent: set[int], rejected: set[int]) -> None:
    rejected = rejected - unsent
    sends = (*without(*unsent, *rejected), *(sent(n, state="rejected") for n in rejected))
    missing = sum(D(2) ** n for n in unsent | rejected)
    planted = facts(sends=sends, theirs=TOTAL - missing)
    if not missing:
        return
    first, *_ = explain_quantity(planted, TOLERANCE)
    assert set(codes_of(first.cause)) == {"unsent"} & ({"unsent"} if unsent else set()) | (
        {"send_rejected"} if rejected else set()
    )
    assert first.is_exact


def eur(minor_units: int) -> Money:
    return Money(minor_units, "EUR")


def line(minor_units: int, quantity: object = None, **more: Any) -> PlatformLine:
    known: dict[str, Any] = {"id": "il_1", "label": "Tokens", "money": eur(minor_units), "price": "price_1"}
    amount = None if quantity is None else D(str(quantity))
    return PlatformLine(start=START, end=END, quantity=amount, **(known | more))


def per_unit(amount: str, **more: Any) -> Charge:
    return Charge(model=PerUnit(unit_amount=D(amount)), **more)


OURS = OurPrice("Pro, version 2", per_unit("0.10"))


def amounts(ours: int, *theirs: PlatformLine, **more: Any) -> AmountFacts:
    known: dict[str, Any] = {
        "account": "acme",
        "customer": "cus_1",
        "meter": "tokens",
        "period": MARCH,
        "ours": eur(ours),
        "theirs": eur(sum(one.money.minor_units for one in theirs)),
        "lines": theirs,
        "used": TOTAL,
        "billed": sum((one.quantity or D(0) for one in theirs), D(0)),
        "price": OURS,
        "their_price": OURS.charge,
        "status": "open",
    }
    return AmountFacts(**(known | more))


def beside(ours: tuple[OurLine, ...], theirs: tuple[PlatformLine, ...], **more: Any) -> AmountFacts:
    notes = sum(note.money.minor_units for note in more.get("credit_notes", ()))
    total = sum(one.money.minor_units for one in ours)
    there = eur(sum(one.money.minor_units for one in theirs) - notes)
    return amounts(total, *theirs, meter=None, price=None, used=None, our_lines=ours, theirs=there, **more)


FEE = OurLine("fee", "Platform", eur(4900))
THEIR_FEE = line(4900, label="Platform fee")
NOTE = CreditNote(id="cn_1", invoice="in_1", customer="cus_1", money=eur(700), reason=None, created_at=END)
LATE_FACTS = facts(usage=(*USAGE, LATE), used=TOTAL + 9, theirs=TOTAL, finalized_at=END + timedelta(hours=1))

PLANTED_AMOUNTS: dict[str, AmountFacts] = {
    "quantity_differs": amounts(5100, line(5000, 500)),
    "price_differs": amounts(5100, line(10200, 510), their_price=per_unit("0.20")),
    "plan_version": amounts(
        5100,
        line(4080, 510),
        their_price=per_unit("0.08"),
        other_prices=(OurPrice("Pro, version 1", per_unit("0.08")),),
    ),
    "rounding": amounts(
        1,
        line(0, 5),
        used=D(5),
        price=OurPrice("Pro", per_unit("0.001")),
        their_price=per_unit("0.001", rounding="down"),
    ),
    "clamped_negative": amounts(
        -50, line(0, -5), used=D(-5), price=OurPrice("Pro", per_unit("0.10", negative="signed"))
    ),
    "manual_edit": amounts(5100, line(4000, 510)),
    "late_after_finalisation": amounts(5190, line(5100, 510), used=TOTAL + 9, quantity=LATE_FACTS),
    "duplicate_subscription": amounts(5100, line(5100, 510), line(5100, 510), subscriptions=2),
    "currency_mismatch": amounts(5100, line(5100, 510, money=Money(5100, "USD")), theirs=Money(5100, "USD")),
    "invoice_missing": amounts(5100, status=None),
    "invoice_void": amounts(5100, status="void"),
    "inexpressible_price": amounts(5100, line(5000, 510), their_price=None),
    "proration": amounts(5100, line(2550, 510, is_proration=True)),
    "credit_note_there_only": beside((FEE,), (THEIR_FEE,), credit_notes=(NOTE,)),
    "adjusted_amount_here_only": beside((FEE, OurLine("adjustment", "goodwill", eur(-700))), (THEIR_FEE,)),
    "manual_line": beside((FEE,), (THEIR_FEE, line(1500, label="Support", price=None))),
    "line_there_only": beside((FEE,), (THEIR_FEE, line(1500, label="Seats"))),
    "line_here_only": beside((FEE, OurLine("minimum", "Minimum", eur(900))), (THEIR_FEE,)),
}


@pytest.mark.parametrize("cause", PLANTED_AMOUNTS)
def test_the_cause_of_a_difference_of_money_stands_first(cause: str) -> None:
    planted = PLANTED_AMOUNTS[cause]
    found = explain_amount(planted, TOLERANCE)
    assert found[0].cause == cause, [one.cause for one in found]
    assert found[0].is_exact
    assert found[0].money == planted.gap


def test_another_quantity_and_another_price_and_an_edit_come_apart() -> None:
    """5,100 here; 500 units at 0.20 make 10,000 there, and a person made 9,900 of it."""
    found = explain_amount(amounts(5100, line(9900, 500), their_price=per_unit("0.20")), TOLERANCE)
    assert set(codes_of(found[0].cause)) == {"quantity_differs", "price_differs", "manual_edit"}
    parts = {one.cause: one.money for one in found[1:]}
    assert parts["quantity_differs"] == eur(100)
    assert parts["price_differs"] == eur(-5000)
    assert parts["manual_edit"] == eur(100)


def test_a_credit_note_with_its_adjustment_is_no_difference_of_its_own() -> None:
    goodwill = OurLine("adjustment", "goodwill", eur(-700))
    found = explain_amount(
        beside((FEE, goodwill), (THEIR_FEE, line(300, label="Support", price=None)), credit_notes=(NOTE,)), TOLERANCE
    )
    assert [one.cause for one in found] == ["manual_line"]


def test_a_price_whose_tiers_end_before_the_quantity_explains_nothing_and_fails_nothing() -> None:
    short = Charge(model=Volume(tiers=(Tier(up_to=D(10), unit_amount=D(1)),)))
    assert explain_amount(amounts(5100, line(5000, 510), price=OurPrice("Old", short)), TOLERANCE) == ()


def test_every_cause_that_is_found_is_one_of_the_catalogue() -> None:
    assert set(PLANTED) | set(PLANTED_AMOUNTS) <= set(CAUSES)
    assert len(CAUSES) >= 20


def test_where_we_send_nothing_our_usage_is_held_against_theirs() -> None:
    """Somebody else tells the platform: nothing is unsent, and the events of the minute are the candidates."""
    observed = facts(sends=(), is_sent_by_us=False, theirs=TOTAL - 16, minutes=(gap(4, 16, 16),))
    first, *others = explain_quantity(observed, TOLERANCE)
    assert (first.cause, first.positions) == ("lost_there", (4,))
    assert others == []


def test_an_event_that_was_sent_in_time_is_not_late_however_late_it_was_recorded_again() -> None:
    final = END + timedelta(hours=1)
    [send] = [sent(20, 9, settled_at=final + timedelta(days=1))]
    in_time = send._replace(settled_at=at(20) + MINUTE)
    late = facts(usage=(*USAGE, LATE), sends=(*SENDS, send), used=TOTAL + 9, finalized_at=final)
    punctual = late._replace(sends=(*SENDS, in_time))
    assert explain_quantity(late, TOLERANCE)[0].cause == "late_after_finalisation"
    assert "late_after_finalisation" not in {one.cause for one in explain_quantity(punctual, TOLERANCE)}


@pytest.mark.parametrize(
    ("ours", "theirs", "is_same"),
    [("0.3", "0.30000000000000004", True), ("0.3", "0.3001", False), ("0", "0", True), ("1", "-1", False)],
)
def test_what_binary_floating_point_makes_of_a_sum_is_no_difference(ours: str, theirs: str, is_same: bool) -> None:
    assert TOLERANCE.lets_pass(D(ours), D(theirs)) is is_same


def test_money_differs_by_a_cent_and_across_currencies() -> None:
    assert not TOLERANCE.lets_money_pass(eur(1), eur(2))
    assert Tolerance(money=1).lets_money_pass(eur(1), eur(2))
    assert not TOLERANCE.lets_money_pass(eur(1), Money(1, "USD"))
    assert TOLERANCE.lets_money_pass(eur(0), Money(0, "USD"))


def test_amended_usage_is_not_told_as_voided_too() -> None:
    causes = [one.cause for one in explain_quantity(PLANTED["amended_after_send"], TOLERANCE)]
    assert causes == ["amended_after_send"]


def test_two_causes_that_the_log_witnessed_go_before_one_that_only_fits() -> None:
    """Another customer has just as much as was never sent and rejected together: that may be chance."""
    planted = facts(
        sends=(*without(3, 5), sent(5, state="rejected")), theirs=TOTAL - 40, elsewhere=(Elsewhere("cus_2", D(40)),)
    )
    first, second, *_ = explain_quantity(planted, TOLERANCE)
    assert set(codes_of(first.cause)) == {"unsent", "send_rejected"}
    assert second.cause == "duplicate_customer"


def test_one_event_does_not_stand_behind_two_causes_at_once() -> None:
    """What is too much is twice the send's value: it may count twice, not twice twice."""
    planted = facts(sends=(*without(3), sent(3, attempts=2)), theirs=TOTAL + 16, minutes=(gap(3, -8, 8),))
    found = explain_quantity(planted, TOLERANCE)
    assert not any({"sent_twice", "counted_twice_there"} <= set(codes_of(one.cause)) for one in found)
