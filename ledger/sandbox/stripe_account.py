"""A made-up Stripe account: where it tells webhooks, and what it bills made-up customers by."""

from typing import Any, Final

import httpx

REPORTS: Final = ("v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found")
"""Thin events; only destinations get them."""
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


async def _post(client: httpx.AsyncClient, path: str, form: dict[str, str]) -> dict[str, Any]:
    answer = await client.post(path, data=form)
    if answer.is_error:
        raise httpx.HTTPStatusError(answer.text, request=answer.request, response=answer)
    made: dict[str, Any] = answer.json()
    return made
