"""`ledger seals`: the keys that sign the log's tree heads, and proofs to give away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import asyncpg
import msgspec
import typer
from rich.console import Console

from ledger.cli.faults import CannotGoOn, database_fault
from ledger.cli.opening import database, seal_directory, settings
from ledger.database import Pool, open_pool
from ledger.domain.proof_files import ProofFile, SignedHead, text
from ledger.domain.tree_heads import PublicKey
from ledger.sealing import keys as key_files
from ledger.sealing.heads import SealKey
from ledger.sealing.heads import keys as stored_keys
from ledger.sealing.proofs import inclusion

app = typer.Typer(no_args_is_help=True, help="The log's seal: its keys, and proofs of single events.")
out = Console(highlight=False, soft_wrap=True)

Position = Annotated[int, typer.Argument(min=1, help="The event's position.")]


@app.command()
def keys() -> None:
    """Print the public keys that signed heads, oldest first: what `ledger verify --key` takes."""
    found = asyncio.run(_keys())
    for one in found:
        out.print(one.public_key, markup=False)
    if not found:
        raise CannotGoOn("The log was never sealed: the projector seals it where LEDGER_SEAL_KEYS is set.")


async def _keys() -> list[SealKey]:
    async with _pool() as pool:
        return await stored_keys(pool)


@app.command()
def rotate() -> None:
    """Make the next signing key and print its public half; the present key signs for it."""
    chosen = settings()
    directory = seal_directory(chosen)
    if directory is None:
        raise CannotGoOn("There are no keys to rotate: LEDGER_SEAL_KEYS is not set.")
    out.print(str(asyncio.run(_rotate(directory))), markup=False)


async def _rotate(directory: Path) -> PublicKey:
    async with _pool() as pool, pool.acquire() as connection:
        try:
            return await key_files.rotate(connection, directory)
        except key_files.SealKeyMissing as fault:
            raise CannotGoOn(str(fault)) from None
        except OSError as fault:
            raise CannotGoOn(f"{directory} cannot be written: {fault.strerror}.") from None
        except asyncpg.UniqueViolationError:
            raise CannotGoOn("Another key was made at the same moment; that one signs now.") from None


@app.command()
def proof(position: Position) -> None:
    """Print the proof that an event is in the log as the newest head signs it; `ledger verify --proof` checks it."""
    out.print(msgspec.json.encode(asyncio.run(_proof(position))).decode(), markup=False)


async def _proof(position: int) -> ProofFile:
    async with _pool() as pool:
        found = await inclusion(pool, position, None)
    assert found.head is not None, "the newest head is of its own size"
    path = [text(one) for one in found.path]
    return ProofFile(text(found.entry), found.leaf, found.size, path, SignedHead(found.head.note))


@asynccontextmanager
async def _pool() -> AsyncIterator[Pool]:
    """Connections to the database, whatever its events are: nothing is read here but the seal and single rows."""
    with database(settings()) as database_url:
        try:
            pool = await open_pool(database_url, application="seals", size=1)
        except Exception as fault:
            raise (database_fault(fault, database_url) or fault) from fault
        try:
            yield pool
        except asyncpg.UndefinedTableError as fault:
            raise (database_fault(fault, database_url) or fault) from fault
        finally:
            await pool.close()
