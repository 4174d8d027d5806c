"""The read model of what platforms are told: one row for each send of usage, and one for each credit."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple, cast

import asyncpg

from ledger.database import Pool
from ledger.domain.send_events import UsageSend
from ledger.domain.sends import CancelState, SendState, Told

ROWS_MAX: Final = 10_000

COLUMNS = """
    identifier, batch, account, meter, customer, event_type, usage_position, value, timestamp, repeats, undoes, state,
    code, message, attempts, intended_at, due_at, settled_at, cancel, cancelled_by, cancel_at,
    intended_position
"""
SELECT_OPEN = f"""
select {COLUMNS} from sends
where platform = $1 and state in ('intended', 'unknown') and due_at <= $2 order by due_at, identifier limit $3
"""
SELECT_CANCELS = f"""
select {COLUMNS} from sends
where platform = $1 and cancel in ('intended', 'unknown') and state not in ('intended', 'unknown')
order by identifier limit $2
"""
SELECT_SUSPECT = f"""
select {COLUMNS} from sends
where platform = $1 and code = 'suspect' and state in ('accepted', 'delivered_before') and settled_at <= $2
order by settled_at, identifier limit $3
"""
SELECT_SETTLED_BETWEEN = f"""
select {COLUMNS} from sends
where platform = $1 and event_type = $2 and state in ('accepted', 'delivered_before')
  and settled_at >= $3 and settled_at <= $4 and code is null order by settled_at, identifier limit $5
"""
SELECT_BY_IDENTIFIER = f"""
select {COLUMNS} from sends where platform = $1 and identifier = any($2::text[]) order by identifier limit 10000
"""
SELECT_OF_USAGE = f"""
select {COLUMNS} from sends
where platform = $1 and usage_position = any($2::bigint[])
order by intended_position, usage_position, identifier limit 10000
"""
SELECT_IN_TIME = f"""
select {COLUMNS} from sends
where platform = $1 and customer = $2 and event_type = $3 and timestamp >= $4 and timestamp < $5
order by timestamp, identifier limit $6
"""
SELECT_OF_ACCOUNT = f"""
select {COLUMNS} from sends
where account = $1 and ($2::text is null or state = $2) and ($3::text is null or cancel = $3)
  and ($4::text is null or (intended_position, usage_position, identifier) > (
      select intended_position, usage_position, identifier from sends where account = $1 and identifier = $4 limit 1
  ))
order by intended_position, usage_position, identifier limit $5
"""
SUM_BY_WINDOW = """
select account, customer, event_type, date_trunc($4, timestamp, 'UTC') as start,
    sum(value) as quantity, count(*) as sends
from sends
where platform = $1 and timestamp >= $2 and timestamp < $3 and state in ('accepted', 'delivered_before')
  and ($5::text[] is null or account = any($5))
group by account, customer, event_type, start order by account, customer, event_type, start limit $6
"""
COUNT_BY_STATE = """
select state, cancel, count(*) as sends from sends
where platform = $1 and ($2::text is null or account = $2) group by state, cancel order by state, cancel limit 100
"""
SELECT_OPEN_CREDITS = """
select account, adjustment, customer, instrument, invoice, minor_units, currency, identifier, state, reference, code,
    message, attempts, settled_at
from credit_sends where platform = $1 and state in ('intended', 'unknown') order by intended_position limit $2
"""
SELECT_CREDITS_OF = SELECT_OPEN_CREDITS.replace("platform = $1 and state in ('intended', 'unknown')", "account = $1")


class SendRow(NamedTuple):
    """A send as it stands, and the position of the event that says it was intended."""

    told: Told
    message: str | None
    intended_at: datetime
    intended_position: int


class SentSum(NamedTuple):
    """What a platform acknowledged of an account's usage in a window from `start` on: a sum, and of how many sends."""

    account: str
    customer: str
    event_type: str
    start: datetime
    quantity: Decimal
    sends: int


class CreditRow(NamedTuple):
    """An approved adjustment on its way to a platform; `minor_units` above zero are given to the customer."""

    account: str
    adjustment: str
    customer: str
    instrument: str
    invoice: str | None
    minor_units: int
    currency: str
    identifier: str
    state: str
    reference: str | None
    code: str | None
    message: str | None
    attempts: int
    settled_at: datetime | None


async def open_sends(pool: Pool, platform: str, *, due: datetime, limit: int) -> list[SendRow]:
    """Sends without an outcome that were due by a moment, the oldest first."""
    return _read(await pool.fetch(SELECT_OPEN, platform, due, min(limit, ROWS_MAX)))


