"""Commands that look after a ledger: `migrate`, `status`, `rebuild`, `export`, `schema`."""

import asyncio
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from ledger.cli.faults import CannotGoOn, redis_fault
from ledger.cli.opening import database, ledger, migrate_database, redis_server, settings
from ledger.projections import replay_outcomes, usage_lane
from ledger.projections.replay_outcomes import Outcome
from ledger.projections.status import ProjectionStatus
from ledger.projections.status import status as projection_status
from ledger.settings import Settings

if TYPE_CHECKING:
    from ledger.workers.broker import DeadLetter

EXPORT_PAGE_EVENTS: Final = 2_000

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def migrate() -> None:
    """Bring the database to the newest schema."""
    with database(settings()) as database_url:
        applied = asyncio.run(migrate_database(database_url))
    out.print(f"Applied {', '.join(applied)}." if applied else "The database is up to date.", markup=False)


def schema() -> None:
    """Print the GraphQL schema."""
    from ledger.graphql.schema import make_schema  # not above: it takes the other commands half a second to import

    sys.stdout.write(f"{make_schema(is_development=False).as_str()}\n")


class _Overview(NamedTuple):
    """What `ledger status` shows."""

    position: int
    accounts: int
    meters: int
    keys: int
    projections: list[ProjectionStatus]
    replay: Outcome | None


def status() -> None:
    """Show how far the log and each read model are, and what failed for good."""
    chosen = settings()
    overview = asyncio.run(_overview(chosen))
    out.print(
        f"The log holds {overview.position:,} events; {overview.accounts:,} accounts, {overview.meters:,} meters, "
        f"{overview.keys:,} API keys.",
        markup=False,
    )
    table = Table("read model", "position", "events behind", "lag", "state")
    for one in overview.projections:
        lag = f"{one.lag_milliseconds} ms"
        table.add_row(one.name, f"{one.position:,}", f"{one.events_behind:,}", lag, one.state)
    out.print(table)
    out.print(_told_of(overview.replay), markup=False)
    letters = _dead_letters(chosen)
    if letters is None:
        out.print("Redis: not asked; LEDGER_REDIS_URL is not set.")
    else:
        out.print(f"Background work that failed for good: {len(letters)}.")
        for letter in letters:
            out.print(f"  {letter.died_at:%Y-%m-%d %H:%M} UTC {letter.message_id}: {letter.error}", markup=False)


async def _overview(chosen: Settings) -> _Overview:
    async with ledger(chosen) as opened:
        head = await opened.log.head()
        catalogue = opened.catalogue
        counts = len(catalogue.accounts), len(catalogue.meters), len(catalogue.keys)
        projections = await projection_status(opened.pool, opened.log)
        latest = await replay_outcomes.outcomes(opened.log, limit=1)
        return _Overview(head.position, *counts, projections, latest[0] if latest else None)


def _told_of(replay: Outcome | None) -> str:
    if replay is None:
        return "The read models were never replayed: `ledger replay` does it."
    found = replay.found
    verdict = "found all equal" if found.is_equal else "found differences"
    return (
        f"The last replay, of {found.started_at:%Y-%m-%d %H:%M} UTC, {verdict} up to position {found.position:,}; "
        f"it is event {replay.position:,}."
    )


def _dead_letters(chosen: Settings) -> "list[DeadLetter] | None":
    import redis  # not above, as what follows: half a second for commands that do without

    from ledger.workers.broker import dead_letters

    if chosen.redis_url is None and chosen.database_url is not None:
        return None
    with redis_server(chosen) as redis_url, redis.Redis.from_url(redis_url) as client:
        try:
            return dead_letters(client)
        except redis.RedisError as fault:
            raise redis_fault(fault) from fault


def rebuild() -> None:
    """Compute every meter anew from the log, beside what queries see; the projector carries it out."""
    asyncio.run(_rebuild())
    out.print("Begun. `ledger status` shows how far it is; queries see the old figures until it is done.")


async def _rebuild() -> None:
    async with ledger(settings()) as opened:
        await usage_lane.rebuild(opened.pool, opened.log)


def export(
    output: Annotated[Path | None, typer.Option(help="The file to write; standard output unless given.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Leave out the events up to this position.")] = 0,
) -> None:
    """Write the log, oldest first, one JSON object a line."""
    try:
        target = sys.stdout.buffer if output is None else output.open("wb")
    except OSError as fault:
        raise CannotGoOn(f"{output} cannot be written: {fault.strerror}.") from None
    with target:
        count = asyncio.run(_export(target, after))
    err.print(f"{count:,} events.")


async def _export(target: IO[bytes], after: int) -> int:
    count = 0
    async with ledger(settings()) as opened:
        before = (await opened.log.head()).position + 1
        while rows := await opened.log.page(after=after, before=before, limit=EXPORT_PAGE_EVENTS):
            for row in rows:
                line = dict(row)
                for name in ("state", "metadata"):
                    line[name] = msgspec.Raw(line[name].encode())
                target.write(msgspec.json.encode(line) + b"\n")
            after = rows[-1]["position"]
            count += len(rows)
    return count
