"""Sends signed webhooks, a process of its own: `python -m benchmarks.webhook_load PORT COUNT` prints the seconds.

Every message is of the size that an invoice of a few lines has, bears an id of its own and is answered before the next
one of its connection is sent.
"""

import asyncio
import hmac
import sys
import time
from hashlib import sha256

import msgspec
import uvloop

SECRET = "whsec_bench"
CONNECTIONS = 32
BODY_BYTES = 4_000


class WebhookError(Exception):
    """A message was not answered with 200."""


def requests(count: int, signed_at: int) -> list[bytes]:
    """Whole HTTP requests, ready to be sent."""
    return [request(number, signed_at) for number in range(count)]


def request(number: int, signed_at: int) -> bytes:
    """One webhook."""
    told = {
        "id": f"evt_{number}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": signed_at,
        "type": "invoice.updated",
        "data": {"object": {"id": f"in_{number}", "object": "invoice", "description": "x" * BODY_BYTES}},
    }
    body = msgspec.json.encode(told)
    signature = hmac.new(SECRET.encode(), b"%d.%b" % (signed_at, body), sha256).hexdigest()
    head = (
        "POST /v1/webhooks/stripe HTTP/1.1\r\nhost: ledger\r\ncontent-type: application/json\r\n"
        f"stripe-signature: t={signed_at},v1={signature}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def deliver(port: int, messages: list[bytes]) -> None:
    """Send messages over one connection, one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for message in messages:
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise WebhookError(head.decode())
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
    writer.close()


async def load(port: int, count: int) -> float:
    """The seconds from the first byte sent to the last answer."""
    messages = requests(count, int(time.time()))
    began = time.perf_counter()
    await asyncio.gather(*(deliver(port, messages[start::CONNECTIONS]) for start in range(CONNECTIONS)))
    return time.perf_counter() - began


if __name__ == "__main__":
    print(uvloop.run(load(int(sys.argv[1]), int(sys.argv[2]))))
