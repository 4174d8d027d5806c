"""What lowers an invoice: credit notes, the customer's balance, billing credits."""

from datetime import timedelta
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import SDK_WARNING, World
from tests.sandbox.stripe.test_billing import END, invoices, metered
from tests.sandbox.stripe.test_meter_events import refusal

pytestmark = SDK_WARNING


async def billed(world: World) -> tuple[str, stripe.Invoice]:
    """A customer with an open invoice of 100 cents."""
    _, acme, _ = await metered(world)
    await world.use(acme, "10")
    await world.sandbox.advance(END + timedelta(hours=1))
    return acme, (await invoices(world, acme))[0]


async def note(world: World, invoice: stripe.Invoice, **more: Any) -> stripe.CreditNote:
    """A credit note of an invoice."""
    params: Any = {"invoice": invoice.id} | more
    return await world.client.v1.credit_notes.create_async(params)


async def test_a_note_of_an_open_invoice_lowers_what_is_due(world: World) -> None:
    acme, invoice = await billed(world)

    made = await note(world, invoice, amount=30, reason="product_unsatisfactory", metadata={"case": "7"})

    assert (made.type, made.total, made.reason, made.pre_payment_amount) == (
        "pre_payment",
        30,
        "product_unsatisfactory",
        30,
    )
    [after] = await invoices(world, acme)
    assert (after.amount_due, after.amount_remaining, after.total, after.pre_payment_credit_notes_amount) == (
        70,
        70,
        100,
        30,
    )
    await world.client.v1.credit_notes.void_credit_note_async(made.id)
    assert (await invoices(world, acme))[0].amount_remaining == 100


async def test_a_note_of_all_settles_an_open_invoice(world: World) -> None:
    acme, invoice = await billed(world)
    line = invoice.lines.data[0].id

    await note(world, invoice, lines=[{"type": "invoice_line_item", "invoice_line_item": line, "amount": 100}])

    assert (await invoices(world, acme))[0].status == "paid"


async def test_a_note_of_a_paid_invoice_goes_to_the_balance(world: World) -> None:
    acme, invoice = await billed(world)
    paid = await world.client.v1.invoices.pay_async(str(invoice.id), {"paid_out_of_band": True})

    unplaced = await refusal(note(world, invoice, amount=30))
    made = await note(world, invoice, amount=30, credit_amount=30)

    assert (paid.status, paid.amount_paid, unplaced.param) == ("paid", 100, "credit_amount")
    assert made.type == "post_payment"
    customer = await world.client.v1.customers.retrieve_async(acme)
    assert customer.balance == -30
    [transaction] = (await world.client.v1.customers.balance_transactions.list_async(acme)).data
    assert (transaction.type, transaction.amount, transaction.credit_note) == ("credit_note", -30, made.id)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"amount": 101}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": 10, "reason": "goodwill"}, "reason"),
        ({}, "amount"),
        ({"amount": 10, "credit_amount": 10}, "credit_amount"),
        ({"lines": [{"type": "invoice_line_item", "invoice_line_item": "il_no"}]}, "lines[invoice_line_item]"),
    ],
)
async def test_a_note_that_cannot_be_is_refused(world: World, more: Any, param: str) -> None:
    _, invoice = await billed(world)

    assert (await refusal(note(world, invoice, **more))).param == param


async def test_nothing_is_left_of_a_note_for_a_customer_who_is_gone(world: World) -> None:
    acme, invoice = await billed(world)
    await world.client.v1.invoices.pay_async(str(invoice.id))
    await world.client.v1.customers.delete_async(acme)

    assert (await refusal(note(world, invoice, amount=30, credit_amount=30))).param == "customer"
    assert (await world.client.v1.credit_notes.list_async()).data == []


async def test_a_draft_takes_no_note(world: World) -> None:
    _, acme, _ = await metered(world)
    await world.sandbox.advance(END)

    assert (await refusal(note(world, (await invoices(world, acme))[0], amount=1))).param == "invoice"


@pytest.mark.parametrize(("balance", "due", "left"), [(-30, 70, 0), (-130, 0, -30), (25, 125, 0)])
async def test_the_balance_is_used_when_the_invoice_becomes_final(
    world: World, balance: int, due: int, left: int
) -> None:
    _, acme, _ = await metered(world)
    transactions = world.client.v1.customers.balance_transactions
    adjusted = await transactions.create_async(acme, {"amount": balance, "currency": "usd", "description": "case 7"})
    await world.use(acme, "10")
    await world.sandbox.advance(END + timedelta(hours=1))

    [invoice] = await invoices(world, acme)
    assert (adjusted.type, adjusted.ending_balance) == ("adjustment", balance)
    assert (invoice.total, invoice.amount_due, invoice.starting_balance, invoice.ending_balance) == (
        100,
        due,
        balance,
        left,
    )
    assert (await world.client.v1.customers.retrieve_async(acme)).balance == left
    assert (await transactions.list_async(acme)).data[0].type == "applied_to_invoice"


async def grant(world: World, customer: str, value: int, **more: Any) -> Any:
    """Billing credits for metered prices."""
    params: Any = {
        "customer": customer,
        "amount": {"type": "monetary", "monetary": {"currency": "usd", "value": value}},
        "applicability_config": {"scope": {"price_type": "metered"}},
    }
    return await world.client.v1.billing.credit_grants.create_async(params | more)


async def test_billing_credits_pay_metered_lines_by_priority(world: World) -> None:
    _, acme, _ = await metered(world)
    later = await grant(world, acme, 90, priority=60)
    sooner = await grant(world, acme, 30, priority=10)
    await world.use(acme, "10")
    await world.sandbox.advance(END + timedelta(hours=1))

    [invoice] = await invoices(world, acme)
    assert (invoice.subtotal, invoice.total, invoice.status) == (100, 0, "paid")
    assert [one.amount for one in invoice.total_pretax_credit_amounts or ()] == [30, 70]
    grants = world.client.v1.billing.credit_grants
    with pytest.raises(stripe.InvalidRequestError):
        await grants.void_grant_async(sooner.id)
    assert (await grants.expire_async(later.id)).expires_at is not None
    assert world.sandbox.state.credit_left == {later.id: 20, sooner.id: 0}


async def test_credits_that_are_void_expired_or_not_yet_effective_pay_nothing(world: World) -> None:
    _, acme, _ = await metered(world)
    void = await grant(world, acme, 50)
    await world.client.v1.billing.credit_grants.void_grant_async(void.id)
    await grant(world, acme, 50, expires_at=int(END.timestamp()))
    await grant(world, acme, 50, effective_at=int(END.timestamp()) + 7_200)
    await world.use(acme, "10")
    await world.sandbox.advance(END + timedelta(hours=1))

    assert [one.total for one in await invoices(world, acme)] == [100]
