"""What-if: the difference in money between two invoices, by line."""

from typing import NamedTuple

from ledger.domain.invoices import Invoice
from ledger.domain.money import Money
from ledger.domain.steps import Group


class LineDifference(NamedTuple):
    """One line on both sides, over all segments; nothing where a side has none. `kind` is a line's, or "credit"."""

    kind: str
    key: str
    group: Group
    label: str
    before: Money
    after: Money
    difference: Money


class Comparison(NamedTuple):
    """Two invoices side by side: the lines' differences, unchanged lines among them, add up to `difference`."""

    lines: tuple[LineDifference, ...]
    before: Money
    after: Money
    difference: Money


_Key = tuple[str, str, Group]


def compare(before: Invoice, after: Invoice) -> Comparison:
    """What the second invoice is more, or below zero less, than the first. Raises `CurrenciesMixed`."""
    difference = after.total - before.total
    labels: dict[_Key, str] = {}
    earlier, later = _by_key(before, labels), _by_key(after, labels)
    nothing = Money(0, before.currency)
    lines = []
    for key, label in labels.items():
        old, new = earlier.get(key, nothing), later.get(key, nothing)
        lines.append(LineDifference(*key, label, old, new, new - old))
    return Comparison(tuple(lines), before.total, after.total, difference)


def _by_key(invoice: Invoice, labels: dict[_Key, str]) -> dict[_Key, Money]:
    """The invoice's money by line, in order; `labels` takes in the names of lines that it did not know."""
    found: dict[_Key, Money] = {}
    shown: list[tuple[_Key, str, Money]] = [
        ((line.kind, line.key, line.group), line.label, line.money) for line in invoice.lines
    ]
    shown += [(("credit", credit.grant, ()), credit.label, -credit.money) for credit in invoice.credits]
    for key, label, money in shown:
        labels.setdefault(key, label)
        found[key] = found[key] + money if key in found else money
    return found
