"""The queue of background work, with its limits, and the list of what failed for good."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, cast

import redis
from dramatiq import Message
from dramatiq.broker import Broker, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import q_name
from dramatiq.middleware import (
    AsyncIO,
    Callbacks,
    CurrentMessage,
    Middleware,
    MiddlewareError,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)

from ledger.domain.send_refusals import QueueUnavailable

NAMESPACE: Final = "ledger"
QUEUE: Final = "work"
QUEUE_MESSAGES_MAX: Final = 10_000
RETRIES_MAX: Final = 5
RETRY_PAUSE: Final = timedelta(seconds=1)
RETRY_PAUSE_MAX: Final = timedelta(minutes=5)
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=15)
MAINTENANCE_CHANCE: Final = 100_000
"""Of a million commands, how many also look for dead workers. An idle worker sends about two commands a second, so
what a killed one held is back in the queue some ten seconds after its last heartbeat ran out."""
DEAD_KEPT: Final = timedelta(days=30)


class QueueFull(MiddlewareError):
    """So much work waits that more is turned down; the schedule derives it again later."""


class BoundedQueue(Middleware):
    """Turns new work down while the queue is full. Retries pass: they were in the queue before."""

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        """Raise `QueueFull` where as many messages wait as may."""
        client = cast("RedisBroker", broker).client
        if delay is None and cast("int", client.llen(f"{NAMESPACE}:{message.queue_name}")) >= QUEUE_MESSAGES_MAX:
            raise QueueFull(message.queue_name)


class ErrorKept(Middleware):
    """Keeps the error of a failed message in it, so that the list of dead letters can say why."""

    def after_nack(self, broker: Broker, message: MessageProxy) -> None:
        """Put the options that the retries left, the traceback among them, into the stored dead letter."""
        client = cast("RedisBroker", broker).client
        stored_under = f"{NAMESPACE}:{q_name(message.queue_name)}.XQ.msgs"
        letter = message.options["redis_message_id"]
        if client.hexists(stored_under, letter):
            client.hset(stored_under, letter, message.encode())


class DeadLetter(NamedTuple):
    """Work that failed after all retries: which job, since when it is dead, and the last line of its error."""

    message_id: str
    job: str
    died_at: datetime
    error: str


def open_broker(
    redis_url: str,
    *,
    heartbeat_timeout: timedelta = HEARTBEAT_TIMEOUT,
    maintenance_chance: int = MAINTENANCE_CHANCE,
    retry_pause: timedelta = RETRY_PAUSE,
) -> RedisBroker:
    """A broker on this Redis; connects when first used."""
    return RedisBroker(  # type: ignore[no-untyped-call]
        url=redis_url,
        namespace=NAMESPACE,
        heartbeat_timeout=_milliseconds(heartbeat_timeout),
        maintenance_chance=maintenance_chance,
        dead_message_ttl=_milliseconds(DEAD_KEPT),
        middleware=[
            BoundedQueue(),
            ErrorKept(),
            ShutdownNotifications(),
            Callbacks(),
            TimeLimit(),
            AsyncIO(),
            CurrentMessage(),
            Retries(
                max_retries=RETRIES_MAX,
                min_backoff=_milliseconds(retry_pause),
                max_backoff=_milliseconds(RETRY_PAUSE_MAX),
            ),
        ],
    )


def dead_letters(client: "redis.Redis", *, limit: int = 100) -> list[DeadLetter]:
    """The work that failed for good, the latest first."""
    queue = f"{NAMESPACE}:{QUEUE}.XQ"
    letters = []
    for key, died_at in cast("list[tuple[bytes, Any]]", client.zrevrange(queue, 0, limit - 1, withscores=True)):
        stored = cast("bytes | None", client.hget(f"{queue}.msgs", cast("str", key)))
        if stored is not None:
            message = Message.decode(stored)
            when = datetime.fromtimestamp(int(died_at) // 1000, UTC)
            error = str(message.options.get("traceback", "")).strip().rpartition("\n")[2]
            letters.append(DeadLetter(message.message_id, message.actor_name, when, error))
    return letters


class FailedWork:
    """The dead letters of a Redis, for whoever looks at them from another process."""

    def __init__(self, redis_url: str) -> None:
        self._broker = open_broker(redis_url)

    def letters(self, *, limit: int) -> list[DeadLetter]:
        """The work that failed for good, the latest first. Raises `QueueUnavailable`."""
        try:
            return dead_letters(self._broker.client, limit=limit)
        except redis.RedisError as fault:
            raise QueueUnavailable(why=type(fault).__name__) from fault

    def redrive(self, message_id: str) -> bool:
        """Put a dead letter into the queue again, with all its attempts; False where it is not there.

        Jobs may run twice, so it is put in before it is taken out. Raises `QueueUnavailable`.
        """
        try:
            return self._redrive(message_id)
        except (redis.RedisError, QueueFull) as fault:
            raise QueueUnavailable(why=type(fault).__name__) from fault

    def _redrive(self, message_id: str) -> bool:
        client, dead = self._broker.client, f"{NAMESPACE}:{QUEUE}.XQ"
        for key in cast("list[str]", client.zrange(dead, 0, -1)):
            stored = cast("bytes | None", client.hget(f"{dead}.msgs", key))
            if stored is None or (letter := Message[Any].decode(stored)).message_id != message_id:
                continue
            self._broker.declare_queue(QUEUE)
            fresh = Message[Any](QUEUE, letter.actor_name, letter.args, letter.kwargs, {}, message_id=message_id)
            self._broker.enqueue(fresh)
            client.zrem(dead, key)
            client.hdel(f"{dead}.msgs", key)
            return True
        return False


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
