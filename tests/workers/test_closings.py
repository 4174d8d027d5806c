"""The jobs on billing periods: they do what is left, and nothing twice."""

from datetime import timedelta

from ledger.workers.closings import assess_closed, close_due
from tests.projections.closing_worlds import LONG_AGO, TODAY, bill, tell, used
from tests.projections.worlds import open_world


async def test_what_ended_before_the_grace_is_closed_once_and_late_usage_settled_once(database_url: str) -> None:
    async with open_world(database_url) as world:
        await bill(world)
        pool, log = world.ledger.pool, world.ledger.log
        now = LONG_AGO + timedelta(days=31 + 3)
        assert await close_due(pool, log, after=timedelta(hours=73), now=now) == 0
        assert await close_due(pool, log, after=timedelta(hours=72), now=now) == 1
        await world.project()
        assert await close_due(pool, log, after=timedelta(hours=72), now=now) == 0
        await tell(world, used(1, LONG_AGO, 5))
        assert await assess_closed(pool, log, now=TODAY) == 1
        await world.project()
        assert await assess_closed(pool, log, now=TODAY) == 0
