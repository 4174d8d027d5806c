"""Reconciliation: our numbers against a billing platform's, for all accounts or some; what is found becomes cases."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from ledger.commands.cases import observe
from ledger.commands.decision import decide_on
from ledger.database import Pool
from ledger.domain.calendar import zone
from ledger.domain.cases import Observation, Watched
from ledger.domain.catalogue import Catalogue
from ledger.domain.metadata import Metadata
from ledger.domain.money import Money
from ledger.domain.names import reconciliation_stream
from ledger.domain.platform_objects import Inexpressible
from ledger.domain.reconciliation.comparing import Tolerance
from ledger.domain.reconciliation_events import ReconciliationFinished
from ledger.domain.reconciliation_facts import Difference, Finding, Subject
from ledger.event_log import EventLog
from ledger.platforms.port import Platform
from ledger.projections.catalogue import catch_up
from ledger.projections.platform_objects import obstacles
from ledger.projections.reconciling import accounts_with_usage
from ledger.projections.reconciling_sends import Sends
from ledger.workers.reconciliation_amounts import compare_amounts
from ledger.workers.reconciliation_quantities import compare_quantities
from ledger.workers.reconciliation_run import SETTLE, Run
from ledger.workers.reconciliation_scope import Target, targets, what_is_there

PERIODS: Final = 2
"""The running billing period of each account, and the one before it."""
ACCOUNTS_MAX: Final = 10_000
"""The most accounts with usage that nobody bills, and the most customers nobody knows, that a run tells."""
BESIDE: Final = frozenset({"unbilled_account", "unknown_customer", "inexpressible_price"})
METADATA: Final = Metadata(actor="worker", source="worker", operation="reconcile_platform")
LIVE: Final = ("trialing", "active", "past_due", "unpaid")


class Reconcile(NamedTuple):
    """What to compare: all accounts, or some by key, in the billing period at a moment and in those before it.

    A difference is one only once `settle` has passed, for a platform's sums lag what it was told.
    """

    at: datetime
    accounts: tuple[str, ...] | None = None
    periods: int = PERIODS
    tolerance: Tolerance = Tolerance()
    settle: timedelta = SETTLE


class Reconciled(NamedTuple):
    """What a run came to; `agreed` are the keys of cases whose subjects were compared and are the same."""

    finished: ReconciliationFinished
    differences: tuple[Difference, ...]
    agreed: frozenset[str]


async def reconcile(
    pool: Pool, log: EventLog, platform: Platform, asked: Reconcile, *, clock: Callable[[], datetime]
) -> Reconciled:
    """Compare, and look into what parts. Changes nothing, here or there.

    Raises `PlatformUnavailable` and `PlatformBusy`: a run that cannot read says nothing.
    """
    catalogue, now = Catalogue(), clock()
    await catch_up(catalogue, log)
    there = await what_is_there(pool, log, platform.name, catalogue)
    run = Run(
        pool,
        log,
        platform,
        catalogue,
        there,
        Sends(pool, log, platform.name),
        asked.tolerance,
        now,
        settled_at=now - asked.settle,
    )
    chosen = list(
        targets(catalogue, there, platform=platform.name, accounts=asked.accounts, at=asked.at, periods=asked.periods)
    )
    compared = await compare_quantities(run, chosen)
    compared += await compare_amounts(run, chosen)
    parted = list(run.differences)
    beside = [*_inexpressible(run, chosen, asked), *await _obstacles(run, asked)]
    if asked.accounts is None:
        beside += [*_unknown_customers(run, asked), *await _unbilled(run, chosen, asked)]
    if asked.accounts is None:
        run.agreed |= _ended(run, beside)
    finished = ReconciliationFinished(
        platform=platform.name,
        run=f"{platform.name} {now.isoformat()}",
        period_at=asked.at,
        accounts=asked.accounts or (),
        started_at=now,
        finished_at=clock(),
        compared=compared,
        agreeing=compared - len(parted),
        differing=len(parted),
        unread=run.unread,
        found=len(beside),
        leaks=_money(parted, 1),
        excesses=_money(parted, -1),
        calls=run.calls,
        is_exhausted=run.is_exhausted,
        oldest_open_at=min((one.start for one in _cases(run).values()), default=None),
    )
    return Reconciled(finished, (*parted, *beside), frozenset(run.agreed))


async def reconcile_and_record(
    pool: Pool, log: EventLog, platform: Platform, asked: Reconcile, *, clock: Callable[[], datetime]
) -> Reconciled:
    """Compare, tell the cases what was found, and keep what the run came to. Done again, it finds the same."""
    done = await reconcile(pool, log, platform, asked, clock=clock)
    finished = done.finished
    catalogue = Catalogue()
    await catch_up(catalogue, log)
    observation = Observation(finished.run, finished.finished_at, done.agreed)
    await observe(log, catalogue, done.differences, observation, metadata=METADATA)
    stream = reconciliation_stream(finished.platform)
    await decide_on(log, stream, lambda _: [finished], account=None, now=clock(), metadata=METADATA)
    return done


def _cases(run: Run) -> dict[str, Watched]:
    """The platform's cases that are not settled."""
    return {key: case for key, case in run.catalogue.cases.items() if case.platform == run.platform.name}


def _ended(run: Run, beside: Sequence[Difference]) -> set[str]:
    """The cases about accounts, customers and prices of which nothing is found any more, whatever their month."""
    found = {(one.subject, one.account, one.customer) for one in beside}
    return {
        key
        for key, case in _cases(run).items()
        if case.subject in BESIDE and (case.subject, case.account, case.customer) not in found
    }


