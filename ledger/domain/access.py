"""API keys and roles: who may do what."""

import hashlib
import hmac
from datetime import datetime
from typing import Final, NamedTuple, assert_never

import msgspec

from ledger.domain.adjustment_events import LEDGER
from ledger.domain.adjustments import is_same_person
from ledger.domain.events import KeyIssued, KeyRevoked
from ledger.domain.names import require_name
from ledger.domain.refusals import KeyInvalid, KeyUnknown

ROLES: Final = ("viewer", "ops", "approver", "auditor", "ingest", "admin")

GRANTS: Final[dict[str, frozenset[str]]] = {
    "viewer": frozenset({"read_usage"}),
    "ops": frozenset(
        {
            "read_usage",
            "read_log",
            "write_accounts",
            "write_contracts",
            "mend_usage",
            "propose_adjustments",
            "close_periods",
            "work_cases",
            "operate",
        }
    ),
    "approver": frozenset({"read_usage", "read_log", "approve"}),
    "auditor": frozenset({"read_usage", "read_log"}),
    "ingest": frozenset({"record_usage"}),
    "admin": frozenset(
        {
            "read_usage",
            "read_log",
            "write_accounts",
            "write_contracts",
            "write_meters",
            "write_plans",
            "mend_usage",
            "record_usage",
            "close_periods",
            "govern",
            "operate",
        }
    ),
}
"""What each role may do."""

KeyEvent = KeyIssued | KeyRevoked


class IssueKey(NamedTuple):
    """Make an API key whose secret hashes to `secret_sha256`. `person` is who holds it, None for a machine's."""

    key_id: str
    name: str
    secret_sha256: str
    roles: tuple[str, ...]
    account: str | None = None
    expires_at: datetime | None = None
    person: str | None = None


class RevokeKey(NamedTuple):
    """Make the key good for nothing."""

    key_id: str


def decide(state: KeyIssued | None, command: IssueKey | RevokeKey, *, now: datetime) -> list[KeyEvent]:
    """The events that a command on a key leads to; raises `KeyInvalid`, `KeyUnknown`, `NameInvalid`."""
    match command:
        case IssueKey():
            require_name(command.name, "an API key")
            if state is not None:
                raise KeyInvalid(why="its id is taken")
            unknown = sorted(set(command.roles) - set(ROLES))
            if unknown or not command.roles:
                raise KeyInvalid(why=f"its roles must be some of {', '.join(ROLES)}")
            if command.expires_at is not None and command.expires_at <= now:
                raise KeyInvalid(why="it would expire before it is made")
            return [KeyIssued(**command._asdict() | {"person": _person(command.person)})]
        case RevokeKey():
            if state is None:
                raise KeyUnknown(key_id=command.key_id)
            return [KeyRevoked(key_id=command.key_id)]
        case _:
            assert_never(command)


def _person(person: str | None) -> str | msgspec.UnsetType:
    """Who holds a key; raises `KeyInvalid` for the name under which the ledger itself proposes, `NameInvalid`."""
    if person is None:
        return msgspec.UNSET
    require_name(person, "a person")
    if is_same_person(person, LEDGER):
        raise KeyInvalid(why=f"{LEDGER} is no person")
    return person


def evolve(_: KeyIssued | None, event: KeyEvent) -> KeyIssued | None:
    """The key after one more event of its stream; None once it is revoked."""
    match event:
        case KeyIssued():
            return event
        case KeyRevoked():
            return None
        case _:
            assert_never(event)


def secret_hash(secret: str) -> str:
    """The hex SHA-256 of a secret; secrets are 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_good(key: KeyIssued, secret: str, now: datetime) -> bool:
    """Whether the secret is the key's and the key has not expired; takes the same time for any wrong secret."""
    is_its_own = hmac.compare_digest(key.secret_sha256, secret_hash(secret))
    return is_its_own and (key.expires_at is None or now < key.expires_at)


def may(key: KeyIssued, right: str) -> bool:
    """Whether any of the key's roles grants a right."""
    return any(right in GRANTS[role] for role in key.roles)


def granting(key: KeyIssued, right: str) -> str | None:
    """The first of the key's roles that grants a right; None where none does."""
    return next((role for role in key.roles if right in GRANTS[role]), None)
