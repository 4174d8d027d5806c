"""The command line: `ledger COMMAND`. `ledger --help` lists the commands."""

import sys

import typer
from rich.console import Console

from ledger.cli import importing, inspection, keys, processes, reasons, seals
from ledger.cli.demo import demo
from ledger.cli.faults import STATUS, sentence_about
from ledger.cli.reconciling import reconcile
from ledger.cli.replay import replay_log
from ledger.cli.stripe_sandbox import stripe_sandbox
from ledger.cli.syncing import sync
from ledger.cli.up import up
from ledger.cli.verify import verify

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="An event-sourced ledger for usage-based billing.",
)
app.command()(up)
app.command()(demo)
app.command("import")(importing.import_file)
app.add_typer(keys.app, name="keys")
app.add_typer(reasons.app, name="reasons")
app.add_typer(seals.app, name="seals")
app.command()(verify)
app.command()(inspection.status)
app.command()(inspection.rebuild)
app.command("replay")(replay_log)
app.command()(sync)
app.command()(reconcile)
app.command("stripe-sandbox")(stripe_sandbox)
app.command()(inspection.export)
app.command()(inspection.schema)
app.command()(inspection.migrate)
app.command()(processes.serve)
app.command()(processes.projector)
app.command()(processes.worker)


def main() -> None:
    """Run the command that the process was started with.

    What keeps it from its work is told in one sentence, exit status 2; a bug shows its traceback.
    """
    try:
        app()
    except Exception as fault:
        sentence = sentence_about(fault)
        if sentence is None:
            raise
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"ledger: {sentence}", markup=False)
        sys.exit(STATUS)
