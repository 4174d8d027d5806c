"""Fixtures of the HTTP edge's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.edges import Edge, open_edge


@pytest.fixture
async def edge(database_url: str) -> AsyncIterator[Edge]:
    """The application over a database of this test's own."""
    async with open_edge(database_url) as opened:
        yield opened
