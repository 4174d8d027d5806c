"""Compares quantities with a platform's sums, and finds out where and why they part."""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from typing import Final, NamedTuple, TypeVar

from ledger.domain.money import Money, payable, total
from ledger.domain.periods import Period
from ledger.domain.platform_objects import Formula, UsageSum
from ledger.domain.pricing_refusals import LastTierExceeded, QuantityNegative
from ledger.domain.rating import Metered, rate
from ledger.domain.reconciliation.bisection import (
    DAY,
    MINUTE,
    Read,
    bisect,
    ceiling,
    floor,
    last_reading,
)
from ledger.domain.reconciliation.comparing import Sums
from ledger.domain.reconciliation.evidence import Elsewhere, OurPrice, OurSend, OurUsage, QuantityFacts
from ledger.domain.reconciliation.ranking import explain_quantity
from ledger.domain.reconciliation_facts import Difference
from ledger.domain.refusals import RangeTooLarge
from ledger.domain.segments import segments
from ledger.domain.values import EXACT, ZERO
from ledger.platforms.port import PlatformRefused
from ledger.projections.reconciling import (
    FORMULAS,
    Stretch,
    Totals,
    adjusted_of,
    stretch_of,
    totals_of,
    usage_of,
)
from ledger.workers.reconciliation_run import Run
from ledger.workers.reconciliation_scope import Target

ASKED_AT_ONCE_MAX: Final = 500
Outcome = TypeVar("Outcome")


class Pair(NamedTuple):
    """One meter of an account's period, and the days of it that are compared."""

    target: Target
    meter: str
    platform_meter: str
    stretch: Stretch


class Counted(NamedTuple):
    """What is known of both sides for one pair, over whole minutes."""

    facts: QuantityFacts
    note: str


async def compare_quantities(run: Run, targets: Sequence[Target]) -> int:
    """Compare each meter of each target and return how many were: one read of ours for a meter, one of theirs each."""
    by_meter: dict[str, list[Pair]] = {}
    for target in targets:
        stretch = stretch_of(target.account, target.period, settled_at=run.settled_at)
        if stretch is None:
            continue
        for meter, platform_meter in run.there.meters_of(target.subscriptions).items():
            if run.catalogue.meters[meter].aggregation in FORMULAS:
                by_meter.setdefault(meter, []).append(Pair(target, meter, platform_meter, stretch))
    compared = 0
    for meter, pairs in sorted(by_meter.items()):
        async with run.pool.acquire() as connection:
            ours = await totals_of(connection, meter, [pair.stretch for pair in pairs])
        if ours is None:
            run.unread += len(pairs)
            continue
        for index in range(0, len(pairs), ASKED_AT_ONCE_MAX):
            some = slice(index, index + ASKED_AT_ONCE_MAX)
            asked = zip(pairs[some], ours[some], strict=True)
            read = await asyncio.gather(*(_compare(run, pair, totals) for pair, totals in asked))
            compared += sum(read)
    return compared


async def _compare(run: Run, pair: Pair, ours: Totals) -> bool:
    """Compare one pair; false where the platform refuses to tell."""
    target, window = pair.target, pair.stretch.window
    used = ours[formula_of(run, pair.meter)]
    try:
        theirs = await read_sum(run, pair.platform_meter, target.customer, window.start, window.end)
        adjusted = await adjusted_of(run.log, run.catalogue, target.account, pair.meter, window)
        if run.tolerance.lets_pass(total([used, *(one.value for one in adjusted)]), theirs):
            run.agree("quantity", target.account.key, pair.meter, target.period)
        else:
            await _part(run, pair, ours)
    except PlatformRefused:
        run.unread += 1
        return False
    return True


async def _part(run: Run, pair: Pair, ours: Totals) -> None:
    """Look into a pair that parts over whole days: it may agree over its own period, to the minute."""
    counted = await count(run, pair.target, pair.meter, pair.platform_meter, pair.stretch.window.end, ours)
    facts = counted.facts
    if run.tolerance.lets_pass(facts.used, facts.theirs):
        run.agree("quantity", facts.account, pair.meter, facts.period)
        return
    findings = explain_quantity(facts, run.tolerance)
    price = price_of(run, pair.target, pair.meter)
    run.differences.append(
        Difference(
            platform=run.platform.name,
            subject="quantity",
            start=facts.period.start,
            end=facts.period.end,
            account=facts.account,
            customer=facts.customer,
            meter=pair.meter,
            ours=facts.used,
            theirs=facts.theirs,
            money=None if price is None else _worth(price, facts, pair.target),
            minutes=tuple(one.start for one in facts.minutes),
            findings=findings,
            note=counted.note,
        )
    )


