"""What every resolver can reach: the ledger's parts, and who asks."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import strawberry

from ledger.commands.attempts import Attempts
from ledger.commands.usage import Receipt
from ledger.database import Pool
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.events import KeyIssued, UsageRecorded
from ledger.domain.metadata import Metadata
from ledger.domain.refusals import AccountUnknown, OutOfScope, UsageUnreadable
from ledger.event_log import EventLog
from ledger.projections.as_of import PastReader
from ledger.projections.catalogue import CatalogueFollower

Record = Callable[[Sequence[UsageRecorded | UsageUnreadable], KeyIssued, Metadata], Awaitable[Receipt]]
"""(what was told, the key that tells it, what is kept with it) -> its receipt."""


class Letter(Protocol):
    """Work that failed after all retries, as the queue keeps it."""

    @property
    def message_id(self) -> str:
        """What names it in the queue."""

    @property
    def job(self) -> str:
        """Which job it is of."""

    @property
    def died_at(self) -> datetime:
        """When it failed for the last time."""

    @property
    def error(self) -> str:
        """The last line of its error."""


class FailedWork(Protocol):
    """Where background work that failed for good is kept; both raise `QueueUnavailable`."""

    def letters(self, *, limit: int) -> Sequence[Letter]:
        """The latest first."""

    def redrive(self, message_id: str) -> bool:
        """Put work into the queue again; False where it is not among what failed."""


class AskedWork(Protocol):
    """Where work is put that somebody asks for; raises `QueueUnavailable`."""

    def reconcile(self, accounts: Sequence[str] | None, at: datetime) -> str:
        """Have accounts compared with the platform, all of them where None; returns what the work is named."""


@dataclass(slots=True)
class Context:
    """One request: `key` is who asks, `request_id` its name in logs and in the metadata of what it writes.

    `metadata` is what is kept with an event that the mutation under way writes: mutations are carried out one by one.
    """

    pool: Pool
    log: EventLog
    follower: CatalogueFollower
    record: Record
    key: KeyIssued
    request_id: str
    past: PastReader
    attempts: Attempts
    failed_work: FailedWork | None = None
    asked_work: AskedWork | None = None
    metadata: Metadata = field(init=False)

    def __post_init__(self) -> None:
        """Begin with what every mutation of the request shares."""
        person = self.key.person or None
        self.metadata = Metadata(
            actor=f"key:{self.key.key_id}", request=self.request_id, person=person, source="graphql"
        )

    @property
    def catalogue(self) -> Catalogue:
        """The newest state of accounts, meters and keys that this process knows."""
        return self.follower.catalogue

    def account(self, name: str) -> Account:
        """The account with a key or alias; raises `OutOfScope` where the key is bound to another, `AccountUnknown`."""
        account = self.catalogue.account_of(name)
        if self.key.account is not None and (account is None or account.key != self.key.account):
            raise OutOfScope
        if account is None:
            raise AccountUnknown(account=name[:256])
        return account

    def names(self, accounts: Sequence[str] | None) -> list[str] | None:
        """Every name that usage of these accounts may be told under, None for all accounts.

        A bound key gets the names of its own account where it asks for all. Raises as `account`.
        """
        if accounts is None:
            if self.key.account is None:
                return None
            accounts = [self.key.account]
        found = map(self.account, accounts)
        return [name for account in found for name in (account.key, *account.aliases)]


Info = strawberry.Info[Context, None]
