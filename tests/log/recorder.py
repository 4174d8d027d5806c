"""Our log behind the `eventsourcing` library's recorder interface, so that its contract tests run against it.

What differs is translated here and nowhere else: the library is synchronous, its states are any bytes (ours are JSON)
and its versions may begin at 0 (ours begin at 1).
"""

import asyncio
import json
import threading
from collections.abc import Coroutine, Sequence
from time import sleep
from typing import Any, TypeVar
from uuid import UUID, uuid4

from eventsourcing.persistence import ApplicationRecorder, IntegrityError, Notification, StoredEvent, Subscription

from ledger.database import open_pool
from ledger.domain.refusals import VersionTaken
from ledger.event_log import EventLog
from ledger.log_rows import NewEvent
from tests.log.ledgers import NOW

T = TypeVar("T")
LAST = 2**62


class LogRecorder(ApplicationRecorder):
    """An `EventLog` with an event loop in a thread of its own."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._pool = self._wait(open_pool(url, application="test", size=4))
        self._log = self._wait(EventLog.open(self._pool, url))

    def close(self) -> None:
        self._wait(self._log.close())
        self._wait(self._pool.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        # A decision of ours names its request: the very same events again are no retry of this one.
        metadata = json.dumps({"actor": "test", "request": str(uuid4())}).encode()
        events = [_new_event(event, metadata) for event in stored_events]
        try:
            return list(self._wait(self._log.append(events)).positions)
        except VersionTaken as taken:
            raise IntegrityError(str(taken)) from taken

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        assert isinstance(originator_id, UUID)
        stream = self._wait(self._log.stream(originator_id.bytes))
        found = []
        for event in stream:
            [row] = self._page(after=event.position - 1, before=event.position + 1, limit=1)
            found.append(_stored_event(row))
        found = [
            event
            for event in found
            if (gt is None or event.originator_version > gt) and (lte is None or event.originator_version <= lte)
        ]
        return (found[::-1] if desc else found)[:limit]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = 0 if start is None else start - inclusive_of_start
        before = LAST if stop is None else stop + 1
        rows = self._page(after=after, before=before, limit=limit, topics=list(topics) or None)
        return [Notification(id=row["position"], **vars(_stored_event(row))) for row in rows]

    def max_notification_id(self) -> int | None:
        return self._wait(self._log.head()).position or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "Subscription[ApplicationRecorder]":
        return LogSubscription(self, gt=gt, topics=topics)

    def _page(self, **what: Any) -> list[Any]:
        return self._wait(self._log.page(**what))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


class AggregateLogRecorder(LogRecorder):
    """A recorder of streams alone, which by its contract tells no positions."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        super().insert_events(stored_events, **kwargs)


class LogSubscription(Subscription[ApplicationRecorder]):
    """Follows the log by asking for what comes next."""

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            after = self._last_notification_id or 0
            for notification in self._recorder.select_notifications(
                after, 1, None, self._topics, inclusive_of_start=False
            ):
                self._last_notification_id = notification.id
                return notification
            sleep(0.01)
        raise StopIteration


def _new_event(event: StoredEvent, metadata: bytes) -> NewEvent:
    assert isinstance(event.originator_id, UUID)
    state = json.dumps(event.state.decode("latin-1")).encode()
    version = event.originator_version + 1
    return NewEvent(event.originator_id.bytes, version, event.topic, None, NOW, state, metadata)


def _stored_event(row: Any) -> StoredEvent:
    return StoredEvent(
        originator_id=UUID(bytes=row["originator_id"].bytes),
        originator_version=row["originator_version"] - 1,
        topic=row["topic"],
        state=json.loads(row["state"]).encode("latin-1"),
    )
