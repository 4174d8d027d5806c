"""What the service tells about itself: structured logs, Prometheus metrics, OpenTelemetry traces where configured."""

import logging
from typing import Final

import structlog
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ledger.settings import LogFormat

SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Telemetry:
    """The metrics of one process in a registry of their own; `tracer` is None where traces are off."""

    def __init__(self, *, tracer: Tracer | None = None) -> None:
        self.tracer = tracer
        self.registry = CollectorRegistry()
        self.request_seconds = Histogram(
            "ledger_request_seconds",
            "Time from a request's arrival to its answer, by route, method and status",
            ["route", "method", "status"],
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.usage_events = Counter(
            "ledger_usage_events",
            "Usage events told, by their fate: stored (held ones too), duplicate, held, refused",
            ["fate"],
            registry=self.registry,
        )
        self.attempts = Counter(
            "ledger_attempts",
            "Mutations that changed nothing, by their trace: refused, repeated, beyond_bound, not_kept",
            ["outcome"],
            registry=self.registry,
        )
        self.projection_position = Gauge(
            "ledger_projection_position",
            "The last position that a read model includes",
            ["projection"],
            registry=self.registry,
        )
        self.projection_events_behind = Gauge(
            "ledger_projection_events_behind",
            "How many events a read model has yet to take in",
            ["projection"],
            registry=self.registry,
        )
        self.projection_lag_seconds = Gauge(
            "ledger_projection_lag_seconds",
            "How long the oldest event that a read model has yet to take in has waited",
            ["projection"],
            registry=self.registry,
        )


def configure_logging(log_format: LogFormat) -> None:
    """Write log lines to standard error, as JSON or for people; the standard library's loggers follow."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer()
    if log_format is LogFormat.JSON:
        renderer = structlog.processors.JSONRenderer()
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def open_tracer(endpoint: str | None) -> Tracer | None:
    """A tracer that sends to the OTLP collector at `endpoint`; None where there is none.

    The SDK is an extra (`ledger[tracing]`), imported only where traces are wanted.
    """
    if endpoint is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "ledger"}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider.get_tracer("ledger")
