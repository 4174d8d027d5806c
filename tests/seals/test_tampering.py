"""A superuser alters one thing in a sealed log, thousands of times: each is found where it is, and nothing else is.

`LEDGER_TAMPER_COUNT` and `LEDGER_TAMPER_SEED` ask for more, or for others. The guard is the comparison in `Walk`:
without it, or with a column left out of the entry, alterations of that sort are not found.
"""

import os
import random
from pathlib import Path

import asyncpg

from ledger.database import Connection
from ledger.sealing.keys import rotate
from ledger.sealing.verifying import Verdict, verify
from tests.log.ledgers import Ledger, owner
from tests.seals.alterations import ROWS, SEAL, Alteration, Expected
from tests.seals.sealed import fill, sealing

COUNT = int(os.environ.get("LEDGER_TAMPER_COUNT", "2000"))
SEED = int(os.environ.get("LEDGER_TAMPER_SEED", "1"))
EVENTS = 200
UNGUARD = """
alter table events disable trigger user;
alter table tree_hashes disable trigger user;
alter table tree_heads disable trigger user;
alter table seal_keys disable trigger user;
alter table events drop constraint events_position_check;
alter table tree_heads drop constraint tree_heads_size_check;
alter table tree_hashes drop constraint tree_hashes_in_one_tile;
alter table seal_keys drop constraint seal_keys_are_introduced;
"""


async def seal(ledger: Ledger, directory: Path, events: int) -> None:
    """Half of the events under one key, half under the next."""
    async with sealing(ledger, directory) as sealer:
        await fill(ledger, sealer, events // 2, heads=6)
        await rotate(sealer._connection, directory)
        await fill(ledger, sealer, events - events // 2, heads=6, start=events // 2 + 1)


def assert_located(verdict: Verdict, expected: Expected, told: str) -> None:
    told = f"{told} {expected}: {verdict.fates[:5]} {verdict.parts[:5]}"
    assert not verdict.is_sound, told
    if not expected.kind:
        parts = [part for part in verdict.parts if part.table in expected.tables]
        assert parts, told
        assert not expected.keys or any(part.key in expected.keys for part in parts), told
        assert not verdict.fates[:3], told
        return
    assert not verdict.parts[:3], told
    [first, *others] = [fate for fate in verdict.fates if expected.kind == "moved" or fate.kind != "moved"]
    assert (first.kind, first.position) == (expected.kind, expected.position), told
    if expected.kind == "moved":
        assert [(one.position, one.sealed_at) for one in others] == [(first.sealed_at, first.position)], told


async def alter_and_verify(
    connection: Connection, draw: random.Random, events: int, kinds: tuple[tuple[Alteration, int], ...]
) -> None:
    """One alteration, undone afterwards; one that no table can hold is drawn again."""
    while True:
        alter = draw.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
        undone = connection.transaction()
        await undone.start()
        try:
            expected = await alter(connection, draw, events)
            assert_located(await verify(connection), expected, alter.__name__)
            return
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
            continue
        finally:
            await undone.rollback()


async def test_every_single_alteration_is_found_where_it_is(ledger: Ledger, tmp_path: Path) -> None:
    await seal(ledger, tmp_path / "keys", EVENTS)
    draw = random.Random(SEED)
    async with owner(ledger.url) as connection:
        assert (await verify(connection)).is_sound
        await connection.execute(UNGUARD)
        for number in range(COUNT):
            await alter_and_verify(connection, draw, EVENTS, ROWS if number % 4 else SEAL)
        assert (await verify(connection)).is_sound, "all of them were undone"


async def test_alterations_are_found_in_a_log_of_several_tiles(ledger: Ledger, tmp_path: Path) -> None:
    events = 1_000
    await seal(ledger, tmp_path / "keys", events)
    draw = random.Random(SEED)
    async with owner(ledger.url) as connection:
        await connection.execute(UNGUARD)
        for number in range(COUNT // 20):
            await alter_and_verify(connection, draw, events, ROWS if number % 2 else SEAL)
        assert (await verify(connection)).is_sound


async def test_untouched_logs_of_any_length_raise_no_alarm(ledger: Ledger, tmp_path: Path) -> None:
    async with sealing(ledger, tmp_path / "keys") as sealer, owner(ledger.url) as connection:
        for start, events in ((1, 0), (1, 1), (2, 254), (256, 1), (257, 1), (258, 3_000)):
            await fill(ledger, sealer, events, heads=3, start=start)
            verdict = await verify(connection)
            assert verdict.is_sound, verdict
            assert verdict.sealed == start + events - 1
