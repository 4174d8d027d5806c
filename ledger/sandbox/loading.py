"""Asks a running ledger as any client would: usage over HTTP in batches, decisions over GraphQL, under an API key."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

BATCH_EVENTS: Final = 2_000
ATTEMPTS_MAX: Final = 20
TIMEOUT_SECONDS: Final = 60
REPEATED: Final = (http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.TOO_MANY_REQUESTS)


class NotAccepted(Exception):
    """The ledger turned a batch or a question down; the message is its answer."""


class Client(NamedTuple):
    """Where a ledger answers, and the API key to ask it with. A question ends once `stop` is set."""

    url: str
    key: str
    stop: threading.Event

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The data of a GraphQL answer, refusals among them. Raises `NotAccepted` where it has errors."""
        body = msgspec.json.encode({"query": query, "variables": variables})
        answer = _post(self, "/graphql", "application/json", body)
        if answer.get("errors"):
            raise NotAccepted(msgspec.json.encode(answer["errors"]).decode()[:300])
        data: dict[str, Any] = answer["data"]
        return data


def send_usage(events: Iterable[Mapping[str, Any]], client: Client, progress: Callable[[int], None]) -> Counter[str]:
    """Send all events and return how many had which fate: stored, duplicate, held (stored too), refused.

    `progress` gets the number of events sent so far. A ledger that is busy, or away for a moment, is asked again:
    ids make that safe. Raises `NotAccepted`, also once the client stops.
    """
    fates: Counter[str] = Counter()
    sent = 0
    for batch in _batches(events):
        answer = _post(client, "/v1/usage", "application/cloudevents-batch+json", msgspec.json.encode(batch))
        fates["stored"] += answer["stored"]
        fates["duplicate"] += len(answer["duplicates"])
        fates["held"] += len(answer["held"])
        fates["refused"] += len(answer["refused"])
        sent += len(batch)
        progress(sent)
    return fates


def _batches(events: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    remaining = iter(events)
    while batch := list(islice(remaining, BATCH_EVENTS)):
        yield batch


def _post(client: Client, path: str, content_type: str, body: bytes) -> dict[str, Any]:
    status, content = 0, b"stopped before it was sent"
    for attempt in range(ATTEMPTS_MAX):
        if client.stop.wait(min(1, attempt / 10)):
            break
        status, content = _ask(client, path, content_type, body)
        if status == http.HTTPStatus.OK:
            answer: dict[str, Any] = msgspec.json.decode(content)
            return answer
        if status not in REPEATED:
            break
    raise NotAccepted(f"{status}: {content[:300].decode(errors='replace')}")


def _ask(client: Client, path: str, content_type: str, body: bytes) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {client.key}", "Content-Type": content_type}
    connection = http.client.HTTPConnection(urlsplit(client.url).netloc, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as fault:
        return http.HTTPStatus.SERVICE_UNAVAILABLE, repr(fault).encode()
    finally:
        connection.close()
