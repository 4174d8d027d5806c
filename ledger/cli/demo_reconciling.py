"""`ledger demo --reconcile`: plants mismatches of every kind between a ledger and a stand-in for Stripe, finds them."""

import shutil
from contextlib import AsyncExitStack
from pathlib import Path

from ledger.cli.demo_keys import METADATA
from ledger.cli.opening import migrate_database, now, open_ledger
from ledger.cli.up import out
from ledger.commands.cases import observe
from ledger.domain.cases import Observation
from ledger.domain.catalogue import Catalogue
from ledger.embedded.postgres import Postgres
from ledger.platforms.stripe import open_stripe
from ledger.projections.catalogue import catch_up
from ledger.sandbox.mismatch_table import BEGUN_BEFORE, Row, reconciled, table
from ledger.sandbox.serving import served
from ledger.sandbox.stripe import Sandbox
from ledger.sandbox.stripe.app import API_KEY


async def reconcile_planted(directory: Path) -> bool:
    """Whether all that was planted is found, its cause first. The ledger is left in the directory, made anew."""
    shutil.rmtree(directory, ignore_errors=True)
    sandbox = Sandbox(now().replace(minute=0, second=0, microsecond=0) - BEGUN_BEFORE)
    out.print("Planting mismatches between an empty ledger and a stand-in for Stripe: none of it is real.")
    async with AsyncExitStack() as stack:
        database_url = stack.enter_context(Postgres(directory / "postgres")).dsn()
        await migrate_database(database_url)
        opened = await stack.enter_async_context(open_ledger(database_url))
        address = await stack.enter_async_context(served(sandbox, sandbox.app(), host="127.0.0.1", port=0))
        platform = await stack.enter_async_context(open_stripe(API_KEY, address=address))
        run, rows = await reconciled(opened.pool, opened.log, platform, sandbox)
        moment = sandbox.clock.moment
        catalogue = Catalogue()
        await catch_up(catalogue, opened.log)
        observation = Observation(run.finished.run, moment, run.agreed)
        observed = await observe(opened.log, catalogue, run.differences, observation, metadata=METADATA)
    out.print(table(rows), markup=False)
    out.print(_told(rows, run.finished.calls), markup=False)
    out.print(
        f"{observed.opened} cases were opened. They are in a ledger of their own: "
        f"LEDGER_DATA_DIR={directory} ledger up",
        markup=False,
    )
    return all(row.is_found for row in rows)


def _told(rows: list[Row], calls: int) -> str:
    found = sum(row.is_found for row in rows)
    text = f"Of {len(rows)} mismatches the planted cause stands first in {found}; {calls:,} questions to the platform."
    missed = [row.plot.name for row in rows if not row.is_found]
    return f"{text} Not so: {', '.join(missed)}." if missed else text
