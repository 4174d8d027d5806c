"""Usage in over GraphQL: as `POST /v1/usage`, for callers that have no other connection."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Final, Self

import msgspec
import strawberry

from ledger.commands import usage as commands
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


@strawberry.type(description="What became of every event of a request.")
class UsageReceipt:
    """`position` is the highest that the request touched, `stored` how many events are new."""

    position: Position
    stored: int
    fates: list[UsageFate]


async def record(context: Context, told: Sequence[UsageEventInput]) -> UsageReceipt:
    """Record the events; raises `ArgumentInvalid`, `LedgerBusy`, `LedgerUnavailable`."""
    if len(told) > EVENTS_MAX:
        raise ArgumentInvalid(argument="events", why=f"a request holds at most {EVENTS_MAX} events")
    read = [_read(one) for one in told]
    receipt = await context.record(read, context.key, context.request_id)
    exceptions = {fate.index: fate for fate in receipt.exceptions}
    not_recorded = {index for index, fate in exceptions.items() if fate.fate == "refused"}
    positions = iter(receipt.positions)
    fates = []
    for index, one in enumerate(told):
        position = None if index in not_recorded else next(positions)
        fate = exceptions.get(index) or commands.Fate(index, "stored", position)
        fates.append(UsageFate.of(one, fate))
    return UsageReceipt(position=Position(receipt.position), stored=receipt.stored, fates=fates)


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
