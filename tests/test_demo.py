"""`ledger demo` from nothing: it loads, answers, stops, starts again, and survives the death of all its processes."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest

from ledger.cli.demo_stripe import stand_in
from ledger.cli.faults import CannotGoOn
from ledger.sandbox.billing import BILLED_BY_STRIPE

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 60
QUERY = """
query ($from: Date!, $to: Date!) {
  account(key: "northwind-robotics") {
    ... on Account { name usage(meter: "api_requests", from: $from, to: $to, window: TOTAL) {
      ... on UsageSeries { rows { quantity eventCount } }
    } }
  }
}
"""


LIVED_QUERY = """
{
  adjustments(first: 100) { edges { node { key state proposedBy outcome { isAutomatic } } } }
  account(key: "lantern-support") { closedPeriods(last: 1) { edges { node { assessments { action } } } } }
  billed: account(key: "glacier-lab") { platform { customers { id } subscriptions { id } invoices { id } } }
}
"""
LIVED = {
    "states": ["APPROVED", "PROPOSED", "REJECTED", "REVERSED", "WITHDRAWN"],
    "proposers": ["Olivia Ops (generated)", "ledger"],
    "automatic": ["goodwill-1"],
    "late": ["CARRY_FORWARD"],
    "platform": {"customers": 1, "subscriptions": 1, "invoices": 1},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Demo:
    """One run of `ledger demo`, from its start to the line that says how to stop it."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("LEDGER_", "OTEL_", "STRIPE_"))
        }
        environ |= {"LEDGER_DATA_DIR": str(directory), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ledger", "demo", "--port", str(self.port), "--events", "2500", *options],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = ""
        while "Ctrl-C stops it" not in self.said:
            line = self.process.stdout.readline()
            assert line, f"the demo ended: {self.said}"
            self.said += line
        self.seconds = time.monotonic() - began
        self.keys = dict(re.findall(r"^ *(API key|ops|approver|admin): *(lk_\S+)$", self.said, re.MULTILINE))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.interrupt()

    def ask(self, path: str, body: object = None, *, key: str = "API key") -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", content)
        request.add_header("Authorization", f"Bearer {self.keys[key]}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def events(self) -> int:
        return int(self.ask("/health/ready")["position"])

    def requests(self) -> int:
        """The requests of one account over all of the generated month, as GraphQL tells them."""
        found = re.search(r"up to (\d+)-(\d+)-(\d+)", self.said)
        assert found is not None
        year = int(found.group(1))
        variables = {"from": f"{year - 1}-12-01", "to": f"{year}-12-31"}
        answer = self.ask("/graphql", {"query": QUERY, "variables": variables})
        assert "errors" not in answer, answer
        (row,) = answer["data"]["account"]["usage"]["rows"]
        return int(row["quantity"])

    def lived(self) -> dict[str, object]:
        """What the made-up people did, as the API tells it to one of them."""
        answer = self.ask("/graphql", {"query": LIVED_QUERY}, key="ops")
        assert "errors" not in answer, answer
        data = answer["data"]
        nodes = [edge["node"] for edge in data["adjustments"]["edges"]]
        (closed,) = data["account"]["closedPeriods"]["edges"]
        return {
            "states": sorted({node["state"] for node in nodes}),
            "proposers": sorted({node["proposedBy"] for node in nodes}),
            "automatic": [node["key"] for node in nodes if node["outcome"] and node["outcome"]["isAutomatic"]],
            "late": [one["action"] for one in closed["node"]["assessments"]],
            "platform": {kind: len(found) for kind, found in data["billed"]["platform"].items()},
        }

    def children(self) -> list[int]:
        return [
            int(pid)
            for children in Path(f"/proc/{self.process.pid}/task").glob("*/children")
            for pid in children.read_text().split()
        ]

    def kill_everything(self) -> None:
        for pid in [*self.children(), self.process.pid]:
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        self.said += said
        return self.process.returncode


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the test finds the processes in /proc")
def test_the_demo_loads_once_stops_in_order_and_loses_nothing_when_all_of_it_is_killed(server_directory: Path) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Demo(server_directory))
        assert "none of them real" in first.said
        assert list(first.keys) == ["API key", "ops", "approver", "admin"]
        for name, file in zip(first.keys, ("api-key", "ops-key", "approver-key", "admin-key"), strict=True):
            assert (server_directory / "demo" / file).stat().st_mode & 0o777 == 0o600
            assert (server_directory / "demo" / file).read_text() == first.keys[name]
        assert first.lived() == LIVED
        events, requests = first.events(), first.requests()
        assert events > 2_000
        assert requests > 0
        left = first.children()
        assert len(left) == 5, "Postgres, Redis, projector, worker, API"
        assert first.interrupt() == 0, first.said
        assert "Stopped." in first.said
        for pid in left:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

        second = stack.enter_context(Demo(server_directory))
        assert "Loading" not in second.said
        assert second.seconds < 20
        assert second.events() >= events, "the worker goes on: it closes periods and tells usage to the platform"
        assert (second.requests(), second.keys) == (requests, first.keys)
        second.kill_everything()

        third = stack.enter_context(Demo(server_directory))
        assert third.events() >= events
        assert (third.requests(), third.keys) == (requests, first.keys)
        assert third.interrupt() == 0, third.said


def test_the_demo_does_not_mix_with_events_of_ones_own(database_url: str, redis_url: str, tmp_path: Path) -> None:
    ours = {"LEDGER_DATABASE_URL": database_url, "LEDGER_REDIS_URL": redis_url, "LEDGER_DATA_DIR": str(tmp_path)}
    environ = {**os.environ, **ours, "PYTHONPATH": str(ROOT)}

    def ledger(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ledger", *arguments],
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    ledger("keys", "issue", "--name", "mine", "--role", "viewer")
    refused = ledger("demo", "--port", str(free_port()))
    assert refused.returncode == 2
    assert "holds events that are not the demo's" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "The log holds 1 events" in ledger("status").stdout
    wiped = ledger("demo", "--fresh", "--port", str(free_port()))
    assert wiped.returncode == 2
    assert "only the demo's own embedded database" in wiped.stderr


@pytest.mark.parametrize("name", ["STRIPE_API_KEY", "LEDGER_STRIPE_URL"])
async def test_a_demo_that_was_begun_with_a_stand_in_tells_nothing_to_another_stripe(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the guard the worker would tell made-up usage to whatever Stripe account the environment names."""
    end = datetime(2026, 11, 20, tzinfo=UTC)
    for variable in ("STRIPE_API_KEY", "LEDGER_STRIPE_URL", "STRIPE_WEBHOOK_SECRETS"):
        monkeypatch.setenv(variable, "")
    async with stand_in(tmp_path, end, is_loaded=False) as first:
        assert first is not None
        assert len(first.customers()) == len(BILLED_BY_STRIPE)
        customers = first.customers()
    monkeypatch.setenv("LEDGER_STRIPE_URL", "")
    async with stand_in(tmp_path, end, is_loaded=True) as second:
        assert second is not None
        assert second.customers() == customers
    monkeypatch.setenv("LEDGER_STRIPE_URL", "")

    monkeypatch.setenv(name, "sk_test_1" if name == "STRIPE_API_KEY" else "http://127.0.0.1:1")
    with pytest.raises(CannotGoOn, match="begun with a stand-in"):
        async with stand_in(tmp_path, end, is_loaded=True):
            pass
    async with stand_in(tmp_path / "other", end, is_loaded=False) as configured:
        assert configured is None


def test_planted_mismatches_are_found_and_left_in_a_ledger_of_their_own(server_directory: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LEDGER_", "STRIPE_"))}
    environ |= {"LEDGER_DATA_DIR": str(server_directory), "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [sys.executable, "-m", "ledger", "demo", "--reconcile"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS * 2,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "| sent_twice | sent_twice (quantity of tokens) | 100% |" in told.stdout
    found = re.search(r"Of (\d+) mismatches the planted cause stands first in (\d+);", told.stdout)
    assert found is not None
    assert found.group(1) == found.group(2)
    assert (server_directory / "demo" / "mismatches" / "postgres").is_dir()
