"""The read model of adjustments: one row per adjustment, for queues of what waits and lists of what was decided."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, get_args

import asyncpg

from ledger.database import Connection, Pool
from ledger.domain.adjustment_events import (
    AdjustmentApproved,
    AdjustmentEvent,
    AdjustmentProposed,
    AdjustmentRejected,
    AdjustmentWithdrawn,
)
from ledger.domain.adjustments import AdjustmentState
from ledger.domain.events import Event
from ledger.domain.topics import decode
from ledger.projections.decided import DecidedModel
from ledger.projections.watermark import Watermark, watermark

NAME: Final = "adjustments"
TOPICS: Final = frozenset(event.TOPIC for event in get_args(AdjustmentEvent))

Order = Literal["oldest", "newest", "largest"]

INSERT = """
insert into adjustments (
    account, key, kind, state, at, amount_minor_units, meter, quantity, effect_minor_units, currency, reason,
    reverses, proposed_by, proposed_at, expires_at, proposed_position
) values ($1, $2, $3, 'proposed', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""
DECIDE = """
update adjustments
set state = $3, decided_by = $4, is_automatic = $5, decided_at = $6, decided_position = $7
where account = $1 and key = $2
"""
REVERSE = """
update adjustments undone set state = 'reversed'
from adjustments approved
where approved.account = $1 and approved.key = $2 and undone.account = $1 and undone.key = approved.reverses
"""
MATCHES = """
($1::text is null or account = $1)
and ($2::text is null or $2 = case when state = 'proposed' and expires_at <= $3 then 'expired' else state end)
and ($4::text is null or kind = $4) and ($5::text is null or reason = $5)
and ($6::text is null or person_key(proposed_by) = person_key($6))
"""
MONEY = "currency, abs(effect_minor_units), proposed_position"
SELECT_PAGE = f"""
select account, key, proposed_position, decided_at, decided_position from adjustments
where {MATCHES} and ($7::bigint is null or proposed_position > $7) order by proposed_position limit $8
"""
SELECT_PAGES: Final[dict[Order, str]] = {
    "oldest": SELECT_PAGE,
    "newest": SELECT_PAGE.replace("proposed_position >", "proposed_position <").replace(
        "by proposed_position", "by proposed_position desc"
    ),
    "largest": f"""
select account, key, proposed_position, decided_at, decided_position from adjustments
where {MATCHES}
    and ($7::bigint is null or ({MONEY}) < (select {MONEY} from adjustments where proposed_position = $7))
order by currency desc, abs(effect_minor_units) desc, proposed_position desc limit $8
""",
}
SELECT_OF_KEYS = """
select account, key, proposed_position, decided_at, decided_position from adjustments
where account = $1 and key = any($2::text[]) order by proposed_position limit 2000
"""
COUNT = f"""
select count(*) from adjustments where {MATCHES}
"""


class AdjustmentFilter(NamedTuple):
    """Which adjustments: of an account, as they stand at `now`, of a kind, for a reason, by a person; None is any."""

    now: datetime
    account: str | None = None
    state: AdjustmentState | None = None
    kind: str | None = None
    reason: str | None = None
    proposed_by: str | None = None


class AdjustmentRow(NamedTuple):
    """Which adjustment stands there; `position` is of its proposal. Nobody decided yet where `decided_at` is None."""

    account: str
    key: str
    position: int
    decided_at: datetime | None
    decided_position: int | None


async def _fold(connection: Connection, rows: Sequence[asyncpg.Record]) -> None:
    for position, topic, recorded_at, state, _ in rows:
        await _take_in(connection, decode(topic, state), position, recorded_at)


async def _take_in(connection: Connection, event: Event, position: int, recorded_at: datetime) -> None:
    match event:
        case AdjustmentProposed(adjustment=told):
            await connection.execute(
                INSERT,
                event.account,
                told.adjustment,
                told.kind,
                told.at,
                None if told.amount is None else told.amount.minor_units,
                told.meter,
                told.quantity,
                event.effect.minor_units,
                event.effect.currency,
                told.reason,
                told.reverses,
                event.proposed_by,
                event.proposed_at,
                event.expires_at,
                position,
            )
        case AdjustmentApproved(account=account, adjustment=key):
            decided = (event.approved_by, event.is_automatic, recorded_at, position)
            await connection.execute(DECIDE, account, key, "approved", *decided)
            await connection.execute(REVERSE, account, key)
        case AdjustmentRejected(account=account, adjustment=key):
            decided = (event.rejected_by, False, recorded_at, position)
            await connection.execute(DECIDE, account, key, "rejected", *decided)
        case AdjustmentWithdrawn(account=account, adjustment=key):
            decided = (event.withdrawn_by, False, recorded_at, position)
            await connection.execute(DECIDE, account, key, "withdrawn", *decided)
        case _:
            pass


MODEL: Final = DecidedModel(NAME, TOPICS, _fold)


async def adjustments(
    pool: Pool, asked: AdjustmentFilter, *, order: Order, after: int | None, limit: int
) -> tuple[Watermark, Sequence[AdjustmentRow], int]:
    """The next adjustments after the one proposed at a position, and how many match in all.

    Largest first is by currency and then by what the effect comes to, whichever way it goes.
    """
    filters = (asked.account, asked.state, asked.now, asked.kind, asked.reason, asked.proposed_by)
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, NAME)
        rows = await connection.fetch(SELECT_PAGES[order], *filters, after, limit)
        total = await connection.fetchval(COUNT, *filters)
    return mark, [AdjustmentRow(*row) for row in rows], total


async def rows_of(pool: Pool, account: str, keys: Sequence[str]) -> list[AdjustmentRow]:
    """The rows of an account's adjustments with these keys, oldest first."""
    return [AdjustmentRow(*row) for row in await pool.fetch(SELECT_OF_KEYS, account, keys)]
