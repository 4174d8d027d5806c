"""What the service tells about itself."""

import json
import logging
from collections.abc import Iterator

import httpx
import pytest
import structlog

from ledger.http.requests import Requests
from ledger.settings import LogFormat
from ledger.telemetry import Telemetry, configure_logging, open_tracer
from tests.edges import Edge


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """What a test configures of logging ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("logging_restored")
def test_log_lines_are_json_with_time_level_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogFormat.JSON)
    structlog.get_logger("ours").warning("something happened", position=7)
    logging.getLogger("theirs").error("elsewhere")
    ours, theirs = map(json.loads, capsys.readouterr().err.splitlines())
    assert ours.items() >= {"event": "something happened", "position": 7, "level": "warning", "logger": "ours"}.items()
    assert theirs.items() >= {"event": "elsewhere", "level": "error", "logger": "theirs"}.items()
    assert ours["timestamp"].endswith("Z")


@pytest.mark.usefixtures("logging_restored")
def test_log_lines_for_people_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogFormat.CONSOLE)
    structlog.get_logger("ours").warning("something happened", position=7)
    assert "something happened" in capsys.readouterr().err


async def test_a_request_turned_down_is_logged_once_with_its_id(edge: Edge) -> None:
    with structlog.testing.capture_logs() as lines:
        await edge.client.get("/metrics", headers={"x-request-id": "r-1"})
        await edge.client.get("/health")
    assert len(lines) == 1
    assert lines[0].items() >= {"request": "r-1", "route": "/metrics", "status": 401}.items()


def test_traces_are_off_unless_an_endpoint_is_set() -> None:
    assert open_tracer(None) is None


async def test_a_request_is_a_span_where_traces_are_on(edge: Edge) -> None:
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    spans = memory.InMemorySpanExporter()
    provider = trace.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(spans))
    transport = edge.client._transport
    assert isinstance(transport, httpx.ASGITransport)
    inner = transport.app
    app = Requests(inner, Telemetry(tracer=provider.get_tracer("test")), routes=frozenset({"/health"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://ledger") as client:
        await client.get("/health")
        await client.get("/secret-path")
    assert [span.name for span in spans.get_finished_spans()] == ["GET /health", "GET other"]
