"""`ledger import`: usage from a file."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ledger.cli.faults import CannotGoOn
from ledger.cli.opening import ledger, now, settings
from ledger.domain.metadata import Metadata
from ledger.usage_import.importer import Reason, Tally, Told, import_usage, shown, told
from ledger.usage_import.mapping import Given, UsageMapping, completed, read_mapping
from ledger.usage_import.readers import RowFile, open_rows

REASONS_SHOWN: Final = 10
DRY_ROWS: Final = 5
METADATA: Final = Metadata(actor="import", source="import")
STATUS_REFUSED: Final = 1
"""The exit status of an import that went through but had to refuse rows."""

err = Console(stderr=True, highlight=False)
out = Console(highlight=False, soft_wrap=True)


def import_file(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSON lines (each also .gz) or Parquet.")],
    mapping: Annotated[Path | None, typer.Option(help="TOML or JSON: columns -> attributes and properties.")] = None,
    account: Annotated[
        str | None, typer.Option(help='The account of all rows, or a template such as "{team}".')
    ] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="The event type of all rows, or a template.")] = None,
    source: Annotated[str | None, typer.Option(help="The source; the file's name unless given.")] = None,
    event_id: Annotated[str | None, typer.Option("--id", help='A template; "{line}" is the line\'s number.')] = None,
    zone: Annotated[str | None, typer.Option(help="The time zone of times that name none, e.g. UTC.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the first events, store nothing.")] = False,
) -> None:
    """Record the usage that a file holds. Safe to repeat: what is in the ledger already is not stored again.

    Without a mapping, rows of JSON lines may be CloudEvents, and columns are recognised by their names.
    """
    given = Given(event_id, source, event_type, account, zone)
    with open_rows(file) as rows:
        whole = _mapping(rows, mapping, given, file)
        if dry_run:
            for one in islice(told(rows, whole), DRY_ROWS):
                out.print(json.dumps(shown(one), default=str, ensure_ascii=False), markup=False)
            return
        tally = asyncio.run(_import(file, rows, told(rows, whole)))
    _report(file, tally)
    if tally.refused:
        raise typer.Exit(STATUS_REFUSED)


def _mapping(rows: RowFile, mapping: Path | None, given: Given, file: Path) -> UsageMapping | None:
    if rows.is_cloudevents and mapping is None:
        if any(given):
            raise CannotGoOn(f"The rows of {file.name} are CloudEvents, which tell everything themselves.")
        return None
    try:
        read = None if mapping is None else read_mapping(mapping)
    except OSError as fault:
        raise CannotGoOn(f"The mapping {mapping} cannot be read: {fault.strerror}.") from None
    return completed(read, rows.columns, given=given, file=file.name)


async def _import(file: Path, rows: RowFile, events: Iterator[Told]) -> Tally:
    columns = TextColumn("{task.fields[rows]} rows, {task.fields[rate]}/s")
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), columns, TimeRemainingColumn(), console=err
    )
    async with ledger(settings()) as opened:
        with bar, _refused_file(file) as refused:
            task = bar.add_task(file.name, total=rows.size, rows=0, rate="-")
            loop = asyncio.get_running_loop()
            began = loop.time()

            def progress(tally: Tally) -> None:
                rate = int(tally.rows / max(loop.time() - began, 0.001))
                bar.update(task, completed=rows.done(), rows=f"{tally.rows:,}", rate=f"{rate:,}")

            return await import_usage(
                opened.log,
                opened.catalogue,
                events,
                clock=now,
                metadata=METADATA,
                refused=refused,
                progress=progress,
            )


def _refused_path(file: Path) -> Path:
    return file.with_name(f"{file.name}.refused.jsonl")


@contextmanager
def _refused_file(file: Path) -> Iterator[Callable[[], IO[bytes]]]:
    """Opens the list of refused rows when the first is to be written; one of an earlier import goes."""
    path = _refused_path(file)
    opened: list[IO[bytes]] = []

    def refused() -> IO[bytes]:
        if not opened:
            try:
                opened.append(path.open("wb"))
            except OSError as fault:
                raise CannotGoOn(
                    f"{path}, the list of refused rows, cannot be written: {fault.strerror}. "
                    "Copy the file to a folder of yours."
                ) from None
        return opened[0]

    try:
        yield refused
    finally:
        for one in opened:
            one.close()
        if not opened and path.exists():
            path.unlink()


def _report(file: Path, tally: Tally) -> None:
    held = sum(reason.count for reason in tally.held.values())
    refused = sum(reason.count for reason in tally.refused.values())
    out.print(
        f"{file.name}: {tally.rows:,} rows: stored {tally.stored:,} (held {held:,}), "
        f"duplicates {tally.duplicates:,}, refused {refused:,}. The log's position: {tally.position}.",
        markup=False,
    )
    _print_reasons("held", tally.held)
    if held:
        out.print("  Held events are stored; they count, in their own time, once what they miss is there.")
    _print_reasons("refused", tally.refused)
    if refused:
        out.print(
            f"The refused rows, with their line numbers: {_refused_path(file)}. Correct the file and import it again.",
            markup=False,
        )


def _print_reasons(fate: str, reasons: dict[str, Reason]) -> None:
    ordered = sorted(reasons.items(), key=lambda item: -item[1].count)
    for why, reason in ordered[:REASONS_SHOWN]:
        lines = ", ".join(map(str, reason.lines)) + (", ..." if reason.count > len(reason.lines) else "")
        out.print(f"  {fate} {reason.count:,}: {why} (lines {lines})", markup=False)
    if len(ordered) > REASONS_SHOWN:
        out.print(f"  {fate}: {len(ordered) - REASONS_SHOWN} more reasons", markup=False)
