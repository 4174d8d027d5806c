"""Approved adjustments on their way to a platform: given once, by the instrument that fits."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ledger.domain.adjustment_events import Adjustment, AdjustmentApproved, AdjustmentKind, AdjustmentProposed
from ledger.domain.money import Money
from ledger.domain.names import adjustment_stream
from ledger.domain.topics import encode
from ledger.log_rows import NewEvent
from ledger.projections.sends import CreditRow, credits_of
from ledger.projections.sends_fold import catch_up
from ledger.workers.crediting import send_credits
from ledger.workers.sending import send_usage
from ledger.workers.syncing import sync_all
from tests.log.ledgers import METADATA
from tests.sandbox.stripe.conftest import SDK_WARNING
from tests.workers.sent import Crash, Crashing, Sent, open_sent

pytestmark = SDK_WARNING

BALANCE = "POST /v1/customers/{customer}/balance_transactions"


@pytest.fixture
async def sent(database_url: str) -> AsyncIterator[Sent]:
    """Sending is on and nothing was adjusted yet."""
    async with open_sent(database_url) as opened:
        yield opened


async def approve(sent: Sent, key: str, kind: AdjustmentKind, at: datetime | None = None, **how: Any) -> None:
    """An adjustment that one person proposed and another approved."""
    money = {} if kind == "usage" else {"amount": Money(1250, "EUR")}
    adjustment = Adjustment(adjustment=key, kind=kind, at=at or sent.now(), reason="outage", note="x", **(money | how))
    proposed = AdjustmentProposed(
        account="acme",
        adjustment=adjustment,
        proposed_by="Olivia",
        role="ops",
        proposed_at=sent.now(),
        expires_at=datetime(2099, 1, 1, tzinfo=UTC),
        effect=Money(-1250, "EUR"),
    )
    approved = AdjustmentApproved(account="acme", adjustment=key, approved_by="Pat", is_automatic=False)
    stream, log = adjustment_stream("acme"), sent.followed.ledger.log
    for event in (proposed, approved):
        version = len(await log.stream(stream)) + 1
        row = NewEvent(stream, version, event.TOPIC, "acme", sent.now(), encode(event), METADATA.encode())
        await log.append([row])


async def credit_rows(sent: Sent) -> list[CreditRow]:
    await catch_up(sent.followed.ledger.pool, sent.followed.ledger.log)
    return await credits_of(sent.followed.ledger.pool, "acme")


async def balance(sent: Sent) -> int:
    """What the customer owes before the next invoice, in minor units: below zero is in their favour."""
    return int((await sent.followed.client.v1.customers.retrieve_async(sent.customer)).balance)


async def test_a_credit_goes_to_the_customers_balance_once(sent: Sent) -> None:
    await approve(sent, "outage", "credit")

    for _ in range(2):
        await send_credits(sent.desk)
        await send_credits(sent.forgetful())

    [row] = await credit_rows(sent)
    assert (row.state, row.instrument, row.attempts) == ("accepted", "customer_balance", 1)
    assert row.reference is not None
    assert await balance(sent) == -1250


async def test_a_debit_is_taken_from_the_customers_balance(sent: Sent) -> None:
    await approve(sent, "forgotten", "debit")

    await send_credits(sent.desk)

    assert await balance(sent) == 1250


@pytest.mark.parametrize("is_after", [False, True])
async def test_a_crash_around_the_call_gives_nothing_twice(sent: Sent, is_after: bool) -> None:
    await approve(sent, "outage", "credit")
    crashing: Any = Crashing(sent.followed.platform, "give_credit", is_after=is_after)
    with pytest.raises(Crash):
        await send_credits(sent.with_platform(crashing))

    await sent.advance(days=3)
    await send_credits(sent.desk)

    assert [row.state for row in await credit_rows(sent)] == ["accepted"]
    assert await balance(sent) == -1250


async def test_a_credit_on_a_final_invoice_is_a_credit_note(sent: Sent) -> None:
    client = sent.followed.client
    price = await client.v1.prices.create_async(
        {
            "currency": "eur",
            "product_data": {"name": "Tokens"},
            "unit_amount": 100,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": sent.meters["tokens"]},
        }
    )
    await client.v1.subscriptions.create_async({"customer": sent.customer, "items": [{"price": price.id}]})
    await sent.use("50")
    await send_usage(sent.desk)
    at = sent.now() + timedelta(days=1)
    await sent.advance(days=31, hours=2)
    pool, log = sent.followed.ledger.pool, sent.followed.ledger.log
    await sync_all(pool, log, sent.followed.platform, clock=sent.now)
    await sent.followed.project()

    await approve(sent, "outage", "credit", at)
    await send_credits(sent.desk)

    [row] = await credit_rows(sent)
    assert (row.state, row.instrument, row.minor_units) == ("accepted", "credit_note", 1250)
    [note] = (await client.v1.credit_notes.list_async()).data
    assert (note.id, note.amount, note.invoice) == (row.reference, 1250, row.invoice)


async def test_an_adjustment_of_usage_is_a_send_of_its_quantity(sent: Sent) -> None:
    await approve(sent, "missing", "usage", meter="tokens", quantity=Decimal(-3))
    await sent.use("5")

    await send_usage(sent.desk)
    await send_credits(sent.desk)

    assert await credit_rows(sent) == []
    assert await sent.there() == await sent.acknowledged() == 2


async def test_what_the_platform_refuses_is_said_with_its_code(sent: Sent) -> None:
    await sent.followed.client.v1.customers.delete_async(sent.customer)
    await approve(sent, "outage", "credit")

    await send_credits(sent.desk)

    [row] = await credit_rows(sent)
    assert (row.state, row.code) == ("rejected", "resource_missing")
