"""Prepaid credit: which grants pay which lines of an invoice, and what is left of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from ledger.domain.agreements import CreditGrant
from ledger.domain.contracts import Granted
from ledger.domain.lines import InvoiceLine, order_of, sum_of
from ledger.domain.money import Money, allocate

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class CreditApplied(msgspec.Struct, frozen=True, kw_only=True):
    """What a grant pays of an invoice, by line (its place among the lines, from 0), and what is left of it then."""

    grant: str
    label: str
    money: Money
    left: Money
    lines: tuple[tuple[int, Money], ...]


def expiry_of(granted: Granted) -> datetime:
    """When a grant pays no more: when it expires or was revoked, whichever comes first."""
    return min(granted.grant.expires_at or _NEVER, granted.revoked_at or _NEVER)


def is_in_effect(granted: Granted, closes_at: datetime) -> bool:
    """Whether a grant pays an invoice that closes at an instant; one that expires in that instant does."""
    return granted.grant.effective_at < closes_at <= expiry_of(granted)


def balance(grant: CreditGrant, spent: Mapping[str, Money]) -> Money:
    """What is left of a grant after what earlier invoices used of it (`spent`, by grant)."""
    left = grant.amount - spent.get(grant.grant, Money(0, grant.amount.currency))
    return max(left, Money(0, left.currency), key=lambda money: money.minor_units)


def applied(
    lines: Sequence[InvoiceLine],
    grants: Iterable[Granted],
    *,
    closes_at: datetime,
    spent: Mapping[str, Money],
    currency: str,
) -> list[CreditApplied]:
    """What each grant pays, in the order in which they are used: priority, expiry, beginning, id.

    A grant pays no more than its balance, and no more than the lines in its scope come to after everything that was
    taken off them, so the invoice stays at zero or above. It pays first what the fewest of the grants could pay.
    """
    usable = sorted((granted for granted in grants if is_in_effect(granted, closes_at)), key=_rank)
    if not usable:
        return []
    due = net_amounts(lines, currency)
    rivals = [sum(covers(granted.grant, line) for granted in usable) for line in lines]
    places = sorted(range(len(lines)), key=lambda place: (rivals[place], _order(lines[place])))
    used = []
    for granted in usable:
        grant = granted.grant
        left = balance(grant, spent).minor_units
        parts = []
        for place in places:
            paid = min(left, due[place]) if covers(grant, lines[place]) else 0
            if paid:
                due[place] -= paid
                left -= paid
                parts.append((place, Money(paid, currency)))
        if parts:
            money = sum((part for _, part in parts), start=Money(0, currency))
            credit = CreditApplied(
                grant=grant.grant, label=grant.label, money=money, left=Money(left, currency), lines=tuple(parts)
            )
            used.append(credit)
    return used


def covers(grant: CreditGrant, line: InvoiceLine) -> bool:
    """Whether the grant may pay the line: any without a scope, else the usage of the charges in it."""
    return not grant.scope or (line.kind == "usage" and line.key in grant.scope)


def net_amounts(lines: Sequence[InvoiceLine], currency: str) -> list[int]:
    """What is due for each line, in minor units, once discounts and other negative lines are taken off the others.

    They are taken in proportion off the lines of their segment, and what is left of them off all. The amounts are not
    below zero and add up to the invoice's total, or to nothing where that is below zero.
    """
    due = [max(line.money.minor_units, 0) for line in lines]
    if sum_of(lines, currency).minor_units <= 0:
        return [0] * len(due)
    for line in sorted((line for line in lines if line.money.minor_units < 0), key=_order):
        own = [place for place, other in enumerate(lines) if other.segment == line.segment]
        rest = _take(due, lines, own, -line.money.minor_units)
        _take(due, lines, range(len(lines)), rest)
    return due


def _take(due: list[int], lines: Sequence[InvoiceLine], places: Sequence[int], off: int) -> int:
    """Take an amount off some of what is due, in proportion; returns what could not be taken."""
    ranked = sorted((place for place in places if due[place]), key=lambda place: _order(lines[place]))
    names = {f"{rank:09}": place for rank, place in enumerate(ranked)}
    taken = min(off, sum(due[place] for place in ranked))
    if taken:
        weights = [(name, Decimal(due[place])) for name, place in names.items()]
        for name, share in allocate(Money(taken, lines[0].money.currency), weights).items():
            due[names[name]] -= share.minor_units
    return off - taken


def _rank(granted: Granted) -> tuple[int, datetime, datetime, str]:
    grant = granted.grant
    return grant.priority, expiry_of(granted), grant.effective_at, grant.grant


def _order(line: InvoiceLine) -> tuple[object, ...]:
    """What lines are sorted by, however the plan lists them."""
    segment = -1 if line.segment is None else line.segment
    return line.kind, segment, line.key, order_of(line.group)
