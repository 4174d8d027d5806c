"""Runs a reconciliation over the planted mismatches and tells, for each, what was planted and what was found."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from ledger.database import Pool
from ledger.domain.reconciliation.causes import codes_of
from ledger.domain.reconciliation_facts import Difference
from ledger.event_log import EventLog
from ledger.platforms.port import Platform
from ledger.projections.catalogue import CatalogueFollower
from ledger.projections.runner import Projector
from ledger.sandbox.mismatch_hands import Hands
from ledger.sandbox.mismatch_prices import prepare
from ledger.sandbox.mismatches import PLOTS, Plot, plant
from ledger.sandbox.serving import inside
from ledger.sandbox.stripe import Sandbox
from ledger.sandbox.stripe.app import API_KEY
from ledger.workers.reconciling import Reconcile, Reconciled, reconcile
from ledger.workers.syncing import sync_all

RANKED_SHOWN: Final = 3
BEGUN_BEFORE: Final = timedelta(days=20)
"""How long ago, by the ledger's clock, the planted period began. The sandbox lives on beyond the present until its
invoices are final, so that usage which the ledger records now comes before that, and only what is told later is late.
"""


class Row(NamedTuple):
    """What was planted on an account, and the differences that were found there."""

    plot: Plot
    differences: tuple[Difference, ...]

    @property
    def top(self) -> frozenset[str]:
        """The causes that stand first in its differences, together."""
        found = {code for one in self.differences if one.findings for code in codes_of(one.findings[0].cause)}
        return frozenset(found)

    @property
    def is_found(self) -> bool:
        """Whether what stands first is what was planted, all of it and nothing else."""
        return bool(self.differences) and self.top == self.plot.causes


async def reconciled(
    pool: Pool, log: EventLog, platform: Platform, sandbox: Sandbox, plots: tuple[Plot, ...] = PLOTS
) -> tuple[Reconciled, list[Row]]:
    """Plant on an empty ledger and sandbox, read everything back, reconcile: what the run came to, and a row a plot."""
    follower, projector = CatalogueFollower(log), Projector(pool, log)
    async with inside(sandbox.app(), API_KEY) as client:
        hands = Hands(log, follower, sandbox, client, begun=sandbox.clock.moment)
        await prepare(hands)
        await plant(hands, plots)
    now = sandbox.clock.moment
    await sync_all(pool, log, platform, clock=lambda: now)
    await projector.catch_up()
    asked = Reconcile(at=hands.begun + timedelta(days=1), periods=1)
    run = await reconcile(pool, log, platform, asked, clock=lambda: now)
    return run, [Row(plot, _of(plot.name, hands, run.differences)) for plot in plots]


def _of(name: str, hands: Hands, differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """The differences of the account of a plot, or of its customer where it is no account."""
    customers = {one["id"] for one in hands.sandbox.state.customers if one.get("name") == name}
    return tuple(one for one in differences if one.account == name or one.customer in customers)


def table(rows: Sequence[Row]) -> str:
    """The rows as a table of Markdown."""
    lines = ["| Planted | Found first | Explains | Then |", "|---|---|---|---|"]
    for row in rows:
        planted = " + ".join(sorted(row.plot.causes))
        for number, one in enumerate(row.differences):
            ranked = [finding.cause for finding in one.findings[:RANKED_SHOWN]] or ["nothing"]
            share = f"{one.findings[0].share:%}" if one.findings else ""
            subject = one.subject if one.meter is None else f"{one.subject} of {one.meter}"
            then = ", ".join(ranked[1:])
            lines.append(f"| {planted if not number else ''} | {ranked[0]} ({subject}) | {share} | {then} |")
        if not row.differences:
            lines.append(f"| {planted} | no difference |  |  |")
    return "\n".join(lines) + "\n"
