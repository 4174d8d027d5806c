"""The demo's API keys: one to begin with, and one of each person who works with the made-up ledger."""

import os
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from ledger.cli.opening import Ledger, now
from ledger.commands.keys import issue_key, key_parts
from ledger.domain.access import is_good
from ledger.domain.metadata import Metadata
from ledger.sandbox.people import ADMIN, APPROVER, OPS

METADATA: Final = Metadata(actor="demo", source="cli")


class DemoKey(NamedTuple):
    """A key of the demo: what it is called when it is shown, and whose it is, None for nobody's."""

    label: str
    role: str
    person: str | None


KEYS: Final = {
    "api-key": DemoKey("API key", "admin", None),
    "ops-key": DemoKey("  ops", OPS.role, OPS.name),
    "approver-key": DemoKey("  approver", APPROVER.role, APPROVER.name),
    "admin-key": DemoKey("  admin", ADMIN.role, ADMIN.name),
}
"""By the name of the file that keeps it."""


async def demo_keys(directory: Path, opened: Ledger) -> dict[str, str]:
    """The keys by their files: those kept there where they are still good, else new ones."""
    return {file: await _key(directory / file, key, opened) for file, key in KEYS.items()}


async def _key(path: Path, key: DemoKey, opened: Ledger) -> str:
    kept = _kept(path)
    parts = key_parts(kept)
    known = opened.catalogue.keys.get(parts[0]) if parts else None
    if parts and known is not None and is_good(known, parts[1], now()):
        return kept
    fresh = await issue_key(
        opened.log,
        name="demo" if key.person is None else f"demo {key.role}",
        roles=[key.role],
        account=None,
        expires_at=None,
        person=key.person,
        now=now(),
        metadata=METADATA,
    )
    write_whole(path, fresh.text.encode())
    return fresh.text


def _kept(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, for its owner's eyes alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    begun.replace(path)
