"""The supervisor: restarts what dies, gives up in time, stops in order. Its children are cheap commands."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from ledger import supervisor as supervisor_module
from ledger.supervisor import GaveUp, Program, Supervisor

ROOT = Path(__file__).resolve().parents[1]


def supervisor(programs: list[Program], logs: Path, said: list[str], database_url: str = "") -> Supervisor:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "LEDGER_DATABASE_URL": database_url}
    return Supervisor(programs, environ, logs=logs, report=said.append)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "RESTART_PAUSE_SECONDS", 0)


async def test_a_program_that_keeps_dying_is_given_up_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "RESTARTS_MAX", 2)
    said: list[str] = []
    broken = supervisor([Program("projector", ("projector",))], tmp_path, said, "mysql://nonsense")
    async with broken.running() as watch:
        with pytest.raises(
            GaveUp, match=r"The projector ended with status 2, 3 times in a minute.*LEDGER_DATABASE_URL"
        ):
            await asyncio.wait_for(watch, 30)
    assert said == [
        "The projector ended with status 2; starting it again (1 of 2).",
        "The projector ended with status 2; starting it again (2 of 2).",
    ]


async def test_a_killed_program_is_started_again_and_all_stop_at_the_end(tmp_path: Path, database_url: str) -> None:
    said: list[str] = []
    programs = [Program(name, ("projector",)) for name in ("one", "two")]
    keeper = supervisor(programs, tmp_path, said, database_url)
    async with keeper.running() as watch:
        first = keeper.pids()
        os.kill(first["one"], signal.SIGKILL)
        for _ in range(200):
            if keeper.pids()["one"] != first["one"]:
                break
            await asyncio.sleep(0.02)
        last = keeper.pids()
        assert not watch.done()
        await asyncio.sleep(1)
    assert said == ["The one ended by signal 9; starting it again (1 of 5)."]
    assert last["one"] != first["one"]
    assert last["two"] == first["two"]
    for pid in last.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_logs_are_for_their_owner_alone_and_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "LOG_BYTES_MAX", 10)
    (tmp_path / "schema.log").write_text("more than ten bytes")
    said: list[str] = []
    async with supervisor([Program("schema", ("--help",))], tmp_path, said).running():
        await asyncio.sleep(0.1)
    assert (tmp_path / "schema.log.1").read_text() == "more than ten bytes"
    assert (tmp_path / "schema.log").stat().st_mode & 0o777 == 0o600
