"""The sealer: it seals what the log holds, once, whoever races it, and tells its heads outside."""

import asyncio
import stat
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from ledger import log_entries
from ledger.domain.entries import Entry, encode
from ledger.domain.merkle import (
    Peaks,
    Range,
    inclusion_path,
    leaf_hash,
    range_hash,
    require_consistent,
    root,
    root_by_inclusion,
)
from ledger.domain.refusals import PositionNotSealed, TreeSizeUnknown
from ledger.domain.tree_heads import notes_in, opened_head, public_key, tree_head
from ledger.event_log import LogHasHole
from ledger.sealing import heads
from ledger.sealing.keys import SealKeyMissing, rotate
from ledger.sealing.proofs import consistency, inclusion
from ledger.sealing.sealer import Sealer
from ledger.sealing.tree import Run, grow
from ledger.sealing.verifying import verify
from tests.log.ledgers import Ledger, owner
from tests.seals.sealed import event, fill, sealing


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def stored_entries(ledger: Ledger) -> list[bytes]:
    """The entries by the domain's words, from the rows as the driver reads them."""
    rows = await ledger.log.page(after=0, before=2**40, limit=100_000)
    return [encode(Entry(**{**row, "originator_id": UUID(bytes=row["originator_id"].bytes)})) for row in rows]


async def test_the_database_makes_the_very_bytes_that_the_documents_tell(ledger: Ledger) -> None:
    await ledger.log.append([event(number) for number in range(1, 200)])
    made = [row["entry"] for row in await log_entries.entries(ledger.pool, after=0, up_to=200)]
    assert made == await stored_entries(ledger)
    async with ledger.pool.acquire() as connection:
        hashes, position = await log_entries.leaf_hashes(connection, after=0, limit=500)
    assert hashes == b"".join(map(leaf_hash, made))
    assert position == 199


async def test_heads_and_proofs_are_those_of_the_tree_over_the_log(ledger: Ledger, tmp_path: Path) -> None:
    async with sealing(ledger, tmp_path) as sealer:
        await fill(ledger, sealer, 1_500, heads=7)
    leaves = [leaf_hash(entry) for entry in await stored_entries(ledger)]
    [key] = await heads.keys(ledger.pool)
    stored = await heads.head_page(ledger.pool, after=0, before=100, limit=100)
    assert len(stored) == 8
    for one in stored:
        head = opened_head(one.note, [public_key(key.public_key)])
        assert (head.size, head.root) == (one.size, root(leaves[: one.size]))
    for position in (1, 2, 255, 256, 257, 512, 777, 1_024, 1_499, 1_500):
        for size in {position, 1_024, 1_100, 1_500}:
            if size >= position:
                proof = await inclusion(ledger.pool, position, size)
                assert root_by_inclusion(leaf_hash(proof.entry), position - 1, size, proof.path) == root(leaves[:size])
                assert (proof.head is not None) == (size in {one.size for one in stored})
    for first, second in ((1, 1_500), (256, 257), (700, 1_400), (1_024, 1_500), (1_500, 1_500)):
        found = await consistency(ledger.pool, first, second)
        assert (found.first_root, found.second_root) == (root(leaves[:first]), root(leaves[:second]))
        require_consistent(first, found.first_root, second, found.second_root, found.path)


