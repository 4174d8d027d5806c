"""Work that a person asks for from another process: it goes into the queue that the worker empties."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import redis
from dramatiq import Message

from ledger.domain.send_refusals import QueueUnavailable
from ledger.workers.broker import QUEUE, QueueFull, open_broker

RECONCILE: Final = "reconcile_platform"


class AskedWork:
    """The queue of a Redis, for those who ask."""

    def __init__(self, redis_url: str) -> None:
        self._broker = open_broker(redis_url)

    def reconcile(self, accounts: Sequence[str] | None, at: datetime) -> str:
        """Have accounts compared with the platform, all of them where None; returns what the work is named.

        Raises `QueueUnavailable`.
        """
        keys = None if accounts is None else list(accounts)
        message = Message[Any](QUEUE, RECONCILE, (keys, at.isoformat()), {}, {})
        try:
            self._broker.declare_queue(QUEUE)
            self._broker.enqueue(message)
        except (redis.RedisError, QueueFull) as fault:
            raise QueueUnavailable(why=type(fault).__name__) from fault
        return message.message_id
