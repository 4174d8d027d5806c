"""Money given at Stripe: the customer's balance, credit notes, credit grants. Once for each identifier, for ever.

Stripe forgets idempotency keys after a day, so what was made bears the identifier in its metadata, where a repeat
finds it. docs.stripe.com/api/idempotent_requests
"""

from typing import Any, Final

import msgspec

from ledger.platforms.port import Credit, PlatformRefused
from ledger.platforms.stripe_connection import Connection, read
from ledger.platforms.stripe_invoices import TheirInvoice
from ledger.platforms.stripe_money import units_of

IDENTIFIER: Final = "ledger_identifier"
NAME_LENGTH_MAX: Final = 100


class _Made(msgspec.Struct, frozen=True):
    id: str
    metadata: dict[str, str] | None = None


async def give(connection: Connection, credit: Credit) -> str:
    """As `Platform.give_credit`."""
    if credit.instrument == "customer_balance":
        path = f"/v1/customers/{credit.customer}/balance_transactions"
        found: dict[str, Any] = {}
        # Below zero is what the customer has to their credit. docs.stripe.com/billing/customer/balance
        wanted: dict[str, Any] = {"amount": -units_of(credit.money), **_currency(credit), "description": credit.label}
    elif credit.money.minor_units <= 0:
        raise PlatformRefused(f"a {credit.instrument.replace('_', ' ')} only gives", code="amount_not_positive")
    elif credit.instrument == "credit_note":
        if credit.invoice is None:
            raise PlatformRefused("a credit note needs an invoice", code="invoice_missing")
        path, found = "/v1/credit_notes", {"invoice": credit.invoice}
        wanted = found | {"memo": credit.label}
    else:
        path, found = "/v1/billing/credit_grants", {"customer": credit.customer}
        wanted = found | _grant(credit)
    made = await _made(connection, path, found, credit.identifier)
    if made is None:
        if credit.instrument == "credit_note":
            wanted |= await _note_amounts(connection, credit)
        made = await connection.post(
            path,
            _Made,
            **wanted,
            metadata={IDENTIFIER: credit.identifier},
            idempotency_key=f"ledger/{credit.identifier}"[:255],
        )
    return made.id


async def _made(connection: Connection, path: str, found: dict[str, Any], identifier: str) -> _Made | None:
    """What an earlier request with the identifier made."""
    async for one in connection.listed(path, **found):
        made = read(one, _Made)
        if (made.metadata or {}).get(IDENTIFIER) == identifier:
            return made
    return None


async def _note_amounts(connection: Connection, credit: Credit) -> dict[str, int]:
    """The amount; what the customer has paid already of it goes to their balance.

    docs.stripe.com/api/credit_notes/create (`credit_amount`)
    """
    amount = units_of(credit.money)
    invoice = await connection.get(f"/v1/invoices/{credit.invoice}", TheirInvoice)
    paid = amount - min(amount, invoice.amount_remaining)
    return {"amount": amount, "credit_amount": paid} if paid else {"amount": amount}


def _grant(credit: Credit) -> dict[str, Any]:
    """docs.stripe.com/api/billing/credit-grant/create"""
    return {
        "amount": {"type": "monetary", "monetary": _currency(credit) | {"value": units_of(credit.money)}},
        "applicability_config": {"scope": {"price_type": "metered"}},
        "category": "promotional",
        "name": credit.label[:NAME_LENGTH_MAX],
    }


def _currency(credit: Credit) -> dict[str, Any]:
    return {"currency": credit.money.currency.lower()}
