"""Four eyes are held by the database: whoever appends as the service, by SQL or by code that forgets, is refused."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from ledger.database import Connection, connect
from ledger.domain.adjustment_events import (
    Adjustment,
    AdjustmentApproved,
    AdjustmentLimitChanged,
    AdjustmentProposed,
    AdjustmentRejected,
    AdjustmentWithdrawn,
)
from ledger.domain.adjustments import person_key
from ledger.domain.events import Event
from ledger.domain.money import Money
from ledger.domain.names import adjustment_stream, limit_stream, stream_id
from ledger.domain.topics import encode
from ledger.log_rows import NewEvent
from tests.log.ledgers import METADATA, Ledger, owner, row

INSERT = """
insert into events (
    position, originator_id, originator_version, topic, account, occurred_at, recorded_at, state, metadata
)
select coalesce(max(position), 0) + 1, encode($1, 'hex')::uuid,
    1 + count(*) filter (where originator_id = encode($1, 'hex')::uuid), $2, $3, now(), clock_timestamp(), $4, '{}'
from events
"""
WHOLE = Adjustment(
    adjustment="outage",
    kind="credit",
    at=datetime(2026, 3, 1, tzinfo=UTC),
    reason="goodwill",
    note="",
    amount=Money(1250, "EUR"),
)
REFUSED = "an adjustment needs four eyes"


class Intruder:
    """Somebody with the service's login to the database."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def append(self, event: Event, *, account: str | None = "acme", stream: bytes | None = None) -> None:
        """Add an event by plain SQL."""
        originator = stream or adjustment_stream("acme")
        await self.connection.execute(INSERT, originator, event.TOPIC, account, encode(event).decode())

    async def propose(self, by: str = "Ann", *, effect: int = -1250, role: str = "ops", **changes: Any) -> None:
        """Propose something."""
        expires_in = changes.pop("expires_in", timedelta(days=1))
        now = datetime.now(UTC)
        event = AdjustmentProposed(
            account="acme",
            adjustment=msgspec.structs.replace(WHOLE, **changes),
            proposed_by=by,
            role=role,
            proposed_at=now,
            expires_at=now + expires_in,
            effect=Money(effect, "EUR"),
        )
        await self.append(event)

    async def approve(self, by: str, *, is_automatic: bool = False, key: str = "outage", **how: Any) -> None:
        """Approve it."""
        event = AdjustmentApproved(account="acme", adjustment=key, approved_by=by, is_automatic=is_automatic)
        await self.append(event, **how)

    async def limit(self, by: str, minor_units: int, role: str = "ops") -> None:
        """Set a limit."""
        event = AdjustmentLimitChanged(role=role, limit=Money(minor_units, "EUR"), changed_by=by)
        await self.append(event, account=None, stream=limit_stream(role, "EUR"))


@pytest.fixture
async def intruder(ledger: Ledger) -> AsyncIterator[Intruder]:
    """A connection in the service's own role."""
    connection = await connect(ledger.url, application="test")
    assert await connection.fetchval("select current_user") == "ledger_service"
    yield Intruder(connection)
    await connection.close()


async def test_another_person_may_approve(ledger: Ledger, intruder: Intruder) -> None:
    await intruder.propose()
    await intruder.approve("Pat")
    assert await ledger.count() == 2


@pytest.mark.parametrize("by", ["Ann", " ann ", "ANN", "\uff21nn", "", "ledger"])
async def test_the_proposer_may_not_however_the_name_is_written(ledger: Ledger, intruder: Intruder, by: str) -> None:
    await intruder.propose()
    with pytest.raises(asyncpg.CheckViolationError, match=REFUSED):
        await intruder.approve(by)
    rejected = AdjustmentRejected(account="acme", adjustment="outage", rejected_by=by, reason="x")
    with pytest.raises(asyncpg.CheckViolationError, match=REFUSED):
        await intruder.append(rejected)
    assert await ledger.count() == 1


async def test_without_the_trigger_the_proposer_may(ledger: Ledger, intruder: Intruder) -> None:
    """The guard of the tests here is the trigger: disabled, it goes through."""
    async with owner(ledger.url) as connection:
        await connection.execute("alter table events disable trigger adjustments_need_four_eyes")
    await intruder.propose()
    await intruder.approve("Ann")
    assert await ledger.count() == 2


async def test_the_trigger_wakes_where_changes_of_a_replica_are_replayed(ledger: Ledger) -> None:
    async with owner(ledger.url) as connection:
        await connection.execute("set session_replication_role = replica")
        with pytest.raises(asyncpg.CheckViolationError, match="nobody proposed it"):
            await Intruder(connection).approve("Pat")


@pytest.mark.parametrize(
    "changes",
    [
        {"by": ""},
        {"by": "  "},
        {"amount": None},
        {"amount": Money(0, "EUR")},
        {"amount": Money(-1, "EUR")},
        {"kind": "usage"},
    ],
    ids=str,
)
async def test_a_proposal_needs_a_person_and_an_amount(intruder: Intruder, changes: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match=REFUSED):
        await intruder.propose(**changes)


async def test_one_key_is_proposed_once(intruder: Intruder) -> None:
    await intruder.propose("Ann")
    with pytest.raises(asyncpg.CheckViolationError, match="another one has its key"):
        await intruder.propose("Ben")


