"""The service's HTTP application, put together from its parts by plain arguments."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import structlog
import uvicorn
from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from ledger.commands.attempts import Attempts
from ledger.database import Pool, open_pool
from ledger.event_log import CONNECTION_LOST, EventLog
from ledger.graphql.context import AskedWork, Context, FailedWork
from ledger.graphql.schema import make_schema
from ledger.graphql.socket import MESSAGE_BYTES_MAX, GraphQLSocket
from ledger.graphql.view import GraphQLView
from ledger.http.access import Access
from ledger.http.bodies import read_body
from ledger.http.health import LiveEndpoint, ReadyEndpoint
from ledger.http.metrics import MetricsEndpoint
from ledger.http.problems import Problem
from ledger.http.protocol import Protocol
from ledger.http.requests import REQUEST_ID, Requests, request_id_of
from ledger.http.usage import UsageEndpoint, UsageIntake
from ledger.http.webhooks import WebhookEndpoint
from ledger.platforms.opening import open_platform
from ledger.platforms.port import Platform
from ledger.projections.as_of import PastReader
from ledger.projections.catalogue import CatalogueFollower
from ledger.settings import Environment, Settings
from ledger.telemetry import Telemetry, open_tracer
from ledger.workers import asking, broker

POOL_CONNECTIONS: Final = 8
FOLLOW_RETRY_SECONDS: Final = 0.5
GRAPHQL_BYTES_MAX: Final = 1024 * 1024
USAGE_PATH: Final = "/v1/usage"

_log = structlog.get_logger("app")


def make_app(
    *,
    pool: Pool,
    log: EventLog,
    follower: CatalogueFollower,
    telemetry: Telemetry,
    is_development: bool,
    platform: Platform | None = None,
    failed_work: FailedWork | None = None,
    asked_work: AskedWork | None = None,
) -> ASGIApp:
    """The ASGI application on open parts; it owns none of them."""
    access = Access(follower)
    intake = UsageIntake(log, follower, telemetry)
    past = PastReader(pool, log, follower)
    attempts = Attempts(log, count=lambda outcome: telemetry.attempts.labels(outcome).inc())

    def make_context(scope: Scope) -> Context:
        key = access.key_of(dict(scope["headers"]))
        return Context(
            pool, log, follower, intake.record, key, scope[REQUEST_ID], past, attempts, failed_work, asked_work
        )

    def admit(scope: Scope, authorization: str | None) -> Context | None:
        """Browsers cannot send headers with a WebSocket, so its first message may say who asks."""
        headers = scope["headers"]
        if authorization is not None:
            headers = [(b"authorization", authorization.encode("latin-1", "replace"))]
        try:
            return make_context({**scope, "headers": headers, REQUEST_ID: request_id_of(scope)})
        except Problem:
            return None

    schema = make_schema(is_development=is_development)
    view = GraphQLView(
        schema,
        make_context=make_context,
        read_body=partial(read_body, bytes_max=GRAPHQL_BYTES_MAX),
        is_development=is_development,
    )
    usage = UsageEndpoint(intake, access)
    routes = [
        Route(USAGE_PATH, usage, methods=["POST"]),
        Route("/v1/webhooks/stripe", WebhookEndpoint(log, platform), methods=["POST"]),
        Route("/graphql", view, methods=["GET", "POST"]),
        Route("/health", LiveEndpoint(), methods=["GET"]),
        Route("/health/ready", ReadyEndpoint(log), methods=["GET"]),
        Route("/metrics", MetricsEndpoint(telemetry, access, pool, log), methods=["GET"]),
    ]
    socket = WebSocketRoute("/graphql", GraphQLSocket(schema, admit=admit))
    router = Router([*routes, socket], redirect_slashes=False)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        """To what is asked for most straight away, else through the router, which tries pattern after pattern."""
        is_usage = scope["type"] == "http" and scope["path"] == USAGE_PATH and scope["method"] == "POST"
        await (usage if is_usage else router)(scope, receive, send)

    return Requests(dispatch, telemetry, routes=frozenset(route.path for route in routes))


@asynccontextmanager
async def open_app(settings: Settings, database_url: str) -> AsyncIterator[ASGIApp]:
    """The application with its own pool, log and catalogue, open until the context ends."""
    pool = await open_pool(database_url, application="api", size=POOL_CONNECTIONS)
    log = await EventLog.open(pool, database_url)
    follower = CatalogueFollower(log)
    await follower.refresh()
    following = asyncio.create_task(_keep_following(follower), name="catalogue follower")
    try:
        async with open_platform(settings) as platform:
            yield make_app(
                pool=pool,
                log=log,
                follower=follower,
                telemetry=Telemetry(tracer=open_tracer(settings.traces_endpoint)),
                is_development=settings.environment is Environment.DEVELOPMENT,
                platform=platform,
                failed_work=None if settings.redis_url is None else broker.FailedWork(settings.redis_url),
                asked_work=None if settings.redis_url is None else asking.AskedWork(settings.redis_url),
            )
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await log.close()
        await pool.close()


async def serve(settings: Settings, database_url: str) -> None:
    """Serve until the process is told to stop; requests under way are finished first."""
    async with open_app(settings, database_url) as app:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=Protocol,
            ws="websockets-sansio",
            ws_max_size=MESSAGE_BYTES_MAX,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=10,
        )
        await uvicorn.Server(config).serve()


async def _keep_following(follower: CatalogueFollower) -> None:
    """Follow for ever: a lost connection is tried again, because the follower only reads."""
    while True:
        try:
            await follower.follow()
        except CONNECTION_LOST as fault:
            _log.warning("the catalogue lost its database and tries again", fault=repr(fault))
            await asyncio.sleep(FOLLOW_RETRY_SECONDS)
