"""Commands on what platforms are told: whose usage, the batches about to leave, and what became of them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, cast

from ledger.commands.decision import decide_on
from ledger.database import Pool
from ledger.domain.events import Event
from ledger.domain.metadata import Metadata
from ledger.domain.names import (
    cancel_stream,
    credit_stream,
    mapping_stream,
    sending_stream,
    sends_stream,
    settlement_stream,
)
from ledger.domain.send_events import (
    CreditSendIntended,
    CreditSendSettled,
    MeterMapped,
    SendCancelIntended,
    SendCancelSettled,
    SendingStarted,
    SendingStopped,
    Settlement,
    UsageSend,
    UsageSendIntended,
    UsageSendSettled,
)
from ledger.domain.send_refusals import SendingOff, SendingOnAlready
from ledger.domain.topics import decode, encode
from ledger.event_log import EventLog
from ledger.log_rows import NewEvent
from ledger.log_streams import newest

BATCH_SENDS_MAX: Final = 100


class Stand(NamedTuple):
    """How far the stream of batches to a platform goes, and how far the log was turned into sends for it."""

    version: int
    derived_up_to: int


class Cancel(NamedTuple):
    """A send whose usage the event at `position` voids."""

    send: UsageSend
    position: int


async def start_sending(log: EventLog, event: SendingStarted, *, now: datetime, metadata: Metadata) -> int:
    """Tell the usage of an account from here on; raises `SendingOnAlready` where it is told as another's."""

    def decided(past: list[Event]) -> Sequence[Event]:
        last = past[-1] if past else None
        if not isinstance(last, SendingStarted):
            return [event]
        if last.customer != event.customer:
            raise SendingOnAlready(account=event.account, platform=event.platform, customer=last.customer)
        return []

    stream = sending_stream(event.platform, event.account)
    return await decide_on(log, stream, decided, account=event.account, now=now, metadata=metadata)


async def stop_sending(log: EventLog, event: SendingStopped, *, now: datetime, metadata: Metadata) -> int:
    """Tell the usage of an account no more; raises `SendingOff` where it is not told."""

    def decided(past: list[Event]) -> Sequence[Event]:
        if not past or isinstance(past[-1], SendingStopped):
            raise SendingOff(account=event.account, platform=event.platform)
        return [event]

    stream = sending_stream(event.platform, event.account)
    return await decide_on(log, stream, decided, account=event.account, now=now, metadata=metadata)


async def map_meter(log: EventLog, event: MeterMapped, *, now: datetime, metadata: Metadata) -> int:
    """Tell a meter's usage to the platform's meter of another event type."""

    def decided(past: list[Event]) -> Sequence[Event]:
        return [] if past and past[-1] == event else [event]

    stream = mapping_stream(event.platform, event.meter)
    return await decide_on(log, stream, decided, account=None, now=now, metadata=metadata)


async def stand(pool: Pool, platform: str) -> Stand:
    """Where the stream of batches stands."""
    stream = sends_stream(platform)
    row = (await newest(pool, [stream])).get(stream)
    if row is None:
        return Stand(0, 0)
    last = cast("UsageSendIntended", decode(row["topic"], row["state"]))
    return Stand(row["originator_version"], last.derived_up_to)


def batches(
    platform: str, seen: Stand, sends: Sequence[UsageSend], *, derived_up_to: int, now: datetime
) -> list[UsageSendIntended]:
    """The sends in batches, which follow what was seen of the stream of them; each batch is named by its version.

    One at least, which may be empty: it keeps whoever saw the same from going on as if nothing had happened.
    """
    return [
        UsageSendIntended(
            platform=platform,
            batch=str(seen.version + number),
            intended_at=now,
            derived_up_to=derived_up_to,
            sends=tuple(sends[start : start + BATCH_SENDS_MAX]),
        )
        for number, start in enumerate(range(0, max(len(sends), 1), BATCH_SENDS_MAX), 1)
    ]


def intended_rows(
    made: Iterable[UsageSendIntended], cancels: Iterable[Cancel], platform: str, *, now: datetime, metadata: Metadata
) -> list[NewEvent]:
    """The rows of batches and of cancels that are about to leave.

    They go into the log in one append, which raises `VersionTaken` where another worker wrote the same or others
    first: look again then. So nothing is intended twice.
    """
    written = metadata.encode()
    rows = [
        NewEvent(sends_stream(platform), int(one.batch), one.TOPIC, None, now, encode(one), written) for one in made
    ]
    for send, position in cancels:
        event = SendCancelIntended(
            platform=platform,
            identifier=send.identifier,
            event_type=send.event_type,
            position=position,
            intended_at=now,
        )
        stream = cancel_stream(platform, send.identifier)
        rows.append(NewEvent(stream, 1, event.TOPIC, send.account, now, encode(event), written))
    return rows


def first_settled(
    platform: str, batch: str, settlements: Sequence[Settlement], *, is_partial: bool, now: datetime, metadata: Metadata
) -> NewEvent:
    """The row of what became of a batch when it was told first; those not listed were accepted unless it is partial."""
    event = UsageSendSettled(
        platform=platform,
        batch=batch,
        attempt=1,
        settled_at=now,
        settlements=tuple(settlements),
        is_partial=is_partial,
    )
    return NewEvent(settlement_stream(platform, batch), 1, event.TOPIC, None, now, encode(event), metadata.encode())


async def settled_rows(
    pool: Pool, platform: str, by_batch: dict[str, list[Settlement]], *, now: datetime, metadata: Metadata
) -> list[NewEvent]:
    """The rows of what became of some sends of some batches, after whatever became of them before."""
    streams = {settlement_stream(platform, batch): batch for batch in by_batch}
    known = await newest(pool, list(streams))
    rows = []
    for stream, batch in streams.items():
        last = known.get(stream)
        attempt = 1 if last is None else last["originator_version"] + 1
        event = UsageSendSettled(
            platform=platform,
            batch=batch,
            attempt=attempt,
            settled_at=now,
            settlements=tuple(by_batch[batch]),
            is_partial=True,
        )
        rows.append(NewEvent(stream, attempt, event.TOPIC, None, now, encode(event), metadata.encode()))
    return rows


async def cancel_settled(
    pool: Pool, platform: str, account: str, settlement: Settlement, *, now: datetime, metadata: Metadata
) -> NewEvent:
    """The row of what became of a cancel."""
    stream = cancel_stream(platform, settlement.identifier)
    last = (await newest(pool, [stream]))[stream]
    event = SendCancelSettled(platform=platform, settlement=settlement, settled_at=now)
    version = last["originator_version"] + 1
    return NewEvent(stream, version, event.TOPIC, account, now, encode(event), metadata.encode())


async def credit_row(
    pool: Pool, event: CreditSendIntended | CreditSendSettled, *, now: datetime, metadata: Metadata
) -> NewEvent:
    """The row of a credit about to leave, which is the first of its stream, or of what became of it."""
    stream, version = credit_stream(event.platform, event.account, event.adjustment), 1
    if isinstance(event, CreditSendSettled):
        version = (await newest(pool, [stream]))[stream]["originator_version"] + 1
    return NewEvent(stream, version, event.TOPIC, event.account, now, encode(event), metadata.encode())
