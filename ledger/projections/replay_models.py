"""The tables that a replay computes anew and compares: one entry for each, and the SQL that tells a digest of its rows.

Two sides hold the same where the digests are the same: a digest is taken over the hashes of the rows, in order of the
hash. What may differ although nothing is wrong is left out of a row or brought to one form: numbers of series, when
rows were made, series under construction or retired, the scale of a number. Connections decide by their search path
which side they read.
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import msgspec

from ledger.database import Connection
from ledger.domain.replaying import AccountDigest, Evidence, StoredRow
from ledger.projections import accounts, adjustments, cases, platform_objects, sends_fold, usage_lane

ACCOUNTS_MAX: Final = 1_000_000
ROWS_MAX: Final = 1_000_000
"""Of one account and table, in a comparison row by row."""


class Model(NamedTuple):
    """A table of a read model: SQL for the account of a row, its key, its other columns and its evidence.

    `cursor` names the follower that keeps it. `first` and `last` bound the events behind a row, inclusive.
    """

    table: str
    cursor: str
    source: str
    account: str
    key: Mapping[str, str]
    columns: Mapping[str, str]
    first: str
    last: str


def _columns(names: str, *, numbers: str = "") -> dict[str, str]:
    """SQL by column of `t`. Equal numbers may have been written with more or fewer zeros: they are trimmed."""
    return {name: f"t.{name}" for name in names.split()} | {name: f"trim_scale(t.{name})" for name in numbers.split()}


def _of_living_series(table: str) -> str:
    return f"{table} t join usage_series s on s.series = t.series and s.state = 'live'"


_METER: Final = {"meter": "s.meter"}
_NUMBERS: Final = "total moment minimum maximum latest"
_EVIDENCE: Final = "event_count latest_at latest_position first_position last_position"

MODELS: Final = (
    Model(
        table="accounts",
        cursor=accounts.NAME,
        source="accounts t",
        account="t.key",
        key=_columns("key"),
        columns=_columns("name zone aliases opened_at position"),
        first="t.position",
        last="t.position",
    ),
    Model(
        table="adjustments",
        cursor=adjustments.NAME,
        source="adjustments t",
        account="t.account",
        key=_columns("account key"),
        columns=_columns(
            "kind state at meter currency reason reverses proposed_by proposed_at expires_at proposed_position "
            "decided_by is_automatic decided_at decided_position",
            numbers="amount_minor_units quantity effect_minor_units",
        ),
        first="t.proposed_position",
        last="coalesce(t.decided_position, t.proposed_position)",
    ),
    Model(
        table="platform_objects",
        cursor=platform_objects.NAME,
        source="platform_objects t",
        account="coalesce(t.customer, '')",
        key=_columns("platform kind id"),
        columns=_columns("customer subscription status starts_at ends_at obstacle topic state position"),
        first="t.position",
        last="t.position",
    ),
    Model(
        table="platform_news",
        cursor=platform_objects.NAME,
        source="platform_news t",
        account="''",
        key=_columns("platform"),
        columns=_columns("notifications last_event_id last_kind last_created_at last_recorded_at position"),
        first="t.position",
        last="t.position",
    ),
    Model(
        table="cases",
        cursor=cases.NAME,
        source="cases t",
        account="coalesce(t.account, '')",
        key=_columns("key"),
        columns=_columns(
            "platform subject account customer meter starts_at ends_at standing cause assignee currency opened_at "
            "opened_position position state",
            numbers="money_minor_units",
        ),
        first="t.opened_position",
        last="t.position",
    ),
    Model(
        table="sends",
        cursor=sends_fold.NAME,
        source="sends t",
        account="t.account",
        key=_columns("platform identifier"),
        columns=_columns(
            "account batch meter customer event_type usage_position timestamp repeats undoes state code message "
            "attempts intended_at due_at settled_at cancel cancelled_by cancel_at intended_position settled_position",
            numbers="value",
        ),
        first="t.intended_position",
        last="coalesce(t.settled_position, t.intended_position)",
    ),
    Model(
        table="credit_sends",
        cursor=sends_fold.NAME,
        source="credit_sends t",
        account="t.account",
        key=_columns("platform account adjustment"),
        columns=_columns(
            "customer instrument invoice currency identifier state reference code message attempts settled_at "
            "intended_position settled_position",
            numbers="minor_units",
        ),
        first="t.intended_position",
        last="coalesce(t.settled_position, t.intended_position)",
    ),
    Model(
        table="usage_series",
        cursor=usage_lane.MAIN,
        source="(select * from usage_series where state = 'live') t",
        account="''",
        key=_columns("meter"),
        columns={"definition": "t.definition::jsonb"},
        first="0::bigint",
        last="0::bigint",
    ),
    Model(
        table="usage_days",
        cursor=usage_lane.MAIN,
        source=_of_living_series("usage_days"),
        account="t.account",
        key=_METER | _columns("account day part dimensions"),
        columns=_columns(f"dimensions_key {_EVIDENCE}", numbers=_NUMBERS),
        first="t.first_position",
        last="t.last_position",
    ),
    Model(
        table="usage_hours",
        cursor=usage_lane.MAIN,
        source=_of_living_series("usage_hours"),
        account="t.account",
        key=_METER | _columns("account hour"),
        columns=_columns(_EVIDENCE, numbers=_NUMBERS),
        first="t.first_position",
        last="t.last_position",
    ),
    Model(
        table="usage_values",
        cursor=usage_lane.MAIN,
        source=_of_living_series("usage_values"),
        account="t.account",
        key=_METER | _columns("account day part dimensions value"),
        columns=_columns(
            "dimensions_key value_key event_count first_position last_position last_at last_at_position is_present"
        ),
        first="t.first_position",
        last="t.last_position",
    ),
    Model(
        table="held_usage",
        cursor=usage_lane.MAIN,
        source=_of_living_series("held_usage"),
        account="coalesce(t.account, t.subject)",
        key=_METER | _columns("position"),
        columns=_columns("code message subject account event_type source event_id occurred_at recorded_at"),
        first="t.position",
        last="t.position",
    ),
)
"""Every table that can be rebuilt from the log. A new one comes here, and gets its shadow in its migration."""


def _hash(model: Model) -> str:
    return f"sha256(convert_to(row({', '.join((*model.key.values(), *model.columns.values()))})::text, 'UTF8'))"


def _object(columns: Mapping[str, str]) -> str:
    pairs = ", ".join(f"'{name}', {sql}" for name, sql in columns.items())
    return f"json_build_object({pairs})::text"


async def digests(connection: Connection, model: Model) -> dict[str, AccountDigest]:
    """The digest of each account's rows, by account and in order of it; at most a million accounts."""
    # In sixteenths, so that no hash is taken over more than a fraction of an account that has most of the rows.
    query = f"""
select account, sum(rows)::bigint as rows, sha256(string_agg(digest, '' order by part)) as digest
from (
    select account, get_byte(hash, 0) >> 4 as part, count(*) as rows,
        sha256(string_agg(hash, '' order by hash)) as digest
    from (select {model.account} as account, {_hash(model)} as hash from {model.source}) as hashed
    group by account, part
) as parts
group by account order by account collate "C" limit $1
"""
    rows = await connection.fetch(query, ACCOUNTS_MAX)
    return {row["account"]: AccountDigest(row["rows"], row["digest"]) for row in rows}


