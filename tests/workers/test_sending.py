"""Usage on its way to a platform: intended, told, settled; once each, whatever happens on the way."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from ledger.workers.sending import send_usage
from tests.sandbox.stripe.conftest import SDK_WARNING
from tests.workers.sent import Sent, open_sent

pytestmark = SDK_WARNING


@pytest.fixture
async def sent(database_url: str) -> AsyncIterator[Sent]:
    """Sending is on and nothing was used yet."""
    async with open_sent(database_url) as opened:
        yield opened


async def test_usage_is_told_once_and_is_seen_to_be_accepted(sent: Sent) -> None:
    positions = [await sent.use("1.5"), await sent.use("2")]

    assert await send_usage(sent.desk) == 2
    assert await send_usage(sent.desk) == 0

    rows = await sent.rows()
    assert [(row.told.send.position, row.told.state, row.told.attempts) for row in rows] == [
        (position, "accepted", 1) for position in positions
    ]
    assert await sent.there() == await sent.acknowledged() == Decimal("3.5")