async def cancels(pool: Pool, platform: str, *, limit: int) -> list[SendRow]:
    """Sends with an outcome of their own whose cancel has none yet."""
    return _read(await pool.fetch(SELECT_CANCELS, platform, min(limit, ROWS_MAX)))


async def suspects(pool: Pool, platform: str, *, settled_by: datetime, limit: int) -> list[SendRow]:
    """Acknowledged sends that may have been rejected without being named, and were suspected by a moment."""
    return _read(await pool.fetch(SELECT_SUSPECT, platform, settled_by, min(limit, ROWS_MAX)))


async def acknowledged_between(
    pool: Pool, platform: str, event_type: str, start: datetime, end: datetime
) -> list[SendRow]:
    """Acknowledged sends of an event type that were settled from `start` to `end`; at most 10,000."""
    return _read(await pool.fetch(SELECT_SETTLED_BETWEEN, platform, event_type, start, end, ROWS_MAX))


async def by_identifier(pool: Pool, platform: str, identifiers: Sequence[str]) -> list[SendRow]:
    """The sends with these identifiers, those that are there; at most 10,000."""
    return _read(await pool.fetch(SELECT_BY_IDENTIFIER, platform, list(identifiers)))


async def of_usage(pool: Pool, platform: str, positions: Sequence[int]) -> list[SendRow]:
    """The sends of the usage at some positions, in the order in which they were intended; at most 10,000."""
    return _read(await pool.fetch(SELECT_OF_USAGE, platform, list(positions)))


async def sends_between(
    pool: Pool, platform: str, customer: str, event_type: str, start: datetime, end: datetime
) -> list[SendRow]:
    """Every send of a customer's usage that occurred in `[start, end)`, in order of time; at most 10,000."""
    return _read(await pool.fetch(SELECT_IN_TIME, platform, customer, event_type, start, end, ROWS_MAX))


async def sends_of(
    pool: Pool,
    account: str,
    *,
    state: SendState | None = None,
    cancel: CancelState | None = None,
    after: str | None = None,
    limit: int,
) -> list[SendRow]:
    """The sends of an account in the order in which they were intended, after the one with an identifier."""
    return _read(await pool.fetch(SELECT_OF_ACCOUNT, account, state, cancel, after, min(limit, ROWS_MAX)))


async def sent_sums(
    pool: Pool,
    platform: str,
    start: datetime,
    end: datetime,
    *,
    window: str = "day",
    accounts: Sequence[str] | None = None,
    limit: int = 1_000_000,
) -> list[SentSum]:
    """What is acknowledged of usage that occurred in `[start, end)`, by account, customer, event type and window.

    `window` is `minute`, `hour` or `day` of UTC. One grouped read; cancelled, rejected and unknown sends are not in it.
    """
    if window not in ("minute", "hour", "day"):
        raise ValueError(f"no window {window}")
    names = None if accounts is None else list(accounts)
    return [SentSum(*row) for row in await pool.fetch(SUM_BY_WINDOW, platform, start, end, window, names, limit)]


async def counts(pool: Pool, platform: str, account: str | None = None) -> dict[tuple[str, str | None], int]:
    """How many sends stand how: by state and cancel."""
    rows = await pool.fetch(COUNT_BY_STATE, platform, account)
    return {(row["state"], row["cancel"]): row["sends"] for row in rows}


async def open_credits(pool: Pool, platform: str, *, limit: int) -> list[CreditRow]:
    """Credits without an outcome, the oldest first."""
    return [_credit(row) for row in await pool.fetch(SELECT_OPEN_CREDITS, platform, min(limit, ROWS_MAX))]


async def credits_of(pool: Pool, account: str) -> list[CreditRow]:
    """The credits of an account, the oldest first; at most 10,000."""
    return [_credit(row) for row in await pool.fetch(SELECT_CREDITS_OF, account, ROWS_MAX)]


def _credit(row: asyncpg.Record) -> CreditRow:
    return CreditRow(**{**row, "minor_units": int(row["minor_units"])})


def _read(rows: Sequence[asyncpg.Record]) -> list[SendRow]:
    return [
        SendRow(
            Told(
                UsageSend(
                    identifier=row["identifier"],
                    position=row["usage_position"],
                    account=row["account"],
                    meter=row["meter"],
                    customer=row["customer"],
                    event_type=row["event_type"],
                    value=row["value"],
                    timestamp=row["timestamp"],
                    repeats=row["repeats"],
                    undoes=row["undoes"],
                ),
                row["batch"],
                cast("SendState", row["state"]),
                row["due_at"],
                row["settled_at"],
                row["attempts"],
                row["code"],
                row["cancel"],
                row["cancelled_by"],
                row["cancel_at"],
            ),
            row["message"],
            row["intended_at"],
            row["intended_position"],
        )
        for row in rows
    ]
