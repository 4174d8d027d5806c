"""Commands on API keys. A key reads `lk_<id>_<secret>`; only the hash of the secret is ever stored."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, cast

from ledger.commands.decision import decide_on
from ledger.domain.access import IssueKey, KeyEvent, RevokeKey, decide, evolve, secret_hash
from ledger.domain.events import Event, KeyIssued
from ledger.domain.metadata import Metadata
from ledger.domain.names import key_stream
from ledger.event_log import EventLog

PREFIX = "lk"


class FreshKey(NamedTuple):
    """A key just made: the only moment at which its whole text is known."""

    key_id: str
    text: str
    position: int


async def issue_key(
    log: EventLog,
    *,
    name: str,
    roles: Sequence[str],
    account: str | None,
    expires_at: datetime | None,
    person: str | None = None,
    now: datetime,
    metadata: Metadata,
) -> FreshKey:
    """Make a key, a machine's unless it is a `person`'s; refusals as `ledger.domain.access.decide` raises them."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    command = IssueKey(key_id, name, secret_hash(secret), tuple(roles), account, expires_at, person)
    position = await _carry_out(log, command, now, metadata)
    return FreshKey(key_id, f"{PREFIX}_{key_id}_{secret}", position)


async def revoke_key(log: EventLog, key_id: str, *, now: datetime, metadata: Metadata) -> int:
    """Make a key good for nothing; raises `KeyUnknown`."""
    return await _carry_out(log, RevokeKey(key_id), now, metadata)


def key_parts(text: str) -> tuple[str, str] | None:
    """The id and secret of a key's text, None where it does not look like one."""
    parts = text.split("_", 2)
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == PREFIX else None


async def _carry_out(log: EventLog, command: IssueKey | RevokeKey, now: datetime, metadata: Metadata) -> int:
    def decided(past: list[Event]) -> Sequence[Event]:
        state: KeyIssued | None = None
        for event in cast("list[KeyEvent]", past):
            state = evolve(state, event)
        return decide(state, command, now=now)

    return await decide_on(log, key_stream(command.key_id), decided, account=None, now=now, metadata=metadata)
