"""The read model of cases: one row for each, for the queue of those that wait and the list of those that are over."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, cast, get_args

import asyncpg
import msgspec

from ledger.database import Connection, Pool
from ledger.domain.case_events import CaseEvent
from ledger.domain.cases import Case, CaseState, evolve
from ledger.domain.money import Money
from ledger.domain.reconciliation_facts import Subject
from ledger.domain.topics import decode
from ledger.domain.values import exact_number
from ledger.projections.decided import DecidedModel
from ledger.projections.watermark import Watermark, watermark

NAME: Final = "cases"
TOPICS: Final = frozenset(kind.TOPIC for kind in get_args(CaseEvent))

Order = Literal["oldest", "newest", "largest"]

SELECT_STATES = """
select key, opened_position, state from cases where key = any($1::text[]) order by key limit 10000
"""
UPSERT = """
insert into cases (
    key, platform, subject, account, customer, meter, starts_at, ends_at, standing, cause, assignee, currency,
    money_minor_units, opened_at, opened_position, position, state
)
select * from unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::numeric[], $14::timestamptz[], $15::bigint[],
    $16::bigint[], $17::json[]
)
on conflict (key) do update set
    customer = excluded.customer, ends_at = excluded.ends_at, standing = excluded.standing, cause = excluded.cause,
    assignee = excluded.assignee, currency = excluded.currency, money_minor_units = excluded.money_minor_units,
    position = excluded.position, state = excluded.state
"""
MATCHES = """
($1::text is null or account = $1) and ($2::text[] is null or standing = any($2))
and ($3::text is null or platform = $3) and ($4::text is null or cause = $4)
and ($5::text is null or person_key(assignee) = person_key($5)) and (not $6::boolean or assignee is null)
"""
MONEY = "currency, abs(money_minor_units), opened_position"
SELECT_PAGE = f"""
select key, opened_position, position, state from cases
where {MATCHES} and ($7::bigint is null or opened_position > $7) order by opened_position limit $8
"""
SELECT_PAGES: Final[dict[Order, str]] = {
    "oldest": SELECT_PAGE,
    "newest": SELECT_PAGE.replace("opened_position >", "opened_position <").replace(
        "by opened_position", "by opened_position desc"
    ),
    "largest": f"""
select key, opened_position, position, state from cases
where {MATCHES} and ($7::bigint is null or ({MONEY}) < (select {MONEY} from cases where opened_position = $7))
order by currency desc, abs(money_minor_units) desc, opened_position desc limit $8
""",
}
COUNT = f"""
select count(*) from cases where {MATCHES}
"""
SELECT_OF_KEYS = """
select key, opened_position, position, state from cases where key = any($1::text[]) order by opened_position limit 10000
"""
SELECT_STANDINGS = """
select standing, count(*) as cases from cases
where ($1::text is null or platform = $1) and ($2::text is null or account = $2) group by standing order by standing
"""
SELECT_MONEY = """
select subject, currency, sum(money_minor_units) filter (where money_minor_units > 0) as leaks,
    -sum(money_minor_units) filter (where money_minor_units < 0) as overbilled
from cases
where standing <> 'settled' and currency <> '' and ($1::text is null or platform = $1)
    and ($2::text is null or account = $2)
group by subject, currency order by subject, currency limit 1000
"""
SELECT_OLDEST = """
select key, opened_position, position, state from cases
where standing in ('open', 'investigating') and ($1::text is null or platform = $1)
    and ($2::text is null or account = $2)
order by opened_position limit 1
"""

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(Case, float_hook=exact_number).decode


class CaseFilter(NamedTuple):
    """Which cases: of an account, standing in some way, on a platform, for a cause, with an assignee; None is any."""

    account: str | None = None
    states: tuple[CaseState, ...] | None = None
    platform: str | None = None
    cause: str | None = None
    assignee: str | None = None
    is_unassigned: bool = False


class CaseRow(NamedTuple):
    """A case, where it was opened and where it changed last."""

    case: Case
    opened_position: int
    position: int


class Leak(NamedTuple):
    """What the cases of one subject that are not settled come to in a currency.

    `leaks` is not billed there, `overbilled` is too much there. A difference of quantities may come back as one of
    amounts, so subjects are not added up.
    """

    subject: Subject
    leaks: Money
    overbilled: Money


class CasesSummary(NamedTuple):
    """How many cases stand where, the money in those that are not settled, and the oldest that nobody resolved."""

    counts: dict[CaseState, int]
    leaks: list[Leak]
    oldest: CaseRow | None


async def _fold(connection: Connection, rows: Sequence[asyncpg.Record]) -> None:
    events = [(cast("CaseEvent", decode(row["topic"], row["state"])), row["position"]) for row in rows]
    known = {
        row["key"]: (row["opened_position"], _decode(row["state"]))
        for row in await connection.fetch(SELECT_STATES, list({event.case for event, _ in events}))
    }
    found: dict[str, CaseRow] = {}
    for event, position in events:
        opened_position, state = known.get(event.case, (position, None))
        case = evolve(state, event)
        known[event.case] = (opened_position, case)
        found[event.case] = CaseRow(case, opened_position, position)
    await connection.execute(UPSERT, *map(list, zip(*map(_columns, found.values()), strict=True)))


def _columns(row: CaseRow) -> tuple[object, ...]:
    case, one = row.case, row.case.difference
    currency, minor_units = ("", 0) if one.money is None else (one.money.currency, one.money.minor_units)
    about = (one.platform, one.subject, one.account, one.customer, one.meter, one.start, one.end)
    stands = (case.state, case.cause, case.assignee, currency, minor_units)
    return (case.case, *about, *stands, case.opened_at, row.opened_position, row.position, _encode(case).decode())


MODEL: Final = DecidedModel(NAME, TOPICS, _fold)


async def cases(
    pool: Pool, asked: CaseFilter, *, order: Order, after: int | None, limit: int
) -> tuple[Watermark, list[CaseRow], int]:
    """The next cases after the one opened at a position, and how many match in all.

    Largest first is by currency, and then by the money of the difference, whichever way it goes.
    """
    states = None if asked.states is None else list(asked.states)
    filters = (asked.account, states, asked.platform, asked.cause, asked.assignee, asked.is_unassigned)
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, NAME)
        rows = await connection.fetch(SELECT_PAGES[order], *filters, after, limit)
        total = await connection.fetchval(COUNT, *filters)
    return mark, [_row(row) for row in rows], total


async def cases_by_key(pool: Pool, keys: Sequence[str]) -> list[CaseRow]:
    """The cases with these keys, oldest first; at most 10,000."""
    return [_row(row) for row in await pool.fetch(SELECT_OF_KEYS, list(keys))]


async def summary(pool: Pool, *, platform: str | None, account: str | None) -> tuple[Watermark, CasesSummary]:
    """Where the cases of a platform stand, of all where none is named."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        mark = await watermark(connection, NAME)
        standings = await connection.fetch(SELECT_STANDINGS, platform, account)
        money = await connection.fetch(SELECT_MONEY, platform, account)
        oldest = await connection.fetchrow(SELECT_OLDEST, platform, account)
    counts = {row["standing"]: row["cases"] for row in standings}
    leaks = [
        Leak(
            row["subject"],
            Money(int(row["leaks"] or 0), row["currency"]),
            Money(int(row["overbilled"] or 0), row["currency"]),
        )
        for row in money
    ]
    return mark, CasesSummary(counts, leaks, None if oldest is None else _row(oldest))


def _row(row: asyncpg.Record) -> CaseRow:
    return CaseRow(_decode(row["state"]), row["opened_position"], row["position"])
