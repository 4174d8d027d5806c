"""Sends usage to a running ledger as any customer's gateway would: over HTTP, in batches, under an API key."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

BATCH_EVENTS: Final = 2_000
ATTEMPTS_MAX: Final = 20
TIMEOUT_SECONDS: Final = 60
REPEATED: Final = (http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.TOO_MANY_REQUESTS)


class NotAccepted(Exception):
    """The ledger turned a batch down; the message is its answer."""


def send_usage(
    events: Iterable[dict[str, Any]], *, url: str, key: str, progress: Callable[[int], None], stop: threading.Event
) -> Counter[str]:
    """Send all events and return how many had which fate: stored, duplicate, held (stored too), refused.

    `progress` gets the number of events sent so far. A ledger that is busy, or away for a moment, is asked again:
    ids make that safe. Raises `NotAccepted`, also once `stop` is set.
    """
    fates: Counter[str] = Counter()
    sent = 0
    for batch in _batches(events):
        answer = _post(url, key, msgspec.json.encode(batch), stop)
        fates["stored"] += answer["stored"]
        fates["duplicate"] += len(answer["duplicates"])
        fates["held"] += len(answer["held"])
        fates["refused"] += len(answer["refused"])
        sent += len(batch)
        progress(sent)
    return fates


def _batches(events: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(events)
    while batch := list(islice(remaining, BATCH_EVENTS)):
        yield batch


def _post(url: str, key: str, body: bytes, stop: threading.Event) -> dict[str, Any]:
    status, content = 0, b"stopped before it was sent"
    for attempt in range(ATTEMPTS_MAX):
        if stop.wait(min(1, attempt / 10)):
            break
        status, content = _ask(url, key, body)
        if status == http.HTTPStatus.OK:
            answer: dict[str, Any] = msgspec.json.decode(content)
            return answer
        if status not in REPEATED:
            break
    raise NotAccepted(f"{status}: {content[:300].decode(errors='replace')}")


def _ask(url: str, key: str, body: bytes) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents-batch+json"}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", "/v1/usage", body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as fault:
        return http.HTTPStatus.SERVICE_UNAVAILABLE, repr(fault).encode()
    finally:
        connection.close()
