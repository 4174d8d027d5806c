"""`ledger reconcile`: holds our numbers against the billing platform's, at once."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ledger.cli.faults import CannotGoOn
from ledger.cli.opening import database, migrate_database, now, open_ledger, settings
from ledger.platforms.port import PlatformFault
from ledger.settings import Settings
from ledger.workers.reconciling import Reconcile, Reconciled, reconcile_and_record

SHOWN_MAX = 100
out = Console(highlight=False, soft_wrap=True)

Accounts = Annotated[list[str] | None, typer.Option("--account", help="An account's key; all accounts if none.")]
At = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="A moment (UTC) of the billing period; now if none."),
]


def reconcile(account: Accounts = None, at: At = None) -> None:
    """Compare usage and invoices with the billing platform's, and open, change or settle cases by what is found."""
    moment = now() if at is None else at.replace(tzinfo=UTC)
    done = asyncio.run(_reconcile(settings(), Reconcile(moment, tuple(account) if account else None)))
    finished = done.finished
    if done.differences:
        out.print(_table(done))
    if len(done.differences) > SHOWN_MAX:
        out.print(f"and {len(done.differences) - SHOWN_MAX:,} more")
    out.print(
        f"{finished.compared:,} numbers were compared by {finished.calls:,} questions: {finished.agreeing:,} agree, "
        f"{finished.differing:,} differ; {finished.found:,} were found beside, {finished.unread:,} could not be read.",
        markup=False,
    )


def _table(done: Reconciled) -> Table:
    """The first differences, each with its likeliest cause."""
    table = Table("whose", "what", "since", "ours", "theirs", "likeliest cause")
    for one in done.differences[:SHOWN_MAX]:
        what = one.subject.replace("_", " ") if one.meter is None else f"{one.subject} of {one.meter}"
        cause = one.findings[0].cause if one.findings else "nothing explains it"
        numbers = ("" if number is None else f"{number:f}" for number in (one.ours, one.theirs))
        table.add_row(one.account or one.customer or "", what, f"{one.start:%Y-%m-%d %H:%M}", *numbers, cause)
    return table


async def _reconcile(chosen: Settings, asked: Reconcile) -> Reconciled:
    from ledger.platforms.opening import open_platform  # not above: the SDK takes the other commands long to import

    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(open_platform(chosen))
        if platform is None:
            raise CannotGoOn("No billing platform is set: set STRIPE_API_KEY, or LEDGER_STRIPE_URL for a stand-in.")
        database_url = stack.enter_context(database(chosen))
        if chosen.database_url is None:
            await migrate_database(database_url)
        ledger = await stack.enter_async_context(open_ledger(database_url))
        unknown = sorted(set(asked.accounts or ()) - set(ledger.catalogue.accounts))
        if unknown:
            raise CannotGoOn(f"There is no account {', '.join(unknown)}.")
        try:
            return await reconcile_and_record(ledger.pool, ledger.log, platform, asked, clock=now)
        except PlatformFault as fault:
            told = f" (request {fault.request_id})" if fault.request_id else ""
            raise CannotGoOn(f"The billing platform does not do it: {fault}{told}") from fault
