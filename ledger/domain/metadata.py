"""Who wrote an event and in answer to what: the part of every stored event that is not its content."""

import msgspec


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`actor` ("key:abc", "cli", "importer"), `request` (the HTTP request's id), `correlation` and `causation` ids."""

    actor: str
    request: str | None = None
    correlation: str | None = None
    causation: int | None = None

    def encode(self) -> bytes:
        """The stored bytes."""
        return msgspec.json.encode(self)
