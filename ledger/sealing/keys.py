"""The private keys that sign heads: one file each in a directory of its own, which only its owner may read."""

import os
import secrets
from pathlib import Path
from typing import Final

import asyncpg

from ledger.database import Connection
from ledger.domain.tree_heads import PrivateKey, PublicKey, SealUnsound, public_key, successor_text
from ledger.sealing.heads import SealKey, keep_key, last_key

SEED_BYTES: Final = 32


class SealKeyMissing(Exception):
    """The key that signs this log's heads cannot be read; the message says where it was looked for."""


def make_key(directory: Path, name: str) -> PrivateKey:
    """A new key for a ledger, written to its file before anybody is told of it; raises OSError."""
    key = PrivateKey(name, secrets.token_bytes(SEED_BYTES))
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(_path(directory, key.public), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w") as target:
        target.write(f"{key.write()}\n")
        target.flush()
        os.fsync(target.fileno())
    return key


def read_key(directory: Path, public: PublicKey) -> PrivateKey:
    """The private half of a key; raises `SealKeyMissing`."""
    path = _path(directory, public)
    try:
        key = PrivateKey.read(path.read_text())
    except (OSError, SealUnsound) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise SealKeyMissing(f"{path} cannot be used to seal the log: {reason}.") from None
    if key.public != public:
        raise SealKeyMissing(f"{path} cannot be used to seal the log: it is another key.")
    return key


async def signing_key(connection: Connection, directory: Path) -> PrivateKey:
    """The key that signs now; the first is made when it is first asked for. Raises `SealKeyMissing`, OSError."""
    last = await last_key(connection)
    if last is None:
        key = make_key(directory, f"ledger-{secrets.token_hex(4)}")
        try:
            await keep_key(connection, SealKey(1, str(key.public), None))
            return key
        except asyncpg.UniqueViolationError:
            _path(directory, key.public).unlink()  # another process made one at the same moment, and that one counts
            last = await last_key(connection)
            assert last is not None, "it is there already"
    return read_key(directory, public_key(last.public_key))


async def rotate(connection: Connection, directory: Path) -> PublicKey:
    """Make the next key and let the present one name it; who signs asks for the newest each time.

    Raises `SealKeyMissing`, OSError, and `UniqueViolationError` where another did the same at the same moment.
    """
    present = await signing_key(connection, directory)
    last = await last_key(connection)
    assert last is not None, "there is a present one"
    following = make_key(directory, present.public.name)
    note = present.sign(successor_text(following.public))
    await keep_key(connection, SealKey(last.number + 1, str(following.public), note))
    return following.public


def _path(directory: Path, public: PublicKey) -> Path:
    return directory / f"{public.key_hash.hex()}.key"
