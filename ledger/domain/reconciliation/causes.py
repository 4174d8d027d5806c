"""Everything that may be behind a difference, each under a permanent code, in order of how simple it is."""

from typing import Final, Literal, NamedTuple

Strength = Literal["witnessed", "recounted", "candidate"]
"""What a cause rests on: `witnessed` on what the log or the platform's objects say happened; `recounted` on the
difference coming out exactly when one convention is changed; `candidate` on numbers that merely fit.
"""


class Cause(NamedTuple):
    """A cause's permanent code, what it rests on, and what it says."""

    code: str
    strength: Strength
    title: str


_IN_ORDER: Final = (
    # Of quantities: what the log knows of the sends.
    Cause("unsent", "witnessed", "usage was never sent to the platform"),
    Cause("send_rejected", "witnessed", "the platform rejected sends"),
    Cause("outside_backdating_window", "witnessed", "usage was too old for the platform when it was sent"),
    Cause("future_dated", "witnessed", "usage was dated in the platform's future when it was sent"),
    Cause("meter_archived", "witnessed", "the platform's meter was archived, or there was none"),
    Cause("customer_not_found", "witnessed", "the platform did not know the customer of sends"),
    Cause("before_sending_started", "witnessed", "usage was recorded before sending was switched on"),
    Cause("voided_still_counted", "witnessed", "usage was voided here and its sends were never cancelled"),
    Cause("cancelled_still_used", "witnessed", "sends were cancelled there whose usage still counts here"),
    Cause("amended_after_send", "witnessed", "usage was amended here after it was sent"),
    Cause("value_differs", "witnessed", "sends told another value than the usage has"),
    Cause("sent_for_another_account", "witnessed", "usage was sent under another customer of the platform"),
    Cause("adjusted_here_only", "witnessed", "an approved usage adjustment was never sent"),
    Cause("late_after_finalisation", "witnessed", "usage came after the platform's invoice was final"),
    Cause("sent_twice", "witnessed", "a send was told again after its identifier had been forgotten"),
    Cause("send_unknown", "witnessed", "nobody knows what became of sends"),
    # Of quantities: another way of counting explains it exactly.
    Cause("clamped_negative", "recounted", "a total below zero counts as zero there"),
    Cause("meter_formula", "recounted", "the platform's meter adds up by another formula"),
    Cause("duplicate_customer", "recounted", "another customer of the same account holds the rest"),
    Cause("zone_boundary", "recounted", "the period begins and ends in another time zone there"),
    Cause("anchor_boundary", "recounted", "the period begins and ends at another anchor there"),
    Cause("clock_skew", "recounted", "usage is dated on the other side of the period's bound there"),
    Cause("unit_differs", "recounted", "the platform counts in another unit"),
    Cause("held_here", "recounted", "usage that is held here counts there"),
    # Of quantities: events whose values fit.
    Cause("lost_there", "candidate", "the platform acknowledged sends and does not count them"),
    Cause("counted_twice_there", "candidate", "the platform counts sends twice"),
    Cause("told_by_another", "candidate", "the platform counts usage that the ledger never sent"),
    Cause("not_counted_there", "candidate", "the platform counts less than it acknowledged, whatever it leaves out"),
    # Of amounts.
    Cause("quantity_differs", "witnessed", "the platform billed another quantity"),
    Cause("manual_edit", "witnessed", "a line there is not what its own price comes to"),
    Cause("manual_line", "witnessed", "a person added a line there"),
    Cause("currency_mismatch", "witnessed", "the two are in different currencies"),
    Cause("invoice_missing", "witnessed", "the platform has no final invoice of the period"),
    Cause("invoice_void", "witnessed", "the platform's invoice was voided"),
    Cause("credit_note_there_only", "witnessed", "a credit note there has no adjustment here"),
    Cause("adjusted_amount_here_only", "witnessed", "an adjustment in money here has no counterpart there"),
    Cause("proration", "witnessed", "the platform prorated where we did not, or otherwise"),
    Cause("duplicate_subscription", "recounted", "two subscriptions bill the same usage there"),
    Cause("plan_version", "recounted", "the platform bills by another version of the plan"),
    Cause("rounding", "recounted", "the two round differently"),
    Cause("price_differs", "recounted", "the price there is another"),
    Cause("line_here_only", "witnessed", "we bill something that the platform does not"),
    Cause("line_there_only", "witnessed", "the platform bills something that we do not"),
    # Of accounts and prices.
    Cause("no_customer", "witnessed", "no customer of the platform is this account"),
    Cause("no_subscription", "witnessed", "the account's customer has no subscription in the period"),
    Cause("no_account", "witnessed", "no account has this customer as an alias"),
    Cause("inexpressible_price", "witnessed", "the ledger cannot rate a price there"),
)
CAUSES: Final[dict[str, Cause]] = {cause.code: cause for cause in _IN_ORDER}
"""By code, simplest first of those that rest on the same."""
STRENGTHS: Final[tuple[Strength, ...]] = ("witnessed", "recounted", "candidate")
PLUS: Final = " + "
"""Between the codes of causes that explain a difference together."""


def codes_of(cause: str) -> tuple[str, ...]:
    """The codes in a finding's cause: one, or several that explain the difference together."""
    return tuple(cause.split(PLUS))


def order_of(code: str) -> int:
    """The place of a cause among all: the lower, the simpler."""
    return _PLACES[code]


_PLACES: Final = {cause.code: place for place, cause in enumerate(_IN_ORDER)}
