"""`./dev` on a machine that has only Python: what it keeps of the environment, when it installs,
what it says.
"""

import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def dev() -> ModuleType:
    """The script as a module, new for each test."""
    loader = importlib.machinery.SourceFileLoader("dev", str(ROOT / "dev"))
    spec = importlib.util.spec_from_loader("dev", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def run_dev(script: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script from the root directory with these variables and a PATH, and no others."""
    return subprocess.run(
        [sys.executable, script, *arguments],
        env={"PATH": os.environ["PATH"], **variables},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_executable_and_tells_its_commands() -> None:
    assert os.access(ROOT / "dev", os.X_OK)
    said = run_dev(ROOT / "dev", "--help", LANG="C", HOME="")
    assert said.returncode == 0
    for command in ("demo", "up", "test", "check", "bench", "setup"):
        assert f"\n  {command} " in said.stdout


def test_an_unknown_command_is_refused() -> None:
    said = run_dev(ROOT / "dev", "nonsense")
    assert said.returncode == 2
    assert "invalid choice" in said.stderr


def test_ci_calls_it_and_is_executable() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "./dev test" in (ROOT / ".ci" / "run").read_text()


def test_without_an_index_it_says_so_in_words(tmp_path: Path) -> None:
    """Given a checkout at a path with a space, no home, and no network (pip is told to use
    none).
    """
    checkout = tmp_path / "a check out"
    checkout.mkdir()
    for name in ("dev", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, checkout / name)
    said = run_dev(checkout / "dev", "setup", PIP_NO_INDEX="1", UV_OFFLINE="1", LANG="C")
    assert said.returncode == 1
    assert "is the package index reachable" in said.stderr
    assert "Traceback" not in said.stderr
    assert not (checkout / ".venv" / "ledger-stamp").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = run_dev(ROOT / "dev", "setup", LEDGER_VENV=str(tmp_path / "file" / "venv"))
    assert said.returncode == 1
    assert "set LEDGER_VENV" in said.stderr


def test_nothing_is_installed_when_the_stamp_matches(dev: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "run", lambda *_: pytest.fail("a program was run"))
    (tmp_path / "ledger-stamp").write_text(dev.fingerprint(tmp_path))
    dev.set_up(tmp_path)


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_another_pin_or_dependency_installs_again(
    dev: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("before")
    before = dev.fingerprint(tmp_path / "venv")
    assert dev.fingerprint(tmp_path / "venv") == before
    (tmp_path / changed).write_text("after")
    assert dev.fingerprint(tmp_path / "venv") != before


def test_an_environment_whose_python_is_gone_or_that_was_moved_is_made_again(dev: Any, tmp_path: Path) -> None:
    program = tmp_path / "venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.touch()
    before = dev.fingerprint(tmp_path / "venv")
    program.unlink()
    assert dev.fingerprint(tmp_path / "venv") != before
    assert dev.fingerprint(tmp_path / "moved").splitlines()[-1] != before.splitlines()[-1]


def test_two_at_once_install_once(dev: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the lock and then finds the stamp."""
    venv = tmp_path / "venv"
    venv.mkdir()

    def other_finishes(*_: Any) -> None:
        (venv / "ledger-stamp").write_text(dev.fingerprint(venv))

    monkeypatch.setattr(dev.fcntl, "flock", other_finishes)
    monkeypatch.setattr(dev, "run", lambda *_: pytest.fail("a program was run"))
    dev.set_up(venv)


def test_settings_that_send_packages_elsewhere_are_dropped_and_those_of_the_network_kept(
    dev: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = ("PIP_TARGET", "PIP_PREFIX", "PIP_CONSTRAINT", "UV_SYSTEM_PYTHON", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    kept = {"PIP_INDEX_URL": "https://index.example/simple", "PIP_CERT": "/cert.pem", "UV_HTTP_TIMEOUT": "9"}
    for name in odd:
        monkeypatch.setenv(name, "/elsewhere")
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PIP_USER", "1")
    for name in ("SSL_CERT_FILE", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    variables = dev.environment(tmp_path)
    assert not set(odd) & set(variables)
    assert kept.items() <= variables.items()
    assert variables["PIP_USER"] == "0"
    assert variables["SSL_CERT_FILE"] == "/cert.pem"
    assert variables["UV_DEFAULT_INDEX"] == kept["PIP_INDEX_URL"]


@pytest.mark.parametrize("home", [None, "", "/nonexistent"])
def test_without_a_home_the_caches_stand_in_the_environment(
    dev: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    for name in ("PIP_CACHE_DIR", "UV_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    variables = dev.environment(tmp_path)
    assert Path(variables["UV_CACHE_DIR"]).is_relative_to(tmp_path)
    assert Path(variables["PIP_CACHE_DIR"]).is_relative_to(tmp_path)
    assert variables["HOME"] == str(tmp_path)


def old_python(dev: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    version = namedtuple("version", "major minor micro")  # noqa: PYI024 - stands in for sys.version_info
    monkeypatch.setattr(dev.sys, "version_info", version(3, 9, 2))


def test_an_old_python_says_which_is_needed(
    dev: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old_python(dev, monkeypatch)
    monkeypatch.setattr(dev.shutil, "which", lambda name: None)
    assert dev.main(["setup"]) == 1
    assert "this is Python 3.9" in capsys.readouterr().err


def test_an_old_python_goes_on_as_a_newer_one_of_the_machine(dev: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old_python(dev, monkeypatch)
    became: list[list[str]] = []
    monkeypatch.setattr(dev.shutil, "which", lambda name: "/new/python" if name == "python3.12" else None)
    monkeypatch.setattr(dev.subprocess, "call", lambda *_, **__: 0)

    def become(program: str, arguments: list[str]) -> None:
        became.append(arguments)
        raise SystemExit

    monkeypatch.setattr(dev.os, "execv", become)
    with pytest.raises(SystemExit):
        dev.require_python()
    assert became[0][:2] == ["/new/python", str(ROOT / "dev")]


def test_the_counts_come_from_pytests_report(dev: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    suite = '<testsuites><testsuite errors="1" failures="2" skipped="3" tests="16"/></testsuites>'
    report.write_text(suite)
    assert dev.count_tests(report) == "10 passed, 3 failed, 3 skipped"
    assert dev.count_tests(tmp_path / "absent.xml") == "0 passed, 1 failed"


def test_one_failed_step_fails_all(dev: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.summarise([("lint", True, 1.0)]) == 0
    assert dev.summarise([("lint", True, 1.0), ("types", False, 2.0)]) == 1
    assert "FAILED    2.0 s  types" in capsys.readouterr().out


def test_arguments_of_test_go_to_pytest_alone(dev: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "set_up", lambda venv: None)
    monkeypatch.setattr(dev, "run_pytest", lambda venv, arguments: len(arguments))
    assert dev.main(["test", "-k", "ledger", "-x"]) == 3
