"""Tells heads outside, where nobody who can write to the database can change them: to a file, or by POST."""

import asyncio
import os
import urllib.request
from typing import Final

from ledger.database import Connection
from ledger.sealing.heads import head_page, keys

NOTES_MAX: Final = 100
"""How many heads are told at once."""
TIMEOUT_SECONDS: Final = 10

SELECT_TOLD = """
select head, key from seal_publications
"""
MOVE_TOLD = """
update seal_publications set head = $1, key = $2
"""


async def publish(connection: Connection, target: str) -> bool:
    """Tell the next heads, and keys before what they sign, in order; true where more wait. Raises OSError.

    What was told is noted afterwards: after a crash in between, the same notes are told again, which harms nothing.
    """
    row = await connection.fetchrow(SELECT_TOLD)
    assert row is not None, "migrations make the row"
    head, key = row
    following = [one for one in await keys(connection) if one.number > key]
    heads = await head_page(connection, after=head, before=2**62, limit=NOTES_MAX)
    notes = [one.note for one in following if one.note is not None] + [one.note for one in heads]
    if not notes:
        return False
    await asyncio.to_thread(_tell, "".join(f"{note}\n" for note in notes).encode(), target)
    told_key = following[-1].number if following else key
    await connection.execute(MOVE_TOLD, heads[-1].number if heads else head, told_key)
    return len(heads) == NOTES_MAX


def _tell(notes: bytes, target: str) -> None:
    if target.startswith(("http://", "https://")):
        request = urllib.request.Request(target, notes, {"Content-Type": "text/plain; charset=utf-8"})  # noqa: S310 - checked above
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310
            return
    file = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with os.fdopen(file, "ab") as opened:
        opened.write(notes)
        opened.flush()
        os.fsync(opened.fileno())
