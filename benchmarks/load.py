"""The load generator, a process of its own: `python -m benchmarks.load SPECIFICATION` prints what came of it.

It encodes every request before it sends the first and keeps its connections open, so that it takes as little as can
be of the cores that it shares with what it measures.
"""

import asyncio
import sys
import time
from itertools import islice
from typing import cast

import msgspec
import uvloop

from benchmarks.workload import usage_events


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: `events` in requests of `batch_size`, over some connections with one request each under way.

    `rate` is in events a second; None sends as fast as answers come.
    """

    port: int
    key: str
    connections: int
    batch_size: int
    events: int
    rate: float | None = None
    run: str = "run"


class Outcome(msgspec.Struct, frozen=True):
    """What came of a load: how long it took, and for each request when it was answered and with which position.

    `answered_at` is on the machine's monotonic clock, which all its processes share.
    """

    seconds: float
    answered_at: list[float]
    positions: list[int]
    latencies_seconds: list[float]


class _Receipt(msgspec.Struct):
    position: int
    stored: int
    held: list[msgspec.Raw]


class LoadError(Exception):
    """An answer was not that every event of the request is stored and counts."""


_receipts = msgspec.json.Decoder(_Receipt)


class _Connection(asyncio.Protocol):
    """Sends its requests one after the other; `interval` seconds apart at least, counted from its `start`."""

    def __init__(self, requests: list[bytes], batch_size: int) -> None:
        self._requests = requests
        self._batch_size = batch_size
        self._answer = b""
        self._sent_at = 0.0
        self._next = 0
        self._start = 0.0
        self._interval = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers: list[tuple[float, int, float]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def begin(self, start: float, interval: float) -> None:
        """Send the first request at `start`."""
        self._start, self._interval = start, interval
        self._send_in_time()

    def _send_in_time(self) -> None:
        if self._next == len(self._requests):
            self._transport.close()
            self.done.set_result(None)
            return
        wait = self._start + self._next * self._interval - time.monotonic()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._send)
        else:
            self._send()

    def _send(self) -> None:
        self._sent_at = time.monotonic()
        self._transport.write(self._requests[self._next])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, body = self._answer.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        now = time.monotonic()
        self._answer = b""
        receipt = _receipts.decode(body) if head.startswith(b"HTTP/1.1 200") else None
        if receipt is None or receipt.stored != self._batch_size or receipt.held:
            self._fail(LoadError((head + b"\n" + body)[:1_000].decode()))
            return
        self.answers.append((now, receipt.position, now - self._sent_at))
        self._send_in_time()

    def connection_lost(self, fault: Exception | None) -> None:
        self._fail(fault or LoadError("the connection was closed"))

    def _fail(self, fault: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(fault)


def encode_requests(load: Load) -> list[list[bytes]]:
    """The requests of each connection, head and body."""
    media_type = "application/cloudevents+json" if load.batch_size == 1 else "application/cloudevents-batch+json"
    head = (
        f"POST /v1/usage HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\nAuthorization: Bearer {load.key}\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: "
    ).encode()
    events = usage_events(load.events, run=load.run)
    requests: list[list[bytes]] = [[] for _ in range(load.connections)]
    number = 0
    while batch := list(islice(events, load.batch_size)):
        body = batch[0] if load.batch_size == 1 else b"[" + b",".join(batch) + b"]"
        requests[number % load.connections].append(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        number += 1
    return requests


async def carry_out(load: Load) -> Outcome:
    """Send it all; raises `LoadError` at the first answer that is not "stored"."""
    requests = encode_requests(load)
    loop = asyncio.get_running_loop()
    connections: list[_Connection] = []
    for own in requests:
        _, connection = await loop.create_connection(
            lambda own=own: _Connection(own, load.batch_size),  # type: ignore[misc]
            "127.0.0.1",
            load.port,
        )
        connections.append(connection)
    interval = load.batch_size * load.connections / load.rate if load.rate else 0.0
    start = time.monotonic()
    for number, connection in enumerate(connections):
        connection.begin(start + interval * number / load.connections, interval)
    await asyncio.gather(*(connection.done for connection in connections))
    answers = sorted(answer for connection in connections for answer in connection.answers)
    return Outcome(
        seconds=answers[-1][0] - start,
        answered_at=[at for at, _, _ in answers],
        positions=[position for _, position, _ in answers],
        latencies_seconds=[latency for _, _, latency in answers],
    )


if __name__ == "__main__":
    outcome = uvloop.run(carry_out(msgspec.json.decode(sys.argv[1], type=Load)))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
