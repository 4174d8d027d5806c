"""How complete an answer is, and how far every read model has come."""

from datetime import datetime
from typing import Self

import strawberry

from ledger.graphql.context import Context
from ledger.graphql.scalars import BigInt, Position
from ledger.projections import status, watermark


@strawberry.type(description="Up to which event of the log an answer is complete.")
class Watermark:
    """`lag_milliseconds`: how long the oldest event not yet included has waited, 0 where none waits."""

    position: Position
    recorded_at: datetime | None
    lag_milliseconds: BigInt

    @classmethod
    def of(cls, mark: watermark.Watermark) -> Self:
        """The watermark as the read model tells it."""
        return cls(
            position=Position(mark.position),
            recorded_at=mark.recorded_at,
            lag_milliseconds=BigInt(mark.lag_milliseconds),
        )


@strawberry.type(description="How far one read model has come.")
class Projection:
    """`state` is "live", or "building" for one that is computed beside the living one."""

    name: str
    state: str
    position: Position
    recorded_at: datetime | None
    events_behind: BigInt
    lag_milliseconds: BigInt


async def projections(context: Context) -> list[Projection]:
    """Every read model, by name."""
    return [
        Projection(
            name=one.name,
            state=one.state,
            position=Position(one.position),
            recorded_at=one.recorded_at,
            events_behind=BigInt(one.events_behind),
            lag_milliseconds=BigInt(one.lag_milliseconds),
        )
        for one in await status.status(context.pool, context.log)
    ]
