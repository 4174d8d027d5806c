"""Brings a database to the newest schema: numbered SQL files, each applied once, in order, in one transaction."""

import hashlib
from importlib import resources
from typing import Final

import asyncpg

LOCK: Final = 7_301_002
"""The advisory lock under which one process migrates while others wait."""

CREATE_HISTORY = """
create table if not exists migrations (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
)
"""
SELECT_HISTORY = """
select name, sha256 from migrations order by name limit 10000
"""
INSERT_HISTORY = """
insert into migrations (name, sha256) values ($1, $2)
"""


class MigrationChanged(Exception):
    """A migration that was applied to this database has another text now. Migrations are never edited."""


def migrations() -> list[tuple[str, str]]:
    """The name and text of every migration, in order."""
    package = resources.files("ledger")
    folder = package / "migrations"  # in a wheel
    if not folder.is_dir():
        folder = package / ".." / "migrations"  # in a checkout
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return [(file.name, file.read_text()) for file in sorted(files, key=lambda file: file.name)]


async def migrate(database_url: str) -> list[str]:
    """Apply what is missing and return its names; safe to run in several processes at once.

    Raises `MigrationChanged` where an applied file was edited afterwards.
    """
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("select pg_advisory_lock($1)", LOCK)
        await connection.execute(CREATE_HISTORY)
        applied = {row["name"]: row["sha256"] for row in await connection.fetch(SELECT_HISTORY)}
        fresh = []
        for name, text in migrations():
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            if name in applied:
                if applied[name] != sha256:
                    raise MigrationChanged(name)
                continue
            async with connection.transaction():
                await connection.execute(text)
                await connection.execute(INSERT_HISTORY, name, sha256)
            fresh.append(name)
        return fresh
    finally:
        await connection.close()
