"""Mismatches planted behind the API's back: what a person does on the platform, and what goes wrong inside it."""

from dataclasses import replace
from decimal import Decimal

from ledger.sandbox.stripe.drafting import show
from ledger.sandbox.stripe.errors import not_found
from ledger.sandbox.stripe.shelves import Json
from ledger.sandbox.stripe.state import State
from ledger.sandbox.stripe.usage import Used


class Plants:
    """The hand that plants. All but `edit_line` are silent: no event tells of them."""

    def __init__(self, state: State) -> None:
        self._state = state

    def edit_line(self, invoice: str, line: int, *, amount: int, description: str | None = None) -> Json:
        """Change a line of an invoice by hand, as a person may on the Dashboard; answers the line.

        `line` counts from nought. No sum changes an edited draft any more.
        """
        state, known = self._state, self._state.invoices.get(invoice)
        lines = state.lines[invoice]
        lines[line] |= {"amount": amount, "subtotal": amount}
        if description is not None:
            lines[line]["description"] = description
        state.drafts.pop(invoice, None)
        show(state, known, lines)
        if known["status"] == "paid":
            known |= {"amount_paid": known["amount_due"], "amount_remaining": 0}
        state.announce("invoice.updated", known, {"lines": None})
        return lines[line]

    def drop_usage(self, identifier: str) -> None:
        """Lose a meter event that was acknowledged; it never counts again."""
        self._state.usage.remove(self._used(identifier))

    def double_usage(self, identifier: str) -> None:
        """Count a meter event a second time, as after a retry beyond the window of its identifier."""
        used = self._used(identifier)
        self._state.usage.add(replace(used, number=self._state.usage.count))

    def shift_usage(self, identifier: str, seconds: int) -> None:
        """Move a meter event in time, as a clock or a zone that is off does."""
        used = self._used(identifier)
        self._state.usage.remove(used)
        self._state.usage.add(replace(used, timestamp=used.timestamp + seconds))

    def revalue_usage(self, identifier: str, value: Decimal) -> None:
        """Give a meter event another value."""
        self._used(identifier).value = value

    def add_usage(self, meter: str, customer: str, value: Decimal, timestamp: int) -> str:
        """Count usage that nobody sent, as another program that reports to the meter; answers its identifier."""
        state = self._state
        used = Used(
            timestamp=timestamp,
            number=state.usage.count,
            value=value,
            received_at=state.now,
            identifier=state.ids.next("mev"),
            meter=meter,
            customer=customer,
            event_name=state.meters.get(meter)["event_name"],
        )
        state.usage.add(used)
        return used.identifier

    def _used(self, identifier: str) -> Used:
        used = self._state.usage.by_identifier.get(identifier)
        if used is None:
            raise not_found("meter event", identifier)
        return used
