"""Request bodies, read whole within a limit that also holds after gunzip."""

import zlib
from collections.abc import Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from ledger.http.problems import Problem

GZIP_WINDOW = zlib.MAX_WBITS | 16
"""Tells zlib to expect the header and checksum of a gzip stream (zlib manual, inflateInit2)."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, *, bytes_max: int) -> bytes:
    """The request's body, inflated where it is gzip; raises the problems 400, 413, 415 before it holds more."""
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding not in (b"identity", b"gzip"):
        raise Problem(
            415,
            "encoding_unsupported",
            "Send the body as it is or with Content-Encoding: gzip.",
            headers={"accept-encoding": "gzip"},
        )
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and len(length) < 20 and int(length) > bytes_max:
        raise _too_large(bytes_max)
    chunks: list[bytes] = []
    size = 0
    is_more = True
    while is_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise _too_large(bytes_max)
        chunks.append(chunk)
        is_more = message.get("more_body", False)
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return _inflate(body, bytes_max) if encoding == b"gzip" else body


def _inflate(body: bytes, bytes_max: int) -> bytes:
    """The content of one gzip member; stops inflating at the limit, however much is left."""
    stream = zlib.decompressobj(GZIP_WINDOW)
    try:
        content = stream.decompress(body, bytes_max + 1)
    except zlib.error:
        raise _not_gzip() from None
    if len(content) > bytes_max:
        raise _too_large(bytes_max)
    if not stream.eof or stream.unused_data:
        raise _not_gzip()
    return content


def _not_gzip() -> Problem:
    return Problem(400, "body_unreadable", "The body is not one whole gzip stream, as Content-Encoding says.")


def _too_large(bytes_max: int) -> Problem:
    return Problem(
        413,
        "body_too_large",
        f"The body has more than {bytes_max} bytes. Send it in parts.",
        facts={"bytes_max": bytes_max},
    )
