"""Why an invoice says what it says: a short sentence for every line, step and credit."""

from decimal import Decimal
from typing import NamedTuple, assert_never

from ledger.domain.credits import CreditApplied
from ledger.domain.invoices import Invoice
from ledger.domain.lines import InvoiceLine
from ledger.domain.money import HUNDRED, minus
from ledger.domain.proration import WHOLE, Share
from ledger.domain.rounding import Rounding
from ledger.domain.steps import Group, Step
from ledger.domain.values import ZERO, plain

_SHOWN: Rounding = Rounding(12, "half_even")
"""Sentences show 12 decimal places; the steps themselves hold all."""


class Explained(NamedTuple):
    """A line, why it is there, and its steps in order, each with its reason."""

    line: InvoiceLine
    why: str
    steps: tuple[tuple[Step, str], ...]


def explain(invoice: Invoice) -> list[Explained]:
    """The invoice's lines with their reasons."""
    return [
        Explained(line, line_reason(line), tuple((step, step_reason(step, line)) for step in line.steps))
        for line in invoice.lines
    ]


def line_reason(line: InvoiceLine) -> str:
    """Why a line is there."""
    subtotal = "" if line.subtotal is None else f"{line.subtotal.amount} {line.subtotal.currency}"
    match line.kind:
        case "usage":
            units = (
                f"{_shown(line.quantity)} units of the meter {line.meter}{_named(line.group)}, at the charge's price"
            )
            return units + _adjusted(line)
        case "fee":
            return f"a fixed fee {line.term.replace('_', ' ')}, due whether anything is used or not"
        case "discount":
            return f"a discount on the {subtotal} of the plan's lines before it"
        case "maximum":
            return f"the plan's lines come to {subtotal}, which is above its maximum"
        case "minimum":
            return f"the plan's lines come to {subtotal}, which is below its minimum"
        case "commitment":
            return f"{subtotal} was spent, which is below what was committed"
        case "adjustment":
            return f"the adjustment {line.key}, which was approved, whatever was used"
        case _:
            assert_never(line.kind)


def _adjusted(line: InvoiceLine) -> str:
    if not line.adjustments:
        return ""
    change = f"{'+' if line.adjusted > 0 else ''}{_shown(line.adjusted)}"
    return f"; what was metered was adjusted by {change} ({', '.join(line.adjustments)})"


def credit_reason(credit: CreditApplied) -> str:
    """What a grant does."""
    currency = credit.money.currency
    return f"prepaid credit pays {credit.money.amount} {currency}; {credit.left.amount} {currency} of it is left"


def step_reason(step: Step, line: InvoiceLine) -> str:
    """How a step came to its amount."""
    currency = line.money.currency
    quantity = _shown(step.quantity or ZERO)
    rate = _shown(step.rate or ZERO)
    amount = _shown(step.amount)
    share = _part_of(line.share)
    tier = "" if step.tier is None else f" in tier {step.tier}"
    sentences = {
        "standing": f"{amount} {currency} is due for the period{share}, used or not",
        "converted": f"what was metered is {quantity} units as billed",
        "included": f"{_shown(minus(step.quantity or ZERO))} units are free of charge",
        "units": f"{quantity} units{tier} at {rate} {currency} each",
        "packages": f"{quantity} packages, a begun one whole, at {rate} {currency} each",
        "tier_flat": f"the flat amount of tier {step.tier}, which was entered",
        "rate": f"{rate} percent of {quantity}{tier}",
        "fixed_fee": f"{quantity} events at {rate} {currency} each",
        "event_minimum": f"{quantity} events were raised to the least that an event costs",
        "event_maximum": f"{quantity} events were lowered to the most that an event costs",
        "events": f"the events' own amounts, {quantity} {currency}, times {rate}",
        "flat": f"{rate} {currency} for the period{share}",
        "clamped": "units that were given back do not take the sum below zero",
        "discount_percent": f"{rate} percent off",
        "discount_amount": f"{_shown(minus(step.amount))} {currency} off{share}",
        "maximum": f"{_shown(minus(step.amount))} {currency} is above the maximum{share}",
        "minimum": f"{amount} {currency} is missing to the minimum{share}",
        "adjustment": f"{amount} {currency} by hand",
        "already_billed": f"{_shown(minus(step.amount))} {currency} was billed before",
        "rounding": f"rounded once to whole minor units of {currency}",
    }
    return sentences[step.kind] + _named(step.group or ())


def _named(group: Group) -> str:
    if not group:
        return ""
    return " for " + ", ".join(f"{name} = {'(none)' if value is None else value}" for name, value in group)


def _part_of(share: Share) -> str:
    if share == WHOLE:
        return ""
    percent = Rounding(4, "half_even").apply(share.of(HUNDRED))
    return f" ({plain(percent)} percent of the period)"


def _shown(number: Decimal) -> str:
    rounded = _SHOWN.apply(number)
    return plain(rounded) if rounded == number else f"about {plain(rounded)}"
