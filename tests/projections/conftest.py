"""Fixtures of the read models' tests."""

from collections.abc import AsyncIterator

import pytest

from tests.projections.worlds import World, open_world


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """A ledger without events, and its read models."""
    async with open_world(database_url) as opened:
        yield opened
