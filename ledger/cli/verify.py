"""`ledger verify`: a whole log held against its seal, or one proof without any database."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ledger.cli.faults import CannotGoOn, database_fault
from ledger.cli.opening import database, settings
from ledger.database import connect
from ledger.domain.proof_files import check, read
from ledger.domain.tree_heads import PublicKey, SealUnsound, notes_in, public_key
from ledger.sealing.guards import guards_missing
from ledger.sealing.heads import last_head
from ledger.sealing.verifying import Verdict
from ledger.sealing.verifying import verify as hold_against_seal

SHOWN_MAX: Final = 20
FOUND: Final = 1
"""The exit status where something is not as it was sealed."""

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Key = Annotated[
    list[str] | None,
    typer.Option("--key", help="A public key to trust, or a file of such, one a line; may be repeated."),
]
Heads = Annotated[Path | None, typer.Option(help="A file of published heads to hold the log against.")]
Proof = Annotated[Path | None, typer.Option(help="Check this proof of one event; needs --key and no database.")]


def verify(key: Key = None, heads: Heads = None, proof: Proof = None) -> None:
    """Check that nothing in the log was altered since it was sealed; exit status 1 if anything was."""
    keys = [one for written in key or () for one in _keys(written)]
    if proof is not None:
        _check_proof(proof, keys)
        return
    notes = [] if heads is None else notes_in(_read(heads).decode(errors="replace"))
    with database(settings()) as database_url:
        verdict, unguarded = asyncio.run(_verify(database_url, keys, notes))
    _tell(verdict)
    for sentence in unguarded:
        out.print(sentence, markup=False)
    if not unguarded:
        out.print("The triggers and privileges that keep history from being changed are as migrated.")
    if unguarded or not verdict.is_sound:
        raise typer.Exit(FOUND)


async def _verify(database_url: str, keys: list[PublicKey], notes: list[str]) -> tuple[Verdict, list[str]]:
    columns = TextColumn("Checking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    try:
        connection = await connect(database_url, application="verify")
    except Exception as fault:
        raise (database_fault(fault, database_url) or fault) from fault
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            with Progress(*columns, console=err, transient=True) as progress:
                last = await last_head(connection)
                bar = progress.add_task("", total=last.size if last else 0)
                verdict = await hold_against_seal(
                    connection,
                    trusted=keys,
                    published=notes,
                    progress=lambda done: progress.update(bar, completed=done),
                )
            return verdict, await guards_missing(connection)
    except Exception as fault:
        raise (database_fault(fault, database_url) or fault) from fault
    finally:
        await connection.close()


def _tell(verdict: Verdict) -> None:
    out.print(
        f"{verdict.sealed:,} events are sealed under {verdict.heads:,} heads; {verdict.unsealed:,} are not sealed yet."
    )
    if not verdict.is_key_given and verdict.keys:
        out.print(f"No --key was given, so the database's own first key was believed: {verdict.keys[0]}", markup=False)
    if verdict.published:
        out.print(f"{verdict.published:,} published heads were compared.")
    counts = Counter(fate.kind for fate in verdict.fates)
    for kind, count in counts.items():
        first = next(fate for fate in verdict.fates if fate.kind == kind)
        out.print(f"{kind}: {count:,} events, the first at position {first.position:,}.")
    for fate in verdict.fates[:SHOWN_MAX]:
        if fate.kind == "moved":
            out.print(f"  position {fate.position:,} holds what was sealed at {fate.sealed_at:,}")
        else:
            out.print(f"  position {fate.position:,} was {fate.kind}")
    if verdict.uncounted:
        out.print(f"{verdict.uncounted:,} more events are not what was sealed.")
    for part in verdict.parts[:SHOWN_MAX]:
        out.print(f"{part.table}, {part.key}: {part.why}", markup=False)
    if len(verdict.parts) > SHOWN_MAX:
        out.print(f"... and {len(verdict.parts) - SHOWN_MAX:,} more.")
    if verdict.is_sound:
        out.print("Every sealed event is what it was when it was sealed.")


def _check_proof(path: Path, keys: list[PublicKey]) -> None:
    if not keys:
        raise CannotGoOn("A proof is worth what the key is: give the public key with --key.")
    try:
        entry, head = check(read(_read(path)), keys)
    except SealUnsound as fault:
        out.print(f"The proof does not hold: {fault}.", markup=False)
        raise typer.Exit(FOUND) from None
    out.print(f"The proof holds: {head.origin} signed a log of {head.size:,} events that has this one.", markup=False)
    for name, content in entry._asdict().items():
        out.print(f"  {name}: {content}", markup=False)


def _keys(written: str) -> list[PublicKey]:
    """The key, or the keys in the file of that name."""
    try:
        return [public_key(written)]
    except SealUnsound:
        lines = _read(Path(written)).decode(errors="replace").split("\n")
    try:
        return [public_key(line) for line in lines if line.strip()]
    except SealUnsound as fault:
        raise CannotGoOn(f"{written} cannot be used as a key: {fault}.") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as fault:
        raise CannotGoOn(f"{path} cannot be read: {getattr(fault, 'strerror', None) or fault}.") from None
