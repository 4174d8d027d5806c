"""A made-up Stripe account: where it tells webhooks, and what it bills made-up customers by."""

from collections.abc import Sequence
from typing import Any, Final

import httpx

from ledger.sandbox.customers import Customer

REPORTS: Final = ("v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found")
"""Thin events; only destinations get them."""
METERS_THERE: Final = (
    ("llm_input_tokens", "LLM input tokens", "sum"),
    ("llm_output_tokens", "LLM output tokens", "sum"),
    ("api_requests", "API requests", "count"),
)
"""The meters that can be told to Stripe, by our keys: it adds up or counts."""
TIERS: Final = {
    "billing_scheme": "tiered",
    "tiers_mode": "graduated",
    "tiers[0][up_to]": "1000000",
    "tiers[0][unit_amount_decimal]": "0.0004",
    "tiers[1][up_to]": "10000000",
    "tiers[1][unit_amount_decimal]": "0.0003",
    "tiers[2][up_to]": "inf",
    "tiers[2][unit_amount_decimal]": "0.00025",
}
"""In cents, as the plan's tiers are in dollars."""
SECOND_API: Final = {"stripe-version": "2026-10-28.endive"}


async def open_webhooks(client: httpx.AsyncClient, url: str) -> list[str]:
    """Have everything told to an address; returns the secrets that sign it, of snapshots and of thin events."""
    endpoint = await _post(client, "/v1/webhook_endpoints", {"url": url, "enabled_events[0]": "*"})
    destination = {
        "name": "ledger",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": REPORTS,
        "webhook_endpoint": {"url": url},
        "include": ["webhook_endpoint.signing_secret"],
    }
    answer = await client.post("/v2/core/event_destinations", json=destination, headers=SECOND_API)
    answer.raise_for_status()
    return [endpoint["secret"], answer.json()["webhook_endpoint"]["signing_secret"]]


async def open_account(client: httpx.AsyncClient, customers: Sequence[Customer]) -> list[str]:
    """Make meters, the prices of the plan `metered` and a customer for each; returns the prices, in order.

    A customer's metadata names the account that it is in the ledger.
    """
    meters = {
        name: await _post(
            client,
            "/v1/billing/meters",
            {"display_name": label, "event_name": name, "default_aggregation[formula]": formula},
        )
        for name, label, formula in METERS_THERE
    }
    prices = [
        await _price(client, "Input tokens", TIERS | _metered(meters["llm_input_tokens"]["id"])),
        await _price(
            client, "Output tokens", {"unit_amount_decimal": "0.001"} | _metered(meters["llm_output_tokens"]["id"])
        ),
        await _price(client, "API requests", {"unit_amount_decimal": "0.05"} | _metered(meters["api_requests"]["id"])),
        await _price(client, "Platform fee", {"unit_amount": "2900"}),
    ]
    for customer in customers:
        await _post(client, "/v1/customers", {"name": customer.name, "metadata[account]": customer.key})
    return prices


async def subscribe(client: httpx.AsyncClient, customer: str, prices: Sequence[str]) -> None:
    """Subscribe a customer to prices from now on."""
    items = {f"items[{number}][price]": price for number, price in enumerate(prices)}
    await _post(client, "/v1/subscriptions", {"customer": customer} | items)


def _metered(meter: str) -> dict[str, str]:
    return {"recurring[usage_type]": "metered", "recurring[meter]": meter}


async def _price(client: httpx.AsyncClient, name: str, terms: dict[str, str]) -> str:
    form = {"currency": "usd", "product_data[name]": name, "recurring[interval]": "month"} | terms
    price: str = (await _post(client, "/v1/prices", form))["id"]
    return price


async def _post(client: httpx.AsyncClient, path: str, form: dict[str, str]) -> dict[str, Any]:
    answer = await client.post(path, data=form)
    if answer.is_error:
        raise httpx.HTTPStatusError(answer.text, request=answer.request, response=answer)
    made: dict[str, Any] = answer.json()
    return made
