"""The servers and the ledger that a command works on, opened for as long as it runs."""

import getpass
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ledger.cli.faults import database_fault
from ledger.database import Pool, open_pool
from ledger.domain.catalogue import Catalogue
from ledger.domain.metadata import Metadata
from ledger.embedded.directories import choose_directory
from ledger.embedded.postgres import Postgres
from ledger.embedded.redis import Redis
from ledger.event_log import EventLog
from ledger.migrate import migrate
from ledger.projections.catalogue import CatalogueFollower
from ledger.settings import Settings


class Ledger(NamedTuple):
    """An open ledger, with the catalogue as it stood when it was opened."""

    pool: Pool
    log: EventLog
    catalogue: Catalogue


def now() -> datetime:
    """This moment, for a command to pass on."""
    return datetime.now(UTC)


def acting(operation: str) -> Metadata:
    """What is kept with what a command decides. Whoever reaches the database may decide, as the machine knows them."""
    try:
        person = getpass.getuser()
    except (KeyError, OSError):
        person = None  # an account without a name, as containers have them
    return Metadata(actor="cli", person=person, source="cli", operation=operation)


def settings() -> Settings:
    """The settings in this process's environment; raises SettingError."""
    return Settings.from_environ(os.environ)


def servers_directory() -> Path:
    """Where embedded servers keep their files."""
    return choose_directory(os.environ)


def seal_directory(chosen: Settings) -> Path | None:
    """Where the keys are that sign the log's tree heads; None where nothing is sealed."""
    if chosen.seal_keys is None and chosen.database_url is None:
        return servers_directory() / "seals"
    return chosen.seal_keys


@contextmanager
def database(chosen: Settings) -> Iterator[str]:
    """The configured database's address, or that of the embedded one, which runs at least until the context ends."""
    if chosen.database_url is not None:
        yield chosen.database_url
        return
    with Postgres(servers_directory() / "postgres") as server:
        yield server.dsn()


@contextmanager
def redis_server(chosen: Settings) -> Iterator[str]:
    """The configured Redis' address, or that of the embedded one, which runs at least until the context ends."""
    if chosen.redis_url is not None:
        yield chosen.redis_url
        return
    with Redis(servers_directory() / "redis") as server:
        yield server.url


@asynccontextmanager
async def ledger(chosen: Settings) -> AsyncIterator[Ledger]:
    """The ledger of the settings. An embedded one is brought up to date; one's own is migrated by command only."""
    with database(chosen) as database_url:
        if chosen.database_url is None:
            await migrate_database(database_url)
        async with open_ledger(database_url) as opened:
            yield opened


@asynccontextmanager
async def open_ledger(database_url: str) -> AsyncIterator[Ledger]:
    """The ledger in a database, with two connections; raises `CannotGoOn` where it cannot be opened."""
    try:
        pool = await open_pool(database_url, application="cli", size=2)
        log = await EventLog.open(pool, database_url)
        follower = CatalogueFollower(log)
        await follower.refresh()
    except Exception as fault:
        raise (database_fault(fault, database_url) or fault) from fault
    try:
        yield Ledger(pool, log, follower.catalogue)
    finally:
        await log.close()
        await pool.close()


async def migrate_database(database_url: str) -> list[str]:
    """Bring the database up to date and return what was applied; raises `CannotGoOn`, `MigrationChanged`."""
    try:
        return await migrate(database_url)
    except Exception as fault:
        raise (database_fault(fault, database_url) or fault) from fault
