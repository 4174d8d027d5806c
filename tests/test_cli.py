"""The command line as a person meets it: real processes, real servers, and what they say when something is wrong."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from ledger.commands.keys import key_parts
from ledger.projections.replay_shadow import LOCK
from ledger.projections.runner import Projector
from ledger.supervisor import STOP_WITH_PARENT
from tests.log.ledgers import open_ledger

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 30

Run = Callable[..., subprocess.CompletedProcess[str]]


def environ(**ours: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEDGER_", "OTEL_", "STRIPE_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **ours}


def ledger(*arguments: str, **ours: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ledger", *arguments],
        env=environ(**ours),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def run(database_url: str) -> Run:
    """Runs a command on this test's own ledger."""

    def run_on_database(*arguments: str) -> subprocess.CompletedProcess[str]:
        return ledger(*arguments, LEDGER_DATABASE_URL=database_url)

    return run_on_database


def assert_one_sentence(finished: subprocess.CompletedProcess[str], *said: str) -> None:
    """The command ended with status 2 and one sentence for a person, no traceback."""
    assert finished.returncode == 2, finished.stderr
    assert "Traceback" not in finished.stderr
    assert finished.stderr.startswith("ledger: ")
    assert finished.stderr.count("\n") == 1
    for words in said:
        assert words in finished.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def breach(database_url: str, statement: str) -> None:
    """Write where only the ledger may."""

    async def execute() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute())


@contextmanager
def process(*arguments: str, **ours: str) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "ledger", *arguments],
        env=environ(**ours),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert child.stderr is not None
    try:
        assert b"started" in child.stderr.readline(), "from here on it stops in order"
        yield child
    finally:
        child.kill()
        child.communicate()


def wait_until_live(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline, "the API does not answer"
            time.sleep(0.05)


def test_help_names_every_command() -> None:
    said = ledger("--help").stdout
    names = (
        "up demo import keys reasons seals verify status rebuild export schema migrate serve projector worker".split()
    )
    assert [name for name in names if not re.search(rf"^\s*\W?\s*{name}\s", said, re.MULTILINE)] == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LEDGER_DATABASE_URL", "mysql://user:secret@host/db", "expected an address such as postgresql://"),
        ("LEDGER_DATABASE_URL", "postgresql://user:secret@127.0.0.1:1/db", "127.0.0.1:1/db cannot be reached"),
        ("LEDGER_DATABASE_URL", "postgresql://user:secret@nowhere.invalid/db", "nowhere.invalid/db cannot be reached"),
        ("LEDGER_DATABASE_URL", "postgresql://user:secret@host:port/db", "LEDGER_DATABASE_URL"),
        ("LEDGER_PORT", "eighty", "LEDGER_PORT is 'eighty': expected a port"),
    ],
)
def test_a_wrong_setting_is_told_in_one_sentence_without_the_password(variable: str, value: str, said: str) -> None:
    finished = ledger("status", **{variable: value})
    assert_one_sentence(finished, said)
    assert "secret" not in finished.stderr


def test_an_absent_database_is_told_in_one_sentence(database_url: str) -> None:
    absent = re.sub(r"/test_\d+_\d+\?", "/absent?", database_url)
    assert_one_sentence(ledger("status", LEDGER_DATABASE_URL=absent), "There is no such database", "/absent")


def test_a_database_without_tables_asks_for_migrate_which_is_safe_to_repeat(empty_database_url: str) -> None:
    ours = {"LEDGER_DATABASE_URL": empty_database_url}
    for command in ("serve", "projector", "status"):
        # The role may be there from another database of the server, so either of the two may be what is missing.
        assert_one_sentence(ledger(command, **ours, LEDGER_PORT=str(free_port())), "run `ledger migrate`")
    assert "0001" in ledger("migrate", **ours).stdout
    assert ledger("migrate", **ours).stdout == "The database is up to date.\n"
    assert ledger("status", **ours).returncode == 0


