"""Schemathesis against the served endpoint: whatever the schema allows, nothing is a fault of ours."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from socket import socket
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes

from ledger.app import open_app
from ledger.commands.keys import issue_key
from ledger.database import open_pool
from ledger.domain.metadata import Metadata
from ledger.event_log import EventLog
from ledger.settings import Environment, Settings

EXAMPLES_MAX = 300

numbers = st.integers(min_value=-1, max_value=2**63)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
schemathesis.graphql.scalar("Position", st.one_of(numbers.map(nodes.Int), texts.map(nodes.String)))
schemathesis.graphql.scalar("BigInt", numbers.map(nodes.Int))
schemathesis.graphql.scalar("Decimal", st.decimals(allow_nan=True).map(str).map(nodes.String))
schemathesis.graphql.scalar("Date", st.one_of(st.dates().map(str), texts).map(nodes.String))
schemathesis.graphql.scalar(
    "DateTime",
    st.one_of(st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat), st.datetimes().map(str), texts).map(
        nodes.String
    ),
)
scalars = st.one_of(texts.map(nodes.String), numbers.map(nodes.Int), st.booleans().map(nodes.Boolean))
schemathesis.graphql.scalar("PropertyValue", scalars)
schemathesis.graphql.scalar(
    "JSON", st.one_of(scalars, st.lists(scalars, max_size=3).map(lambda values: nodes.List([*values])))
)


class _Announcing(uvicorn.Server):
    """Tells its port once it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[int], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce(self.servers[0].sockets[0].getsockname()[1])


class Served:
    """The application on a port of its own, in a thread with a loop of its own, until `stop`."""

    def __init__(self, database_url: str) -> None:
        self.key = ""
        self.port = 0
        self._database_url = database_url
        self._server: uvicorn.Server | None = None
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._is_ready.wait(20)

    async def _serve(self) -> None:
        pool = await open_pool(self._database_url, application="test", size=1)
        log = await EventLog.open(pool, self._database_url)
        key = await issue_key(
            log,
            name="fuzz",
            roles=["admin"],
            account=None,
            expires_at=None,
            now=datetime.now(UTC),
            metadata=Metadata(actor="test"),
        )
        self.key = key.text
        await log.close()
        await pool.close()
        async with open_app(Settings(environment=Environment.DEVELOPMENT), self._database_url) as app:
            config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False)
            self._server = _Announcing(config, self._announce)
            await self._server.serve()

    def _announce(self, port: int) -> None:
        self.port = port
        self._is_ready.set()

    def stop(self) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(20)


@pytest.fixture
def endpoint(database_url: str) -> Iterator[Any]:
    served = Served(database_url)
    yield schemathesis.graphql.from_url(
        f"http://127.0.0.1:{served.port}/graphql", headers={"authorization": f"Bearer {served.key}"}
    )
    served.stop()


def test_no_operation_of_the_schema_is_a_fault_of_ours(endpoint: Any) -> None:
    seen: set[str] = set()

    @settings(max_examples=EXAMPLES_MAX, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=endpoint.as_strategy())
    def check(case: Any) -> None:
        seen.add(case.operation.label)
        response = case.call()
        assert response.status_code < 500, response.text
        assert "internal_error" not in response.text, response.text

    check()
    assert len(seen) > 10
