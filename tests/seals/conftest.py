"""Fixtures of the seal's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.log.ledgers import Ledger, open_ledger


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    """A ledger without events."""
    async with open_ledger(database_url) as opened:
        yield opened