async def count(
    run: Run, target: Target, meter: str, platform_meter: str, settled_end: datetime, ours: Totals
) -> Counted:
    """Both sides of a meter in a period, event by event, and the minutes in which they part.

    `ours` is what counts where there are too many events to look at each.
    """
    end = min(target.period.end, settled_end)
    window = Period(floor(target.period.start, MINUTE), ceiling(end, MINUTE))
    notes = (
        []
        if window == target.period
        else [f"compared from {window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"]
    )
    adjusted = await adjusted_of(run.log, run.catalogue, target.account, meter, window)
    try:
        usage = [*await usage_of(run.log, run.catalogue, target.account, meter, window), *adjusted]
        by_formula: Totals = totals_by_formula(usage)
    except RangeTooLarge as refusal:
        usage, by_formula = [], ours
        notes.append(f"single events were not looked at: {refusal.message}")
    sends = await run.sends.of(target.account.key, meter, window)
    if sends is None:
        notes.append("sends were looked at one by one only in the minutes that part")
    side = await _side(run, target, meter, window, usage)
    formula = formula_of(run, meter)
    facts = QuantityFacts(
        account=target.account.key,
        customer=target.customer,
        meter=meter,
        period=target.period,
        used=by_formula[formula],
        theirs=await read_sum(run, platform_meter, target.customer, window.start, window.end),
        formula=formula,
        usage=tuple(usage),
        sends=tuple(sends or ()),
        sending_since=await run.sends.since(target.account.key),
        is_sent_by_us=side.is_sent_by_us,
        acknowledged=side.between(window.start, window.end) if sends is None else None,
        by_formula=by_formula,
    )
    if run.tolerance.lets_pass(facts.used, facts.theirs):
        return Counted(facts, "; ".join(notes))
    searched = await _search(run, platform_meter, facts, side, window)
    if sends is None:
        facts = facts._replace(sends=await _sends_in(run, facts, searched.minutes))
    notes += searched.notes
    elsewhere = [
        Elsewhere(other, await read_sum(run, platform_meter, other, window.start, window.end))
        for other in target.others
    ]
    facts = facts._replace(
        minutes=searched.minutes,
        outside=await _outside(run, platform_meter, target.customer, side, window, settled_end),
        elsewhere=tuple(one for one in elsewhere if one.quantity),
    )
    return Counted(facts, "; ".join(notes))


async def _sends_in(run: Run, facts: QuantityFacts, minutes: Sequence[Sums]) -> tuple[OurSend, ...]:
    found: list[OurSend] = []
    for one in minutes:
        found += await run.sends.of(facts.account, facts.meter, Period(one.start, one.end)) or ()
    return tuple(found)


async def _side(run: Run, target: Target, meter: str, window: Period, usage: Sequence[OurUsage]) -> "_Side":
    """Our side of a window and of a day around it."""
    is_sent = await run.sends.is_sent(target.account.key, meter)
    around = Period(window.start - DAY, window.end + DAY)
    by_minute: Mapping[datetime, Decimal]
    if is_sent:
        by_minute = await run.sends.acknowledged(target.account.key, meter, target.customer, around)
    else:
        counting = [one for one in usage if one.standing == "counts"]
        summed: dict[datetime, Decimal] = {}
        for one in counting:
            minute = floor(one.time, MINUTE)
            summed[minute] = total([summed.get(minute, ZERO), one.value])
        by_minute = summed
    minutes = sorted(by_minute)
    sums = list(accumulate((by_minute[minute] for minute in minutes), EXACT.add, initial=ZERO))
    return _Side(minutes, sums, is_sent)


class _Side(NamedTuple):
    """What we hold to be counted there: what was acknowledged, or where we send nothing what counts here.

    `sums` are running sums: before each of the minutes, and after the last.
    """

    minutes: list[datetime]
    sums: list[Decimal]
    is_sent_by_us: bool

    def between(self, start: datetime, end: datetime) -> Decimal:
        """What is counted from one whole minute up to another."""
        first, past = bisect_left(self.minutes, start), bisect_left(self.minutes, end)
        return EXACT.subtract(self.sums[past], self.sums[first])


class _Searched(NamedTuple):
    minutes: tuple[Sums, ...]
    notes: list[str]


async def _search(run: Run, platform_meter: str, facts: QuantityFacts, side: _Side, window: Period) -> _Searched:
    """The minutes in which the platform counts otherwise than it acknowledged."""
    if facts.formula == "last":
        return await _search_last(run, platform_meter, facts, window)

    async def answer(read: Read) -> list[Sums]:
        told = await run.theirs(platform_meter, facts.customer, read.start, read.end, read.by)
        by_start = {one.start: one for one in told}
        return _steps(read, by_start, side)

    whole = Sums(window.start, window.end, side.between(window.start, window.end), facts.theirs)
    found = await _carried_out(bisect(whole, run.tolerance, calls_max=run.calls_for_a_search()), answer)
    run.spent(found.calls, is_exhausted=found.is_exhausted)
    notes = []
    if found.unresolved:
        why = "no more reads of the platform were allowed" if found.is_exhausted else "more minutes part than are told"
        notes.append(f"{len(found.unresolved)} windows that part were not looked into: {why}")
    return _Searched(found.minutes, notes)


