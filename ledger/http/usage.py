"""Usage in over HTTP: CloudEvents 1.0, one or many a request; the answer tells each event's fate."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

import msgspec
from starlette.types import Receive, Scope, Send

from ledger.commands.usage import Fate, Receipt, record_usage
from ledger.domain.events import KeyIssued, UsageRecorded
from ledger.domain.metadata import Metadata
from ledger.domain.refusals import OutOfScope, UsageUnreadable
from ledger.domain.usage import parse, parse_batch, parse_lines
from ledger.event_log import EventLog
from ledger.http.access import Access
from ledger.http.bodies import read_body
from ledger.http.problems import Problem, answer
from ledger.http.requests import REQUEST_ID
from ledger.projections.catalogue import CatalogueFollower
from ledger.telemetry import Telemetry

EVENTS_MAX: Final = 10_000
BYTES_MAX: Final = 16 * 1024 * 1024
LARGE_BYTES: Final = 8 * 1024
"""From here on reading a body takes long enough for others to notice."""
COMMAS_SUSPICIOUS: Final = 100_000
"""A JSON array with more commas is counted before it is read, so that a million tiny elements cost next to nothing."""

SINGLE: Final = b"application/cloudevents+json"
BATCH: Final = b"application/cloudevents-batch+json"
LINES: Final = (b"application/x-ndjson", b"application/ndjson", b"application/jsonl")
JSON: Final = b"application/json"

Told = Sequence[UsageRecorded | UsageUnreadable]


class UsageIntake:
    """Records what callers tell, within what their key may tell; counts fates."""

    def __init__(self, log: EventLog, follower: CatalogueFollower, telemetry: Telemetry) -> None:
        self._log = log
        self._follower = follower
        fates = telemetry.usage_events
        self._stored = fates.labels("stored")
        self._exceptions = {fate: fates.labels(fate) for fate in ("duplicate", "held", "refused")}

    def require_room(self) -> None:
        """Raise `LedgerBusy` where more would only wait."""
        self._log.require_room()

    async def record(self, told: Told, key: KeyIssued, metadata: Metadata) -> Receipt:
        """Store what is readable and within the key's account; raises `LedgerBusy`, `LedgerUnavailable`."""
        catalogue = self._follower.catalogue
        encoded = metadata.encode()
        now = datetime.now(UTC)
        if key.account is None:
            receipt = await record_usage(self._log, catalogue, told, now=now, metadata=encoded)
        else:
            within, refused = _divided(told, catalogue.names, key.account)
            receipt = await record_usage(
                self._log, catalogue, [told[index] for index in within], now=now, metadata=encoded
            )
            receipt = _joined(receipt, within, refused)
        self._stored.inc(receipt.stored)
        for exception in receipt.exceptions:
            self._exceptions[exception.fate].inc()
        return receipt


class UsageEndpoint:
    """`POST /v1/usage`."""

    def __init__(self, intake: UsageIntake, access: Access) -> None:
        self._intake = intake
        self._access = access
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 200 with `{position, stored, duplicates, held, refused}` once all that is stored is durable.

        Problems: 400 body_unreadable and usage_unreadable, 401, 403, 413, 415, 503.
        """
        headers = dict(scope["headers"])
        key = self._access.require(headers, "record_usage")
        self._intake.require_room()
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if media_type not in (JSON, SINGLE, BATCH, *LINES):
            raise _unsupported()
        body = await read_body(headers, receive, bytes_max=BYTES_MAX)
        if len(body) < LARGE_BYTES:
            told = _told(media_type, body, headers)
        else:
            # Read one at a time, and give the log's writer its turn after each: then it writes while we read.
            async with self._turn:
                told = _told(media_type, body, headers)
                await asyncio.sleep(0)
        if len(told) > EVENTS_MAX:
            raise _too_many()
        metadata = Metadata(actor=f"key:{key.key_id}", request=scope[REQUEST_ID])
        receipt = await self._intake.record(told, key, metadata)
        await answer(send, 200, _receipt_json(receipt))


def _told(media_type: bytes, body: bytes, headers: Mapping[bytes, bytes]) -> Told:
    """What each event tells, in order. One event alone that cannot be read refuses the request."""
    if b"ce-specversion" in headers and media_type == JSON:
        return [_parse_binary(headers, body)]
    if media_type in LINES:
        if body.count(b"\n") > EVENTS_MAX:
            raise _too_many()
        return parse_lines(body)
    if media_type == BATCH or (media_type == JSON and body.lstrip()[:1] == b"["):
        if body.count(b",") > COMMAS_SUSPICIOUS:
            _require_few(body)
        return parse_batch(body)
    return [parse(body)]


def _require_few(body: bytes) -> None:
    if body.count(b",") > COMMAS_SUSPICIOUS * 16:
        raise _too_many()
    try:
        count = len(msgspec.json.decode(body, type=list[msgspec.Raw]))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return  # the parser says what is wrong with it
    if count > EVENTS_MAX:
        raise _too_many()


def _parse_binary(headers: Mapping[bytes, bytes], body: bytes) -> UsageRecorded:
    """The event whose attributes are `ce-` headers and whose data is the body (CloudEvents HTTP binding 3.1)."""
    attributes: dict[str, object] = {
        name[3:].decode("latin-1"): unquote(text.decode("latin-1"))
        for name, text in headers.items()
        if name.startswith(b"ce-")
    }
    try:
        attributes["data"] = msgspec.json.decode(body or b"{}", type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError) as fault:
        raise UsageUnreadable(why=str(fault)[:200]) from None
    return parse(msgspec.json.encode(attributes))


def _divided(told: Told, names: Mapping[str, str], account: str) -> tuple[list[int], list[int]]:
    """The indices of what may be recorded for an account (and of what cannot be read), and of what is another's."""
    within: list[int] = []
    refused: list[int] = []
    for index, usage in enumerate(told):
        is_own = isinstance(usage, UsageUnreadable) or names.get(usage.subject) == account
        (within if is_own else refused).append(index)
    return within, refused


def _joined(receipt: Receipt, within: list[int], refused: list[int]) -> Receipt:
    """The receipt for the whole of what was told, of which only `within` was recorded. Positions are of those."""
    rule = OutOfScope()
    exceptions = [msgspec.structs.replace(fate, index=within[fate.index]) for fate in receipt.exceptions]
    exceptions += [Fate(index, "refused", None, None, rule.code, rule.message) for index in refused]
    return receipt._replace(exceptions=sorted(exceptions, key=lambda fate: fate.index))


def _receipt_json(receipt: Receipt) -> bytes:
    fates: dict[str, list[dict[str, object]]] = {"duplicate": [], "held": [], "refused": []}
    for fate in receipt.exceptions:
        facts = msgspec.structs.asdict(fate)
        facts.pop("fate")
        fates[fate.fate].append({name: fact for name, fact in facts.items() if fact is not None})
    return msgspec.json.encode(
        {
            "position": receipt.position,
            "stored": receipt.stored,
            "duplicates": fates["duplicate"],
            "held": fates["held"],
            "refused": fates["refused"],
        }
    )


def _too_many() -> Problem:
    return Problem(
        413,
        "too_many_events",
        f"A request holds at most {EVENTS_MAX} events. Send them in parts.",
        facts={"events_max": EVENTS_MAX},
    )


def _unsupported() -> Problem:
    known = b", ".join((SINGLE, BATCH, JSON, LINES[0])).decode()
    return Problem(415, "media_type_unsupported", f"Send one of {known}.", headers={"accept": known})
