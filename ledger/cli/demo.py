"""`ledger demo`: a running ledger with a month of made-up usage in it."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ledger.cli.demo_keys import KEYS, METADATA, demo_keys, write_whole
from ledger.cli.demo_stripe import StandIn, bill_by, reconcile_with, stand_in
from ledger.cli.faults import CannotGoOn
from ledger.cli.opening import Ledger, migrate_database, now, open_ledger, servers_directory
from ledger.cli.processes import Host, Port
from ledger.cli.up import Running, out, print_addresses, run_until_stopped, settings_of
from ledger.commands.accounts import change_account
from ledger.commands.adjustments import change_rule
from ledger.commands.contracts import change_contract
from ledger.commands.meters import change_meter
from ledger.commands.plans import change_plan
from ledger.domain.accounts import AliasAccount, OpenAccount
from ledger.domain.adjustment_refusals import ReasonCodeExists
from ledger.domain.governing import STANDARD_REASONS
from ledger.domain.meters import DefineMeter
from ledger.domain.plans import DefinePlan
from ledger.domain.pricing_refusals import ContractsOverlap, GrantExists
from ledger.domain.refusals import MeterExists, NameTaken
from ledger.projections.catalogue import CatalogueFollower
from ledger.projections.watermark import reach
from ledger.sandbox.billing import BILLED_BY_STRIPE, HISTORY, PLANS, contracts
from ledger.sandbox.customers import CUSTOMERS, METERS
from ledger.sandbox.loading import Client, NotAccepted, send_usage
from ledger.sandbox.people import Team, work
from ledger.sandbox.usage import EVENTS_USUAL, month
from ledger.settings import Settings

PROJECTED_SECONDS_MAX: Final = 120

Events = Annotated[int, typer.Option(min=2_000, max=500_000, help="About how many events to make up.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Remove the demo's own data first, and begin anew.")]
Planted = Annotated[
    bool, typer.Option("--reconcile", help="Plant mismatches with a stand-in for Stripe, tell what is found, and end.")
]


class Story(msgspec.Struct, frozen=True):
    """What the demo's usage was made from, so that loading it twice tells the same.

    It `is_loaded` once it all is in, and `is_reconciled` once differences to Stripe were planted and found.
    """

    seed: int
    end: datetime
    events: int
    is_loaded: bool = False
    is_reconciled: bool = False


def demo(
    host: Host = None,
    port: Port = None,
    events: Events = EVENTS_USUAL,
    fresh: Fresh = False,
    reconcile: Planted = False,
) -> None:
    """Run a ledger with a month of generated usage; a later start finds it there."""
    directory = _directory()
    if reconcile:
        _reconcile(directory / "mismatches")
    os.environ.setdefault("LEDGER_ENV", "development")
    chosen = settings_of(host, port)
    if fresh:
        if chosen.database_url is not None:
            raise CannotGoOn(
                "--fresh removes only the demo's own embedded database; empty LEDGER_DATABASE_URL's yourself."
            )
        _require_unused(directory)
        shutil.rmtree(directory, ignore_errors=True)
    os.environ["LEDGER_DATA_DIR"] = str(directory)
    os.environ.setdefault("LEDGER_SEAL_PUBLISH", str(directory / "heads.txt"))
    asyncio.run(_run(directory, _story(directory, events), chosen))


def _reconcile(directory: Path) -> NoReturn:
    from ledger.cli.demo_reconciling import reconcile_planted  # not above: the demo starts faster without

    _require_unused(directory)
    raise typer.Exit(0 if asyncio.run(reconcile_planted(directory)) else 1)


def _directory() -> Path:
    """The demo's own directory, inside that of `ledger up`; the very one that is given where it is a demo's already."""
    servers = servers_directory()
    return servers if _story_path(servers).exists() else servers / "demo"


def _story_path(directory: Path) -> Path:
    return directory / "demo.json"


async def _run(directory: Path, story: Story, chosen: Settings) -> None:
    if chosen.database_url is not None and not _story_path(directory).exists():
        await _require_empty(chosen.database_url)
    write_whole(_story_path(directory), msgspec.json.encode(story))
    async with stand_in(directory, story.end, is_loaded=story.is_loaded) as stripe:
        await run_until_stopped(chosen, partial(_load_and_announce, directory, story, chosen, stripe))


async def _require_empty(database_url: str) -> None:
    """Raise `CannotGoOn` where somebody's own events are in the database, before anything of ours joins them."""
    await migrate_database(database_url)
    async with open_ledger(database_url) as opened:
        if (await opened.log.head()).position:
            raise CannotGoOn(
                "This database holds events that are not the demo's. The demo does not mix generated usage with them: "
                "give it an empty database, or run `ledger up`."
            )


