"""Billing periods: from the second of the subscription, in steps of its price's interval, counted in UTC.

docs.stripe.com/billing/subscriptions/billing-cycle
"""

from calendar import monthrange
from dataclasses import dataclass
from typing import Final

from ledger.sandbox.stripe.clock import DAY, moment_at, unix

MONTHS: Final = {"month": 1, "year": 12}
DAYS: Final = {"day": 1, "week": 7}


@dataclass(frozen=True, slots=True)
class Cycle:
    """An anchor in seconds since the epoch, and how far apart the periods begin."""

    anchor: int
    interval: str
    interval_count: int

    def start(self, number: int) -> int:
        """When period `number` begins; the anchor begins period 0.

        An anchor on a day that a month lacks falls on the month's last day, and does not drift:
        docs.stripe.com/billing/subscriptions/billing-cycle#using-a-billing-anchor
        """
        steps = number * self.interval_count
        if self.interval in DAYS:
            return self.anchor + steps * DAYS[self.interval] * DAY
        anchor = moment_at(self.anchor)
        years, month = divmod(anchor.month - 1 + steps * MONTHS[self.interval], 12)
        year = anchor.year + years
        day = min(anchor.day, monthrange(year, month + 1)[1])
        return unix(anchor.replace(year=year, month=month + 1, day=day))

    def end_after(self, seconds: int) -> int:
        """The first beginning of a period after a second, which ends the period that the second is in."""
        number = 0 if self.anchor > seconds else 1
        while self.start(number) <= seconds:
            number += 1
        return self.start(number)