def _steps(read: Read, by_start: dict[datetime, UsageSum], side: _Side) -> list[Sums]:
    """Both sides by the steps of a read; a step that the platform leaves out has nothing there."""
    if read.by is None:
        theirs = total(one.quantity for one in by_start.values())
        return [Sums(read.start, read.end, side.between(read.start, read.end), theirs)]
    length = DAY if read.by == "day" else DAY / 24
    starts = [read.start + number * length for number in range((read.end - read.start) // length)]
    return [
        Sums(at, at + length, side.between(at, at + length), by_start[at].quantity if at in by_start else ZERO)
        for at in starts
    ]


async def _carried_out(
    plan: Generator[Read, Sequence[Sums], Outcome], answer: Callable[[Read], Awaitable[list[Sums]]]
) -> Outcome:
    """What a plan comes to once all that it asks is answered."""
    try:
        read = next(plan)
        while True:
            read = plan.send(await answer(read))
    except StopIteration as stopped:
        outcome: Outcome = stopped.value
        return outcome


async def _search_last(run: Run, platform_meter: str, facts: QuantityFacts, window: Period) -> _Searched:
    """The minutes of the last reading on either side: last values do not add up."""

    async def answer(read: Read) -> list[Sums]:
        told = await run.theirs(platform_meter, facts.customer, read.start, read.end, read.by)
        return [Sums(one.start, one.end, ZERO, one.quantity) for one in told]

    found = await _carried_out(last_reading(window.start, window.end), answer)
    run.spent(found.calls, is_exhausted=False)
    ours = max((one.time for one in facts.usage if one.standing == "counts"), default=None)
    minutes = [one for one in (found.minute, ours) if one is not None]
    noted = ", ".join(f"{minute:%Y-%m-%d %H:%M}" for minute in sorted(minutes))
    return _Searched((), [f"the last readings of the two sides are of {noted}"] if noted else [])


async def _outside(
    run: Run, platform_meter: str, customer: str, side: _Side, window: Period, settled_end: datetime
) -> tuple[Sums, ...]:
    """Both sides of the day right before the window and of what is settled of the day right after."""
    found = []
    for start, end in (
        (window.start - DAY, window.start),
        (window.end, min(window.end + DAY, floor(settled_end, MINUTE))),
    ):
        if start < end and side.is_sent_by_us:
            theirs = await read_sum(run, platform_meter, customer, start, end)
            found.append(Sums(start, end, side.between(start, end), theirs))
    return tuple(found)


async def read_sum(run: Run, platform_meter: str, customer: str, start: datetime, end: datetime) -> Decimal:
    """What the platform counted in a window of whole minutes."""
    return total(one.quantity for one in await run.theirs(platform_meter, customer, start, end))


def formula_of(run: Run, meter: str) -> Formula:
    """The platform's formula for what a meter of ours adds up by."""
    return FORMULAS[run.catalogue.meters[meter].aggregation]


def totals_by_formula(usage: Sequence[OurUsage]) -> dict[Formula, Decimal]:
    """What usage that counts comes to by each formula; adjustments add to all of them."""
    counting = [one for one in usage if one.standing == "counts" and not one.is_adjustment]
    adjusted = total(one.value for one in usage if one.is_adjustment)
    last = max(counting, key=lambda one: (one.time, one.position), default=None)
    return {
        "sum": total(one.value for one in counting) + adjusted,
        "count": Decimal(len(counting)) + adjusted,
        "last": (ZERO if last is None else last.value) + adjusted,
    }


def price_of(run: Run, target: Target, meter: str) -> OurPrice | None:
    """The one price of ours for all of a meter's usage in the period; None where there are several, or none."""
    if target.contract is None:
        return None
    parts = segments(target.contract, run.catalogue.plans, target.period, target.account.zone)
    prices = [
        OurPrice(f"{part.terms.name}, version {part.version}", charge.price)
        for part in parts
        for charge in part.terms.charges
        if charge.meter == meter and not charge.filters and not charge.group_by
    ]
    charged = sum(charge.meter == meter for part in parts for charge in part.terms.charges)
    return prices[0] if len(prices) == charged == 1 else None


def _worth(price: OurPrice, facts: QuantityFacts, target: Target) -> Money | None:
    """What the difference comes to at our price."""
    assert target.contract is not None, "a price is of a contract"
    currency, charge = target.contract.terms.currency, price.charge
    try:
        ours, theirs = (
            payable(rate(charge, Metered(quantity=one)).amount, currency, charge.rounding)
            for one in (facts.used, facts.theirs)
        )
    except (LastTierExceeded, QuantityNegative):
        return None
    return ours - theirs
