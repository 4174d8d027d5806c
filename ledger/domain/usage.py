"""Usage as sources tell it: CloudEvents 1.0 in JSON, checked and turned into `UsageRecorded`."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec

from ledger.domain.events import UsageConflicted, UsageMended, UsageRecorded
from ledger.domain.refusals import UsageUnreadable
from ledger.domain.topics import decode
from ledger.domain.values import EPOCH, exact_number

PROPERTIES_MAX: Final = 128
EVENT_BYTES_MAX: Final = 65_536
_SHORT_TEXT = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class CloudEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One CloudEvent, JSON format (CNCF CloudEvents 1.0.2, JSON Event Format 1.0.2).

    `subject` is the account's key or alias. Of the optional attributes those about the payload and the distributed
    tracing extension are taken and not kept; others are unknown and refused, so that no typing error goes unnoticed.
    """

    specversion: str
    id: _SHORT_TEXT
    source: _SHORT_TEXT
    type: _SHORT_TEXT
    subject: _SHORT_TEXT
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    data: Annotated[dict[str, Any], msgspec.Meta(max_length=PROPERTIES_MAX)] = {}
    datacontenttype: str | None = None
    dataschema: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


_one = msgspec.json.Decoder(CloudEvent, float_hook=exact_number)
_many = msgspec.json.Decoder(list[CloudEvent], float_hook=exact_number)
_each = msgspec.json.Decoder(list[msgspec.Raw])


def parse(body: bytes | memoryview | msgspec.Raw) -> UsageRecorded:
    """The usage event that one CloudEvent's JSON tells; raises `UsageUnreadable`."""
    try:
        return recorded(_one.decode(body))
    except (msgspec.MsgspecError, ValueError, RecursionError) as fault:
        raise UsageUnreadable(why=_reason(fault)) from None


def parse_batch(body: bytes) -> list[UsageRecorded | UsageUnreadable]:
    """What each event of a JSON array tells, in order; raises `UsageUnreadable` where it is no array at all."""
    try:
        return [recorded(event) for event in _many.decode(body)]
    except (msgspec.MsgspecError, ValueError, RecursionError, UsageUnreadable):
        pass
    try:
        return [_parse_or_reason(raw) for raw in _each.decode(body)]
    except (msgspec.MsgspecError, ValueError, RecursionError) as fault:
        raise UsageUnreadable(why=_reason(fault)) from None


def parse_lines(body: bytes) -> list[UsageRecorded | UsageUnreadable]:
    """What each line of newline-delimited JSON tells, in order; blank lines do not count."""
    return [_parse_or_reason(line) for line in body.split(b"\n") if not line.isspace() and line]


def _parse_or_reason(body: bytes | msgspec.Raw) -> UsageRecorded | UsageUnreadable:
    try:
        return parse(body)
    except UsageUnreadable as refusal:
        return refusal


def recorded(event: CloudEvent) -> UsageRecorded:
    """The event as the log keeps it; raises `UsageUnreadable` for what JSON's types cannot tell."""
    if event.specversion != "1.0":
        raise UsageUnreadable(why='`specversion` must be "1.0"')
    for name, text in (("id", event.id), ("source", event.source), ("type", event.type), ("subject", event.subject)):
        if not text.isprintable() or text[0] == " " or text[-1] == " ":
            raise UsageUnreadable(why=f"`{name}` has a control character or a space at an end")
    return UsageRecorded(
        source=event.source,
        id=event.id,
        type=event.type,
        subject=event.subject,
        time=utc(event.time),
        data=event.data,
    )


def utc(instant: datetime) -> datetime:
    """The same instant in UTC; raises `UsageUnreadable` outside the years 1970 to 9999."""
    try:
        in_utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    except OverflowError:
        raise UsageUnreadable(why="`time` is outside the years 1970 to 9999") from None
    if in_utc < EPOCH:
        raise UsageUnreadable(why="`time` is outside the years 1970 to 9999")
    return in_utc


def conflict_of(first_position: int, first_state: bytes, repeat_state: bytes) -> UsageConflicted | None:
    """None where a repeat tells the same as the first telling of its source and id, else the conflict to keep.

    Both are stored bytes of `UsageRecorded`. Numbers compare by value (1.0 is 1), times by instant, properties
    without regard to order.
    """
    if first_state == repeat_state:
        return None
    repeat = decode(UsageRecorded.TOPIC, repeat_state)
    if decode(UsageRecorded.TOPIC, first_state) == repeat:
        return None
    assert isinstance(repeat, UsageRecorded), "its topic says so"
    return UsageConflicted(first_position=first_position, **msgspec.structs.asdict(repeat))


def _reason(fault: BaseException) -> str:
    if isinstance(fault, RecursionError):
        return "it is nested too deeply"
    return str(fault)[:200]


UsageEvent = UsageRecorded | UsageConflicted | UsageMended
"""The events whose content may count."""
