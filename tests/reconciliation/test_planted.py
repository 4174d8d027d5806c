"""What is planted stands first: through the sandbox, the adapter, the log and the read models; then cases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from ledger.domain.catalogue import Catalogue
from ledger.domain.reconciliation.causes import CAUSES, codes_of
from ledger.domain.reconciliation_events import ReconciliationFinished
from ledger.domain.reconciliation_facts import Difference
from ledger.platforms.port import Platform
from ledger.platforms.stripe import open_stripe
from ledger.projections.catalogue import catch_up
from ledger.sandbox.mismatch_table import BEGUN_BEFORE, reconciled, table
from ledger.sandbox.mismatches import PLOTS, Plot
from ledger.sandbox.serving import served
from ledger.sandbox.stripe import Sandbox
from ledger.sandbox.stripe.app import API_KEY
from ledger.workers.reconciling import Reconcile, reconcile, reconcile_and_record
from tests.log.ledgers import Ledger, open_ledger
from tests.sandbox.stripe.conftest import SDK_WARNING
from tests.test_cli import assert_one_sentence, ledger

pytestmark = SDK_WARNING


class Stage(NamedTuple):
    ledger: Ledger
    sandbox: Sandbox
    platform: Platform
    begun: datetime
    address: str

    def now(self) -> datetime:
        return self.sandbox.clock.moment


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Stage]:
    """An empty ledger, and a sandbox whose periods begin off the hour."""
    begun = datetime.now(UTC).replace(hour=9, minute=30, second=17, microsecond=0) - BEGUN_BEFORE
    sandbox = Sandbox(begun)
    async with (
        open_ledger(url) as opened_ledger,
        served(sandbox, sandbox.app(), host="127.0.0.1", port=0) as address,
        open_stripe(API_KEY, address=address, retries=0) as platform,
    ):
        yield Stage(opened_ledger, sandbox, platform, begun, address)


def plots(*causes: str) -> tuple[Plot, ...]:
    return tuple(
        plot for plot in PLOTS if plot.causes == set(causes) or (len(plot.causes) == 1 and plot.causes <= set(causes))
    )


def subjects(differences: tuple[Difference, ...]) -> set[tuple[str | None, str, str]]:
    return {(one.account, one.subject, one.findings[0].cause) for one in differences}


async def test_every_planted_mismatch_is_found_and_its_cause_stands_first(database_url: str) -> None:
    async with opened(database_url) as stage:
        run, rows = await reconciled(stage.ledger.pool, stage.ledger.log, stage.platform, stage.sandbox)

    assert [row.plot.name for row in rows if not row.is_found] == [], table(rows)
    assert sum(len(row.plot.causes) == 1 for row in rows) >= 20
    assert sum(len(row.plot.causes) == 2 for row in rows) >= 4
    assert all(one.findings[0].is_exact for row in rows for one in row.differences)
    assert run.finished.differing == run.finished.compared - run.finished.agreeing > 0
    assert run.finished.calls <= 60 * len(rows)


async def test_a_lost_event_is_found_in_its_minute_and_named(database_url: str) -> None:
    async with opened(database_url) as stage:
        _, [row] = await reconciled(
            stage.ledger.pool, stage.ledger.log, stage.platform, stage.sandbox, plots("lost_there")
        )
        events = dict(await stage.ledger.events())

    quantity = next(one for one in row.differences if one.subject == "quantity")
    assert quantity.minutes == ((stage.begun + timedelta(hours=16)).replace(second=0),)
    assert (quantity.ours, quantity.theirs) == (Decimal(510), Decimal(478))
    [position] = quantity.findings[0].positions
    assert getattr(events[position], "data", None) == {"tokens": 32}
    assert quantity.money is not None
    assert quantity.money.minor_units == 320


async def test_a_run_opens_cases_and_the_next_one_settles_them_once_the_numbers_agree(database_url: str) -> None:
    """The run is kept in the log; done again it finds the same and changes nothing."""
    async with opened(database_url) as stage:
        log, pool = stage.ledger.log, stage.ledger.pool
        await reconciled(pool, log, stage.platform, stage.sandbox, plots("told_by_another"))
        asked = Reconcile(at=stage.begun + timedelta(days=1), periods=1)
        first = await reconcile_and_record(pool, log, stage.platform, asked, clock=stage.now)
        again = await reconcile_and_record(pool, log, stage.platform, asked, clock=stage.now)
        waiting = Catalogue()
        await catch_up(waiting, log)

        [invented] = [one for one in stage.sandbox.state.usage.by_identifier if "elsewhere" in one]
        stage.sandbox.plants.drop_usage(invented)
        await reconcile_and_record(pool, log, stage.platform, asked, clock=stage.now)
        left = Catalogue()
        await catch_up(left, log)
        finished = [event for _, event in await stage.ledger.events() if isinstance(event, ReconciliationFinished)]

    assert subjects(first.differences) == subjects(again.differences)
    assert {case.subject for case in waiting.cases.values()} == {"quantity", "amount"}
    assert {case.subject for case in left.cases.values()} == {"amount"}, "the invoice stays as it is"
    assert [one.differing for one in finished] == [2, 2, 1]
    assert finished[-1].oldest_open_at == stage.begun


async def test_what_is_younger_than_the_settle_time_is_not_judged(database_url: str) -> None:
    async with opened(database_url) as stage:
        await reconciled(
            stage.ledger.pool, stage.ledger.log, stage.platform, stage.sandbox, plots("unsent", "manual_edit")
        )
        young = Reconcile(at=stage.begun + timedelta(days=1), periods=1, settle=timedelta(days=60))
        run = await reconcile(stage.ledger.pool, stage.ledger.log, stage.platform, young, clock=stage.now)

    assert (run.finished.compared, run.differences) == (0, ())


async def test_one_account_is_compared_alone(database_url: str) -> None:
    async with opened(database_url) as stage:
        await reconciled(
            stage.ledger.pool, stage.ledger.log, stage.platform, stage.sandbox, plots("unsent", "send_rejected")
        )
        alone = Reconcile(at=stage.begun + timedelta(days=1), accounts=("unsent",), periods=1)
        run = await reconcile(stage.ledger.pool, stage.ledger.log, stage.platform, alone, clock=stage.now)

    assert {one.account for one in run.differences} == {"unsent"}
    assert {code for one in run.differences for code in codes_of(one.findings[0].cause)} == {"unsent"}


async def test_the_command_tells_what_was_found(database_url: str) -> None:
    async with opened(database_url) as stage:
        await reconciled(stage.ledger.pool, stage.ledger.log, stage.platform, stage.sandbox, plots("no_account"))
        variables = {"LEDGER_DATABASE_URL": database_url, "LEDGER_STRIPE_URL": stage.address}
        finished = await asyncio.to_thread(ledger, "reconcile", **variables)
        unknown = await asyncio.to_thread(ledger, "reconcile", "--account", "nobody", **variables)

    assert finished.returncode == 0, finished.stderr
    assert "unknown customer" in finished.stdout
    assert "no_account" in finished.stdout
    assert_one_sentence(unknown, "nobody")


def test_the_document_has_every_cause_and_every_planted_mismatch() -> None:
    """Run `./dev demo --reconcile` for the table."""
    document = (Path(__file__).resolve().parents[2] / "docs" / "reconciliation.md").read_text()
    for cause in CAUSES.values():
        assert f"| `{cause.code}` | {cause.strength} | {cause.title} |" in document
    for plot in PLOTS:
        assert f"| {' + '.join(sorted(plot.causes))} |" in document
