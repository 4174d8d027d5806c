"""The long-running commands, one process each: `ledger serve`, `projector`, `worker`."""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from types import FrameType
from typing import Annotated, Any, Final, NoReturn

import msgspec
import structlog
import typer
import uvloop

from ledger.cli.faults import redis_fault
from ledger.cli.opening import Ledger, database, open_ledger, redis_server, seal_directory, settings
from ledger.cli.ports import require_free_port
from ledger.projections.runner import Projector
from ledger.sealing.sealer import seal_forever
from ledger.settings import Settings
from ledger.supervisor import STOP_WITH_PARENT
from ledger.telemetry import configure_logging

PARENT_READ_BYTES: Final = 4096

Host = Annotated[str | None, typer.Option(help="The address to listen on; 127.0.0.1 unless LEDGER_HOST says else.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="The port; 8000 unless LEDGER_PORT says else.")]


def serve(host: Host = None, port: Port = None) -> None:
    """Serve the HTTP and GraphQL API."""
    chosen = _begin(host=host, port=port)
    require_free_port(chosen.host, chosen.port)
    with database(chosen) as database_url:
        _run(_serve(chosen, database_url))


async def _serve(chosen: Settings, database_url: str) -> None:
    async with open_ledger(database_url):
        pass  # a database that cannot be opened is told in a sentence, before anything listens
    _tell_start("api")
    from ledger.app import serve as serve_app  # not above: GraphQL takes the other commands half a second to import

    await serve_app(chosen, database_url)


def projector() -> None:
    """Keep the read models behind the log up to date, and seal the log."""
    chosen = _begin()
    with database(chosen) as database_url:
        _run(_project(chosen, database_url))


async def _project(chosen: Settings, database_url: str) -> None:
    async with open_ledger(database_url) as ledger:
        _tell_start("projector")
        await _until_stopped(_projecting(ledger, chosen, database_url))


async def _projecting(ledger: Ledger, chosen: Settings, database_url: str) -> None:
    projecting = Projector(ledger.pool, ledger.log).run()
    directory = seal_directory(chosen)
    if directory is None:
        structlog.get_logger("sealer").warning("the log is not sealed: LEDGER_SEAL_KEYS is not set")
        await projecting
    else:
        await asyncio.gather(projecting, seal_forever(database_url, directory, chosen.seal_publish))


def worker() -> None:
    """Run background jobs and keep their schedule."""
    import redis  # not above, as what follows: half a second for commands that do without

    from ledger.workers.actors import declare_actors
    from ledger.workers.broker import open_broker
    from ledger.workers.worker import work

    chosen = _begin()
    with database(chosen) as database_url, redis_server(chosen) as redis_url:
        broker = open_broker(redis_url)
        try:
            broker.client.ping()
        except redis.RedisError as fault:
            raise redis_fault(fault) from fault
        declare_actors(broker, database_url, close_after=chosen.close_after, settings=chosen)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        _tell_start("worker")
        work(broker, stop)


def _begin(*, host: str | None = None, port: int | None = None) -> Settings:
    """The settings with what the command line says; logs and the end of our parent are looked after from here on."""
    chosen = settings()
    chosen = msgspec.structs.replace(chosen, host=host or chosen.host, port=port or chosen.port)
    configure_logging(chosen.log_format)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    if os.environ.get(STOP_WITH_PARENT):
        threading.Thread(target=_stop_with_parent, name="parent", daemon=True).start()
    return chosen


def _tell_start(name: str) -> None:
    structlog.get_logger("process").info("started", process=name)


def _leave(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - as signal calls it
    """End the process in order: uvicorn raises the signal again once it has finished its requests."""
    sys.exit(0)


def _stop_with_parent() -> None:
    """Stop this process once its parent is gone, however that came about: then our standard input ends."""
    while os.read(sys.stdin.fileno(), PARENT_READ_BYTES):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _run(main: Coroutine[Any, Any, None]) -> None:
    settle_memory()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def settle_memory() -> None:
    """Keep the garbage collector from what a process has loaded, and let it look seldom at what it makes.

    What a request or a step makes is dropped with it; looking for cycles among that 70 times a second found none and
    took a quarter of the time of an event.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _until_stopped(main: Coroutine[Any, Any, None]) -> None:
    """Run until done or told to stop."""
    task = asyncio.ensure_future(main)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
