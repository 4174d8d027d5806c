"""What is measured with: accounts, a meter of three dimensions, and usage events as a customer would send them."""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg

from benchmarks.opened import opened
from ledger.commands.accounts import change_account
from ledger.commands.keys import issue_key
from ledger.commands.meters import change_meter
from ledger.domain.accounts import OpenAccount
from ledger.domain.metadata import Metadata
from ledger.domain.metering import MeterDefinition
from ledger.domain.meters import DefineMeter
from ledger.projections.runner import Projector

ACCOUNTS = 1_000
METER = "tokens"
DAYS = 30
OPENED_DAYS = 60
"""How long ago the accounts were opened."""
EVENT_TYPE = "tokens.used"
METADATA = Metadata(actor="benchmark")

# A few accounts tell most of the usage, and an account stays in its region and tier.
FILL_LOG = """
with head as (
    select position, recorded_at, date_trunc('day', recorded_at) - make_interval(days => $3) as start
    from events order by position desc limit 1
), drawn as (
    select n, floor($2 * power(random(), 2))::int as account, random() as chosen,
        head.start + make_interval(secs => (n - 1) * 86400.0 * $3 / $1) as at
    from head, generate_series(1, $1) n
), told as (
    select n, at, 'account-' || lpad(account::text, 4, '0') as subject, account, chosen from drawn
)
insert into events (
    position, originator_id, originator_version, topic, account, occurred_at, recorded_at, state, metadata
)
select head.position + n, md5(n::text)::uuid, 1, 'UsageRecorded', subject, at,
    head.recorded_at, concat(
        '{"source":"bench","id":"', n, '","type":"tokens.used","subject":"', subject,
        '","time":"', to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        '","data":{"tokens":', 1 + floor(chosen * 8000)::int, ',"model":"model-', floor(chosen * 4)::int,
        '","region":"region-', account % 4, '","tier":"tier-', account % 3, '","user":"user-', n % 500, '"}}'
    )::json, '{"actor":"benchmark"}'::json
from told, head order by n
"""


async def prepare(database_url: str) -> str:
    """Open the accounts, define the meter, issue a key and let the read models take it in; return the key."""
    now = datetime.now(UTC)
    accounts = [opening(number, now) for number in range(ACCOUNTS)]
    definition = MeterDefinition(
        name="Tokens",
        event_type=EVENT_TYPE,
        aggregation="sum",
        property="tokens",
        dimensions=("model", "region", "tier"),
        unit="token",
    )
    async with opened(database_url) as (pool, log, _):
        await asyncio.gather(*(change_account(log, one, now=now, metadata=METADATA) for one in accounts))
        await change_meter(log, DefineMeter(METER, definition), now=now, metadata=METADATA)
        key = await issue_key(
            log, name="bench", roles=["admin"], account=None, expires_at=None, now=now, metadata=METADATA
        )
        await Projector(pool, log).catch_up()
    return key.text


def opening(number: int, now: datetime) -> OpenAccount:
    """The command that opens one of the accounts, before the usage that `fill_log` tells."""
    return OpenAccount(account_key(number), f"Account {number}", "UTC", now - timedelta(days=OPENED_DAYS))


def account_key(number: int) -> str:
    """The key of one of the accounts."""
    return f"account-{number:04d}"


def usage_events(count: int, *, run: str) -> Iterator[bytes]:
    """CloudEvents of about 250 bytes in JSON, each told once, of the hour before now; `run` keeps their ids apart."""
    draw = random.Random(run)
    now = datetime.now(UTC)
    times = [(now - timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S") for second in range(3_600)]
    for number in range(count):
        account = int(ACCOUNTS * draw.random() ** 2)
        chosen = draw.random()
        yield (
            f'{{"specversion":"1.0","id":"{run}-{number}","source":"bench","type":"{EVENT_TYPE}",'
            f'"subject":"{account_key(account)}","time":"{times[int(chosen * 3_600)]}.{number % 1000:03d}Z",'
            f'"data":{{"tokens":{1 + int(chosen * 8_000)},"model":"model-{int(chosen * 4)}",'
            f'"region":"region-{account % 4}","tier":"tier-{account % 3}","user":"user-{number % 500}"}}}}'
        ).encode()


async def fill_log(database_url: str, events: int, *, accounts: int = ACCOUNTS) -> None:
    """Put usage of the thirty days before today into the log, in order of time, told by the first so many accounts.

    It is written by SQL in the very form in which the log keeps usage: what appends cost is measured elsewhere.
    """
    connection = await asyncpg.connect(database_url)
    await connection.execute("select setseed(0.5)")
    await connection.execute(FILL_LOG, events, accounts, DAYS)
    await connection.execute("vacuum analyze events")
    await connection.close()
