"""The parts that sentences about events are made of."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Protocol

from ledger.domain.money import Money

TEXT_LENGTH_MAX: Final = 64
NOTE_LENGTH_MAX: Final = 200


class Reasoned(Protocol):
    """A decision that says why."""

    @property
    def reason(self) -> str:
        """A code."""

    @property
    def note(self) -> str:
        """What a person adds to it."""


def quoted(text: str) -> str:
    """A text that people chose, in quotes and on one line, its end left out where it is long."""
    shown = "".join(one if one.isprintable() else " " for one in text)
    return f'"{shown if len(shown) <= TEXT_LENGTH_MAX else shown[:TEXT_LENGTH_MAX] + "..."}"'


def instant(at: datetime) -> str:
    """A moment to the second, or to the minute where that is all, and its zone: 2026-07-01 00:00 UTC."""
    local = at.astimezone(UTC)
    return f"{local:%Y-%m-%d %H:%M:%S} UTC" if local.second or local.microsecond else f"{local:%Y-%m-%d %H:%M} UTC"


def money(amount: Money) -> str:
    """An amount with its currency: 12.50 EUR."""
    return f"{amount.amount} {amount.currency}"


def listed(words: Iterable[str]) -> str:
    """Words in a row: a, b and c."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def because(decision: Reasoned) -> str:
    """Why something was decided, as the end of a sentence."""
    note = f" ({noted(decision.note)})" if decision.note else ""
    return f", because of {quoted(decision.reason)}{note}"


def noted(note: str) -> str:
    """The beginning of a note, on one line."""
    shown = " ".join("".join(one if one.isprintable() else " " for one in note).split())
    return shown if len(shown) <= NOTE_LENGTH_MAX else f"{shown[:NOTE_LENGTH_MAX]}..."
