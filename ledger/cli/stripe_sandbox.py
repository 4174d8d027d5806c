"""`ledger stripe-sandbox`: the stand-in for Stripe, over HTTP."""

import asyncio
import signal
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Console

from ledger.cli.ports import require_free_port

PORT: Final = 12111
HOST: Final = "127.0.0.1"

out = Console(highlight=False, soft_wrap=True)

Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")]
WebhookUrl = Annotated[
    str | None,
    typer.Option(help="Where webhooks go, as http://127.0.0.1:8000/v1/webhooks/stripe; none unless given."),
]


def stripe_sandbox(port: Port = PORT, webhook_url: WebhookUrl = None) -> None:
    """Serve a strict stand-in for Stripe, in memory, for development: what it holds is gone when it stops."""
    if port:
        require_free_port(HOST, port)
    asyncio.run(_serve(port, webhook_url))


async def _serve(port: int, webhook_url: str | None) -> None:
    from ledger.sandbox.serving import inside, post_webhook, served  # not above: a server takes long to import
    from ledger.sandbox.stripe import Sandbox
    from ledger.sandbox.stripe.app import API_KEY
    from ledger.sandbox.stripe_account import open_webhooks

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sandbox = Sandbox(lambda: datetime.now(UTC), deliver=post_webhook)
    app = sandbox.app()
    async with inside(app, API_KEY) as client:
        secrets = [] if webhook_url is None else await open_webhooks(client, webhook_url)
    async with served(sandbox, app, host=HOST, port=port) as address:
        out.print(f"A stand-in for Stripe answers at {address}; nothing in it is real.", markup=False)
        out.print(f"LEDGER_STRIPE_URL={address}", markup=False)
        out.print(f"STRIPE_API_KEY={API_KEY}", markup=False)
        if secrets:
            out.print(f"STRIPE_WEBHOOK_SECRETS={','.join(secrets)}", markup=False)
        out.print("Ctrl-C stops it, and forgets what it holds.")
        await stop.wait()