async def test_what_nobody_proposed_cannot_be_approved(intruder: Intruder) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="nobody proposed it"):
        await intruder.approve("Pat")
    await intruder.propose()
    with pytest.raises(asyncpg.CheckViolationError, match="nobody proposed it"):
        await intruder.approve("Pat", stream=stream_id("another"))
    with pytest.raises(asyncpg.CheckViolationError, match="another account"):
        await intruder.approve("Pat", account="umbrella")
    with pytest.raises(asyncpg.CheckViolationError, match="another account"):
        await intruder.approve("Pat", account=None)


async def test_nothing_is_decided_on_twice(intruder: Intruder) -> None:
    await intruder.propose()
    await intruder.approve("Pat")
    decisions = (
        AdjustmentApproved(account="acme", adjustment="outage", approved_by="Eve", is_automatic=False),
        AdjustmentRejected(account="acme", adjustment="outage", rejected_by="Eve", reason="x"),
        AdjustmentWithdrawn(account="acme", adjustment="outage", withdrawn_by="Ann"),
    )
    for event in decisions:
        with pytest.raises(asyncpg.CheckViolationError, match="decided on already"):
            await intruder.append(event)


async def test_only_the_proposer_withdraws(intruder: Intruder) -> None:
    await intruder.propose()
    with pytest.raises(asyncpg.CheckViolationError, match="only its proposer"):
        await intruder.append(AdjustmentWithdrawn(account="acme", adjustment="outage", withdrawn_by="Pat"))
    await intruder.append(AdjustmentWithdrawn(account="acme", adjustment="outage", withdrawn_by="ann"))


async def test_what_expired_is_not_approved(intruder: Intruder) -> None:
    await intruder.propose(expires_in=timedelta(seconds=-1))
    with pytest.raises(asyncpg.CheckViolationError, match="has expired"):
        await intruder.approve("Pat")


async def test_automatic_approval_needs_a_limit_that_is_large_enough(intruder: Intruder) -> None:
    await intruder.propose()
    for why, set_by, minor_units in (
        ("no limit", None, 0),
        ("no limit", "ann", 10_000),
        ("above the limit", "Ada", 1_249),
    ):
        if set_by is not None:
            await intruder.limit(set_by, minor_units)
        with pytest.raises(asyncpg.CheckViolationError, match=why):
            await intruder.approve("Ann", is_automatic=True)
    await intruder.limit("Ada", 10_000, role="other")
    await intruder.limit("Ada", 1_250)
    with pytest.raises(asyncpg.CheckViolationError, match="own alone"):
        await intruder.approve("Pat", is_automatic=True)
    await intruder.approve("Ann", is_automatic=True)


async def test_parts_count_together_against_the_limit(intruder: Intruder) -> None:
    await intruder.limit("Ada", 2_500)
    for key in ("a", "b", "c"):
        await intruder.propose(adjustment=key)
    await intruder.approve("Ann", is_automatic=True, key="a")
    await intruder.approve("Ann", is_automatic=True, key="b")
    with pytest.raises(asyncpg.CheckViolationError, match="above the limit"):
        await intruder.approve("Ann", is_automatic=True, key="c")


async def test_one_adjustment_is_reversed_once(intruder: Intruder) -> None:
    await intruder.propose()
    for key in ("undo", "undo too"):
        await intruder.propose(adjustment=key, kind="debit", reverses="outage")
    with pytest.raises(asyncpg.CheckViolationError, match="was not approved"):
        await intruder.approve("Pat", key="undo")
    await intruder.approve("Pat")
    await intruder.approve("Pat", key="undo")
    with pytest.raises(asyncpg.CheckViolationError, match="reversed already"):
        await intruder.approve("Pat", key="undo too")


async def test_a_table_of_the_sessions_own_does_not_stand_in_for_the_log(intruder: Intruder) -> None:
    await intruder.propose()
    await intruder.connection.execute("create temporary table events (like public.events)")
    await intruder.connection.execute("set search_path = pg_temp, public")
    statement = INSERT.replace("into events", "into public.events").replace("from events", "from public.events")
    approved = AdjustmentApproved(account="acme", adjustment="outage", approved_by="Ann", is_automatic=False)
    with pytest.raises(asyncpg.CheckViolationError, match=REFUSED):
        await intruder.connection.execute(
            statement, adjustment_stream("acme"), approved.TOPIC, "acme", encode(approved).decode()
        )


@pytest.mark.parametrize("name", ["Ann Lee", "ANN  LEE", "Straße", "STRASSE", "Éva", "ΣΊΣΥΦΟΣ", "ﬁona", "İpek", "ǅura"])
async def test_the_database_spells_names_as_the_code_does(ledger: Ledger, name: str) -> None:
    assert await ledger.pool.fetchval("select person_key($1)", name) == person_key(name)


async def test_an_append_that_the_database_refuses_fails_alone(ledger: Ledger, intruder: Intruder) -> None:
    """Several appends share a transaction: one that forgets four eyes takes none of the others with it."""
    await intruder.propose()
    forgetful = AdjustmentApproved(account="acme", adjustment="outage", approved_by="Ann", is_automatic=False)
    stream = adjustment_stream("acme")
    event = NewEvent(stream, 2, forgetful.TOPIC, "acme", datetime.now(UTC), encode(forgetful), METADATA.encode())
    appends = [ledger.log.append([row(f"stream {number}")]) for number in range(3)]
    appends.insert(1, ledger.log.append([event]))
    first, refused, *others = await asyncio.gather(*appends, return_exceptions=True)
    assert isinstance(refused, asyncpg.CheckViolationError)
    assert not [one for one in (first, *others) if isinstance(one, BaseException)]
    assert await ledger.count() == 4
    await ledger.log.append([row("later")])
