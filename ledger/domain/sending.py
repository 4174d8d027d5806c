"""What of usage is told to a billing platform: one send for each usage event and meter that counts it there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from ledger.domain.adjustment_events import Adjustment, AdjustmentApproved, AdjustmentEvent
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountZoneChanged,
    Event,
    MeterChanged,
    MeterDefined,
    MeterRetired,
    UsageConflicted,
    UsageDismissed,
    UsageMended,
    UsageRecorded,
)
from ledger.domain.names import stream_id
from ledger.domain.platform_events import PlatformMeterSynced
from ledger.domain.platform_objects import PlatformMeter
from ledger.domain.send_events import MeterMapped, SendingStarted, SendingStopped, UsageSend

SENT_AGGREGATIONS: Final = frozenset({"sum", "count"})
"""What a platform can add up event by event; of other meters nothing is sent."""
FITTING: Final = {"sum": frozenset({"sum"}), "count": frozenset({"sum", "count"})}
"""Aggregation here -> formulas there that come to the same, a count being a sum of ones."""
DECISIONS: Final[tuple[type[Event], ...]] = (
    AccountOpened,
    AccountZoneChanged,
    AccountAliased,
    AccountAliasRemoved,
    MeterDefined,
    MeterChanged,
    MeterRetired,
    *AdjustmentEvent.__args__,
    UsageMended,
    UsageDismissed,
    PlatformMeterSynced,
    SendingStarted,
    SendingStopped,
    MeterMapped,
)
"""What decides where usage is sent."""
TOPICS: Final = tuple(event.TOPIC for event in DECISIONS)
FOLLOWED: Final = (UsageRecorded.TOPIC, *TOPICS)


class Sending(NamedTuple):
    """The usage of an account is told as `customer`'s: what was recorded after `position` and occurred since."""

    customer: str
    since: datetime
    position: int


@dataclass(slots=True)
class SendingState:
    """All that decides what is sent to a platform, folded from every decision up to `position`."""

    platform: str
    position: int = 0
    catalogue: Catalogue = field(default_factory=Catalogue)
    accounts: dict[str, Sending] = field(default_factory=dict)
    meters: dict[str, PlatformMeter] = field(default_factory=dict)
    """Those of the platform, by id."""
    mapped: dict[str, str] = field(default_factory=dict)
    """Key of a meter -> event type that its usage is told under, where that is not the key."""
    origins: dict[int, int] = field(default_factory=dict)
    """Position of an amended usage event -> position of the first telling that it stands for."""

    def apply(self, event: Event, position: int) -> None:
        """Take in one decision; what decides nothing here is passed over."""
        self.position = position
        match event:
            case SendingStarted() if event.platform == self.platform:
                self.accounts[event.account] = Sending(event.customer, event.since, position)
            case SendingStopped() if event.platform == self.platform:
                self.accounts.pop(event.account, None)
            case MeterMapped() if event.platform == self.platform:
                self.mapped.pop(event.meter, None)
                if event.event_type is not None:
                    self.mapped[event.meter] = event.event_type
            case PlatformMeterSynced() if event.platform == self.platform:
                self.meters[event.meter.id] = event.meter
            case UsageMended():
                told = [self.origins.get(one, one) for one in event.supersedes]
                self.origins[position] = min(told, default=position)
                self.catalogue.apply(event, position)
            case _:
                self.catalogue.apply(event, position)

    def meter_there(self, meter: str) -> PlatformMeter | None:
        """The platform's meter that a meter's usage is told to: the active one, else one that was."""
        event_type = self.mapped.get(meter, meter)
        found = [one for one in self.meters.values() if one.event_type == event_type]
        return max(found, key=lambda one: (one.is_active, one.id), default=None)

    def sends_of(
        self,
        usage: UsageRecorded | UsageMended | UsageConflicted,
        position: int,
        recorded_at: datetime,
        *,
        is_asked_for: bool = False,
    ) -> list[UsageSend]:
        """What a usage event leads to: one send for each meter that counts it by a sum or a count.

        None where its account was not told yet when it was recorded, unless a person asks for it.
        """
        assessment = self.catalogue.assess(usage, recorded_at)
        account, origin = assessment.account, self.origins.get(position, position)
        sending = self._sending_of(account)
        if account is None or sending is None:
            return []
        if not is_asked_for and (origin <= sending.position or usage.time < sending.since):
            return []
        sends = []
        for meter, definition, reading in assessment.counted:
            there = self.meter_there(meter)
            if there is None or there.formula not in FITTING.get(definition.aggregation, ()):
                continue
            sends.append(
                UsageSend(
                    identifier=identifier_of("usage send", self.platform, usage.source, usage.id, meter, str(position)),
                    position=position,
                    account=account.key,
                    meter=meter,
                    customer=sending.customer,
                    event_type=there.event_type,
                    value=reading.value if definition.aggregation == "sum" else Decimal(1),
                    timestamp=usage.time,
                )
            )
        return sends

    def adjusting_sends(self, event: AdjustmentApproved, position: int) -> list[UsageSend]:
        """What an approved adjustment of usage leads to: one send, where its meter there is a sum."""
        adjustment = self.catalogue.adjustments[event.account][event.adjustment].adjustment
        sending = self.accounts.get(event.account)
        if sending is None or adjustment.meter is None or adjustment.quantity is None:
            return []
        there = self.meter_there(adjustment.meter)
        if there is None or there.formula != "sum" or adjustment.at < sending.since:
            return []
        return [self._adjusting(event.account, adjustment, adjustment.quantity, position, sending, there)]

    def _adjusting(
        self,
        account: str,
        adjustment: Adjustment,
        quantity: Decimal,
        position: int,
        sending: Sending,
        there: PlatformMeter,
    ) -> UsageSend:
        assert adjustment.meter is not None, "it is one of usage"
        return UsageSend(
            identifier=identifier_of("adjustment send", self.platform, account, adjustment.adjustment),
            position=position,
            account=account,
            meter=adjustment.meter,
            customer=sending.customer,
            event_type=there.event_type,
            value=quantity,
            timestamp=adjustment.at,
        )

    def _sending_of(self, account: Account | None) -> Sending | None:
        return None if account is None else self.accounts.get(account.key)


def identifier_of(*parts: str) -> str:
    """The identifier of a send, the same however often it is derived."""
    return str(UUID(bytes=stream_id("", *parts)))


def dropped(sends: Sequence[UsageSend], positions: Iterable[int]) -> list[UsageSend]:
    """The sends but for those of usage at some positions."""
    gone = set(positions)
    return [send for send in sends if send.position not in gone]