def test_a_port_in_use_is_told_in_one_sentence(database_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for command in ("serve", "demo"):
            finished = ledger(command, "--port", port, LEDGER_DATABASE_URL=database_url)
            assert_one_sentence(finished, f"Port {port} of 127.0.0.1 is in use", "--port")


def test_a_worker_without_redis_says_so(database_url: str) -> None:
    finished = ledger("worker", LEDGER_DATABASE_URL=database_url, LEDGER_REDIS_URL="redis://127.0.0.1:1/0")
    assert finished.returncode == 2
    assert "Traceback" not in finished.stderr
    assert "Is it running, and is LEDGER_REDIS_URL its address?" in finished.stderr


def test_a_key_is_a_persons_where_it_says_so(run: Run) -> None:
    assert run("keys", "issue", "--name", "laptop", "--role", "ops", "--person", "Olivia").returncode == 0
    assert "Olivia" in run("keys", "list").stdout
    refused = run("keys", "issue", "--name", "x", "--role", "ops", "--person", "LEDGER")
    assert_one_sentence(refused, "ledger is no person")


def test_the_standard_reason_codes_are_added_once(run: Run) -> None:
    assert run("reasons", "add-standard").stdout == "17 reason codes added.\n"
    assert run("reasons", "add-standard").stdout == "0 reason codes added.\n"
    assert "Goodwill" in run("reasons", "list").stdout


def test_keys_are_issued_listed_and_revoked(run: Run) -> None:
    issued = run("keys", "issue", "--name", "gateway", "--role", "ingest", "--role", "viewer", "--expires-in-days", "9")
    text = issued.stdout.strip()
    parts = key_parts(text)
    assert parts is not None
    assert "shown this once" in issued.stderr

    listed = run("keys", "list").stdout
    assert parts[0] in listed
    assert "ingest, viewer" in listed
    assert parts[1] not in listed

    assert run("keys", "revoke", parts[0]).returncode == 0
    assert parts[0] not in run("keys", "list").stdout
    assert_one_sentence(run("keys", "revoke", "nothing"), 'There is no API key "nothing"')
    assert_one_sentence(run("keys", "issue", "--name", "x", "--role", "king"), "its roles must be some of viewer, ops")


def write_calls(folder: Path, rows: int) -> Path:
    path = folder / "calls.csv"
    lines = [f"2026-01-01T00:00:00Z,acme,call,{number}" for number in range(rows)]
    path.write_text("\n".join(["time,account,type,tokens", *lines, "never,acme,call,1"]) + "\n")
    return path


def test_an_import_says_what_became_of_each_row_and_the_second_stores_nothing(run: Run, tmp_path: Path) -> None:
    path = write_calls(tmp_path, 30)
    first, second = run("import", str(path)), run("import", str(path))
    assert first.returncode == second.returncode == 1, "rows were refused"
    assert "31 rows: stored 30 (held 30), duplicates 0, refused 1." in first.stdout
    assert 'held 30: no account has the key or alias "acme" (lines 2, 3, 4, 5, 6, ...)' in first.stdout
    assert '"never" in "time" is no time in the format iso. (lines 32)' in first.stdout
    assert "31 rows: stored 0 (held 0), duplicates 30, refused 1." in second.stdout
    (refused,) = (tmp_path / "calls.csv.refused.jsonl").read_text().splitlines()
    assert json.loads(refused)["row"] == {"time": "never", "account": "acme", "type": "call", "tokens": "1"}

    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    assert run("import", str(path)).returncode == 0
    assert not (tmp_path / "calls.csv.refused.jsonl").exists()


def test_a_dry_run_shows_the_first_events_and_stores_nothing(run: Run, tmp_path: Path) -> None:
    path = write_calls(tmp_path, 30)
    shown = [json.loads(line) for line in run("import", str(path), "--dry-run").stdout.splitlines()]
    assert [one["line"] for one in shown] == [2, 3, 4, 5, 6]
    assert shown[0]["event"]["data"] == {"tokens": 0}
    assert "The log holds 0 events" in run("status").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.csv"], "absent.csv cannot be read: No such file or directory"),
        (["."], "no known kind"),
        (["calls.csv", "--mapping", "absent.toml"], "absent.toml cannot be read"),
        (["calls.csv", "--zone", "Mars"], '"Mars" is not a time zone'),
    ],
)
def test_an_import_that_cannot_begin_says_why_in_one_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    write_calls(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    assert_one_sentence(run("import", *arguments), said)


def test_the_log_is_exported_whole_and_in_order(run: Run, tmp_path: Path) -> None:
    run("import", str(write_calls(tmp_path, 4_500)))
    lines = [json.loads(line) for line in run("export").stdout.splitlines()]
    assert [line["position"] for line in lines] == list(range(1, 4_501))
    assert lines[7]["state"]["data"] == {"tokens": 7}
    assert lines[7]["metadata"] == {"actor": "import", "source": "import"}

    target = tmp_path / "log.jsonl"
    run("export", "--after", "4490", "--output", str(target))
    assert len(target.read_text().splitlines()) == 10


def test_the_schema_and_a_rebuild_and_the_status_can_be_had(run: Run) -> None:
    assert "type Query" in run("schema").stdout
    assert run("rebuild").returncode == 0
    assert "building" in run("status").stdout


def test_a_replay_of_a_sound_ledger_says_equal_and_is_kept(run: Run, tmp_path: Path) -> None:
    run("import", str(write_calls(tmp_path, 30)))
    finished = run("replay")
    assert finished.returncode == 0, finished.stderr
    assert "usage_days" in finished.stdout
    assert "Equal: what queries see is what the log says" in finished.stdout
    stored = [line for line in map(json.loads, run("export").stdout.splitlines()) if line["topic"] == "ReplayFinished"]
    [(is_equal, metadata)] = [(line["state"]["is_equal"], line["metadata"]) for line in stored]
    assert is_equal
    metadata.pop("person", None)  # whoever runs the tests, where that has a name
    assert metadata == {"actor": "cli", "source": "cli", "operation": "replay"}
    assert "The last replay" in run("status").stdout


def test_a_replay_shows_how_far_it_is(run: Run, tmp_path: Path, database_url: str) -> None:
    """It ended in a TypeError where the bar was drawn before it knew how much there is."""

    async def project() -> None:
        async with open_ledger(database_url) as opened:
            await Projector(opened.pool, opened.log).catch_up()

    run("import", str(write_calls(tmp_path, 30)))
    asyncio.run(project())
    finished = run("replay")
    assert finished.returncode == 0, finished.stderr
    assert "30 of 30 events" in finished.stderr


def test_a_replay_that_finds_a_difference_names_it_and_ends_with_status_1(run: Run, database_url: str) -> None:
    breach(database_url, "insert into accounts values ('acme', 'Acme', 'UTC', '{}', now(), 7)")
    finished = run("replay")
    assert finished.returncode == 1, finished.stderr
    assert "They part in 1 tables and accounts, the first at position 7." in finished.stdout
    assert "accounts of acme: 1 rows, not before position 7" in finished.stdout
    assert "found differences" in run("status").stdout


def test_a_second_replay_is_told_that_there_is_one(run: Run, database_url: str) -> None:
    async def replay_beside_another() -> subprocess.CompletedProcess[str]:
        connection = await asyncpg.connect(database_url)
        await connection.execute("select pg_advisory_lock($1)", LOCK)
        finished = await asyncio.to_thread(run, "replay")
        await connection.close()
        return finished

    assert_one_sentence(asyncio.run(replay_beside_another()), "Another replay of this ledger is running")


def test_every_process_stops_in_order_when_told(database_url: str, redis_url: str) -> None:
    ours = {"LEDGER_DATABASE_URL": database_url, "LEDGER_REDIS_URL": redis_url}
    port = free_port()
    with (
        process("serve", "--port", str(port), **ours) as api,
        process("projector", **ours) as projector,
        process("worker", **ours) as worker,
    ):
        wait_until_live(port)
        children = (api, projector, worker)
        assert [child.poll() for child in children] == [None, None, None]
        for child, number in zip(children, (signal.SIGTERM, signal.SIGINT, signal.SIGTERM), strict=True):
            child.send_signal(number)
        assert [child.wait(PATIENCE_SECONDS) for child in children] == [0, 0, 0]


def test_a_process_stops_when_its_parent_is_gone(database_url: str) -> None:
    with process("projector", LEDGER_DATABASE_URL=database_url, **{STOP_WITH_PARENT: "1"}) as child:
        assert child.poll() is None
        assert child.stdin is not None
        child.stdin.close()
        child.stdin = None
        assert child.wait(PATIENCE_SECONDS) == 0


def test_a_served_key_works_at_once(database_url: str, run: Run) -> None:
    port = free_port()
    with process("serve", "--port", str(port), LEDGER_DATABASE_URL=database_url):
        wait_until_live(port)
        key = run("keys", "issue", "--name", "gateway", "--role", "ingest").stdout.strip()
        time.sleep(0.5)
        event = {
            "specversion": "1.0",
            "id": "1",
            "source": "test",
            "type": "call",
            "subject": "acme",
            "time": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        }
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/usage", json.dumps(event).encode())
        request.add_header("Content-Type", "application/cloudevents+json")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=5)
        assert refused.value.code == 401
        refused.value.close()
        request.add_header("Authorization", f"Bearer {key}")
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert json.load(answer)["stored"] == 1
