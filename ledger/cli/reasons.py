"""`ledger reasons`: the reason codes that decisions on adjustments may give."""

import asyncio
from collections.abc import Iterable

import typer
from rich.console import Console
from rich.table import Table

from ledger.cli.opening import acting, ledger, now, settings
from ledger.commands.adjustments import change_rule
from ledger.domain.adjustments import Reason
from ledger.domain.governing import STANDARD_REASONS

app = typer.Typer(no_args_is_help=True, help="Reason codes of adjustments: list, add the standard ones.")
out = Console(highlight=False, soft_wrap=True)


@app.command("list")
def list_reasons() -> None:
    """Show every reason code, retired ones too."""
    table = Table("code", "label", "for", "retired")
    for reason in asyncio.run(_reasons()):
        table.add_row(reason.code, reason.label, ", ".join(reason.kinds) or "all", "yes" if reason.is_retired else "")
    out.print(table)


async def _reasons() -> Iterable[Reason]:
    async with ledger(settings()) as opened:
        return [reason for _, reason in sorted(opened.catalogue.rules.reasons.items())]


@app.command("add-standard")
def add_standard() -> None:
    """Add the reason codes that most ledgers begin with; those that are there, or were retired, stay as they are."""
    added = asyncio.run(_add_standard())
    out.print(f"{added} reason codes added.", markup=False)


async def _add_standard() -> int:
    async with ledger(settings()) as opened:
        missing = [one for one in STANDARD_REASONS if one.code not in opened.catalogue.rules.reasons]
        for command in missing:
            await change_rule(opened.log, opened.catalogue, command, now=now(), metadata=acting("reasons add-standard"))
        return len(missing)
