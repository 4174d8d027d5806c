"""Single alterations of a sealed log that a superuser makes, drawn at random, each with where it must be found."""

import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ledger.database import Connection

SIGNS = '0123456789abcxyz {}[]":,\\é🦊\t'


@dataclass(frozen=True, slots=True)
class Expected:
    """Where an alteration must be found: `kind` and `position` of a row, or a row of one of the `tables` of the seal.

    `keys` are the names under which the row may be told; none is any.
    """

    kind: str = ""
    position: int = 0
    tables: tuple[str, ...] = ()
    keys: tuple[str, ...] = field(default=())


Alteration = Callable[[Connection, random.Random, int], Awaitable[Expected]]
"""(superuser's connection, what draws, how many events there are) -> where it must be found."""


async def change_text(connection: Connection, draw: random.Random, events: int) -> Expected:
    """One character of a text: changed, removed or added, still valid where it is JSON."""
    position, column = draw.randint(1, events), draw.choice(["state", "metadata", "topic", "account"])
    text = await connection.fetchval(f"select {column}::text from events where position = $1", position)
    changed: str | None = text
    while changed == text or not fits(column, changed):
        changed = None if column == "account" and draw.random() < 0.1 else respelt(draw, text or "")
    kind = "json" if column in ("state", "metadata") else "text"
    await connection.execute(f"update events set {column} = $2::text::{kind} where position = $1", position, changed)
    return Expected("changed", position)


def respelt(draw: random.Random, text: str) -> str:
    """The text with one character more, less or other."""
    at = draw.randint(0, len(text))
    return text[:at] + draw.choice(["", draw.choice(SIGNS)]) + text[at + draw.choice([0, 1]) :]


def fits(column: str, text: str | None) -> bool:
    """Whether the column can hold the text."""
    if column in ("state", "metadata"):
        try:
            json.loads(text or "")
        except ValueError:
            return False
    return True


async def change_moment(connection: Connection, draw: random.Random, events: int) -> Expected:
    """A time, by a microsecond or by years."""
    position, column = draw.randint(1, events), draw.choice(["occurred_at", "recorded_at"])
    by = draw.choice([1, -1, 1_000, -(10**6), draw.randint(2, 10**15)])
    await connection.execute(
        f"update events set {column} = {column} + $2 * interval '1 microsecond' where position = $1", position, by
    )
    return Expected("changed", position)


async def change_stream(connection: Connection, draw: random.Random, events: int) -> Expected:
    """One bit of the stream, or the version."""
    position = draw.randint(1, events)
    if draw.random() < 0.5:
        await connection.execute(
            "update events set originator_version = originator_version + $2 where position = $1",
            position,
            draw.randint(1_000, 2_000),
        )
        return Expected("changed", position)
    stream = await connection.fetchval("select uuid_send(originator_id) from events where position = $1", position)
    turned = (int.from_bytes(stream, "big") ^ 1 << draw.randint(8, 127)).to_bytes(16, "big").hex()
    await connection.execute("update events set originator_id = $2::text::uuid where position = $1", position, turned)
    return Expected("changed", position)


async def remove(connection: Connection, draw: random.Random, events: int) -> Expected:
    """One row, which leaves a hole."""
    position = draw.randint(1, events)
    await connection.execute("delete from events where position = $1", position)
    return Expected("removed", position)


async def remove_and_close_up(connection: Connection, draw: random.Random, events: int) -> Expected:
    """One row, and the later ones move up."""
    expected = await remove(connection, draw, events)
    await shift(connection, expected.position, -1)
    return expected


async def insert_between(connection: Connection, draw: random.Random, events: int) -> Expected:
    """A row of another stream, for which the later ones make room."""
    position = draw.randint(1, events)
    await shift(connection, position - 1, 1)
    await copy(connection, draw.randint(1, events), position, source_is_shifted_from=position)
    return Expected("inserted", position)


async def insert_where_none_can_be(connection: Connection, draw: random.Random, events: int) -> Expected:
    """A row before the first position."""
    position = -draw.randint(0, 1_000)
    await copy(connection, draw.randint(1, events), position, source_is_shifted_from=None)
    return Expected("inserted", position)


async def insert_beyond_the_head(connection: Connection, draw: random.Random, events: int) -> Expected:
    """A row that leaves a hole before it."""
    gap = draw.randint(2, 1_000)
    await copy(connection, draw.randint(1, events), events + gap, source_is_shifted_from=None)
    return Expected("removed", events + 1)


async def swap(connection: Connection, draw: random.Random, events: int) -> Expected:
    """Two rows change places."""
    one, other = draw.sample(range(1, events + 1), 2)
    for source, target in ((one, 10**6), (other, one), (10**6, other)):
        await connection.execute("update events set position = $2 where position = $1", source, target)
    return Expected("moved", min(one, other))


async def move_away(connection: Connection, draw: random.Random, events: int) -> Expected:
    """One row gets a position far beyond the others."""
    position = draw.randint(1, events)
    await connection.execute("update events set position = $2 where position = $1", position, events + 10)
    return Expected("removed", position)


