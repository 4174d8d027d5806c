"""Money given at Stripe through the adapter: the right way round, and once."""

from typing import Any

import pytest

from ledger.domain.money import Money
from ledger.platforms.port import Credit, PlatformRefused, PlatformUnavailable
from ledger.platforms.stripe import StripePlatform
from tests.platforms.conftest import subscribe
from tests.sandbox.stripe.conftest import SDK_WARNING, World

pytestmark = SDK_WARNING


async def billed(world: World) -> dict[str, str]:
    """A customer with an open invoice of 3.07 EUR."""
    ids = await subscribe(world)
    await world.use(ids["customer"], "1536")
    await world.advance(days=31, hours=2)
    [invoice] = (await world.client.v1.invoices.list_async()).data
    return ids | {"invoice": invoice.id}


def credit(ids: dict[str, str], instrument: Any, units: int = 107, **differences: Any) -> Credit:
    told: dict[str, Any] = {"identifier": "acme/outage-17", "customer": ids["customer"], "label": "Outage"}
    return Credit(**told | {"instrument": instrument, "money": Money(units, "EUR")} | differences)


async def test_what_is_given_lowers_what_the_customer_owes(world: World, platform: StripePlatform) -> None:
    ids = await billed(world)

    await platform.give_credit(credit(ids, "customer_balance"))
    await platform.give_credit(credit(ids, "customer_balance", -7, identifier="acme/outage-18"))

    assert (await world.client.v1.customers.retrieve_async(ids["customer"])).balance == -100


@pytest.mark.parametrize("instrument", ["customer_balance", "credit_note", "credit_grant"])
async def test_a_credit_is_given_once_for_ever(world: World, platform: StripePlatform, instrument: Any) -> None:
    """Also after Stripe has forgotten the idempotency key: fails where what was made before is not looked for."""
    ids = await billed(world)
    wanted = credit(ids, instrument, invoice=ids["invoice"] if instrument == "credit_note" else None)

    made = [await platform.give_credit(wanted)]
    made.append(await platform.give_credit(wanted))
    await world.advance(days=2)
    made.append(await platform.give_credit(wanted))

    assert len(set(made)) == 1


async def test_a_credit_whose_answer_was_lost_is_found(world: World, platform: StripePlatform) -> None:
    ids = await billed(world)
    world.sandbox.faults.next("POST /v1/customers/{customer}/balance_transactions", "timeout_after")

    with pytest.raises(PlatformUnavailable):
        await platform.give_credit(credit(ids, "customer_balance"))
    await platform.give_credit(credit(ids, "customer_balance"))

    assert (await world.client.v1.customers.retrieve_async(ids["customer"])).balance == -107


async def test_what_was_paid_already_goes_to_the_balance(world: World, platform: StripePlatform) -> None:
    ids = await billed(world)
    await world.client.v1.invoices.pay_async(ids["invoice"])

    made = await platform.give_credit(credit(ids, "credit_note", invoice=ids["invoice"]))

    note = await platform.fetch("credit_note", made)
    assert (note.invoice, note.money) == (ids["invoice"], Money(107, "EUR"))  # type: ignore[union-attr]
    assert (await world.client.v1.customers.retrieve_async(ids["customer"])).balance == -107


@pytest.mark.parametrize(
    ("instrument", "units", "code"),
    [
        ("credit_note", 107, "invoice_missing"),
        ("credit_note", -1, "amount_not_positive"),
        ("credit_grant", 0, "amount_not_positive"),
    ],
)
async def test_what_an_instrument_cannot_do_is_refused(
    world: World, platform: StripePlatform, instrument: Any, units: int, code: str
) -> None:
    with pytest.raises(PlatformRefused) as refused:
        await platform.give_credit(credit({"customer": "cus_1"}, instrument, units))
    assert refused.value.code == code
