"""When which job runs: a clock that every worker follows; the first to see a job due enqueues it.

A turn of a job is named by the job and the start of its interval, so all workers mean the same message. Redis holds a
mark for each turn that was enqueued; where Redis forgot it, the message is gone as well and is enqueued again.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from ledger.workers.broker import NAMESPACE, QUEUE, QueueFull

CLAIM: Final = timedelta(seconds=10)
"""How long a worker that claimed a turn has to enqueue it, before another may."""


class Job(NamedTuple):
    """An actor that runs once every interval, counted from the epoch in UTC."""

    actor: str
    every: timedelta

    def turn(self, now: datetime) -> str:
        """The id of the message for the interval that `now` lies in."""
        start = datetime.fromtimestamp(0, UTC) + (now - datetime.fromtimestamp(0, UTC)) // self.every * self.every
        return f"{self.actor}@{start:%Y-%m-%dT%H:%M:%SZ}"


JOBS: Final = (
    Job("sweep_retired_series", timedelta(minutes=1)),
    Job("check_log", timedelta(days=1)),
    Job("replay", timedelta(days=1)),
    Job("close_due_periods", timedelta(minutes=15)),
    Job("assess_late_usage", timedelta(hours=1)),
    Job("reconcile_platform", timedelta(days=1)),
    Job("look_into_notifications", timedelta(seconds=5)),
    Job("send_usage", timedelta(seconds=5)),
    Job("take_rejections", timedelta(seconds=10)),
    Job("cancel_sends", timedelta(seconds=15)),
    Job("send_credits", timedelta(seconds=30)),
    Job("settle_sends", timedelta(minutes=1)),
    Job("sweep_notifications", timedelta(minutes=10)),
    Job("sync_platform", timedelta(days=1)),
)


def enqueue_due(broker: RedisBroker, now: datetime, jobs: tuple[Job, ...] = JOBS) -> list[str]:
    """Enqueue the turn of each job that nobody enqueued yet and return their ids.

    A turn that finds the queue full is tried again once its claim has run out.
    """
    enqueued = []
    for job in jobs:
        turn = job.turn(now)
        mark = f"{NAMESPACE}:turn:{turn}"
        if not broker.client.set(mark, "claimed", nx=True, ex=CLAIM):
            continue
        message = Message[None](QUEUE, job.actor, (), {}, {}, message_id=turn)
        try:
            broker.enqueue(message)
        except QueueFull:
            continue
        broker.client.set(mark, "enqueued", ex=job.every * 2)
        enqueued.append(turn)
    return enqueued
