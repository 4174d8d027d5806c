"""What replays found: whether the read models are what the log says, and if not, since which event."""

from datetime import datetime
from typing import Final, Self

import msgspec
import strawberry

from ledger.domain import replay_events
from ledger.domain.refusals import ArgumentInvalid
from ledger.graphql.context import Context
from ledger.graphql.scalars import JSON, BigInt, Position
from ledger.projections import replay_outcomes

REPLAYS_MAX: Final = 100


@strawberry.type(description="One table of the read models on both sides: as queries see it, and computed anew.")
class ReplayedModel:
    """`position` is where both stood; a digest is the SHA-256, in hex, of all rows."""

    name: str
    position: Position
    accounts: BigInt
    accounts_differing: BigInt
    living_rows: BigInt
    living_digest: str
    replayed_rows: BigInt
    replayed_digest: str

    @classmethod
    def of(cls, model: replay_events.ReplayedModel) -> Self:
        """The table as the event tells it."""
        return cls(
            name=model.name,
            position=Position(model.position),
            accounts=BigInt(model.accounts),
            accounts_differing=BigInt(model.accounts_differing),
            living_rows=BigInt(model.living_rows),
            living_digest=model.living_digest,
            replayed_rows=BigInt(model.replayed_rows),
            replayed_digest=model.replayed_digest,
        )


@strawberry.type(description="A row that is not the same on both sides; null on a side where it is absent.")
class RowDifference:
    """Columns are told as text."""

    key: JSON
    living: JSON | None
    replayed: JSON | None

    @classmethod
    def of(cls, row: replay_events.RowDifference) -> Self:
        """The row as the event tells it."""
        return cls(
            key=_json(row.key),
            living=None if row.living is None else _json(row.living),
            replayed=None if row.replayed is None else _json(row.replayed),
        )


@strawberry.type(description="What differs in one table and account.")
class Divergence:
    """The sides part not before `first_position` and not after `last_position`.

    `candidate` is the position of the one event that explains a difference exactly: a hint, not a proof. `rows` are
    the first of `rows_differing`.
    """

    projection: str
    account: str | None
    first_position: Position
    last_position: Position
    candidate: Position | None
    rows_differing: BigInt
    rows: list[RowDifference]

    @classmethod
    def of(cls, one: replay_events.Divergence) -> Self:
        """The divergence as the event tells it."""
        return cls(
            projection=one.projection,
            account=one.account,
            first_position=Position(one.first_position),
            last_position=Position(one.last_position),
            candidate=None if one.candidate is None else Position(one.candidate),
            rows_differing=BigInt(one.rows_differing),
            rows=[RowDifference.of(row) for row in one.rows],
        )


@strawberry.type(description="What one replay found: every read model computed anew from the log and compared.")
class Replay:
    """`stored_position` is of the event that keeps it, `position` the last event that was replayed.

    `divergences` are those with the lowest positions, of `divergences_found`. Where the log itself could not be
    folded to the end, `unreadable_position` and `unreadable_why` say where and why, and nothing was compared.
    """

    stored_position: Position
    position: Position
    is_equal: bool
    models: list[ReplayedModel]
    divergences: list[Divergence]
    divergences_found: BigInt
    unreadable_position: Position | None
    unreadable_why: str | None
    started_at: datetime
    milliseconds: BigInt

    @classmethod
    def of(cls, outcome: replay_outcomes.Outcome) -> Self:
        """The outcome as the log keeps it."""
        found = outcome.found
        return cls(
            stored_position=Position(outcome.position),
            position=Position(found.position),
            is_equal=found.is_equal,
            models=[ReplayedModel.of(model) for model in found.models],
            divergences=[Divergence.of(one) for one in found.divergences],
            divergences_found=BigInt(found.divergences_found),
            unreadable_position=None if found.unreadable is None else Position(found.unreadable.position),
            unreadable_why=None if found.unreadable is None else found.unreadable.why,
            started_at=found.started_at,
            milliseconds=BigInt(found.milliseconds),
        )


async def replays(context: Context, first: int) -> list[Replay]:
    """The latest outcomes; raises `ArgumentInvalid`."""
    if not 0 <= first <= REPLAYS_MAX:
        raise ArgumentInvalid(argument="first", why=f"it must be 0 to {REPLAYS_MAX}")
    return [Replay.of(outcome) for outcome in await replay_outcomes.outcomes(context.log, limit=first)]


def _json(columns: dict[str, str | None]) -> JSON:
    return JSON(msgspec.Raw(msgspec.json.encode(columns)))
