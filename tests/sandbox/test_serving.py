"""The Stripe sandbox as a server: the command tells webhooks; a journal makes a second sandbox what the first was."""

import hmac
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from ledger.sandbox.serving import Journal, StartableClock, inside
from ledger.sandbox.stripe import Sandbox
from ledger.sandbox.stripe.app import API_KEY

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30
BEGUN = datetime(2026, 9, 1, tzinfo=UTC)


class Listener(HTTPServer):
    """Takes what is posted, on the loopback; `came` is set by the first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.taken: list[tuple[bytes, str]] = []
        self.came = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Take(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append((body, self.headers["stripe-signature"]))
        self.send_response(200)
        self.end_headers()
        self.server.came.set()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the library calls it
        pass


def post(address: str, key: str, form: dict[str, str]) -> Any:
    request = urllib.request.Request(address, urllib.parse.urlencode(form).encode())
    request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_the_command_serves_a_sandbox_and_posts_signed_webhooks() -> None:
    listener = Listener()
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    arguments = ["stripe-sandbox", "--port", "0", "--webhook-url", listener.address]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([sys.executable, "-m", "ledger", *arguments], env=environ, stdout=-1, text=True)
    assert process.stdout is not None
    said = ""
    while "Ctrl-C" not in said:
        said += process.stdout.readline()
    told = dict(re.findall(r"^([A-Z_]+)=(\S+)$", said, re.MULTILINE))

    made = post(f"{told['LEDGER_STRIPE_URL']}/v1/customers", told["STRIPE_API_KEY"], {"name": "Acme"})

    assert listener.came.wait(PATIENCE_SECONDS)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 0
    listener.shutdown()
    listener.server_close()
    process.stdout.close()
    (body, signature) = listener.taken[0]
    assert (json.loads(body)["type"], json.loads(body)["data"]["object"]["id"]) == ("customer.created", made["id"])
    fields = dict(part.split("=", 1) for part in signature.split(","))
    snapshots, thin = told["STRIPE_WEBHOOK_SECRETS"].split(",")
    signed = hmac.new(snapshots.encode(), f"{fields['t']}.".encode() + body, "sha256").hexdigest()
    assert signed == fields["v1"]
    assert thin != snapshots


async def test_a_journal_makes_a_second_sandbox_what_the_first_was(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    first = Sandbox(BEGUN)
    async with inside(journal.keeping(first), API_KEY) as client:
        made = (await client.post("/v1/customers", data={"name": "Acme"})).json()
        await client.get("/v1/customers")
        await first.advance(BEGUN + timedelta(days=3))
        await client.post(f"/v1/customers/{made['id']}", data={"name": "Other"})

    second = Sandbox(StartableClock(BEGUN))
    await journal.relive(second)

    async with inside(second.app(), API_KEY) as client:
        found = (await client.get("/v1/customers")).json()["data"]
    async with inside(first.app(), API_KEY) as client:
        assert found == (await client.get("/v1/customers")).json()["data"]
    assert [(one["id"], one["name"], one["created"]) for one in found] == [
        (made["id"], "Other", int(BEGUN.timestamp()))
    ]
    assert second.clock.moment == BEGUN + timedelta(days=3)


async def test_what_was_planted_is_there_again_after_a_restart(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    first = Sandbox(BEGUN)
    meter = {"display_name": "Tokens", "event_name": "tokens", "default_aggregation[formula]": "sum"}
    event = {"event_name": "tokens", "payload[value]": "7"}
    async with inside(journal.keeping(first), API_KEY) as client:
        made = (await client.post("/v1/billing/meters", data=meter)).json()
        acme = (await client.post("/v1/customers", data={"name": "Acme"})).json()["id"]
        for identifier in ("lost", "doubled"):
            told = event | {"identifier": identifier, "payload[stripe_customer_id]": acme}
            (await client.post("/v1/billing/meter_events", data=told)).raise_for_status()
    journal.plant(first, "drop_usage", "lost")
    journal.plant(first, "double_usage", "doubled")
    journal.plant(first, "add_usage", made["id"], acme, "0.5", int(BEGUN.timestamp()))

    second = Sandbox(StartableClock(BEGUN))
    await journal.relive(second)

    for sandbox in (first, second):
        counted = sandbox.state.usage.between(
            made["id"], acme, 0, int(BEGUN.timestamp()) + 60, received_by=int(BEGUN.timestamp())
        )
        assert sorted(one.value for one in counted) == [Decimal("0.5"), 7, 7]


async def test_a_clock_that_is_started_tells_the_time_and_what_came_due_before_was_done() -> None:
    clock = StartableClock(BEGUN)
    sandbox = Sandbox(clock)
    done: list[datetime] = []
    sandbox.state.agenda.at(int(BEGUN.timestamp()) + 60, lambda: done.append(sandbox.clock.moment))

    await clock.start(sandbox)

    assert done == [BEGUN + timedelta(minutes=1)]
    assert abs(sandbox.clock.moment - datetime.now(UTC)) < timedelta(seconds=2)
