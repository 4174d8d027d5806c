"""How the read model of what platforms are told follows the log."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from ledger.database import Connection, Pool
from ledger.domain.events import Event
from ledger.domain.send_events import (
    CreditSendIntended,
    CreditSendSettled,
    SendCancelIntended,
    SendCancelSettled,
    UsageSendIntended,
    UsageSendSettled,
)
from ledger.domain.sends import NEVER_COUNTED, UNDONE, CancelState, due_at
from ledger.domain.topics import decode
from ledger.event_log import EventLog
from ledger.projections.decided import DecidedModel, step
from ledger.projections.watermark import CursorMoved, cursor

NAME: Final = "sends"
TOPICS: Final = frozenset(
    event.TOPIC
    for event in (
        UsageSendIntended,
        UsageSendSettled,
        SendCancelIntended,
        SendCancelSettled,
        CreditSendIntended,
        CreditSendSettled,
    )
)

INSERT = """
insert into sends (
    platform, identifier, batch, account, meter, customer, event_type, usage_position, value, timestamp, repeats,
    undoes, due_at, intended_at, intended_position, state
)
select $1, s.*, $14, $15, 'intended' from unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::numeric[],
    $10::timestamptz[], $11::text[], $12::text[], $13::timestamptz[]
) as s
on conflict (platform, identifier) do nothing
"""
# A rejection is for good: the report of one may overtake the answer to the batch that it was in.
ACCEPT_OTHERS = """
update sends set state = 'accepted', code = null, message = null, attempts = attempts + 1, settled_at = $4,
    settled_position = $5
where platform = $1 and batch = $2 and identifier <> all($3::text[]) and state in ('intended', 'unknown')
"""
SETTLE = """
update sends set state = s.outcome, code = s.code, message = s.message, attempts = attempts + 1, settled_at = $6,
    settled_position = $7
from unnest($2::text[], $3::text[], $4::text[], $5::text[]) as s (identifier, outcome, code, message)
where platform = $1 and sends.identifier = s.identifier
  and (state in ('intended', 'unknown')
       or (state in ('accepted', 'delivered_before') and (s.outcome = 'rejected' or s.outcome = state)))
"""
CANCEL = """
update sends set cancel = 'intended', cancelled_by = $3, cancel_at = $4 where platform = $1 and identifier = $2
"""
SETTLE_CANCEL = """
update sends set cancel = $3, code = coalesce($4, code), message = coalesce($5, message), settled_position = $6,
    state = case when $3 = 'done' then 'cancelled' else state end
where platform = $1 and identifier = $2
"""
INTEND_CREDIT = """
insert into credit_sends (
    platform, account, adjustment, customer, instrument, invoice, minor_units, currency, identifier, state,
    intended_position
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'intended', $10)
"""
SETTLE_CREDIT = """
update credit_sends set state = $4, reference = coalesce($5, reference), code = $6, message = $7,
    attempts = attempts + 1, settled_at = $8, settled_position = $9
where platform = $1 and account = $2 and adjustment = $3
"""
_REJECTED_CANCELS: Final[dict[str | None, CancelState]] = {NEVER_COUNTED: "needless", UNDONE: "undone"}


async def _fold(connection: Connection, rows: Sequence[asyncpg.Record]) -> None:
    for row in rows:
        await _take_in(connection, decode(row["topic"], row["state"]), row["position"])


async def _take_in(connection: Connection, event: Event, position: int) -> None:
    match event:
        case UsageSendIntended():
            await _intend(connection, event, position)
        case UsageSendSettled():
            await _settle(connection, event, position)
        case SendCancelIntended():
            await connection.execute(CANCEL, event.platform, event.identifier, event.position, event.intended_at)
        case SendCancelSettled():
            one = event.settlement
            cancel = cancel_of(event)
            why = (one.code, one.message) if cancel != "done" else (None, None)
            await connection.execute(SETTLE_CANCEL, event.platform, one.identifier, cancel, *why, position)
        case CreditSendIntended():
            await connection.execute(
                INTEND_CREDIT,
                event.platform,
                event.account,
                event.adjustment,
                event.customer,
                event.instrument,
                event.invoice,
                event.money.minor_units,
                event.money.currency,
                event.identifier,
                position,
            )
        case CreditSendSettled():
            one = event.settlement
            said = (one.outcome, event.reference, one.code, one.message, event.settled_at, position)
            await connection.execute(SETTLE_CREDIT, event.platform, event.account, event.adjustment, *said)
        case _:
            pass


async def _intend(connection: Connection, event: UsageSendIntended, position: int) -> None:
    rows = [
        (
            send.identifier,
            event.batch,
            send.account,
            send.meter,
            send.customer,
            send.event_type,
            send.position,
            send.value,
            send.timestamp,
            send.repeats,
            send.undoes,
            due_at(send, event.intended_at),
        )
        for send in event.sends
    ]
    if rows:
        columns = map(list, zip(*rows, strict=True))
        await connection.execute(INSERT, event.platform, *columns, event.intended_at, position)


async def _settle(connection: Connection, event: UsageSendSettled, position: int) -> None:
    listed = [(one.identifier, one.outcome, one.code, one.message) for one in event.settlements]
    if not event.is_partial:
        names = [one.identifier for one in event.settlements]
        await connection.execute(ACCEPT_OTHERS, event.platform, event.batch, names, event.settled_at, position)
    if listed:
        columns = map(list, zip(*listed, strict=True))
        await connection.execute(SETTLE, event.platform, *columns, event.settled_at, position)


def cancel_of(event: SendCancelSettled) -> CancelState:
    """Where a cancel stands after what became of it."""
    match event.settlement.outcome:
        case "accepted" | "delivered_before":
            return "done"
        case "unknown":
            return "unknown"
        case _:
            return _REJECTED_CANCELS.get(event.settlement.code, "impossible")


MODEL: Final = DecidedModel(NAME, TOPICS, _fold)


async def catch_up(pool: Pool, log: EventLog) -> None:
    """Return once the read model includes what the log held at the call, whoever folded it."""
    head = (await log.head()).position
    while (await cursor(pool, NAME)).position < head:
        try:
            await step(pool, log, [MODEL])
        except CursorMoved:
            continue
