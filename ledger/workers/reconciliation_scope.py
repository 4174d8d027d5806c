"""Who is compared in a reconciliation run, over which periods, and what the platform holds of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ledger.database import Pool
from ledger.domain.catalogue import Account, Catalogue
from ledger.domain.contracts import Contract, contract_at
from ledger.domain.periods import Period
from ledger.domain.platform_objects import (
    Customer,
    ObjectKind,
    PlatformMeter,
    PlatformObject,
    Price,
    Subscription,
)
from ledger.domain.segments import period_of
from ledger.event_log import EventLog
from ledger.projections.platform_objects import ROWS_MAX, objects
from ledger.projections.reconciling_sends import mapped_meters

MOMENT: Final = timedelta(microseconds=1)


class There(NamedTuple):
    """What a platform holds, as it was last seen. `meters` are our meters' keys by the ids of the platform's meters."""

    customers: Mapping[str, Customer]
    subscriptions: Mapping[str, tuple[Subscription, ...]]
    platform_meters: Mapping[str, PlatformMeter]
    prices: Mapping[str, Price]
    meters: Mapping[str, str]

    def meters_of(self, subscriptions: Sequence[Subscription]) -> dict[str, str]:
        """Our meters that some subscriptions bill, each with the id of the platform's."""
        found = {}
        for subscription in subscriptions:
            for item in subscription.items:
                price = self.prices.get(item.price)
                if price is not None and price.meter is not None and price.meter in self.meters:
                    found[self.meters[price.meter]] = price.meter
        return found


class Target(NamedTuple):
    """An account's billing period to be compared: with one customer there; `others` are its other aliases there."""

    account: Account
    customer: str
    others: tuple[str, ...]
    subscriptions: tuple[Subscription, ...]
    period: Period
    contract: Contract | None


async def what_is_there(pool: Pool, log: EventLog, platform: str, catalogue: Catalogue) -> There:
    """What the platform holds of customers, subscriptions, meters and prices."""
    customers = {one.id: one for one in await _all(pool, platform, "customer") if isinstance(one, Customer)}
    subscriptions: dict[str, tuple[Subscription, ...]] = {}
    for one in await _all(pool, platform, "subscription"):
        if isinstance(one, Subscription):
            subscriptions[one.customer] = (*subscriptions.get(one.customer, ()), one)
    meters = {one.id: one for one in await _all(pool, platform, "meter") if isinstance(one, PlatformMeter)}
    prices = {one.id: one for one in await _all(pool, platform, "price") if isinstance(one, Price)}
    mapped = await mapped_meters(log, platform)
    ours = {one.id: key for one in meters.values() if (key := our_meter(catalogue, mapped, one)) is not None}
    return There(customers, subscriptions, meters, prices, ours)


def our_meter(catalogue: Catalogue, mapped: Mapping[str, str], meter: PlatformMeter) -> str | None:
    """The meter of ours that the platform's is told: the one mapped to it, else the one whose key is its event type,
    else the only one that counts events of that type.
    """
    if mapped.get(meter.event_type) in catalogue.meters:
        return mapped[meter.event_type]
    if meter.event_type in catalogue.meters:
        return meter.event_type
    by_type = catalogue.meters_by_type.get(meter.event_type, [])
    return by_type[0][0] if len(by_type) == 1 else None


async def _all(pool: Pool, platform: str, kind: ObjectKind) -> list[PlatformObject]:
    found: list[PlatformObject] = []
    after = None
    while rows := await objects(pool, platform, kind, after=after):
        found += [row.one for row in rows]
        after = rows[-1].one.id
        if len(rows) < ROWS_MAX:
            break
    return found


def targets(
    catalogue: Catalogue, there: There, *, platform: str, accounts: Sequence[str] | None, at: datetime, periods: int
) -> Iterator[Target]:
    """The accounts that are customers there, each with its last periods up to that of a moment, newest first.

    Behind them come older periods that a case is open for, so that the case can tell when the numbers agree.
    """
    open_starts: dict[str, set[datetime]] = {}
    for case in catalogue.cases.values():
        if case.platform == platform and case.account is not None and case.subject in ("quantity", "amount"):
            open_starts.setdefault(case.account, set()).add(case.start)
    for key in sorted(catalogue.accounts if accounts is None else accounts):
        account = catalogue.accounts[key]
        known = [name for name in (account.key, *account.aliases) if name in there.customers]
        known = [name for name in known if not there.customers[name].is_deleted]
        if not known:
            continue
        known.sort(key=lambda name: not there.subscriptions.get(name))
        waiting = sorted(open_starts.get(key, ()))
        instant, seen = at, set[datetime]()
        for _ in range(periods + len(waiting)):
            contract = contract_at(catalogue.contracts.get(key, ()), instant)
            period = _period(catalogue, account, contract, there.subscriptions.get(known[0], ()), instant)
            if period is not None and period.start not in seen:
                seen.add(period.start)
                billing = tuple(one for one in there.subscriptions.get(known[0], ()) if _runs_in(one, period))
                yield Target(account, known[0], tuple(known[1:]), billing, period, contract)
            if period is not None and len(seen) < periods:
                instant = period.start - MOMENT
            elif waiting:
                instant = waiting.pop()
            else:
                break


def _period(
    catalogue: Catalogue,
    account: Account,
    contract: Contract | None,
    subscriptions: Sequence[Subscription],
    instant: datetime,
) -> Period | None:
    """Our billing period, without a contract the platform's; None where neither bills at that moment."""
    if contract is not None:
        whole = period_of(contract, catalogue.plans, instant, account.zone)
        end = whole.end if contract.ended_at is None else min(whole.end, contract.ended_at)
        return Period(max(whole.start, contract.started_at), end)
    running = [one for one in subscriptions if one.period_start <= instant < one.period_end]
    return Period(running[0].period_start, running[0].period_end) if running else None


def _runs_in(subscription: Subscription, period: Period) -> bool:
    return subscription.started_at < period.end and (
        subscription.ended_at is None or subscription.ended_at > period.start
    )
