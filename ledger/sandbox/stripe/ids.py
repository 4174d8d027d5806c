"""Identifiers as Stripe makes them: a prefix that tells the kind, and letters; the same in every run."""

from hashlib import blake2b


class Ids:
    """The source of a sandbox's identifiers. Two sandboxes with one seed make the same ones in the same order."""

    __slots__ = ("_count", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def next(self, prefix: str) -> str:
        """A new identifier, as `cus_4f0c...` for the prefix `cus`."""
        self._count += 1
        return f"{prefix}_{self._letters(12)}"

    def secret(self, prefix: str) -> str:
        """A new secret; longer than an identifier."""
        self._count += 1
        return f"{prefix}_{self._letters(24)}"

    def _letters(self, size: int) -> str:
        return blake2b(f"{self._seed} {self._count}".encode(), digest_size=size).hexdigest()
