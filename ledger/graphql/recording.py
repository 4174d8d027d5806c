"""Usage in over GraphQL: as `POST /v1/usage`, for callers that have no other connection."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Final, NamedTuple, Self

import msgspec
import strawberry

from ledger.commands import usage as commands
from ledger.commands.backfill import BackfillUsage, announce_backfill
from ledger.domain.events import UsageRecorded
from ledger.domain.refusals import ArgumentInvalid, UsageUnreadable
from ledger.domain.usage import CloudEvent, recorded
from ledger.graphql.context import Context
from ledger.graphql.scalars import JSON, Position

EVENTS_MAX: Final = 1_000


@strawberry.enum(description="What became of one event.")
class Fate(Enum):
    """STORED: counts. DUPLICATE: was there before. HELD: stored, does not count yet. REFUSED: not stored."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    HELD = "held"
    REFUSED = "refused"


@strawberry.input(description="One CloudEvent; `source` and `id` are its idempotency key, for ever.")
class UsageEventInput:
    """`subject` is the account's key or alias, `data` an object of properties whose numbers stay exact."""

    source: str
    id: str
    type: str
    subject: str
    time: datetime
    data: JSON | None = None


@strawberry.type(description="What became of the event at `index`, and why where it does not count.")
class UsageFate:
    """`position` is where it stands in the log; null for what is not there."""

    index: int
    id: str
    fate: Fate
    position: Position | None
    code: str | None
    message: str | None

    @classmethod
    def of(cls, told: UsageEventInput, fate: commands.Fate) -> Self:
        """The fate as the command tells it."""
        return cls(
            index=fate.index,
            id=told.id,
            fate=Fate(fate.fate),
            position=None if fate.position is None else Position(fate.position),
            code=fate.code,
            message=fate.message,
        )


@strawberry.interface(description="What became of every event that was told.")
class Receipt:
    """`position` is the highest that was touched, `stored` how many events are new."""

    position: Position
    stored: int
    fates: list[UsageFate]

    def refused_wholly(self) -> UsageFate | None:
        """The first fate, where every event was refused; None where one was not, or there is none."""
        return self.fates[0] if self.fates and all(one.fate is Fate.REFUSED for one in self.fates) else None


@strawberry.type(description="What became of every event of a request.")
class UsageReceipt(Receipt):
    """As `Receipt`."""


@strawberry.type(description="What became of every event of a backfill.")
class BackfillReceipt(Receipt):
    """`backfill_position` is of the decision that caused them, null where the log had them all."""

    backfill_position: Position | None


class Backfill(NamedTuple):
    """What a person tells of an account's past."""

    account: str
    events: Sequence[UsageEventInput]
    reason: str
    note: str


async def record(context: Context, told: Sequence[UsageEventInput]) -> UsageReceipt:
    """Record the events; raises `ArgumentInvalid`, `LedgerBusy`, `LedgerUnavailable`."""
    _require_few(told)
    receipt = await context.record([_read(one) for one in told], context.key, context.metadata)
    return UsageReceipt(position=Position(receipt.position), stored=receipt.stored, fates=_fates(told, receipt))


async def backfill(context: Context, wanted: Backfill) -> BackfillReceipt:
    """Announce what is new and record it; raises as `record` and `announce_backfill`."""
    _require_few(wanted.events)
    await context.follower.refresh()
    command = BackfillUsage(wanted.account, [_read(one) for one in wanted.events], wanted.reason, wanted.note)
    announced = await announce_backfill(
        context.log, context.catalogue, command, now=datetime.now(UTC), metadata=context.metadata
    )
    caused = msgspec.structs.replace(context.metadata, causation=announced.position)
    receipt = await context.record(announced.told, context.key, caused)
    return BackfillReceipt(
        position=Position(receipt.position),
        stored=receipt.stored,
        fates=_fates(wanted.events, receipt),
        backfill_position=None if announced.position is None else Position(announced.position),
    )


def _require_few(told: Sequence[UsageEventInput]) -> None:
    if len(told) > EVENTS_MAX:
        raise ArgumentInvalid(argument="events", why=f"a request holds at most {EVENTS_MAX} events")


def _fates(told: Sequence[UsageEventInput], receipt: commands.Receipt) -> list[UsageFate]:
    exceptions = {fate.index: fate for fate in receipt.exceptions}
    not_recorded = {index for index, fate in exceptions.items() if fate.fate == "refused"}
    positions = iter(receipt.positions)
    fates = []
    for index, one in enumerate(told):
        position = None if index in not_recorded else next(positions)
        fate = exceptions.get(index) or commands.Fate(index, "stored", position)
        fates.append(UsageFate.of(one, fate))
    return fates


def _read(one: UsageEventInput) -> UsageRecorded | UsageUnreadable:
    attributes = {"specversion": "1.0", **{name: getattr(one, name) for name in _ATTRIBUTES}}
    attributes["data"] = {} if one.data is None else one.data
    try:
        return recorded(msgspec.convert(attributes, CloudEvent))
    except msgspec.ValidationError as fault:
        return UsageUnreadable(why=str(fault)[:200])
    except UsageUnreadable as refusal:
        return refusal


_ATTRIBUTES: Final = ("source", "id", "type", "subject", "time")
