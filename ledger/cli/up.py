"""`ledger up`: the whole ledger on one machine, on one command."""

import asyncio
import os
import signal
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
from rich.console import Console

from ledger.cli.faults import CannotGoOn
from ledger.cli.opening import database, migrate_database, redis_server, seal_directory, servers_directory, settings
from ledger.cli.ports import require_free_port
from ledger.cli.processes import Host, Port
from ledger.embedded.postgres import Postgres
from ledger.embedded.redis import Redis
from ledger.settings import LogFormat, Settings
from ledger.supervisor import Program, Supervisor

PROGRAMS: Final = (Program("projector", ("projector",)), Program("worker", ("worker",)), Program("api", ("serve",)))
"""In the order in which they start; they stop in the opposite one, so that nobody is told of usage by a ledger that
is going down."""
READY_SECONDS_MAX: Final = 60
READY_PAUSE_SECONDS: Final = 0.05
WATCH_SECONDS: Final = 1

out = Console(highlight=False, soft_wrap=True)
"""Where people read what happens; never wrapped, so that addresses and keys can be copied."""


class Running(NamedTuple):
    """A running ledger: where it answers, and the database behind it."""

    url: str
    database_url: str


WhenRunning = Callable[[Running], Awaitable[None]]
"""What is done once the ledger answers; the ledger runs on afterwards until it is told to stop."""


def up(host: Host = None, port: Port = None) -> None:
    """Run everything: Postgres and Redis where none are configured, the API, the projector and the worker."""
    chosen = settings_of(host, port)
    asyncio.run(run_until_stopped(chosen, _announce))


async def _announce(running: Running) -> None:
    print_addresses(running.url)
    out.print("Make an API key with: ledger keys issue --name NAME --role admin")
    out.print("Ctrl-C stops it.")


def settings_of(host: str | None, port: int | None) -> Settings:
    """The settings with the command line's address in them, and in the environment for our children."""
    for variable, value in (("LEDGER_HOST", host), ("LEDGER_PORT", port)):
        if value is not None:
            os.environ[variable] = str(value)
    return settings()


def print_addresses(url: str) -> None:
    """Tell where the ledger answers."""
    out.print(f"Usage in:  POST {url}/v1/usage (CloudEvents)", markup=False)
    out.print(f"GraphQL:   {url}/graphql", markup=False)
    out.print(f"Health:    {url}/health", markup=False)


async def run_until_stopped(chosen: Settings, when_running: WhenRunning) -> None:
    """Start everything in order, call `when_running`, and stop in the opposite order on Ctrl-C or SIGTERM.

    Raises `CannotGoOn`, `GaveUp`, EmbeddedServerError.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    require_free_port(chosen.host, chosen.port)
    async with _everything(chosen) as (running, watches):
        busy = asyncio.create_task(_begin(running, when_running), name="when running")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        waited = {stopping, busy, *watches}
        try:
            while not stopping.done():
                done, waited = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in (busy, stopping):
                task.cancel()
            await asyncio.gather(busy, stopping, return_exceptions=True)
            out.print("Stopping ...")
    out.print("Stopped. Everything that was acknowledged is stored.")


async def _begin(running: Running, when_running: WhenRunning) -> None:
    await wait_until_ready(running.url)
    await when_running(running)


@asynccontextmanager
async def _everything(chosen: Settings) -> AsyncIterator[tuple[Running, list[asyncio.Task[None]]]]:
    """The servers and the processes, up until the context ends; the tasks end only by raising."""
    async with AsyncExitStack() as stack:
        database_url = stack.enter_context(database(chosen))
        redis_url = stack.enter_context(redis_server(chosen))
        applied = await migrate_database(database_url)
        if applied:
            out.print(f"Made the tables: {', '.join(applied)}.", markup=False)
        servers = {"LEDGER_DATABASE_URL": database_url, "LEDGER_REDIS_URL": redis_url}
        if (seals := seal_directory(chosen)) is not None:
            servers["LEDGER_SEAL_KEYS"] = str(seals)
        environ = {"LEDGER_LOG_FORMAT": LogFormat.JSON.value, **os.environ, **servers}
        logs = servers_directory() / "logs"
        supervisor = Supervisor(PROGRAMS, environ, logs=logs, report=lambda text: out.print(text, markup=False))
        watches = [await stack.enter_async_context(supervisor.running())]
        watches += await _server_watches(stack, chosen, database_url, redis_url)
        yield Running(_url(chosen), database_url), watches


async def _server_watches(
    stack: AsyncExitStack, chosen: Settings, database_url: str, redis_url: str
) -> list[asyncio.Task[None]]:
    """Tasks that start an embedded server again when it dies; none for servers of one's own."""
    watches = []
    if chosen.database_url is None:
        server = Postgres(servers_directory() / "postgres")
        watches.append(asyncio.create_task(_watch_postgres(server, database_url), name="postgres watch"))
    if chosen.redis_url is None:
        other = Redis(servers_directory() / "redis")
        watches.append(asyncio.create_task(_watch_redis(other, redis_url), name="redis watch"))

    async def end() -> None:
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)

    stack.push_async_callback(end)
    return watches


async def _watch_postgres(server: Postgres, database_url: str) -> None:
    connection: asyncpg.Connection[asyncpg.Record] | None = None
    try:
        while True:
            if connection is None or connection.is_closed():
                try:
                    connection = await asyncpg.connect(database_url)
                except (OSError, asyncpg.PostgresError):
                    out.print("Postgres is gone; starting it again. What was committed is there.")
                    await asyncio.to_thread(server.start)
            await asyncio.sleep(WATCH_SECONDS)
    finally:
        if connection is not None:
            connection.terminate()
        server.stop()


async def _watch_redis(server: Redis, redis_url: str) -> None:
    import redis.asyncio  # not above: half a second for commands that do without

    client = redis.asyncio.Redis.from_url(redis_url)
    try:
        while True:
            try:
                await client.ping()
            except redis.RedisError:
                out.print("Redis is gone; starting it again. Its work is derived again.")
                await asyncio.to_thread(server.start)
            await asyncio.sleep(WATCH_SECONDS)
    finally:
        await client.aclose()
        server.stop()


async def wait_until_ready(url: str) -> None:
    """Return once the API answers that it is ready; raises `CannotGoOn` when it does not within a minute."""
    deadline = asyncio.get_running_loop().time() + READY_SECONDS_MAX
    while not await asyncio.to_thread(_is_ready, url):
        if asyncio.get_running_loop().time() > deadline:
            raise CannotGoOn(f"The API does not get ready; see {_logs()}.")
        await asyncio.sleep(READY_PAUSE_SECONDS)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=5) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except OSError:
        return False


def _logs() -> Path:
    return servers_directory() / "logs"


def _url(chosen: Settings) -> str:
    """The address to show and to ask: a wildcard is no address to go to."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(chosen.host, chosen.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{chosen.port}"
