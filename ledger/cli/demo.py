"""`ledger demo`: a running ledger with a month of made-up usage in it."""

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import threading
from collections import Counter
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ledger.cli.faults import CannotGoOn
from ledger.cli.opening import Ledger, now, open_ledger, servers_directory
from ledger.cli.processes import Host, Port
from ledger.cli.up import Running, out, print_addresses, run_until_stopped, settings_of
from ledger.commands.accounts import change_account
from ledger.commands.contracts import change_contract
from ledger.commands.keys import issue_key, key_parts
from ledger.commands.meters import change_meter
from ledger.commands.plans import change_plan
from ledger.domain.access import is_good
from ledger.domain.accounts import AliasAccount, OpenAccount
from ledger.domain.metadata import Metadata
from ledger.domain.meters import DefineMeter
from ledger.domain.plans import DefinePlan
from ledger.domain.pricing_refusals import ContractsOverlap, GrantExists
from ledger.domain.refusals import MeterExists, NameTaken
from ledger.projections.catalogue import CatalogueFollower
from ledger.projections.watermark import reach
from ledger.sandbox.billing import HISTORY, PLANS, contracts
from ledger.sandbox.customers import CUSTOMERS, METERS
from ledger.sandbox.loading import NotAccepted, send_usage
from ledger.sandbox.usage import EVENTS_USUAL, month
from ledger.settings import Settings

METADATA: Final = Metadata(actor="demo", source="cli")
PROJECTED_SECONDS_MAX: Final = 120

Events = Annotated[int, typer.Option(min=2_000, max=500_000, help="About how many events to make up.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Remove the demo's own data first, and begin anew.")]


class Story(msgspec.Struct, frozen=True):
    """What the demo's usage was made from, so that loading it twice tells the same; `is_loaded` once it all is in."""

    seed: int
    end: datetime
    events: int
    is_loaded: bool = False


def demo(host: Host = None, port: Port = None, events: Events = EVENTS_USUAL, fresh: Fresh = False) -> None:
    """Run a ledger with a month of generated usage; a later start finds it there."""
    directory = _directory()
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
    asyncio.run(run_until_stopped(chosen, partial(_load_and_announce, directory, events, chosen)))


def _directory() -> Path:
    """The demo's own directory, inside that of `ledger up`; the very one that is given where it is a demo's already."""
    servers = servers_directory()
    return servers if _story_path(servers).exists() else servers / "demo"


def _story_path(directory: Path) -> Path:
    return directory / "demo.json"


async def _load_and_announce(directory: Path, events: int, chosen: Settings, running: Running) -> None:
    async with open_ledger(running.database_url) as opened:
        story = await _story(directory, opened, events)
        key = await _key(directory / "api-key", opened)
        if not story.is_loaded:
            await _load(story, opened, running.url, key)
            _write(_story_path(directory), msgspec.json.encode(msgspec.structs.replace(story, is_loaded=True)))
        held_events = (await opened.log.head()).position
    out.print(
        f"The demo runs: {held_events:,} events in the log, with about a month of generated usage "
        f"up to {story.end:%Y-%m-%d %H:%M} UTC, for {len(CUSTOMERS)} made-up accounts.",
        markup=False,
    )
    print_addresses(running.url)
    out.print(f"API key:   {key}", markup=False)
    out.print(
        f"The key is kept in {directory / 'api-key'}, which only you can read, and shown at each start.", markup=False
    )
    if chosen.database_url is None:
        out.print(f"Other commands on this ledger: LEDGER_DATA_DIR={directory} ledger status", markup=False)
    out.print("Ctrl-C stops it; the next start continues.")


async def _story(directory: Path, opened: Ledger, events: int) -> Story:
    """The story that this database was begun with, or a new one; raises `CannotGoOn` where it holds something else."""
    path = _story_path(directory)
    head = await opened.log.head()
    if path.exists() and head.position:
        return msgspec.json.decode(path.read_bytes(), type=Story)
    if head.position:
        raise CannotGoOn(
            "This database holds events that are not the demo's. The demo does not mix generated usage with them: "
            "give it an empty database, or run `ledger up`."
        )
    story = Story(seed=2026, end=now().replace(minute=0, second=0, microsecond=0), events=events)
    _write(path, msgspec.json.encode(story))
    return story


async def _key(path: Path, opened: Ledger) -> str:
    """The demo's API key: the one kept at the path where it is still good, else a new one."""
    kept = _kept(path)
    parts = key_parts(kept)
    known = opened.catalogue.keys.get(parts[0]) if parts else None
    if parts and known is not None and is_good(known, parts[1], now()):
        return kept
    fresh = await issue_key(
        opened.log,
        name="demo",
        roles=["admin"],
        account=None,
        expires_at=None,
        now=now(),
        metadata=METADATA,
    )
    _write(path, fresh.text.encode())
    return fresh.text


def _kept(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, for its owner's eyes alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    begun.replace(path)


async def _load(story: Story, opened: Ledger, url: str, key: str) -> None:
    """Open the accounts, define the meters, send the usage; what an earlier start had done is passed over."""
    out.print(f"Loading a month of generated usage: about {story.events:,} events, none of them real.", markup=False)
    await _decide(opened, story)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        usage = await asyncio.to_thread(lambda: list(month(seed=story.seed, end=story.end, events=story.events)))
        sending = progress.add_task("usage over HTTP", total=len(usage))
        stop = threading.Event()

        def send() -> Counter[str]:
            def show(sent: int) -> None:
                progress.update(sending, completed=sent)

            return send_usage(usage, url=url, key=key, progress=show, stop=stop)

        try:
            fates = await asyncio.to_thread(send)
        except NotAccepted as fault:
            raise CannotGoOn(f"The generated usage was not accepted: {fault}. Start the demo again.") from fault
        finally:
            stop.set()
    _print_fates(fates)
    head = await opened.log.head()
    await reach(opened.pool, "usage", head.position, timeout_seconds=PROJECTED_SECONDS_MAX)


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
            raise CannotGoOn("The demo is running: stop it before --fresh removes its data.") from None
