"""The worker process: runs jobs on two threads and keeps the schedule."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Final

import redis
import structlog
from dramatiq import Worker
from dramatiq.brokers.redis import RedisBroker

from ledger.workers.schedule import enqueue_due

THREADS: Final = 2
CLOCK_SECONDS: Final = 1
STOP_TIME_MAX: Final = timedelta(seconds=15)
"""How long a job in progress may go on after a stop was asked for; another worker runs it again after that."""

_log = structlog.get_logger("worker")


def work(broker: RedisBroker, stop: threading.Event) -> None:
    """Run jobs until `stop` is set, then finish what is in progress."""
    worker = Worker(broker, worker_threads=THREADS)
    worker.start()
    try:
        while not stop.is_set():
            try:
                enqueue_due(broker, datetime.now(UTC))
            except redis.RedisError as fault:
                _log.warning("the schedule cannot reach Redis and tries again", fault=repr(fault))
            stop.wait(CLOCK_SECONDS)
    finally:
        worker.stop(timeout=STOP_TIME_MAX // timedelta(milliseconds=1))
        broker.close()
