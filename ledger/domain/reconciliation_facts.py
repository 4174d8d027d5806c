"""What reconciliation finds: where our numbers and a billing platform's part, by how much, and what explains it."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from ledger.domain.money import Money

Subject = Literal[
    "quantity",  # what was used of a meter
    "amount",  # what an invoice asks for
    "unbilled_account",  # usage here, nobody who is billed there
    "unknown_customer",  # somebody who is billed there, no account here
    "inexpressible_price",  # a price there that our calculator has no words for
]


class _Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of what was found: immutable, closed."""


class Finding(_Fact, frozen=True):
    """One possible cause of a difference, with its evidence in numbers.

    `quantity` and `money` are what it explains of the difference, with the difference's sign; `share` is how much of
    it that is (1: all; it may be above 1), `is_exact` whether nothing is left. `positions` are events of the log that
    it rests on: candidates, not proof, where several sets of them would explain the same.
    """

    cause: str
    sentence: str
    share: Decimal
    is_exact: bool
    quantity: Decimal | None = None
    money: Money | None = None
    evidence: dict[str, str] = {}
    positions: tuple[int, ...] = ()


class Difference(_Fact, frozen=True):
    """Where the two part, in a billing period `[start, end)`; the numbers are ours less theirs.

    `account` is None for a customer that no account is, `customer` for an account that nobody is billed for.
    `money` is what we would bill less what the platform does: above zero it leaks. `minutes` are the minutes in
    which the sums part, as far as they were found; `findings` begin with the likeliest.
    """

    platform: str
    subject: Subject
    start: datetime
    end: datetime
    account: str | None = None
    customer: str | None = None
    meter: str | None = None
    ours: Decimal | None = None
    theirs: Decimal | None = None
    money: Money | None = None
    minutes: tuple[datetime, ...] = ()
    findings: tuple[Finding, ...] = ()
    note: str = ""
