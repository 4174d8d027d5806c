"""Whatever happens on the way, the platform's sums end as what we say that it acknowledged, and nothing counts twice.

Random histories of usage, voids and amendments meet random faults, crashes and idle hours. `LEDGER_TEST_SEEDS` tries
more of them.
"""

import contextlib
import os
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from ledger.commands.mending import amend_usage, void_usage
from ledger.domain.mending import DismissUsage, MendUsage
from ledger.domain.sends import ACKNOWLEDGED, OPEN
from ledger.sandbox.stripe.behaviour import Behaviour
from ledger.sandbox.stripe.faults import Fault
from ledger.workers.cancelling import cancel_sends
from ledger.workers.rejecting import take_rejections
from ledger.workers.sending import send_usage
from ledger.workers.settling import settle_sends
from tests.log.ledgers import METADATA
from tests.sandbox.stripe.conftest import SDK_WARNING
from tests.workers.sent import CANCEL, SINGLE, STREAM, Crash, Crashing, Sent, catalogue, open_sent

pytestmark = SDK_WARNING

SEEDS = int(os.environ.get("LEDGER_TEST_SEEDS", "6"))
FAULTS: tuple[Fault, ...] = ("timeout_before", "timeout_after", "429", "500", "503")
TURNS = (send_usage, settle_sends, cancel_sends, take_rejections)
CALLS = ("send_usage", "send_singly", "cancel_usage", "usage_sums")


async def act(sent: Sent, chance: Random, standing: dict[int, Decimal]) -> None:
    """One thing that happens: `standing` is what counts here, by position."""
    log, faults = sent.followed.ledger.log, sent.followed.world.sandbox.faults
    match chance.randrange(10):
        case 0 | 1 | 2:
            for _ in range(chance.randint(1, 5)):
                value = Decimal(chance.randrange(-100, 10_000)) / 8
                at = sent.now() + timedelta(minutes=chance.choice((-3000, -60, -1, 0, 0, 0, 90)))
                standing[await sent.use(str(value), at=at)] = value
        case 3:
            faults.next(chance.choice((STREAM, SINGLE, CANCEL)), chance.choice(FAULTS), times=chance.randint(1, 4))
        case 4:
            faults.next(STREAM, "rejection", times=chance.randint(1, 2), code="meter_event_invalid_value")
        case 5 if standing:
            position = chance.choice(sorted(standing))
            del standing[position]
            command = DismissUsage(position, "sent_twice")
            await void_usage(log, await catalogue(sent), command, now=sent.now(), metadata=METADATA)
        case 6 if standing:
            position, value = chance.choice(sorted(standing)), Decimal(chance.randrange(10_000)) / 16
            del standing[position]
            mend = MendUsage(position, "wrong_value", properties={"tokens": value})
            standing[await amend_usage(log, await catalogue(sent), mend, now=sent.now(), metadata=METADATA)] = value
        case 7:
            await sent.advance(hours=chance.choice((1, 5, 13, 26)))
        case _:
            await sent.advance(minutes=chance.randrange(30))


async def take_turn(sent: Sent, chance: Random) -> None:
    """One of the worker's jobs, which may be another worker's, and may end in the middle."""
    desk = sent.desk if chance.randrange(3) else sent.forgetful()
    if chance.randrange(4) == 0:
        crashing: Any = Crashing(sent.followed.platform, chance.choice(CALLS), is_after=bool(chance.randrange(2)))
        desk = desk._replace(platform=crashing)
    with contextlib.suppress(Crash):
        await chance.choice(TURNS)(desk)


async def come_to_rest(sent: Sent) -> None:
    """Two days in which nothing else happens."""
    for _ in range(9):
        await sent.advance(hours=6)
        desk = sent.forgetful()
        for turn in (take_rejections, send_usage, settle_sends, cancel_sends):
            await turn(desk)


def nothing_fails(sent: Sent) -> None:
    """The faults that still wait for a request are taken back."""
    faults = sent.followed.world.sandbox.faults
    for operation in (STREAM, SINGLE, CANCEL):
        while faults.take(operation):
            pass
    sent.followed.world.sandbox.state.rejections.planted.clear()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_the_platform_counts_what_we_say_and_nothing_twice(
    database_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where the window of an identifier is taken for longer than it is, or a repeat bears a new identifier."""
    monkeypatch.setattr("ledger.workers.sending.BUSY_PAUSE", timedelta())
    chance = Random(seed)
    async with open_sent(database_url, Behaviour(webhook_duplicates_percent=20), seed=seed) as sent:
        standing: dict[int, Decimal] = {}
        for _ in range(40):
            await act(sent, chance, standing)
            for _ in range(chance.randrange(3)):
                await take_turn(sent, chance)
        nothing_fails(sent)
        await come_to_rest(sent)

        rows = [row.told for row in await sent.rows()]
        doubtful = [told for told in rows if told.state in OPEN or told.cancel in ("intended", "unknown")]
        assert doubtful == []
        assert await sent.there() == await sent.acknowledged()
        counted = dict.fromkeys(standing, Decimal())
        for told in rows:
            if told.state in ACKNOWLEDGED and told.send.undoes is None and told.cancel not in ("undone", "impossible"):
                counted[told.send.position] += told.send.value
        rejected = {told.send.position for told in rows if told.state == "rejected"}
        assert {position for position in standing if counted[position] != standing[position]} <= rejected
        assert all(counted[position] in (0, value) for position, value in standing.items())
