"""A ledger that tells usage to a sandbox of Stripe, moved by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ledger.commands.accounts import change_account
from ledger.commands.meters import change_meter
from ledger.commands.sends import start_sending
from ledger.domain.accounts import AliasAccount, OpenAccount
from ledger.domain.catalogue import Catalogue
from ledger.domain.metering import Aggregation, MeterDefinition
from ledger.domain.meters import DefineMeter
from ledger.domain.send_events import SendingStarted
from ledger.domain.sends import ACKNOWLEDGED
from ledger.platforms.port import Platform
from ledger.projections import catalogue as catalogues
from ledger.projections.sends import SendRow, sends_of
from ledger.projections.sends_fold import catch_up
from ledger.sandbox.stripe.behaviour import Behaviour
from ledger.workers.sending import Desk, new_memory
from ledger.workers.syncing import sync_all
from tests.log.ledgers import METADATA, usage
from tests.platforms.conftest import Followed, open_followed

STREAM = "POST /v2/billing/meter_event_stream"
SINGLE = "POST /v1/billing/meter_events"
CANCEL = "POST /v1/billing/meter_event_adjustments"


@dataclass(slots=True)
class Sent:
    """A ledger whose account `acme` is the sandbox's customer, and the desk that sends its usage."""

    followed: Followed
    desk: Desk
    customer: str
    meters: dict[str, str]
    """Event type -> the sandbox's id of its meter."""
    told: int = 0

    def now(self) -> datetime:
        """The sandbox's time."""
        return self.followed.now()

    async def use(self, value: str = "1", *, at: datetime | None = None, subject: str = "acme", **more: Any) -> int:
        """Record usage of tokens and return its position."""
        self.told += 1
        told = usage(self.told, subject=subject, event_type="llm", time=at or self.now(), tokens=Decimal(value), **more)
        [position] = await self.followed.ledger.tell(told)
        return position

    async def rows(self, account: str = "acme") -> list[SendRow]:
        """The sends of an account as the read model has them."""
        await catch_up(self.followed.ledger.pool, self.followed.ledger.log)
        return await sends_of(self.followed.ledger.pool, account, limit=10_000)

    async def states(self) -> list[str]:
        """How each send stands."""
        return [row.told.state for row in await self.rows()]

    async def there(self, event_type: str = "tokens") -> Decimal:
        """What the platform counts, all in all."""
        sums = await self.followed.platform.usage_sums(
            self.meters[event_type], self.customer, day(self.now()) - timedelta(days=60), day(self.now())
        )
        return sum((one.quantity for one in sums), Decimal())

    async def acknowledged(self, event_type: str = "tokens") -> Decimal:
        """What we believe that it counts."""
        rows = [row.told for row in await self.rows()]
        ours = [one for one in rows if one.state in ACKNOWLEDGED and one.send.event_type == event_type]
        return sum((one.send.value for one in ours), Decimal())

    async def advance(self, **by: float) -> None:
        """Let time pass, and keep what is told meanwhile."""
        await self.followed.world.advance(**by)
        taken = list(self.followed.world.receiver.taken)
        self.followed.world.receiver.taken.clear()
        await self.followed.take(taken)

    def with_platform(self, platform: Platform) -> Desk:
        """The desk before another platform."""
        return self.desk._replace(platform=platform)

    def forgetful(self) -> Desk:
        """The desk of another worker, who remembers nothing."""
        return self.desk._replace(memory=new_memory("stripe"))


class Crash(Exception):
    """The process ends here."""


class Crashing:
    """A platform before or after one of whose calls the process ends."""

    def __init__(self, platform: Platform, call: str, *, is_after: bool) -> None:
        self._platform = platform
        self._call = call
        self._is_after = is_after

    def __getattr__(self, name: str) -> Any:
        """What the platform itself has, but for the one call."""
        found = getattr(self._platform, name)
        return self._end if name == self._call else found

    async def _end(self, *arguments: Any) -> Any:
        if self._is_after:
            await getattr(self._platform, self._call)(*arguments)
        raise Crash


async def catalogue(sent: Sent) -> Catalogue:
    """What is known of accounts and meters, and what was mended."""
    known = Catalogue()
    await catalogues.catch_up(known, sent.followed.ledger.log)
    return known


def day(now: datetime) -> datetime:
    """The midnight after the next."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)


async def define(followed: Followed, meter: str, aggregation: Aggregation, name: str | None) -> None:
    """A meter of the ledger."""
    definition = MeterDefinition(name=meter, event_type="llm", aggregation=aggregation, property=name)
    await change_meter(followed.ledger.log, DefineMeter(meter, definition), now=followed.now(), metadata=METADATA)


async def start(followed: Followed, account: str, customer: str) -> None:
    """Open an account that is a customer there, and tell its usage from now on."""
    log, now = followed.ledger.log, followed.now()
    await change_account(log, OpenAccount(account, account, "UTC"), now=now, metadata=METADATA)
    await change_account(log, AliasAccount(account, customer), now=now, metadata=METADATA)
    started = SendingStarted(
        platform="stripe", account=account, customer=customer, since=followed.now() - timedelta(days=60)
    )
    await start_sending(log, started, now=now, metadata=METADATA)


@asynccontextmanager
async def open_sent(database_url: str, behaviour: Behaviour | None = None, *, seed: int = 1) -> AsyncIterator[Sent]:
    """A ledger with an account, two meters and sending on."""
    async with open_followed(database_url, behaviour, seed=seed) as followed:
        customer = await followed.world.customer()
        meters = {"tokens": await followed.world.meter("tokens")}
        meters["calls"] = await followed.world.meter("calls", formula="count")
        pool, log = followed.ledger.pool, followed.ledger.log
        await sync_all(pool, log, followed.platform, clock=followed.now)
        await followed.project()
        await define(followed, "tokens", "sum", "tokens")
        await start(followed, "acme", customer)
        desk = Desk(pool, log, followed.platform, new_memory("stripe"), followed.now)
        yield Sent(followed, desk, customer, meters)
