"""What people tried and did not do, kept in the log: bounded, so that who is turned down cannot fill it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal

import structlog

from ledger.domain.audit_events import AttemptRefused, AttemptRepeated
from ledger.domain.metadata import Metadata
from ledger.domain.names import attempt_stream
from ledger.domain.refusals import LedgerBusy, LedgerUnavailable, VersionTaken
from ledger.domain.topics import encode
from ledger.event_log import CONNECTION_LOST, EventLog
from ledger.log_rows import NewEvent

KEPT_PER_MINUTE_MAX: Final = 120
"""The most attempts of one key that one process keeps in a minute of the clock; of more it keeps the number."""
KEEPING_SECONDS_MAX: Final = 5
"""For how long an answer waits for its trace."""
NOT_KEPT: Final = (*CONNECTION_LOST, LedgerBusy, LedgerUnavailable, VersionTaken, TimeoutError)
"""Why a trace may be missing: the answer is told all the same."""

Outcome = Literal["refused", "repeated", "beyond_bound", "not_kept"]

_log = structlog.get_logger("attempts")


class Attempts:
    """Keeps the attempts of this process; `count` is told what became of each."""

    def __init__(self, log: EventLog, *, count: Callable[[Outcome], object]) -> None:
        self._log = log
        self._count = count
        self._minutes: dict[str, tuple[datetime, int]] = {}
        """Key id -> the last minute in which it attempted something, and how often it did."""
        self._beyond: defaultdict[tuple[str, datetime], int] = defaultdict(int)

    async def keep(
        self,
        attempt: AttemptRefused | AttemptRepeated,
        *,
        key_id: str,
        account: str | None,
        now: datetime,
        metadata: Metadata,
    ) -> None:
        """Append the attempt, of an account where it is about one that is there; durable when this returns.

        A missing trace is told in the process's log and metrics, never to the caller, who has an answer to get.
        """
        if not self._is_within_bound(key_id, now):
            self._count("beyond_bound")
            return
        stream = attempt_stream(metadata.request or "", metadata.path or attempt.operation, now.isoformat())
        row = NewEvent(stream, 1, attempt.TOPIC, account, now, encode(attempt), metadata.encode())
        try:
            async with asyncio.timeout(KEEPING_SECONDS_MAX):
                await self._log.append([row])
        except NOT_KEPT as fault:
            self._count("not_kept")
            _log.warning("an attempt was not kept", key=key_id, request=metadata.request, fault=repr(fault))
        else:
            self._count("refused" if isinstance(attempt, AttemptRefused) else "repeated")

    def _is_within_bound(self, key_id: str, now: datetime) -> bool:
        minute = now.replace(second=0, microsecond=0)
        last, attempts = self._minutes.get(key_id, (minute, 0))
        attempts = attempts + 1 if last == minute else 1
        self._minutes[key_id] = minute, attempts
        if attempts <= KEPT_PER_MINUTE_MAX:
            return True
        if (key_id, minute) not in self._beyond:
            asyncio.get_running_loop().call_later(60 - now.second, self._tell, key_id, minute)
        self._beyond[key_id, minute] += 1
        return False

    def _tell(self, key_id: str, minute: datetime) -> None:
        """One line for all attempts of a minute that were not kept."""
        beyond = self._beyond.pop((key_id, minute))
        _log.warning("attempts beyond the bound", key=key_id, minute=minute.isoformat(), count=beyond)
