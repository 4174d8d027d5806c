"""A ledger with its read models, moved by hand, and what tests ask of it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from ledger.commands.accounts import change_account
from ledger.commands.mending import amend_usage, dismiss_usage, mend_usage, void_usage
from ledger.commands.meters import change_meter
from ledger.domain.accounts import AccountCommand, AliasAccount, OpenAccount
from ledger.domain.events import UsageRecorded
from ledger.domain.mending import DismissUsage, MendUsage
from ledger.domain.metering import Aggregation, Filter, MeterDefinition
from ledger.domain.meters import DefineMeter, MeterCommand
from ledger.projections.catalogue import CatalogueFollower
from ledger.projections.held import HeldRow, held
from ledger.projections.runner import Projector
from ledger.projections.usage import UsageAnswer, usage
from ledger.projections.usage_request import UsageRow, Window
from tests.log.ledgers import METADATA, NOW, Ledger, open_ledger

TABLES = {
    "usage_days": "account, day, dimensions, event_count, total, moment, minimum, maximum, latest, latest_at, "
    "latest_position, first_position, last_position",
    "usage_hours": "account, hour, event_count, total, moment, minimum, maximum, latest, latest_at, "
    "latest_position, first_position, last_position",
    "usage_values": "account, day, dimensions, value, event_count, first_position, last_position, last_at, "
    "last_at_position, is_present",
    "held_usage": "position, code, message, subject, t.account, event_type, source, event_id, occurred_at, recorded_at",
}


@dataclass(frozen=True, slots=True)
class World:
    """A ledger, the catalogue of its decisions and one projector; nothing moves unless it is told to."""

    ledger: Ledger
    follower: CatalogueFollower
    projector: Projector

    async def account(self, command: AccountCommand) -> int:
        """Carry out a command on an account."""
        return await change_account(self.ledger.log, command, now=NOW, metadata=METADATA)

    async def open_account(self, key: str = "acme", zone: str = "UTC", *aliases: str) -> None:
        """An account with aliases."""
        await self.account(OpenAccount(key, key.title(), zone))
        for alias in aliases:
            await self.account(AliasAccount(key, alias))

    async def meter(self, command: MeterCommand) -> int:
        """Carry out a command on a meter."""
        return await change_meter(self.ledger.log, command, now=NOW, metadata=METADATA)

    async def define(self, meter: str, **definition: Any) -> None:
        """A meter by its definition's differences from `metered`."""
        await self.meter(DefineMeter(meter, metered(**definition)))

    async def tell(self, *told: UsageRecorded) -> Sequence[int]:
        """Record usage and return its positions."""
        return await self.ledger.tell(*told)

    async def mend(self, position: int, **changes: Any) -> int:
        """Mend a held event."""
        await self.follower.refresh()
        command = MendUsage(position, "wrong_value", **changes)
        return await mend_usage(self.ledger.log, self.follower.catalogue, command, now=NOW, metadata=METADATA)

    async def dismiss(self, position: int) -> int:
        """Dismiss a held event."""
        await self.follower.refresh()
        command = DismissUsage(position, "test_traffic")
        return await dismiss_usage(self.ledger.log, self.follower.catalogue, command, now=NOW, metadata=METADATA)

    async def amend(self, position: int, **changes: Any) -> int:
        """Put right an event that counts."""
        await self.follower.refresh()
        command = MendUsage(position, "wrong_value", **changes)
        return await amend_usage(self.ledger.log, self.follower.catalogue, command, now=NOW, metadata=METADATA)

    async def void(self, position: int) -> int:
        """Count an event that counts no more."""
        await self.follower.refresh()
        command = DismissUsage(position, "sent_twice")
        return await void_usage(self.ledger.log, self.follower.catalogue, command, now=NOW, metadata=METADATA)

    async def project(self) -> None:
        """Let every read model catch up."""
        await self.projector.catch_up()

    async def answer(
        self,
        account: str,
        meter: str,
        start: date,
        end: date,
        window: Window = "DAY",
        *,
        group_by: Sequence[str] = (),
        where: Mapping[str, Sequence[str | None]] | None = None,
        limit: int = 10_000,
    ) -> UsageAnswer:
        """What the usage read model answers."""
        await self.follower.refresh()
        return await usage(
            self.ledger.pool,
            self.ledger.log,
            self.follower.catalogue,
            account=account,
            meter=meter,
            start=start,
            end=end,
            window=window,
            group_by=group_by,
            where=where,
            limit=limit,
        )

    async def rows(self, account: str, meter: str, start: date, end: date, *how: Any, **more: Any) -> list[UsageRow]:
        """The rows of the answer."""
        return (await self.answer(account, meter, start, end, *how, **more)).rows

    async def quantities(self, *asked: Any, **how: Any) -> list[Decimal | None]:
        """The quantities of the answer's rows."""
        return [row.quantity for row in await self.rows(*asked, **how)]

    async def held(self) -> list[HeldRow]:
        """Every held event."""
        return (await held(self.ledger.pool, after=0, limit=1000, account_names=None, code=None))[1]

    async def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of the living series, by the meter's key in place of the series' number."""
        found = {}
        for table, columns in TABLES.items():
            query = (
                f"select s.meter, {columns} from {table} t join usage_series s using (series) where s.state = 'live'"
            )
            found[table] = sorted((tuple(row) for row in await self.ledger.pool.fetch(query)), key=repr)
        return found


@asynccontextmanager
async def open_world(url: str, *, pool_size: int = 4) -> AsyncIterator[World]:
    """A world on a migrated database, with connections of its own."""
    async with open_ledger(url, pool_size=pool_size) as ledger:
        yield World(ledger, CatalogueFollower(ledger.log), Projector(ledger.pool, ledger.log))


def metered(
    *,
    event_type: str = "api.request",
    aggregation: Aggregation = "count",
    filters: Mapping[str, object] | None = None,
    **more: Any,
) -> MeterDefinition:
    """A definition; `filters` name a property and its only value."""
    return MeterDefinition(
        name="Metered",
        event_type=event_type,
        aggregation=aggregation,
        filters=tuple(Filter(property=name, values=(value,)) for name, value in (filters or {}).items()),
        **more,
    )


def at(text: str) -> datetime:
    """The instant that a text like 2026-03-29T00:30+01:00 tells."""
    return datetime.fromisoformat(text)
