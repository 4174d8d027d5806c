"""Which billing platform the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from ledger.platforms.port import Platform
from ledger.platforms.stripe import open_stripe
from ledger.settings import Settings

STAND_IN_KEY: Final = "sk_test_sandbox"
"""What a stand-in is asked with where no key is set: it guards nothing."""


@asynccontextmanager
async def open_platform(settings: Settings) -> AsyncIterator[Platform | None]:
    """The platform, open until the context ends; None where none is set."""
    if settings.stripe_api_key is None and settings.stripe_url is None:
        yield None
        return
    key = settings.stripe_api_key or STAND_IN_KEY
    async with open_stripe(key, secrets=settings.stripe_webhook_secrets, address=settings.stripe_url) as platform:
        yield platform