async def evidence(connection: Connection, model: Model, account: str) -> dict[bytes, Evidence]:
    """The positions behind each row of an account, by the row's hash; at most a million rows."""
    query = f"""
select {_hash(model)} as hash, {model.first} as first, {model.last} as last
from {model.source} where {model.account} = $1 order by first, hash limit $2
"""
    rows = await connection.fetch(query, account, ROWS_MAX)
    return {row["hash"]: Evidence(row["first"], row["last"]) for row in rows}


async def stored_rows(connection: Connection, model: Model, account: str, hashes: Collection[bytes]) -> list[StoredRow]:
    """The rows of an account that have one of the hashes, in order of their evidence."""
    query = f"""
select {_object(model.key)} as key, {_object(model.columns)} as columns, {model.first} as first, {model.last} as last
from {model.source} where {model.account} = $1 and {_hash(model)} = any($2::bytea[]) order by first limit $3
"""
    rows = await connection.fetch(query, account, list(hashes), ROWS_MAX)
    return [StoredRow(_texts(row["key"]), _texts(row["columns"]), Evidence(row["first"], row["last"])) for row in rows]


def _texts(json: str) -> dict[str, str | None]:
    """A JSON object with every value as text; numbers digit by digit as they were written."""
    values = msgspec.json.decode(json, type=dict[str, msgspec.Raw])
    return {name: _text(bytes(value)) for name, value in values.items()}


def _text(raw: bytes) -> str | None:
    if raw.startswith(b'"'):
        return msgspec.json.decode(raw, type=str)
    return None if raw == b"null" else raw.decode()
