"""The benchmarks' own Postgres: durable, in a temporary directory, gone afterwards."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from benchmarks.workload import prepare
from ledger.embedded.postgres import Postgres
from ledger.migrate import migrate

TEMPLATE = "template_bench"

_numbers = count(1)


class Server:
    """A running Postgres with a template database: migrated, accounts opened, one meter defined, one key issued."""

    def __init__(self, postgres: Postgres, *, version: str, key: str) -> None:
        self.postgres = postgres
        self.version = version
        self.key = key
        """The API key that every database made from the template knows."""

    @asynccontextmanager
    async def database(self, *, like: str | None = None, is_empty: bool = False) -> AsyncIterator[str]:
        """The address of a fresh database, after a checkpoint so that each trial begins with the same debts.

        It is a copy of the template, or of the one at the address `like`, to which nobody may be connected.
        """
        name = f"bench_{next(_numbers)}"
        template = "template0" if is_empty else urlsplit(like).path[1:] if like else TEMPLATE
        async with self._admin() as admin:
            await admin.execute(f"create database {name} template {template} strategy file_copy")
            await admin.execute("checkpoint")
        try:
            yield self.postgres.dsn(name)
        finally:
            async with self._admin() as admin:
                await admin.execute(f"drop database {name} with (force)")

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self.postgres.dsn())
        try:
            yield connection
        finally:
            await connection.close()


@contextmanager
def running_server() -> Iterator[Server]:
    """A server with fsync on, as `ledger up` starts it; stopped and removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="ledger-bench-"))
    directory.chmod(0o711)  # Postgres' account has to pass
    try:
        with Postgres(directory / "postgres") as postgres:
            version, key = asyncio.run(_make_template(postgres))
            yield Server(postgres, version=version, key=key)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _make_template(postgres: Postgres) -> tuple[str, str]:
    connection = await asyncpg.connect(postgres.dsn())
    version = await connection.fetchval("show server_version")
    await connection.execute(f"create database {TEMPLATE}")
    await connection.close()
    await migrate(postgres.dsn(TEMPLATE))
    return version, await prepare(postgres.dsn(TEMPLATE))
