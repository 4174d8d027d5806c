"""`ledger sync`: lists all that the billing platform holds and keeps what is new or has changed."""

import asyncio
from contextlib import AsyncExitStack

from rich.console import Console
from rich.table import Table

from ledger.cli.faults import CannotGoOn
from ledger.cli.opening import database, migrate_database, now, open_ledger, settings
from ledger.domain.platform_objects import ObjectKind
from ledger.platforms.port import PlatformFault
from ledger.settings import Settings
from ledger.workers.syncing import Synced, apply_notifications, sync_all

out = Console(highlight=False, soft_wrap=True)


def sync() -> None:
    """List customers, prices, meters, subscriptions, invoices and credit notes of the billing platform.

    Interrupted, it goes on where it was. What the platform told and nobody looked into yet is looked into as well.
    """
    found = asyncio.run(_sync(settings()))
    table = Table("kind", "seen", "changed")
    for kind, counts in found.items():
        table.add_row(kind.replace("_", " "), f"{counts.seen:,}", f"{counts.changed:,}")
    out.print(table)


async def _sync(chosen: Settings) -> dict[ObjectKind, Synced]:
    from ledger.platforms.opening import open_platform  # not above: the SDK takes the other commands long to import

    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(open_platform(chosen))
        if platform is None:
            raise CannotGoOn("No billing platform is set: set STRIPE_API_KEY, or LEDGER_STRIPE_URL for a stand-in.")
        database_url = stack.enter_context(database(chosen))
        if chosen.database_url is None:
            await migrate_database(database_url)
        ledger = await stack.enter_async_context(open_ledger(database_url))
        try:
            found = await sync_all(ledger.pool, ledger.log, platform, clock=now)
            await apply_notifications(ledger.pool, ledger.log, platform, clock=now)
        except PlatformFault as fault:
            told = f" (request {fault.request_id})" if fault.request_id else ""
            raise CannotGoOn(f"The billing platform does not do it: {fault}{told}") from fault
        return found
