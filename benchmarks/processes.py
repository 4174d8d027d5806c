"""The ledger's processes as children of the benchmark, and what they answer."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

import msgspec

from benchmarks.load import Load, Outcome

LEDGER = [sys.executable, "-m", "ledger"]
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 15
RUN_SECONDS_MAX = 300
SHOWN_BYTES_MAX = 4_000

Answer = TypeVar("Answer")


@asynccontextmanager
async def running_api(database_url: str, *, module: str = "ledger", **variables: str) -> AsyncIterator[int]:
    """`ledger serve` on the database and a free port of this machine, which is yielded once it answers.

    `module` is what runs it, where that is not the ledger as it is; `variables` are set in its environment.
    """
    port = _free_port()
    command = [sys.executable, "-m", module, "serve"]
    async with _running(command, database_url, LEDGER_PORT=str(port), **variables) as process:
        await asyncio.to_thread(_wait_until_ready, port, process)
        yield port


@asynccontextmanager
async def running_projector(database_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`ledger projector` on the database."""
    async with _running([*LEDGER, "projector"], database_url) as process:
        yield process


@asynccontextmanager
async def running_sealer(database_url: str, keys: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Nothing but what the projector's process does for the seal, with its keys in the directory."""
    command = [sys.executable, "-m", "benchmarks.seal"]
    async with _running(command, database_url, LEDGER_SEAL_KEYS=str(keys)) as process:
        yield process


async def send(load: Load) -> Outcome:
    """What came of a load, sent by a process of its own."""
    return await run("benchmarks.load", msgspec.json.encode(load).decode(), answer=Outcome)


async def run(module: str, *arguments: str, answer: type[Answer]) -> Answer:
    """What a module of ours prints as JSON when it is run; its errors go where ours go."""
    command = [sys.executable, "-m", module, *arguments]
    # In a thread and by way of a file: what a child wrote to a pipe was found cut short now and then.
    with TemporaryFile() as said:
        finished = await asyncio.to_thread(subprocess.run, command, stdout=said, timeout=RUN_SECONDS_MAX, check=False)
        if finished.returncode != 0:
            raise ProcessFailed(f"python -m {module} ended with status {finished.returncode}")
        said.seek(0)
        return msgspec.json.decode(said.read(), type=answer)


class ProcessFailed(Exception):
    """A child did not do what a benchmark needs of it."""


@asynccontextmanager
async def _running(
    command: list[str], database_url: str, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "LEDGER_HOST": "127.0.0.1", "LEDGER_DATABASE_URL": database_url, **variables}
    with TemporaryFile() as said:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said
        )
        is_well = False
        try:
            yield process
            is_well = process.returncode is None
        finally:
            if not is_well:
                said.seek(0)
                sys.stderr.buffer.write(said.read()[-SHOWN_BYTES_MAX:])
            await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_ready(port: int, process: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.returncode is None:
        with (
            suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5),
        ):
            return
        time.sleep(0.02)
    raise ProcessFailed("the API did not become ready")
