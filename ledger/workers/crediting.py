"""Tells a platform what approved adjustments in money come to: intended in the log, given there once, settled here."""

import contextlib
from datetime import timedelta
from typing import Final, cast

import structlog

from ledger.commands.sends import credit_row
from ledger.domain.adjustment_events import Adjustment, AdjustmentApproved
from ledger.domain.adjustments import signed
from ledger.domain.metadata import Metadata
from ledger.domain.money import Money
from ledger.domain.platform_objects import PlatformInvoice
from ledger.domain.refusals import VersionTaken
from ledger.domain.send_events import CreditSendIntended, CreditSendSettled, SendOutcome, Settlement
from ledger.domain.sending import SendingState
from ledger.domain.topics import decode
from ledger.platforms.port import Credit, Instrument, PlatformBusy, PlatformRefused, PlatformUnavailable
from ledger.projections.platform_objects import objects_overlapping
from ledger.projections.sends import CreditRow, open_credits
from ledger.projections.sends_fold import catch_up
from ledger.projections.watermark import CursorMoved, cursor, move
from ledger.workers.sending import Desk

CURSOR: Final = "credits to send"
ADJUSTMENTS_MAX: Final = 500
CREDITS_MAX: Final = 500
FINAL: Final = frozenset({"open", "paid"})
"""Invoices that a credit note can still take something off."""
METADATA: Final = Metadata(actor="worker", source="worker", operation="send_credits")

_log = structlog.get_logger("worker")


async def send_credits(desk: Desk) -> int:
    """Tell what was approved since the last time, and what got no answer; returns how much was given."""
    await _intend(desk)
    await catch_up(desk.pool, desk.log)
    count = 0
    for row in await open_credits(desk.pool, desk.platform.name, limit=CREDITS_MAX):
        if desk.memory.circuit.is_open(desk.clock()):
            break
        count += await _give(desk, row)
    return count


async def _intend(desk: Desk) -> None:
    while True:
        seen = await cursor(desk.pool, CURSOR)
        head = (await desk.log.head()).position
        if head == seen.position:
            return
        topics = [AdjustmentApproved.TOPIC]
        rows = await desk.log.of_topics(topics, after=seen.position, up_to=head, limit=ADJUSTMENTS_MAX)
        end = rows[-1]["position"] if len(rows) == ADJUSTMENTS_MAX else head
        for row in rows:
            state = await desk.memory.state_at(desk.log, row["position"])
            event = cast("AdjustmentApproved", decode(row["topic"], row["state"]))
            intended = await _intended(desk, state, event)
            if intended is not None:
                with contextlib.suppress(VersionTaken):  # intended before the cursor moved
                    now = desk.clock()
                    await desk.log.append([await credit_row(desk.pool, intended, now=now, metadata=METADATA)])
        with contextlib.suppress(CursorMoved):
            async with desk.pool.acquire() as connection, connection.transaction():
                await move(connection, CURSOR, seen, position=end, recorded_at=None)


async def _intended(desk: Desk, state: SendingState, event: AdjustmentApproved) -> CreditSendIntended | None:
    """How an approved adjustment is told; None where it is one of usage, or its account is not sent."""
    adjustment = state.catalogue.adjustments[event.account][event.adjustment].adjustment
    sending = state.accounts.get(event.account)
    if sending is None or adjustment.amount is None or adjustment.at < sending.since:
        return None
    given = -signed(adjustment)
    invoice = await _final_invoice(desk, sending.customer, adjustment, given)
    instrument: Instrument = "customer_balance" if invoice is None else "credit_note"
    return CreditSendIntended(
        platform=desk.platform.name,
        account=event.account,
        adjustment=event.adjustment,
        customer=sending.customer,
        instrument=instrument,
        money=given,
        identifier=f"{event.account}/{event.adjustment}",
        invoice=invoice,
    )


async def _final_invoice(desk: Desk, customer: str, adjustment: Adjustment, given: Money) -> str | None:
    """The final invoice of the period that an adjustment is for, where a credit note on it can give the money."""
    at = adjustment.at
    if given.minor_units <= 0:
        return None
    end = at + timedelta(microseconds=1)
    found = await objects_overlapping(desk.pool, desk.platform.name, "invoice", [customer], at, end)
    for seen in found:
        bill = seen.one
        if (
            isinstance(bill, PlatformInvoice)
            and bill.start <= at < bill.end
            and bill.status in FINAL
            and bill.total.currency == given.currency
            and bill.total.minor_units >= given.minor_units
        ):
            return bill.id
    return None


async def _give(desk: Desk, row: CreditRow) -> bool:
    """Ask for one credit, which the platform gives once however often it is asked; keep what became of it."""
    credit = Credit(
        identifier=row.identifier,
        customer=row.customer,
        instrument=cast("Instrument", row.instrument),
        money=Money(row.minor_units, row.currency),
        label=f"Adjustment {row.adjustment}",
        invoice=row.invoice,
    )
    try:
        reference = await desk.platform.give_credit(credit)
    except PlatformRefused as refused:
        desk.memory.circuit.answered()
        return await _settle(desk, row, "rejected", code=refused.code, message=str(refused))
    except (PlatformBusy, PlatformUnavailable) as fault:
        desk.memory.circuit.failed(desk.clock())
        _log.warning("the platform gives no credit", fault=str(fault), code=fault.code, request=fault.request_id)
        if row.state == "intended" and isinstance(fault, PlatformUnavailable):
            await _settle(desk, row, "unknown", code=fault.code, message=str(fault))
        return False
    desk.memory.circuit.answered()
    return await _settle(desk, row, "accepted", reference=reference)


async def _settle(
    desk: Desk,
    row: CreditRow,
    outcome: SendOutcome,
    *,
    code: str | None = None,
    message: str | None = None,
    reference: str | None = None,
) -> bool:
    now = desk.clock()
    event = CreditSendSettled(
        platform=desk.platform.name,
        account=row.account,
        adjustment=row.adjustment,
        settlement=Settlement(identifier=row.identifier, outcome=outcome, code=code, message=message),
        settled_at=now,
        reference=reference,
    )
    with contextlib.suppress(VersionTaken):
        await desk.log.append([await credit_row(desk.pool, event, now=now, metadata=METADATA)])
    return outcome == "accepted"
