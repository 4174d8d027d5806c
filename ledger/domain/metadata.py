"""Who wrote an event and in answer to what: the part of every stored event that is not its content."""

from typing import Literal

import msgspec

Source = Literal["graphql", "cli", "import", "worker"]
"""Where something was asked for."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`actor` ("key:abc", "cli", "import"), `request` (the HTTP request's id), `correlation` and `causation` ids.

    `person` is who holds the key, or who is logged in where a command is given; `role` is the key's role that grants
    the right. `operation` is the name of the mutation, the command or the job; `path` is what the caller calls the
    mutation in the answer, where that is something else. What has no `source` was told to `POST /v1/usage`: its
    metadata is as short as can be.
    """

    actor: str
    request: str | None = None
    correlation: str | None = None
    causation: int | None = None
    person: str | None = None
    role: str | None = None
    source: Source | None = None
    operation: str | None = None
    path: str | None = None

    def encode(self) -> bytes:
        """The stored bytes."""
        return msgspec.json.encode(self)


def decode_metadata(stored: bytes | str) -> Metadata:
    """The metadata that stored bytes stand for, however old."""
    return _decoder.decode(stored)


_decoder = msgspec.json.Decoder(Metadata)
