"""The demo's billing platform: a stand-in for Stripe that goes on where it was, unless the real one is configured."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from ledger.cli.demo_keys import METADATA
from ledger.cli.faults import CannotGoOn
from ledger.cli.opening import Ledger, now, settings
from ledger.commands.accounts import change_account
from ledger.commands.sends import start_sending
from ledger.domain.accounts import AliasAccount
from ledger.domain.send_events import SendingStarted
from ledger.platforms.opening import open_platform
from ledger.platforms.port import PlatformBusy, PlatformUnavailable
from ledger.sandbox.billing import BILLED_BY_STRIPE, BILLED_FOR
from ledger.sandbox.customers import CUSTOMERS
from ledger.sandbox.serving import Journal, StartableClock, inside, post_webhook, served
from ledger.sandbox.stripe import Sandbox
from ledger.sandbox.stripe.app import API_KEY
from ledger.sandbox.stripe.usage import Used
from ledger.sandbox.stripe_account import open_account, open_webhooks, subscribe
from ledger.workers.reconciling import Reconcile, reconcile_and_record
from ledger.workers.syncing import sync_all

HOST: Final = "127.0.0.1"
OPENED_BEFORE: Final = timedelta(days=1)
"""How long before the first subscription the account at Stripe was made."""
LEDGER: Final = "http://ledger.invalid/v1/webhooks/stripe"
"""Where the account there tells webhooks; where the ledger answers is known only once it does."""
TOLD_SECONDS_MAX: Final = 180
RESTED_SECONDS: Final = 12
"""More than two turns of the worker's job that tells usage."""
PLANTED_METER: Final = "llm_input_tokens"
CONFIGURED: Final = ("STRIPE_API_KEY", "LEDGER_STRIPE_URL")


class StandIn(NamedTuple):
    """A stand-in that is served, and where."""

    sandbox: Sandbox
    address: str
    journal: Journal

    def tell(self, url: str) -> None:
        """Have webhooks told to the ledger that answers at an address."""

        async def deliver(_: str, body: bytes, headers: dict[str, str]) -> int:
            return await post_webhook(f"{url}/v1/webhooks/stripe", body, headers)

        self.sandbox.deliver = deliver

    def customers(self) -> dict[str, str]:
        """The customer there of each account that is billed there."""
        return {one["metadata"]["account"]: one["id"] for one in self.sandbox.state.customers}

    def plant(self, month_end: datetime) -> None:
        """Make three of the accounts differ: an event lost there, one counted twice, and one that nobody here sent.

        An account of which nothing was told is passed over.
        """
        customers = self.customers()
        for account, hand in (("lotus-wellness", "drop_usage"), ("himalaya-outdoor", "double_usage")):
            largest = self._largest(customers[account])
            if largest is not None:
                self.journal.plant(self.sandbox, hand, largest.identifier)
        (meter,) = (one["id"] for one in self.sandbox.state.meters if one["event_name"] == PLANTED_METER)
        at = int((month_end - timedelta(days=3)).timestamp())
        self.journal.plant(self.sandbox, "add_usage", meter, customers["delta-drones"], "12345", at)

    def _largest(self, customer: str) -> Used | None:
        """The largest count of input tokens that a customer there was told."""
        told = self.sandbox.state.usage.by_identifier.values()
        ours = (one for one in told if one.customer == customer and one.event_name == PLANTED_METER)
        return max(ours, key=lambda one: one.value, default=None)

    async def is_told(self) -> bool:
        """Wait until nothing more was told for a while; False where nothing is, for too long."""
        seen, rested = -1, 0
        for _ in range(TOLD_SECONDS_MAX):
            await asyncio.sleep(1)
            told = self.sandbox.state.usage.count
            seen, rested = told, rested + 1 if told and told == seen else 0
            if rested == RESTED_SECONDS:
                return True
        return False


@asynccontextmanager
async def stand_in(directory: Path, month_end: datetime, *, is_loaded: bool) -> AsyncIterator[StandIn | None]:
    """The stand-in, served until the context ends, with the environment saying so to our children.

    None where the environment names a platform, or did when the demo was loaded. Raises `CannotGoOn` where it names one
    only now: what is made up is never told to it.
    """
    path = directory / "stripe.jsonl"
    is_begun, is_configured = path.exists(), any(os.environ.get(name) for name in CONFIGURED)
    if is_begun and is_configured:
        raise CannotGoOn(
            f"This demo was begun with a stand-in for Stripe, and made-up usage is not told to the one that "
            f"{' or '.join(CONFIGURED)} names: unset it, or begin anew with --fresh."
        )
    if is_configured or (is_loaded and not is_begun):
        yield None
        return
    clock = StartableClock(month_end - BILLED_FOR - OPENED_BEFORE)
    sandbox = Sandbox(clock)
    if is_begun:
        await Journal(path).relive(sandbox)
    else:
        await _begin(sandbox, path, month_end)
    await clock.start(sandbox)
    async with served(sandbox, Journal(path).keeping(sandbox), host=HOST, port=0) as address:
        secrets = [kept[0].text for kept in sandbox.state.outbox.secrets.values()]
        os.environ |= {"LEDGER_STRIPE_URL": address, "STRIPE_WEBHOOK_SECRETS": ",".join(secrets)}
        yield StandIn(sandbox, address, Journal(path))


async def bill_by(stripe: StandIn, opened: Ledger, month_end: datetime) -> None:
    """Know the customers there as accounts here, keep all that is there, and tell usage there from now on."""
    for account, customer in stripe.customers().items():
        await change_account(opened.log, AliasAccount(account, customer), now=now(), metadata=METADATA)
        sending = SendingStarted(platform="stripe", account=account, customer=customer, since=month_end - BILLED_FOR)
        await start_sending(opened.log, sending, now=now(), metadata=METADATA)
    async with open_platform(settings()) as platform:
        if platform is not None:
            await sync_all(opened.pool, opened.log, platform, clock=now)


async def reconcile_with(stripe: StandIn, opened: Ledger, month_end: datetime) -> int | None:
    """Plant differences once all usage was told, and compare; how many cases there are.

    None where nothing was told for too long, or the stand-in did not answer: the worker compares once a day anyway.
    """
    if not await stripe.is_told():
        return None
    stripe.plant(month_end)
    async with open_platform(settings()) as platform:
        if platform is None:
            return None
        asked = Reconcile(now(), tuple(BILLED_BY_STRIPE))
        try:
            done = await reconcile_and_record(opened.pool, opened.log, platform, asked, clock=now)
        except (PlatformUnavailable, PlatformBusy):
            return None
    return len(done.differences)


async def _begin(sandbox: Sandbox, path: Path, month_end: datetime) -> None:
    """Open the account there and subscribe its customers; the journal of that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_suffix(".begun")
    begun.unlink(missing_ok=True)
    billed = [customer for customer in CUSTOMERS if customer.key in BILLED_BY_STRIPE]
    async with inside(Journal(begun).keeping(sandbox), API_KEY) as client:
        prices = await open_account(client, billed)
        await sandbox.advance(month_end - BILLED_FOR)
        for customer in list(sandbox.state.customers):
            await subscribe(client, customer["id"], prices)
        await open_webhooks(client, LEDGER)
    begun.replace(path)
