"""Reads what a platform was told, for reconciliation: sends and what became of them, straight from the log."""

from datetime import datetime
from typing import Final

from ledger.domain.events import Event
from ledger.domain.periods import Period
from ledger.domain.reconciliation.evidence import OurSend, SendState
from ledger.domain.send_events import (
    SendCancelSettled,
    SendingStarted,
    SendOutcome,
    Settlement,
    UsageSend,
    UsageSendIntended,
    UsageSendSettled,
)
from ledger.domain.topics import decode
from ledger.event_log import EventLog

PAGE: Final = 500
TOPICS: Final = (SendingStarted.TOPIC, UsageSendIntended.TOPIC, UsageSendSettled.TOPIC, SendCancelSettled.TOPIC)
_STATES: Final[dict[SendOutcome, SendState]] = {
    "accepted": "accepted",
    "delivered_before": "delivered_before",
    "rejected": "rejected",
    "unknown": "unknown",
}


class Sends:
    """What one platform was told, as the log says it; read on as far as the log goes when it is asked."""

    def __init__(self, log: EventLog, platform: str) -> None:
        self._log = log
        self._platform = platform
        self._position = 0
        self._by_identifier: dict[str, OurSend] = {}
        self._by_batch: dict[str, tuple[UsageSend, ...]] = {}
        self._of_meter: dict[tuple[str, str], list[str]] = {}
        self._since: dict[str, datetime] = {}

    async def of(self, account: str, meter: str, window: Period) -> list[OurSend]:
        """The sends of an account in a meter whose timestamps lie in a window, in order of their intent."""
        await self._read_on()
        found = (self._by_identifier[identifier] for identifier in self._of_meter.get((account, meter), ()))
        return [send for send in found if send.timestamp in window]

    async def since(self, account: str) -> datetime | None:
        """From when on the account's usage is told; None where it never was."""
        await self._read_on()
        return self._since.get(account)

    async def _read_on(self) -> None:
        head = (await self._log.head()).position
        while self._position < head:
            rows = await self._log.page(after=self._position, before=head + 1, topics=TOPICS, limit=PAGE)
            for row in rows:
                self._take(decode(row["topic"], row["state"]))
            self._position = rows[-1]["position"] if len(rows) == PAGE else head

    def _take(self, event: Event) -> None:
        match event:
            case SendingStarted() if event.platform == self._platform:
                self._since.setdefault(event.account, event.since)
            case UsageSendIntended() if event.platform == self._platform:
                self._by_batch[event.batch] = event.sends
                for send in event.sends:
                    self._intend(send, event.intended_at)
            case UsageSendSettled() if event.platform == self._platform:
                self._settle(event)
            case SendCancelSettled() if event.platform == self._platform:
                known = self._by_identifier.get(event.settlement.identifier)
                if known is not None and event.settlement.outcome in ("accepted", "delivered_before"):
                    self._by_identifier[known.identifier] = known._replace(state="cancelled")

    def _intend(self, send: UsageSend, intended_at: datetime) -> None:
        if send.identifier not in self._by_identifier:
            self._of_meter.setdefault((send.account, send.meter), []).append(send.identifier)
            undone = self._by_identifier.get(send.undoes or "")
            self._by_identifier[send.identifier] = OurSend(
                send.identifier,
                send.position if undone is None else undone.position,
                send.customer,
                send.value,
                send.timestamp,
                "intended",
                attempts=0,
                intended_at=intended_at,
            )

    def _settle(self, event: UsageSendSettled) -> None:
        named = {one.identifier: one for one in event.settlements}
        everything = () if event.is_partial else (send.identifier for send in self._by_batch.get(event.batch, ()))
        for identifier in dict.fromkeys((*named, *everything)):
            known = self._by_identifier.get(identifier)
            if known is None:
                continue
            told = named.get(identifier) or Settlement(identifier=identifier, outcome="accepted")
            self._by_identifier[identifier] = known._replace(
                state=_STATES[told.outcome],
                code=told.code,
                attempts=max(known.attempts, event.attempt),
                settled_at=event.settled_at,
            )
