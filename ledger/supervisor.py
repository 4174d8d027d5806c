"""Keeps the processes of one ledger running: starts them, restarts what dies, stops them in order."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

RESTARTS_MAX: Final = 5
RESTART_WINDOW_SECONDS: Final = 60
RESTART_PAUSE_SECONDS: Final = 0.5
STOP_SECONDS_MAX: Final = 20
LOG_BYTES_MAX: Final = 16 * 1024 * 1024
LOG_TAIL_BYTES: Final = 2_000

STOP_WITH_PARENT: Final = "LEDGER_STOP_WITH_PARENT"
"""Set for our children: they stop when their standard input ends, which it does with us, however we die."""


class Program(NamedTuple):
    """One of the ledger's own processes: `ledger <arguments>`."""

    name: str
    arguments: tuple[str, ...]


class GaveUp(Exception):
    """A process died so often that starting it again helps nobody; the message says which and how it ended."""


class Supervisor:
    """Runs programs as children, in the order given, and stops them in the opposite order.

    Each writes its output to `<logs>/<name>.log`. `report` gets a sentence whenever one dies.
    """

    def __init__(
        self, programs: Sequence[Program], environ: Mapping[str, str], *, logs: Path, report: Callable[[str], None]
    ) -> None:
        self._programs = programs
        self._environ = {**environ, STOP_WITH_PARENT: "1", "PYTHONUNBUFFERED": "1"}
        self._logs = logs
        self._report = report
        self._living: dict[str, asyncio.subprocess.Process] = {}
        self._died: dict[str, list[float]] = {program.name: [] for program in programs}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """All programs run inside; the task ends only by raising `GaveUp`."""
        self._logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        watch: asyncio.Task[None] | None = None
        try:
            for program in self._programs:
                await self._start(program)
            watch = asyncio.create_task(self._watch(), name="supervisor")
            yield watch
        finally:
            if watch is not None:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
            for program in reversed(self._programs):
                await self._stop(program.name)

    def pids(self) -> dict[str, int]:
        """The process number of each living program."""
        return {name: process.pid for name, process in self._living.items()}

    def log_of(self, name: str) -> Path:
        """Where a program's output goes."""
        return self._logs / f"{name}.log"

    async def _watch(self) -> None:
        keepers = [asyncio.create_task(self._keep(program), name=program.name) for program in self._programs]
        try:
            await asyncio.gather(*keepers)
        finally:
            for keeper in keepers:
                keeper.cancel()

    async def _keep(self, program: Program) -> None:
        while True:
            process = self._living[program.name]
            status = await process.wait()
            self._require_patience(program.name, status)
            await asyncio.sleep(RESTART_PAUSE_SECONDS)
            await self._start(program)

    def _require_patience(self, name: str, status: int) -> None:
        """Count a death; raises `GaveUp` where there were too many of late."""
        now = asyncio.get_running_loop().time()
        died = [at for at in self._died[name] if now - at < RESTART_WINDOW_SECONDS]
        self._died[name] = [*died, now]
        ended = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
        if len(died) >= RESTARTS_MAX:
            raise GaveUp(f"The {name} {ended}, {len(died) + 1} times in a minute. {self._last_words(name)}")
        self._report(f"The {name} {ended}; starting it again ({len(died) + 1} of {RESTARTS_MAX}).")

    async def _start(self, program: Program) -> None:
        with _open_log(self.log_of(program.name)) as log:
            self._living[program.name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ledger", *program.arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environ,
                start_new_session=True,  # Ctrl-C is for us: we stop the others in order
            )

    async def _stop(self, name: str) -> None:
        process = self._living.pop(name, None)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
        except TimeoutError:
            self._report(f"The {name} did not stop within {STOP_SECONDS_MAX} s and was killed; nothing stored is lost.")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _last_words(self, name: str) -> str:
        with contextlib.suppress(OSError):
            tail = self.log_of(name).read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip().splitlines()
            return f"Its log {self.log_of(name)} ends with: {tail[-1]}" if tail else ""
        return ""


def _open_log(path: Path) -> IO[bytes]:
    """A file to append to, for its owner's eyes alone; a long log makes room first."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")
