"""What is known about one difference when its causes are looked for: usage and sends of ours, sums of theirs."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from ledger.domain.charges import Charge
from ledger.domain.lines import LineKind
from ledger.domain.money import Money
from ledger.domain.periods import Period
from ledger.domain.platform_objects import CreditNote, Formula, InvoiceStatus, PlatformLine
from ledger.domain.reconciliation.comparing import Sums
from ledger.domain.values import EXACT

SendState = Literal["intended", "accepted", "delivered_before", "rejected", "unknown", "cancelled"]
ACKNOWLEDGED: frozenset[SendState] = frozenset({"accepted", "delivered_before"})
Standing = Literal["counts", "voided", "held"]


class OurUsage(NamedTuple):
    """A usage event of the account in the meter. What was voided or amended, and what is held, counts no more.

    `supersedes` are the positions of the tellings that this one was put in the place of. An approved adjustment of
    usage is one too, at the position of its approval.
    """

    position: int
    time: datetime
    recorded_at: datetime
    value: Decimal
    standing: Standing = "counts"
    supersedes: tuple[int, ...] = ()
    is_adjustment: bool = False


class OurSend(NamedTuple):
    """What became of telling the platform the usage at `position`; `attempts` is how often it was told."""

    identifier: str
    position: int
    customer: str
    value: Decimal
    timestamp: datetime
    state: SendState
    code: str | None = None
    attempts: int = 1
    intended_at: datetime | None = None
    settled_at: datetime | None = None

    @property
    def is_acknowledged(self) -> bool:
        """Whether the platform said that it has it."""
        return self.state in ACKNOWLEDGED


class Recount(NamedTuple):
    """Our quantity by other bounds of the period: `rule` is `zone` or `anchor`, `name` what they follow."""

    rule: Literal["zone", "anchor"]
    name: str
    period: Period
    quantity: Decimal


class Elsewhere(NamedTuple):
    """What another customer of the platform, an alias of the same account, has in the same meter and window."""

    customer: str
    quantity: Decimal


class Explained(NamedTuple):
    """What one cause explains of a difference, with the difference's sign, and what that rests on.

    `quantity` is in the meter's unit, or in minor units where the difference is of money.
    """

    cause: str
    quantity: Decimal
    sentence: str
    evidence: Mapping[str, str] = {}
    positions: tuple[int, ...] = ()


class QuantityFacts(NamedTuple):
    """A difference of quantity in `period`: `used` is what counts here, `theirs` what the platform counted.

    `usage` and `sends` are all of the period, or where those are too many, of the minutes that part;
    `acknowledged` is what all of them come to there, to be reckoned from `sends` where it is None. `minutes` hold
    what we acknowledge to have sent, or used where nothing is sent by us, against theirs; `outside` the same for a
    stretch right before and after the period. `by_formula` is our quantity by each formula of the platform.
    `finalized_at` is set where theirs is what an invoice billed and not a live sum.
    """

    account: str
    customer: str
    meter: str
    period: Period
    used: Decimal
    theirs: Decimal
    formula: Formula = "sum"
    usage: tuple[OurUsage, ...] = ()
    sends: tuple[OurSend, ...] = ()
    minutes: tuple[Sums, ...] = ()
    outside: tuple[Sums, ...] = ()
    sending_since: datetime | None = None
    is_sent_by_us: bool = True
    acknowledged: Decimal | None = None
    elsewhere: tuple[Elsewhere, ...] = ()
    recounts: tuple[Recount, ...] = ()
    by_formula: Mapping[Formula, Decimal] = {}
    finalized_at: datetime | None = None

    @property
    def gap(self) -> Decimal:
        """Ours less theirs."""
        return EXACT.subtract(self.used, self.theirs)


class OurPrice(NamedTuple):
    """A price of ours for the meter: `version` names the plan and its version."""

    version: str
    charge: Charge


class OurLine(NamedTuple):
    """A line of our invoice; `kind` is that of an `InvoiceLine`."""

    kind: LineKind
    label: str
    money: Money


class AmountFacts(NamedTuple):
    """A difference of money in `period`, of one meter or, without one, of all that no meter's usage is billed by.

    `ours` is what `our_lines` come to, `theirs` what `lines` come to less `credit_notes`. `used` and `billed` are the
    quantities behind the two, `price` the charge that ours was rated by (None where it is no single one),
    `other_prices` those of other versions of the plan, `their_price` what their line was to be rated by. `quantity` is
    what is known about the difference of the quantities. `status` is that of their invoice, None where there is none.
    `inexpressible` are the ids of prices that the ledger cannot rate.
    """

    account: str
    customer: str
    meter: str | None
    period: Period
    ours: Money
    theirs: Money
    our_lines: tuple[OurLine, ...] = ()
    lines: tuple[PlatformLine, ...] = ()
    credit_notes: tuple[CreditNote, ...] = ()
    used: Decimal | None = None
    billed: Decimal | None = None
    price: OurPrice | None = None
    other_prices: tuple[OurPrice, ...] = ()
    their_price: Charge | None = None
    quantity: QuantityFacts | None = None
    status: InvoiceStatus | None = None
    subscriptions: int = 1
    inexpressible: frozenset[str] = frozenset()

    @property
    def gap(self) -> Money:
        """Ours less theirs; ours alone where the currencies differ."""
        return self.ours if self.ours.currency != self.theirs.currency else self.ours - self.theirs