def _money(differences: Sequence[Difference], sign: int) -> tuple[Money, ...]:
    """What the differences of amounts come to by currency, above zero, those of one direction; of running periods
    what their quantities are worth.
    """
    final = {(one.account, one.start) for one in differences if one.subject == "amount"}
    sums: dict[str, int] = {}
    for one in differences:
        if one.money is None or (one.subject == "quantity" and (one.account, one.start) in final):
            continue
        apart = one.money.minor_units * sign
        if apart > 0:
            sums[one.money.currency] = sums.get(one.money.currency, 0) + apart
    return tuple(Money(minor_units, currency) for currency, minor_units in sorted(sums.items()))


def _inexpressible(run: Run, chosen: Sequence[Target], asked: Reconcile) -> Iterator[Difference]:
    """Prices and items of subscriptions that the calculator has no words for."""
    told: set[str] = set()
    for target in chosen:
        for subscription in target.subscriptions:
            for item in subscription.items:
                price = run.there.prices.get(item.price)
                why = item.obstacle or (None if price is None else price.obstacle)
                if why is not None and item.id not in told:
                    told.add(item.id)
                    yield _beside(
                        run,
                        "inexpressible_price",
                        asked,
                        account=target.account.key,
                        customer=target.customer,
                        sentence=f"The price {item.price} of the subscription {subscription.id} cannot be rated: {why}",
                        evidence={"price": item.price, "subscription": subscription.id},
                        target=target,
                    )


async def _obstacles(run: Run, asked: Reconcile) -> list[Difference]:
    """Objects of the platform that could not even be read."""
    found = []
    for seen in await obstacles(run.pool, run.platform.name):
        one = seen.one
        if not isinstance(one, Inexpressible) or one.kind not in ("price", "subscription", "invoice"):
            continue
        account = run.catalogue.names.get(one.customer or "")
        if asked.accounts is None or account in asked.accounts:
            sentence = f"The {one.kind} {one.id} cannot be told in the ledger's words: {one.obstacle}"
            evidence: dict[str, str] = {one.kind: one.id}
            found.append(
                _beside(
                    run,
                    "inexpressible_price",
                    asked,
                    account=account,
                    customer=one.customer or one.id,
                    sentence=sentence,
                    evidence=evidence,
                )
            )
    return found


def _unknown_customers(run: Run, asked: Reconcile) -> Iterator[Difference]:
    """Customers with a live subscription whom no account has as an alias."""
    unknown = (one for one in run.there.customers.values() if one.id not in run.catalogue.names and not one.is_deleted)
    told = 0
    for customer in sorted(unknown, key=lambda one: one.id):
        live = [one for one in run.there.subscriptions.get(customer.id, ()) if one.status in LIVE]
        if live and told < ACCOUNTS_MAX:
            told += 1
            sentence = (
                f"{customer.name or customer.id} has {len(live)} live subscriptions there and is no account here."
            )
            evidence = {"subscriptions": ", ".join(one.id for one in live)}
            yield _beside(
                run,
                "unknown_customer",
                asked,
                customer=customer.id,
                sentence=sentence,
                evidence=evidence,
                cause="no_account",
            )


async def _unbilled(run: Run, chosen: Sequence[Target], asked: Reconcile) -> list[Difference]:
    """Accounts with usage in the month of the moment or the one before that the platform bills for nothing."""
    billed = {target.account.key for target in chosen if target.subscriptions}
    month = zone("UTC").window_of(min(asked.at, run.settled_at), "MONTH")
    first = zone("UTC").window_of(month.start - timedelta.resolution, "MONTH").start.date()
    past = month.end.date()
    async with run.pool.acquire() as connection:
        keys = await accounts_with_usage(connection, first, past, after="", limit=ACCOUNTS_MAX)
    found = []
    for key in keys:
        if key in billed or key not in run.catalogue.accounts:
            continue
        account = run.catalogue.accounts[key]
        customers = [name for name in (key, *account.aliases) if name in run.there.customers]
        cause = "no_subscription" if customers else "no_customer"
        sentence = (
            f"Its customer {customers[0]} has no subscription in the period."
            if customers
            else "It is no customer there."
        )
        found.append(
            _beside(
                run,
                "unbilled_account",
                asked,
                account=key,
                customer=customers[0] if customers else None,
                sentence=f"There is usage since {first.isoformat()}. {sentence}",
                evidence={"since": first.isoformat()},
                cause=cause,
            )
        )
    return found


def _beside(
    run: Run,
    subject: Subject,
    asked: Reconcile,
    *,
    sentence: str,
    evidence: dict[str, str],
    account: str | None = None,
    customer: str | None = None,
    cause: str = "inexpressible_price",
    target: Target | None = None,
) -> Difference:
    """A difference that is none of numbers: of the period of a target, else of the month of the moment."""
    month = zone("UTC").window_of(min(asked.at, run.settled_at), "MONTH")
    start, end = (month.start, month.end) if target is None else (target.period.start, target.period.end)
    finding = Finding(cause=cause, sentence=sentence, share=Decimal(1), is_exact=True, evidence=evidence)
    return Difference(
        platform=run.platform.name,
        subject=subject,
        start=start,
        end=end,
        account=account,
        customer=customer,
        findings=(finding,),
        note=sentence,
    )