@pytest.mark.parametrize("sizes", [[1] * 600, [600], [255, 1, 1, 343], [256, 256, 88]])
def test_rows_of_hashes_are_never_more_than_a_tile_and_follow_each_other(sizes: list[int]) -> None:
    leaves = [leaf_hash(b"%d" % number) for number in range(600)]
    peaks, rows, start = Peaks(), list[Run](), 0
    for size in sizes:
        rows += grow(peaks, leaves[start : start + size])
        start += size
    for level, count in ((0, 600), (1, 2)):
        ours = [row for row in rows if row.level == level]
        assert [row.first for row in ours] == [
            sum(len(other.hashes) // 32 for other in ours[:n]) for n in range(len(ours))
        ]
        assert sum(len(row.hashes) // 32 for row in ours) == count
        assert all(row.first % 256 + len(row.hashes) // 32 <= 256 for row in ours)
    assert next(row for row in rows if row.level == 1).hashes[:32] == root(leaves[:256])


def test_a_range_is_hashed_from_its_complete_subtrees() -> None:
    leaves = [leaf_hash(b"%d" % number) for number in range(11)]
    for span in [*inclusion_path(3, 11), Range(0, 11)]:
        found = range_hash(span, lambda level, index: root(leaves[index << level : (index + 1) << level]))
        assert found == root(leaves[span.start : span.end])


async def test_what_is_not_sealed_cannot_be_proven(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(PositionNotSealed):
        await inclusion(ledger.pool, 1, None)
    async with sealing(ledger, tmp_path) as sealer:
        await fill(ledger, sealer, 10, heads=1)
    await ledger.log.append([event(11)])
    for position in (0, 11, 2**53 - 1):
        with pytest.raises(PositionNotSealed):
            await inclusion(ledger.pool, position, None)
    for size in (0, 4, 11):
        with pytest.raises(TreeSizeUnknown):
            await inclusion(ledger.pool, 5, size)
    for first, second in ((0, 5), (6, 5), (5, 11), (1, 0)):
        with pytest.raises(TreeSizeUnknown):
            await consistency(ledger.pool, first, second)


async def test_racing_sealers_seal_everything_once(ledger: Ledger, tmp_path: Path) -> None:
    """The guard is the keys of tree_hashes and tree_heads: without them both would write and heads would be double."""
    async with sealing(ledger, tmp_path) as one, sealing(ledger, tmp_path) as other, sealing(ledger, tmp_path) as third:
        for start in range(1, 900, 90):
            await ledger.log.append([event(number) for number in range(start, start + 90)])
            await asyncio.gather(*(sealer.step(limit=17) for sealer in (one, other, third)))
        await asyncio.gather(one.catch_up(), other.catch_up(), third.catch_up())
    assert len(await heads.keys(ledger.pool)) == 1
    assert len(files_in(tmp_path)) == 1, "the key of who came second is gone"
    async with owner(ledger.url) as connection:
        verdict = await verify(connection)
    assert verdict.is_sound
    assert verdict.sealed == 900


async def test_nothing_new_makes_no_head(ledger: Ledger, tmp_path: Path) -> None:
    async with sealing(ledger, tmp_path) as sealer:
        await fill(ledger, sealer, 3, heads=1)
        assert await sealer.step() == 0
    assert await heads.count_heads(ledger.pool) == 1


async def test_a_log_with_a_hole_is_not_sealed_further(ledger: Ledger, tmp_path: Path) -> None:
    async with sealing(ledger, tmp_path) as sealer:
        await fill(ledger, sealer, 5, heads=1)
        await ledger.log.append([event(number) for number in range(6, 10)])
        async with owner(ledger.url) as connection:
            await connection.execute("alter table events disable trigger user")
            await connection.execute("delete from events where position = 7")
        with pytest.raises(LogHasHole):
            await sealer.step()
        assert (await heads.last_head(ledger.pool) or heads.Head(0, 0, "")).size == 5


async def test_keys_are_for_their_owner_alone_and_rotate(ledger: Ledger, tmp_path: Path) -> None:
    directory = tmp_path / "seals"
    async with sealing(ledger, directory) as sealer:
        await fill(ledger, sealer, 10, heads=2)
        following = await rotate(sealer._connection, directory)
        await fill(ledger, sealer, 10, heads=2, start=11)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()] == [0o600, 0o600]
    first, second = (public_key(one.public_key) for one in await heads.keys(ledger.pool))
    assert second == following
    assert first.name == second.name
    notes = [one.note for one in await heads.head_page(ledger.pool, after=0, before=9, limit=9)]
    assert [opened_head(note, [first]).size for note in notes[:2]] == [5, 10]
    assert [opened_head(note, [second]).size for note in notes[2:]] == [15, 20]
    async with owner(ledger.url) as connection:
        verdict = await verify(connection, trusted=[first])
        assert verdict.is_sound, "the old key is enough: it names the new one"
        assert verdict.keys == [first, second]


async def test_without_its_key_nothing_is_sealed_and_no_other_is_made(ledger: Ledger, tmp_path: Path) -> None:
    async with sealing(ledger, tmp_path / "old") as sealer:
        await fill(ledger, sealer, 3, heads=1)
    await ledger.log.append([event(4)])
    async with sealing(ledger, tmp_path / "new") as sealer:
        with pytest.raises(SealKeyMissing, match="No such file"):
            await sealer.step()
    assert not (tmp_path / "new").exists()
    [path] = (tmp_path / "old").iterdir()
    path.write_text("nonsense")
    async with sealing(ledger, tmp_path / "old") as sealer:
        with pytest.raises(SealKeyMissing) as refused:
            await sealer.step()
    assert "nonsense" not in str(refused.value)


@pytest.mark.parametrize("table", ["tree_hashes", "tree_heads", "seal_keys"])
async def test_what_is_sealed_is_never_changed(ledger: Ledger, tmp_path: Path, table: str) -> None:
    async with sealing(ledger, tmp_path) as sealer:
        await fill(ledger, sealer, 3, heads=1)
    changes = [
        f"delete from {table}",
        f"truncate {table}",
        f"update {table} set {'level' if 'hash' in table else 'number'} = 2",
    ]
    async with owner(ledger.url) as connection:
        for change in changes:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await ledger.pool.execute(change)
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute(change)


async def test_heads_are_told_to_a_file_in_order(ledger: Ledger, tmp_path: Path) -> None:
    target = tmp_path / "heads"
    async with sealing(ledger, tmp_path / "keys", str(target)) as sealer:
        await fill(ledger, sealer, 10, heads=2)
        await sealer.publish()
        await rotate(sealer._connection, tmp_path / "keys")
        await fill(ledger, sealer, 300, heads=150, start=11)
        assert await sealer.publish(), "not more than a hundred at once"
        while await sealer.publish():
            pass
        await sealer.publish()
    notes = notes_in(target.read_text())
    sizes = [tree_head(note.partition("\n\n")[0] + "\n").size for note in notes if not note.startswith("ledger seal")]
    assert sizes == [5, *range(10, 311, 2)]
    first = public_key((await heads.keys(ledger.pool))[0].public_key)
    async with owner(ledger.url) as connection:
        verdict = await verify(connection, trusted=[first], published=notes)
        assert verdict.is_sound
        assert verdict.published == 152


async def test_heads_are_told_to_an_address_and_again_after_it_was_away(ledger: Ledger, tmp_path: Path) -> None:
    told: list[bytes] = []
    answers = [b"503 Away", b"200 OK"]

    async def witness(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        told.append(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 " + answers[len(told) - 1] + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(witness, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, sealing(ledger, tmp_path, f"http://127.0.0.1:{port}/heads") as sealer:
        await fill(ledger, sealer, 4, heads=2)
        with pytest.raises(OSError, match="503"):
            await sealer.publish()
        await sealer.publish()
        await sealer.publish()
    assert told[0] == told[1]
    assert len(told) == 2, "what was told is not told again"
    assert len(notes_in(told[1].decode())) == 2


async def test_a_log_that_was_rolled_back_is_found_by_published_heads_alone(ledger: Ledger, tmp_path: Path) -> None:
    """Rows, hashes and heads removed together look like a younger log; only what was told outside says otherwise."""
    target = tmp_path / "heads"
    async with sealing(ledger, tmp_path / "keys", str(target)) as sealer:
        await fill(ledger, sealer, 20, heads=2)
        await sealer.publish()
    notes = notes_in(target.read_text())
    async with owner(ledger.url) as connection:
        for table, condition in (
            ("events", "position > 10"),
            ("tree_heads", "number > 1"),
            ("tree_hashes", "first >= 10"),
        ):
            await connection.execute(f"alter table {table} disable trigger user")
            await connection.execute(f"delete from {table} where {condition}")
        assert (await verify(connection)).is_sound
        verdict = await verify(connection, published=notes)
        assert [part.key for part in verdict.parts] == ["head of 20"]


async def test_rewritten_history_with_a_stolen_database_is_found_by_the_key(ledger: Ledger, tmp_path: Path) -> None:
    """Who rewrites everything and signs it with a key of their own is found by whoever knows the real one."""
    async with sealing(ledger, tmp_path / "keys") as sealer:
        await fill(ledger, sealer, 5, heads=1)
    real = public_key((await heads.keys(ledger.pool))[0].public_key)
    async with owner(ledger.url) as connection:
        for table in ("tree_heads", "tree_hashes", "seal_keys"):
            await connection.execute(f"alter table {table} disable trigger user")
            await connection.execute(f"delete from {table}")
        await connection.execute("alter table events disable trigger user")
        await connection.execute("update events set state = '{}' where position = 3")
        await Sealer(connection, tmp_path / "other").catch_up()
        assert (await verify(connection)).is_sound, "by itself the database tells a sound story"
        verdict = await verify(connection, trusted=[real])
        assert {part.table for part in verdict.parts} >= {"seal_keys", "tree_heads"}
