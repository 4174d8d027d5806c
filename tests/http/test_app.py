"""The application as a process opens it: follows other processes' decisions, ends cleanly."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import httpx
import pytest

import ledger.app as application
from ledger.app import open_app
from ledger.commands.keys import issue_key
from ledger.database import open_pool
from ledger.domain.metadata import Metadata
from ledger.event_log import EventLog
from ledger.settings import Settings


async def test_a_key_made_by_another_process_is_good_within_a_moment(database_url: str) -> None:
    async with open_app(Settings(), database_url) as app:
        pool = await open_pool(database_url, application="test", size=1)
        log = await EventLog.open(pool, database_url)
        fresh = await issue_key(
            log,
            name="test",
            roles=["admin"],
            account=None,
            expires_at=None,
            now=datetime.now(UTC),
            metadata=Metadata(actor="test"),
        )
        headers = {"authorization": f"Bearer {fresh.text}"}
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://ledger", headers=headers) as client:
            answers = []
            for _ in range(100):
                answers.append(await client.get("/graphql", params={"query": "{ viewer { keyId } }"}))
                if answers[-1].is_success:
                    break
                await asyncio.sleep(0.02)
            assert answers[-1].json()["data"]["viewer"]["keyId"] == fresh.key_id
        await log.close()
        await pool.close()
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not names & {"event log writer", "catalogue follower"}


async def test_the_catalogue_is_followed_again_after_a_lost_database(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "FOLLOW_RETRY_SECONDS", 0)
    tries: asyncio.Queue[int] = asyncio.Queue()

    async with open_app(Settings(), database_url):

        async def lost(_: EventLog, position: int, *, limit: int = 1) -> list[asyncpg.Record]:
            await tries.put(position)
            raise ConnectionResetError

        monkeypatch.setattr(EventLog, "decisions_since", lost)
        async with asyncio.timeout(5):
            assert [await tries.get() for _ in range(3)] == [0, 0, 0]
