"""Who is asking: the API key in `Authorization: Bearer lk_...`, looked up in the catalogue in memory."""

from collections.abc import Mapping
from datetime import UTC, datetime

from ledger.commands.keys import key_parts
from ledger.domain.access import GRANTS, is_good, may
from ledger.domain.events import KeyIssued
from ledger.domain.refusals import Forbidden
from ledger.http.problems import unauthenticated
from ledger.projections.catalogue import CatalogueFollower


class Access:
    """Finds the key of a request among those that the follower knows."""

    def __init__(self, follower: CatalogueFollower) -> None:
        self._follower = follower

    def key_of(self, headers: Mapping[bytes, bytes]) -> KeyIssued:
        """The request's key; raises the problem 401. The same answer for an unknown, wrong and expired key."""
        scheme, _, text = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            raise unauthenticated("Send an API key: Authorization: Bearer lk_...")
        parts = key_parts(text.decode("latin-1").strip())
        key = None if parts is None else self._follower.catalogue.keys.get(parts[0])
        if parts is None or key is None or not is_good(key, parts[1], datetime.now(UTC)):
            raise unauthenticated("The API key is not known, or was revoked, or has expired.")
        return key

    def require(self, headers: Mapping[bytes, bytes], right: str) -> KeyIssued:
        """The request's key where it grants a right; raises the problem 401, `Forbidden`."""
        key = self.key_of(headers)
        if not may(key, right):
            roles = [role for role, rights in GRANTS.items() if right in rights]
            raise Forbidden(role=" or ".join(roles))
        return key
