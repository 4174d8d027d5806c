"""The whole application in this process over a real Postgres, for tests of its edges."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from ledger.app import make_app
from ledger.commands.keys import issue_key
from ledger.database import Pool, open_pool
from ledger.domain.metadata import Metadata
from ledger.event_log import EventLog
from ledger.graphql.context import AskedWork, FailedWork
from ledger.platforms.port import Platform
from ledger.projections.catalogue import CatalogueFollower
from ledger.projections.runner import Projector
from ledger.telemetry import Telemetry

NOW = datetime.now(UTC).replace(microsecond=0)
YESTERDAY = NOW - timedelta(days=1)


def cloud_event(number: int = 1, /, **changes: Any) -> dict[str, Any]:
    """One well-formed CloudEvent; `changes` replace attributes, None removes one."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"event-{number}",
        "source": "tests",
        "type": "request",
        "subject": "acme",
        "time": YESTERDAY.isoformat(),
        "data": {"tokens": number, "model": "small"},
    }
    event |= changes
    return {name: value for name, value in event.items() if value is not None}


@dataclass(slots=True)
class Edge:
    """The application, a client of it, and the parts behind it."""

    client: httpx.AsyncClient
    pool: Pool
    log: EventLog
    follower: CatalogueFollower
    projector: Projector
    telemetry: Telemetry
    keys: dict[tuple[tuple[str, ...], str | None, str | None], str] = field(default_factory=dict)

    async def key(
        self,
        *roles: str,
        account: str | None = None,
        person: str | None = None,
        expires_at: datetime | None = None,
    ) -> str:
        """The text of a key with these roles; the same one for the same roles, account and person."""
        known = self.keys.get((roles, account, person))
        if known is not None:
            return known
        fresh = await issue_key(
            self.log,
            name="test",
            roles=roles,
            account=account,
            expires_at=expires_at,
            person=person,
            now=datetime.now(UTC),
            metadata=Metadata(actor="test"),
        )
        await self.follower.refresh()
        self.keys[roles, account, person] = fresh.text
        return fresh.text

    async def post(
        self,
        body: bytes,
        media_type: str = "application/json",
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Tell usage with the admin's key or another."""
        sent = {"content-type": media_type, "authorization": f"Bearer {key or await self.key('admin')}"}
        return await self.client.post("/v1/usage", content=body, headers=sent | (headers or {}))

    async def graphql(
        self, query: str, variables: dict[str, Any] | None = None, *, key: str | None = None
    ) -> dict[str, Any]:
        """The response to an operation of the admin's key or another's."""
        response = await self.client.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"authorization": f"Bearer {key or await self.key('admin')}"},
        )
        answer: dict[str, Any] = response.json()
        return answer

    async def data(self, query: str, variables: dict[str, Any] | None = None, *, key: str | None = None) -> Any:
        """The data of an operation that must succeed as a whole."""
        answer = await self.graphql(query, variables, key=key)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def head(self) -> int:
        """The log's last position."""
        return (await self.log.head()).position

    async def project(self) -> None:
        """Let every read model catch up."""
        await self.projector.catch_up()


@asynccontextmanager
async def open_edge(
    database_url: str,
    *,
    is_development: bool = False,
    platform: Platform | None = None,
    failed_work: FailedWork | None = None,
    asked_work: AskedWork | None = None,
) -> AsyncIterator[Edge]:
    """An edge over a database, without tasks of its own: the catalogue and read models move when told."""
    pool = await open_pool(database_url, application="test", size=4)
    log = await EventLog.open(pool, database_url)
    follower = CatalogueFollower(log)
    telemetry = Telemetry()
    app = make_app(
        pool=pool,
        log=log,
        follower=follower,
        telemetry=telemetry,
        is_development=is_development,
        platform=platform,
        failed_work=failed_work,
        asked_work=asked_work,
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ledger") as client:
        yield Edge(client, pool, log, follower, Projector(pool, log), telemetry)
    await log.close()
    await pool.close()


OPEN_ACCOUNT = """
mutation ($account: String!, $name: String!, $zone: String!) {
  openAccount(account: $account, name: $name, zone: $zone) {
    __typename
    ... on AccountDecision { position account { id key name zone aliases openedAt } }
    ... on Refusal { code message }
    ... on NameTaken { name accountKey }
  }
}
"""
DEFINE_METER = """
mutation ($meter: String!, $definition: MeterDefinitionInput!) {
  defineMeter(meter: $meter, definition: $definition) {
    __typename
    ... on MeterDecision { position meter { id key aggregation filters { property values } dimensions unit } }
    ... on Refusal { code message }
  }
}
"""


async def open_accounts(edge: Edge, keys: Sequence[str] = ("acme",), *, zone: str = "UTC") -> None:
    """Open accounts called like their keys."""
    for key in keys:
        variables = {"account": key, "name": key.title(), "zone": zone}
        answer = await edge.data(OPEN_ACCOUNT, variables)
        assert answer["openAccount"]["__typename"] == "AccountDecision", answer


async def define_tokens_meter(edge: Edge, **changes: Any) -> None:
    """A meter `tokens`: the sum of `tokens` of events `request`, by `model`."""
    definition = {
        "name": "Tokens",
        "eventType": "request",
        "aggregation": "SUM",
        "property": "tokens",
        "dimensions": ["model"],
        "unit": "token",
    }
    answer = await edge.data(DEFINE_METER, {"meter": "tokens", "definition": definition | changes})
    assert answer["defineMeter"]["__typename"] == "MeterDecision", answer
