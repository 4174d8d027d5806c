"""What tests share: one Postgres and one Redis a test process, and a database of its own for each
test that asks.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import redis

from ledger.embedded.postgres import Postgres
from ledger.embedded.redis import Redis

SHARED = Path(__file__).resolve().parents[2] / "shared"

UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
"""Nothing in a test outlives the machine's power; tests of durability start a server of their
own.
"""

TEMPLATE = "template_ledger"

_databases = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `shared` where the reference material is absent."""
    if SHARED.is_dir():
        return
    absent = pytest.mark.skip(reason="the reference material in ../shared is not here")
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(absent)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the reference material: golden cases and traces."""
    if not SHARED.is_dir():
        pytest.skip("the reference material in ../shared is not here")
    return SHARED


def _open_directory() -> Path:
    """A new directory that Postgres' account may enter, which pytest's own temporary paths are
    not.
    """
    directory = Path(tempfile.mkdtemp(prefix="ledger-test-", dir="/tmp"))
    directory.chmod(0o711)
    return directory


@pytest.fixture
def server_directory() -> Iterator[Path]:
    """A directory for servers of the test's own."""
    directory = _open_directory()
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """This test process's server, not durable, with the migrated template database. Use
    `database_url`.
    """
    directory = _open_directory()
    with Postgres(directory / "postgres", settings=UNSAFE_BUT_FAST) as server:
        _run_sql(server, f"create database {TEMPLATE}")
        _migrate(server.dsn(TEMPLATE))
        yield server
    shutil.rmtree(directory)


@pytest.fixture
def empty_database_url(postgres_server: Postgres) -> Iterator[str]:
    """A database without tables, this test's alone."""
    yield from _database(postgres_server, template="template0")


@pytest.fixture
def database_url(postgres_server: Postgres) -> Iterator[str]:
    """A migrated database without rows, this test's alone."""
    yield from _database(postgres_server, template=TEMPLATE)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """This test process's Redis. Use `redis_url`."""
    directory = _open_directory()
    with Redis(directory / "redis") as server:
        yield server
    shutil.rmtree(directory)


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """An empty Redis, this test's alone."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


def _migrate(database_url: str) -> None:
    from ledger.migrate import migrate  # not above: what needs no database runs without it

    asyncio.run(migrate(database_url))


def _database(server: Postgres, *, template: str) -> Iterator[str]:
    name = f"test_{os.getpid()}_{next(_databases)}"
    _run_sql(server, f"create database {name} template {template}")
    yield server.dsn(name)
    _run_sql(server, f"drop database {name} with (force)")


def _run_sql(server: Postgres, statement: str) -> None:
    """Run one statement by psql: a fixture may not start an event loop beside the test's."""
    psql: list[str | Path] = [server.program("psql"), "--no-psqlrc", "--quiet"]
    arguments = ["--dbname", server.dsn(), "--command", statement]
    subprocess.run([*psql, *arguments], check=True, capture_output=True)
