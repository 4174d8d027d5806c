"""The process's metrics and the read models' lag, for Prometheus."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import Receive, Scope, Send

from ledger.database import Pool
from ledger.domain.refusals import OutOfScope
from ledger.event_log import EventLog
from ledger.http.access import Access
from ledger.http.problems import answer
from ledger.projections.status import status
from ledger.telemetry import Telemetry


class MetricsEndpoint:
    """`GET /metrics`, for keys that may read the log and are bound to no account."""

    def __init__(self, telemetry: Telemetry, access: Access, pool: Pool, log: EventLog) -> None:
        self._telemetry = telemetry
        self._access = access
        self._pool = pool
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Answer in Prometheus' text format; raises the problem 401, `Forbidden`, `OutOfScope`."""
        key = self._access.require(dict(scope["headers"]), "read_log")
        if key.account is not None:
            raise OutOfScope
        for projection in await status(self._pool, self._log):
            self._telemetry.projection_position.labels(projection.name).set(projection.position)
            self._telemetry.projection_events_behind.labels(projection.name).set(projection.events_behind)
            lag_seconds = projection.lag_milliseconds / 1000
            self._telemetry.projection_lag_seconds.labels(projection.name).set(lag_seconds)
        body = generate_latest(self._telemetry.registry)
        await answer(send, 200, body, media_type=CONTENT_TYPE_LATEST.encode())
