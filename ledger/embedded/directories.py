"""Where embedded servers keep their files, who may enter, and how processes agree on who starts
and stops them.
"""

import fcntl
import hashlib
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

SOCKET_PATH_BYTES_MAX = 100
"""A unix socket's path may have 107 bytes on Linux and 103 on macOS; Postgres adds `.lock` to a
second file beside it.
"""

SYSTEM_DIRECTORY = Path("/var/lib/ledger")


class EmbeddedServerError(Exception):
    """An embedded server cannot be started, reached or stopped; the message says which, why and
    what helps.
    """


def server_account() -> pwd.struct_passwd | None:
    """The account that Postgres runs under when we are root, which it refuses to run as; None when
    we are not root.

    Raises EmbeddedServerError when root's machine has neither `postgres` nor `nobody`.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedServerError("Postgres does not run as root, and there is no account `postgres` or `nobody` to run it")


def may_enter(directory: Path, account: pwd.struct_passwd) -> bool:
    """Whether the account may pass through every existing directory on the way to this one."""
    for step in (directory, *directory.parents):
        with suppress(FileNotFoundError):
            status = step.stat()
            if status.st_uid == account.pw_uid:
                allowed = stat.S_IXUSR
            elif status.st_gid == account.pw_gid:
                allowed = stat.S_IXGRP
            else:
                allowed = stat.S_IXOTH
            if not status.st_mode & allowed:
                return False
    return True


def choose_directory(environ: Mapping[str, str], *, checkout: Path | None = None) -> Path:
    """The directory for all embedded servers' files, the same at each start by the same user.

    1. `LEDGER_DATA_DIR` when set. 2. `.ledger` in the checkout that this package runs from, when
    we may write there and (as root) the account of Postgres may enter: never below a closed home
    such as /root. 3. As root `/var/lib/ledger`, which survives a restart of the machine. 4.
    `ledger` under `XDG_DATA_HOME` or `~/.local/share`. 5. Without a home, `ledger-<uid>` in the
    directory for temporary files.
    """
    if chosen := environ.get("LEDGER_DATA_DIR"):
        return Path(chosen).absolute()
    account = server_account()
    root = checkout or Path(__file__).resolve().parents[2]
    if (
        (root / "pyproject.toml").is_file()
        and os.access(root, os.W_OK)
        and (account is None or may_enter(root, account))
    ):
        return root / ".ledger"
    if account is not None:
        return SYSTEM_DIRECTORY
    if share := environ.get("XDG_DATA_HOME"):
        return Path(share) / "ledger"
    if (home := environ.get("HOME")) and os.access(home, os.W_OK):
        return Path(home) / ".local" / "share" / "ledger"
    return Path(tempfile.gettempdir()) / f"ledger-{os.geteuid()}"


def make_directory(path: Path, *, mode: int, owner: pwd.struct_passwd | None = None) -> Path:
    """The directory, made if need be, with exactly this mode and owner (ours unless given).

    Missing parents are made; existing ones are never touched. Raises EmbeddedServerError when
    somebody else owns it (a directory in a shared place may have been put there for us) or when it
    cannot be made.
    """
    owner_uid = os.geteuid() if owner is None else owner.pw_uid
    try:
        for parent in reversed([parent for parent in path.parents if not parent.exists()]):
            parent.mkdir(exist_ok=True)
            parent.chmod(0o711)  # whatever the umask: the server's account has to pass
        path.mkdir(exist_ok=True, mode=mode)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {os.geteuid(), owner_uid}:
            raise EmbeddedServerError(f"{path} belongs to somebody else; remove it, or set LEDGER_DATA_DIR")
        if owner is not None:
            os.chown(path, owner.pw_uid, owner.pw_gid)
        path.chmod(mode)
    except OSError as error:
        raise EmbeddedServerError(f"cannot make {path}: {error.strerror}; set LEDGER_DATA_DIR") from error
    return path


def socket_directory(directory: Path, *, longest_name: str) -> Path:
    """`socket` in the server's directory, or a short path for temporary files where a socket's
    path is limited.

    A comma or a quote would end the path early in Postgres' own settings and in connection strings.
    """
    inside = directory / "socket"
    if len(os.fsencode(inside / longest_name)) <= SOCKET_PATH_BYTES_MAX and not {
        ",",
        '"',
        "'",
    } & set(str(inside)):
        return inside
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path("/tmp") / f"ledger-{digest}"  # noqa: S108 - made private and checked by make_directory


def remove_socket_directory(sockets: Path, directory: Path) -> None:
    """Remove the sockets' directory of a stopped server where it stands outside the server's own."""
    if sockets.parent != directory:
        with suppress(OSError):
            sockets.rmdir()


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Hold the lock file alone: one process at a time makes, starts or stops the server. Waits for
    its turn.
    """
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Lease:
    """A share in a running server, held through a lock file that the kernel lets go of when its
    process dies.

    The last holder stops the server; a second supervisor of the same directory does not have it
    stopped under it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process holds its share."""
        return self._descriptor is not None

    def take(self) -> None:
        """Hold a share; nothing happens when it is held already."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def give_back(self) -> bool:
        """Let go of the share and answer whether it was the last one."""
        if self._descriptor is None:
            return False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(self._descriptor)
            self._descriptor = None


def open_log(log: Path) -> IO[bytes]:
    """The server's log, to append to; only its owner may read it, for it can quote statements."""
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def last_lines(log: Path, *, lines_max: int = 15) -> str:
    """The end of a server's log, for an error message."""
    with suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines_max:])
    return ""
