"""Background work survives what Redis and workers do: real Valkey, real workers."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from ledger.embedded.redis import Redis
from ledger.workers import broker as broker_module
from ledger.workers.broker import QUEUE, QueueFull, dead_letters, open_broker
from ledger.workers.schedule import CLAIM, Job, enqueue_due

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
QUICK = Job("sweep", timedelta(minutes=1))
PATIENCE_SECONDS = 20


def wait_until(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def broker(redis_url: str) -> Iterator[RedisBroker]:
    opened = open_broker(
        redis_url,
        heartbeat_timeout=timedelta(seconds=1),
        maintenance_chance=1_000_000,
        retry_pause=timedelta(milliseconds=5),
    )
    yield opened
    opened.close()


@contextmanager
def working(broker: RedisBroker) -> Iterator[None]:
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=50)
    worker.start()
    try:
        yield
    finally:
        worker.stop(timeout=5_000)


def test_a_turn_is_enqueued_once_however_many_workers_look_at_the_clock(broker: RedisBroker, redis_url: str) -> None:
    dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="sweep")(lambda: None)
    other = open_broker(redis_url)

    turns = [enqueue_due(one, NOON, (QUICK,)) for one in (broker, other, broker)]

    assert turns == [["sweep@2026-11-22T12:00:00Z"], [], []]
    assert broker.do_qsize(QUEUE) == 1
    assert enqueue_due(broker, NOON + timedelta(minutes=1), (QUICK,)) == ["sweep@2026-11-22T12:01:00Z"]


def test_flushing_redis_loses_no_turn(broker: RedisBroker) -> None:
    ran: list[int] = []
    dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="sweep")(lambda: ran.append(1))
    enqueue_due(broker, NOON, (QUICK,))

    broker.client.flushall()
    assert broker.do_qsize(QUEUE) == 0, "the message is gone"

    assert enqueue_due(broker, NOON, (QUICK,)) == ["sweep@2026-11-22T12:00:00Z"]
    with working(broker):
        wait_until(lambda: bool(ran))


def test_flushing_redis_while_a_worker_runs_keeps_the_schedule_going(broker: RedisBroker) -> None:
    ran: list[int] = []
    dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="sweep")(lambda: ran.append(1))
    with working(broker):
        for turn in range(4):
            enqueue_due(broker, NOON + timedelta(minutes=turn), (QUICK,))
            if turn == 1:
                broker.client.flushall()
                enqueue_due(broker, NOON + timedelta(minutes=turn), (QUICK,))
        wait_until(lambda: len(ran) >= 3)


def test_a_worker_that_dies_between_claim_and_message_delays_the_turn_only(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise redis.ConnectionError("died")

    dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="sweep")(lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(broker, "enqueue", die)
        with pytest.raises(redis.ConnectionError):
            enqueue_due(broker, NOON, (QUICK,))
    mark = "ledger:turn:sweep@2026-11-22T12:00:00Z"

    assert 0 < broker.client.ttl(mark) <= CLAIM.total_seconds()
    broker.client.delete(mark)  # as its end does, ten seconds later
    assert enqueue_due(broker, NOON, (QUICK,)) == ["sweep@2026-11-22T12:00:00Z"]


def test_a_job_that_keeps_failing_ends_among_the_dead_letters_with_its_error(broker: RedisBroker) -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise ValueError("the disk is on fire")

    dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="sweep", max_retries=2)(fail)
    with working(broker):
        enqueue_due(broker, NOON, (QUICK,))
        wait_until(lambda: bool(dead_letters(broker.client)))

    (letter,) = dead_letters(broker.client)
    assert len(tries) == 3
    assert (letter.message_id, letter.job) == ("sweep@2026-11-22T12:00:00Z", "sweep")
    assert letter.error == "ValueError: the disk is on fire"
    assert abs(letter.died_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_full_queue_turns_new_work_down_and_takes_it_later(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="sweep")(lambda: None)
    monkeypatch.setattr(broker_module, "QUEUE_MESSAGES_MAX", 2)
    actor.send()
    actor.send()

    with pytest.raises(QueueFull):
        actor.send()
    assert enqueue_due(broker, NOON, (QUICK,)) == []


KILLED_WORKER = """
    import sys, threading, time
    from datetime import timedelta
    import dramatiq
    from ledger.workers.broker import QUEUE, open_broker
    broker = open_broker(sys.argv[1], heartbeat_timeout=timedelta(seconds=1), maintenance_chance=1_000_000)
    def sweep():
        print("begun", flush=True)
        time.sleep(600)
    dramatiq.actor(broker=broker, queue_name=QUEUE)(sweep)
    dramatiq.Worker(broker, worker_threads=1, worker_timeout=50).start()
    threading.Event().wait()
"""


def test_what_a_killed_worker_was_doing_is_done_by_another(broker: RedisBroker, redis_url: str) -> None:
    ran: list[int] = []
    dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="sweep")(lambda: ran.append(1))
    enqueue_due(broker, NOON, (QUICK,))
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED_WORKER), redis_url]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"begun\n"
        os.kill(killed.pid, signal.SIGKILL)

    with working(broker):
        wait_until(lambda: bool(ran))
    assert ran == [1]


def test_a_worker_goes_on_with_a_redis_that_was_killed_and_started_again(server_directory: Path) -> None:
    server = Redis(server_directory / "redis").start()
    broker = open_broker(server.url)
    ran: list[int] = []
    dramatiq.actor(broker=broker, queue_name=QUEUE, actor_name="sweep")(lambda: ran.append(1))
    try:
        with working(broker):
            enqueue_due(broker, NOON, (QUICK,))
            wait_until(lambda: len(ran) == 1)
            os.kill(int(broker.client.info("server")["process_id"]), signal.SIGKILL)
            with pytest.raises(redis.RedisError):
                enqueue_due(broker, NOON + timedelta(minutes=1), (QUICK,))
            server.start()
            enqueue_due(broker, NOON + timedelta(minutes=1), (QUICK,))
            wait_until(lambda: len(ran) == 2)
    finally:
        broker.close()
        server.stop()