async def _load_and_announce(
    directory: Path, story: Story, chosen: Settings, stripe: StandIn | None, running: Running
) -> None:
    async with open_ledger(running.database_url) as opened:
        keys = await demo_keys(directory, opened)
        if stripe is not None:
            stripe.tell(running.url)
        if not story.is_loaded:
            await _load(story, opened, running.url, keys, stripe)
            write_whole(_story_path(directory), msgspec.json.encode(msgspec.structs.replace(story, is_loaded=True)))
        held_events = (await opened.log.head()).position
    out.print(
        f"The demo runs: {held_events:,} events in the log, with about a month of generated usage "
        f"up to {story.end:%Y-%m-%d %H:%M} UTC, for {len(CUSTOMERS)} made-up accounts.",
        markup=False,
    )
    print_addresses(running.url)
    for file, key in keys.items():
        out.print(f"{KEYS[file].label + ': ':<11}{key}", markup=False)
    out.print(f"Each is kept in {directory}, in {', '.join(KEYS)}, which only you can read.", markup=False)
    if chosen.database_url is None:
        out.print(f"Other commands on this ledger: LEDGER_DATA_DIR={directory} ledger status", markup=False)
    if stripe is not None:
        out.print(
            f"Stripe:    {stripe.address}, a stand-in that bills {len(BILLED_BY_STRIPE)} of the accounts", markup=False
        )
    out.print("Ctrl-C stops it; the next start continues.")
    if stripe is not None and not story.is_reconciled:
        await _reconcile_once(directory, story, stripe, running)


async def _reconcile_once(directory: Path, story: Story, stripe: StandIn, running: Running) -> None:
    """While the demo runs already: let the accounts at Stripe differ, and find it."""
    async with open_ledger(running.database_url) as opened:
        cases = await reconcile_with(stripe, opened, story.end)
    if cases is not None:
        done = msgspec.structs.replace(story, is_loaded=True, is_reconciled=True)
        write_whole(_story_path(directory), msgspec.json.encode(done))
        out.print(
            f"Stripe was told the usage of its customers; differences were planted there: {cases} cases.", markup=False
        )


def _story(directory: Path, events: int) -> Story:
    """The story that was begun in a directory, or a new one."""
    path = _story_path(directory)
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Story)
    return Story(seed=2026, end=now().replace(minute=0, second=0, microsecond=0), events=events)


async def _load(story: Story, opened: Ledger, url: str, keys: Mapping[str, str], stripe: StandIn | None) -> None:
    """Open the accounts, define the meters, send the usage; what an earlier start had done is passed over."""
    out.print(f"Loading a month of generated usage: about {story.events:,} events, none of them real.", markup=False)
    await _decide(opened, story)
    if stripe is not None:
        await bill_by(stripe, opened, story.end)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        usage = await asyncio.to_thread(lambda: list(month(seed=story.seed, end=story.end, events=story.events)))
        sending = progress.add_task("usage over HTTP", total=len(usage))
        stop = threading.Event()
        client = Client(url, keys["api-key"], stop)

        def show(sent: int) -> None:
            progress.update(sending, completed=sent)

        try:
            fates = await asyncio.to_thread(send_usage, usage, client, show)
            _print_fates(fates)
            head = await opened.log.head()
            await reach(opened.pool, "usage", head.position, timeout_seconds=PROJECTED_SECONDS_MAX)
            team = Team(*(Client(url, keys[file], stop) for file in ("ops-key", "approver-key", "admin-key")))
            await asyncio.to_thread(work, team, story.end)
        except NotAccepted as fault:
            raise CannotGoOn(f"The generated story was not accepted: {fault}. Start the demo again.") from fault
        finally:
            stop.set()


async def _decide(opened: Ledger, story: Story) -> None:
    """The meters, accounts, plans and contracts; what an earlier start had decided is passed over."""
    opened_at = story.end - HISTORY
    for key, definition in METERS.items():
        with contextlib.suppress(MeterExists):
            await change_meter(opened.log, DefineMeter(key, definition), now=now(), metadata=METADATA)
    for customer in CUSTOMERS:
        with contextlib.suppress(NameTaken):
            account = OpenAccount(customer.key, customer.name, customer.zone, opened_at)
            await change_account(opened.log, account, now=now(), metadata=METADATA)
        for alias in customer.aliases:
            await change_account(opened.log, AliasAccount(customer.key, alias), now=now(), metadata=METADATA)
    follower = CatalogueFollower(opened.log)
    await follower.refresh()
    for reason in STANDARD_REASONS:
        with contextlib.suppress(ReasonCodeExists):
            await change_rule(opened.log, follower.catalogue, reason, now=now(), metadata=METADATA)
    for plan, terms in PLANS.items():
        await change_plan(opened.log, follower.catalogue, DefinePlan(plan, terms), now=now(), metadata=METADATA)
    await follower.refresh()
    for command in contracts(opened_at, story.end):
        with contextlib.suppress(ContractsOverlap, GrantExists):
            await change_contract(opened.log, follower.catalogue, command, now=now(), metadata=METADATA)


def _print_fates(fates: Counter[str]) -> None:
    out.print(
        f"Sent over HTTP: stored {fates['stored']:,} (held {fates['held']:,}), "
        f"duplicates {fates['duplicate']:,}, refused {fates['refused']:,}.",
        markup=False,
    )


def _require_unused(directory: Path) -> None:
    """Raise `CannotGoOn` where another process uses the demo's database at this moment."""
    with contextlib.suppress(FileNotFoundError), (directory / "postgres" / "in-use").open("rb") as lease:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotGoOn("The demo is running: stop it before its data is removed.") from None
