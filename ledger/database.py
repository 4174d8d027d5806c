"""Connections to the ledger's Postgres, always in the role that may not change history."""

from typing import TYPE_CHECKING, Any, Final

import asyncpg

SERVICE_ROLE: Final = "ledger_service"
STATEMENT_TIMEOUT_MILLISECONDS: Final = 60_000

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]
    Pool = asyncpg.Pool[Any]
else:  # the classes are generic in their stubs only
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool


def server_settings(application: str) -> dict[str, str]:
    """What every connection of the service sets: its role, its name, UTC, and a bound on each statement."""
    return {
        "role": SERVICE_ROLE,
        "application_name": f"ledger {application}",
        "timezone": "UTC",
        "statement_timeout": str(STATEMENT_TIMEOUT_MILLISECONDS),
        "jit": "off",
    }


async def connect(database_url: str, *, application: str) -> Connection:
    """One connection, for a task that owns it."""
    return await asyncpg.connect(database_url, server_settings=server_settings(application))


async def open_pool(database_url: str, *, application: str, size: int, **settings: str) -> Pool:
    """At most `size` connections, opened as they are needed; `settings` are the server's, over those of all."""
    return await asyncpg.create_pool(
        database_url, min_size=1, max_size=size, server_settings={**server_settings(application), **settings}
    )
