"""`ledger sync` as a person meets it."""

import asyncio

from tests.platforms.conftest import subscribe
from tests.sandbox.stripe.conftest import SDK_WARNING, World
from tests.test_cli import assert_one_sentence, ledger

pytestmark = SDK_WARNING


async def test_a_sync_tells_how_much_it_saw_and_how_much_was_new(database_url: str, world: World) -> None:
    await subscribe(world)
    variables = {"LEDGER_DATABASE_URL": database_url, "LEDGER_STRIPE_URL": world.address}

    first, second = [await asyncio.to_thread(ledger, "sync", **variables) for _ in range(2)]

    assert first.returncode == 0, first.stderr
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in first.stdout.splitlines() if "│" in line]
    assert ["customer", "1", "1"] in rows
    assert ["credit note", "0", "0"] in rows
    assert "1 │       1" not in second.stdout


def test_without_a_platform_a_sync_says_so(database_url: str) -> None:
    assert_one_sentence(ledger("sync", LEDGER_DATABASE_URL=database_url), "STRIPE_API_KEY", "LEDGER_STRIPE_URL")


async def test_a_key_that_is_not_taken_is_told_in_one_sentence(database_url: str, world: World) -> None:
    finished = await asyncio.to_thread(
        ledger,
        "sync",
        LEDGER_DATABASE_URL=database_url,
        LEDGER_STRIPE_URL=world.address,
        STRIPE_API_KEY="sk_test_of_another",
    )

    assert_one_sentence(finished, "Invalid API Key")