async def shift(connection: Connection, after: int, by: int) -> None:
    """Renumber the rows after a position; by way of numbers that are free."""
    await connection.execute("update events set position = position + 1000000 where position > $1", after)
    await connection.execute("update events set position = position - 1000000 + $1 where position > 1000000", by)


async def copy(connection: Connection, source: int, position: int, *, source_is_shifted_from: int | None) -> None:
    """A copy of a row in a stream of its own at a position."""
    if source_is_shifted_from is not None and source >= source_is_shifted_from:
        source += 1
    await connection.execute(
        "insert into events select $2, gen_random_uuid(), originator_version, topic, account, occurred_at, "
        "recorded_at, state, metadata from events where position = $1",
        source,
        position,
    )


async def change_hash(connection: Connection, draw: random.Random, events: int) -> Expected:
    """One bit of a kept hash."""
    level, first, hashes = draw.choice(await connection.fetch("select level, first, hashes from tree_hashes"))
    bit = draw.randrange(len(hashes) * 8)
    turned = bytearray(hashes)
    turned[bit // 8] ^= 1 << bit % 8
    await connection.execute(
        "update tree_hashes set hashes = $3 where level = $1 and first = $2", level, first, bytes(turned)
    )
    return Expected(tables=("tree_hashes",), keys=(f"level {level}, hash {first + bit // 256}",))


async def change_place_of_hashes(connection: Connection, draw: random.Random, events: int) -> Expected:
    """A row of hashes is told to be others, or goes missing."""
    level, first = draw.choice(await connection.fetch("select level, first from tree_hashes"))
    change = draw.choice(["level = level + 1", "first = first + 1", f"first = first + {256 * draw.randint(2, 9)}", ""])
    where = "where level = $1 and first = $2"
    await connection.execute(
        f"update tree_hashes set {change} {where}" if change else f"delete from tree_hashes {where}", level, first
    )
    return Expected(tables=("tree_hashes",), keys=(f"level {level}, hash {first}",))


async def insert_hashes(connection: Connection, draw: random.Random, events: int) -> Expected:
    """A row of hashes too many."""
    level = draw.randint(0, 3)
    first = events + draw.randint(0, 300) if level == 0 else draw.randint(100, 255)
    await connection.execute("insert into tree_hashes values ($1, $2, $3)", level, first, draw.randbytes(32))
    return Expected(tables=("tree_hashes",), keys=(f"level {level}, hash {first}",))


async def change_head(connection: Connection, draw: random.Random, events: int) -> Expected:
    """One column of a head."""
    number, size, note = draw.choice(await connection.fetch("select number, size, note from tree_heads"))
    column = draw.choice(["note", "note", "note", "size", "number"])
    value = {"note": respelt(draw, note), "size": size + draw.choice([-size, 1, 10**6]), "number": 10**6}[column]
    if value == note:
        return await change_head(connection, draw, events)
    await connection.execute(f"update tree_heads set {column} = $2 where number = $1", number, value)
    if column == "note":
        return Expected(tables=("tree_heads",), keys=(f"number {number}",))
    return Expected(tables=("tree_heads", "tree_hashes"))


async def remove_or_insert_head(connection: Connection, draw: random.Random, events: int) -> Expected:
    """A head goes missing, or one is there that was signed for another size."""
    number, size, note = draw.choice(await connection.fetch("select number, size, note from tree_heads"))
    if draw.random() < 0.5:
        await connection.execute("delete from tree_heads where number = $1", number)
        last = await connection.fetchval("select max(number) from tree_heads")
        if number > last:
            return Expected(tables=("tree_hashes",))
        return Expected(tables=("tree_heads",), keys=(f"number {number + 1}",))
    added = size + draw.choice([-1, 1, 10**6])
    await connection.execute("insert into tree_heads values ($1, $2, $3)", 10**6, added, note)
    return Expected(tables=("tree_heads",))


async def change_key(connection: Connection, draw: random.Random, events: int) -> Expected:
    """A column of a key, or the key."""
    number, key, note = draw.choice(await connection.fetch("select number, public_key, note from seal_keys"))
    if draw.random() < 0.2:
        await connection.execute("delete from seal_keys where number = $1", number)
    elif draw.random() < 0.5:
        changed = key
        while changed == key:
            changed = respelt(draw, key)
        await connection.execute("update seal_keys set public_key = $2 where number = $1", number, changed)
    else:
        changed = respelt(draw, note or "")
        if changed == (note or ""):
            return await change_key(connection, draw, events)
        await connection.execute("update seal_keys set note = $2 where number = $1", number, changed)
    return Expected(tables=("seal_keys", "tree_heads"))


ROWS: tuple[tuple[Alteration, int], ...] = (
    (change_text, 8),
    (change_moment, 3),
    (change_stream, 2),
    (remove, 2),
    (remove_and_close_up, 2),
    (insert_between, 2),
    (insert_where_none_can_be, 1),
    (insert_beyond_the_head, 1),
    (swap, 2),
    (move_away, 1),
)
SEAL: tuple[tuple[Alteration, int], ...] = (
    (change_hash, 3),
    (change_place_of_hashes, 1),
    (insert_hashes, 1),
    (change_head, 3),
    (remove_or_insert_head, 1),
    (change_key, 1),
)
"""What can be done, and how often beside the others."""
