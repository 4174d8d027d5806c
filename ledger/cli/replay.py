"""`ledger replay`: proves that what queries see is what the log says."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from ledger.cli.faults import CannotGoOn
from ledger.cli.opening import acting, database, migrate_database, now, open_ledger, settings
from ledger.commands.replays import record_replay
from ledger.domain.replay_events import Divergence, ReplayFinished
from ledger.projections.replay import MetersKeepChanging, replay
from ledger.projections.replay_shadow import Progress, ReplayUnderWay
from ledger.settings import Settings

STATUS_DIVERGED: Final = 1
"""The exit status of a replay that found a difference."""
SHORT_DIGEST: Final = 12

err = Console(stderr=True, highlight=False)
out = Console(highlight=False, soft_wrap=True)


def replay_log(
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew where a replay was interrupted.")] = False,
) -> None:
    """Compute every read model anew from the log, beside the living ones, and compare them; exit status 1 if they part.

    The service may run meanwhile. Interrupted, it goes on where it was. The outcome is stored in the log.
    """
    outcome, position = asyncio.run(_replay(settings(), is_fresh=fresh))
    _report(outcome, position)
    if not outcome.is_equal:
        raise typer.Exit(STATUS_DIVERGED)


async def _replay(chosen: Settings, *, is_fresh: bool) -> tuple[ReplayFinished, int]:
    """The outcome, and the position at which it is stored."""
    with database(chosen) as database_url:
        if chosen.database_url is None:
            await migrate_database(database_url)
        async with open_ledger(database_url) as opened:
            try:
                with _progress_bar() as progress:
                    outcome = await replay(
                        opened.pool, opened.log, database_url, clock=now, is_fresh=is_fresh, progress=progress
                    )
            except ReplayUnderWay:
                raise CannotGoOn("Another replay of this ledger is running: there is one at a time.") from None
            except MetersKeepChanging:
                raise CannotGoOn("Meters kept changing during the replay. Try again once they rest.") from None
            return outcome, await record_replay(opened.log, outcome, now=now(), metadata=acting("replay"))


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """Shows how far the replay is, from its first step on: one that may not begin shows no bar."""
    columns = TextColumn("{task.completed:,} of {task.total:,} events, {task.fields[rate]}/s")
    bar = Bar(TextColumn("replay"), BarColumn(), TaskProgressColumn(), columns, TimeRemainingColumn(), console=err)
    task = bar.add_task("replay", total=None, rate="-")
    began: list[tuple[float, int]] = []

    def progress(done: int, whole: int) -> None:
        if not began:
            began.append((time.monotonic(), done))
            bar.update(task, completed=done, total=whole)  # a bar is drawn as it starts, and a total must be there
            bar.start()
        at, first = began[0]
        rate = int((done - first) / max(time.monotonic() - at, 0.001))
        bar.update(task, completed=done, total=whole, rate=f"{rate:,}" if rate else "-")

    try:
        yield progress
    finally:
        if began:
            bar.stop()


def _report(outcome: ReplayFinished, position: int) -> None:
    table = Table("table", "position", "accounts", "living rows", "replayed rows", "digest", "")
    for model in outcome.models:
        verdict = f"{model.accounts_differing:,} accounts differ" if model.accounts_differing else "equal"
        counts = (f"{number:,}" for number in (model.position, model.accounts, model.living_rows, model.replayed_rows))
        table.add_row(model.name, *counts, model.living_digest[:SHORT_DIGEST], verdict)
    if outcome.models:
        out.print(table)
    if outcome.unreadable is not None:
        out.print(
            f"The log cannot be folded past position {outcome.unreadable.position}: {outcome.unreadable.why}. "
            "Nothing was compared.",
            markup=False,
        )
    elif outcome.is_equal:
        out.print(f"Equal: what queries see is what the log says, up to position {outcome.position:,}.", markup=False)
    else:
        first = min((one.first_position for one in outcome.divergences), default=0)
        out.print(
            f"They part in {outcome.divergences_found:,} tables and accounts, the first at position {first:,}.",
            markup=False,
        )
        for one in outcome.divergences:
            out.print(f"  {escape(_sentence(one))}")
    out.print(f"Stored as event {position:,}, after {outcome.milliseconds:,} ms.", markup=False)


def _sentence(one: Divergence) -> str:
    where = one.projection if one.account is None else f"{one.projection} of {one.account}"
    text = f"{where}: {one.rows_differing:,} rows, not before position {one.first_position}"
    if one.last_position > one.first_position:
        text += f" and not after {one.last_position}"
    return text + ("" if one.candidate is None else f"; candidate: the event at {one.candidate}")
