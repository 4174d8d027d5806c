"""What usage, invoices, adjustments and closed periods must come to, told by plain SQL over the log.

Written without the folds, the read models and the states that it is held against. Only what a contract says of a
period, and the calculator, are the ledger's own.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.domain.catalogue import Catalogue
from ledger.domain.contracts import Contract
from ledger.domain.invoices import Invoice, project
from ledger.domain.lines import InvoiceLine, Used
from ledger.domain.money import Money
from ledger.domain.percentage import Percentage
from ledger.domain.periods import Period
from ledger.domain.pricing import PlanCharge
from ledger.domain.rating import Metered
from ledger.domain.segments import Segment, period_of, segments
from ledger.domain.steps import Group
from tests.projections.worlds import World

# The usage events that count for an account in a meter: told or put in place of others, under a name that is the
# account's by its last decision, and neither mended nor dismissed since. $1 account, $2 meter.
COUNTED = r"""
with names as (
    select distinct on (coalesce(state ->> 'alias', state ->> 'account'))
        coalesce(state ->> 'alias', state ->> 'account') as name,
        case when topic <> 'AccountAliasRemoved' then state ->> 'account' end as owner
    from events where topic in ('AccountOpened', 'AccountAliased', 'AccountAliasRemoved')
    order by coalesce(state ->> 'alias', state ->> 'account'), position desc
), meter as (
    select state -> 'definition' as told from events
    where topic in ('MeterDefined', 'MeterChanged') and state ->> 'meter' = $2 order by position desc limit 1
), retired as (
    select (state ->> 'retired_at')::timestamptz as at from events
    where topic = 'MeterRetired' and state ->> 'meter' = $2 order by position desc limit 1
), superseded as (
    select json_array_elements_text(state -> 'supersedes')::bigint as position from events
    where topic in ('UsageMended', 'UsageDismissed')
), counted as (
    select position, (state ->> 'time')::timestamptz as at, state #>> '{data,d}' as d,
        case when told ->> 'aggregation' = 'count' then 1 else (state #>> '{data,v}')::numeric end as quantity
    from events cross join meter join names on name = state ->> 'subject'
    where topic in ('UsageRecorded', 'UsageMended') and owner = $1
        and position not in (select position from superseded)
        and state ->> 'type' = told ->> 'event_type'
        and (state ->> 'time')::timestamptz <= recorded_at + interval '1 day'
        and ((state ->> 'time')::timestamptz < (select at from retired) or not exists (select from retired))
        and (coalesce(json_array_length(told -> 'filters'), 0) = 0 or coalesce(state #>> '{data,e}', 'r') = 'r')
        and (told ->> 'aggregation' = 'count' or coalesce(state #>> '{data,v}', '') ~ '^-?[0-9]+(\.[0-9]+)?$')
)
"""
QUANTITIES = f"""
{COUNTED} select d, sum(quantity) as quantity, array_agg(quantity order by at, position) as quantities, count(*)
from counted where at >= $3 and at < $4 group by d order by d
"""
ADJUSTMENTS = """
select p.account, p.state #>> '{adjustment,adjustment}' as key, p.state #>> '{adjustment,kind}' as kind,
    (p.state #>> '{adjustment,at}')::timestamptz as at, p.state #>> '{adjustment,meter}' as meter,
    (p.state #>> '{adjustment,quantity}')::numeric as quantity, p.state #>> '{adjustment,dimensions,d}' as d,
    (p.state #>> '{adjustment,amount,minor_units}')::bigint as minor_units,
    p.state #>> '{adjustment,reverses}' as reverses, (p.state #>> '{effect,minor_units}')::bigint as effect,
    d.topic, exists (
        select from events r join events a on a.topic = 'AdjustmentApproved' and a.account = r.account
            and a.state ->> 'adjustment' = r.state #>> '{adjustment,adjustment}'
        where r.topic = 'AdjustmentProposed' and r.account = p.account
            and r.state #>> '{adjustment,reverses}' = p.state #>> '{adjustment,adjustment}'
    ) as is_reversed
from events p left join events d on d.account = p.account and d.state ->> 'adjustment' = p.state #>>
    '{adjustment,adjustment}' and d.topic in ('AdjustmentApproved', 'AdjustmentRejected', 'AdjustmentWithdrawn')
where p.topic = 'AdjustmentProposed' and p.account = $1 order by p.position
"""
CLOSED = """
select (c.state ->> 'start')::timestamptz as start, (c.state ->> 'end')::timestamptz as until,
    (c.state #>> '{rated,minor_units}')::bigint as rated, (c.state #>> '{total,minor_units}')::bigint as total,
    coalesce((c.state #>> '{credits,prepaid,minor_units}')::bigint, 0) as credited,
    coalesce(sum((l.state #>> '{difference,minor_units}')::bigint), 0)::bigint as differences,
    coalesce(sum((l.state #>> '{difference,minor_units}')::bigint)
        filter (where l.state ->> 'action' <> 'absorb'), 0)::bigint as billed_later
from events c left join events l on l.topic = 'LateUsageAssessed' and l.account = c.account
    and l.state ->> 'start' = c.state ->> 'start'
where c.topic = 'PeriodClosed' and c.account = $1 group by c.position, c.state::text order by 1
"""
# Credit is of the contract that the account had last when it was granted.
GRANTED = """
select coalesce(sum((g.state #>> '{grant,amount,minor_units}')::bigint), 0) from events g
where g.topic = 'CreditGranted' and g.account = $1 and $2 = (
    select (c.state ->> 'started_at')::timestamptz from events c
    where c.topic = 'ContractStarted' and c.account = $1 and c.position < g.position order by c.position desc limit 1
)
"""


class Reckoned(NamedTuple):
    """A period, or what a contract has of it, as SQL tells it; amounts in cents.

    `rated` are the lines without adjustments in money.
    """

    start: datetime
    rated: Invoice
    adjusted: int
    credited: int

    @property
    def subtotal(self) -> int:
        """What the lines come to."""
        return self.rated.subtotal.minor_units + self.adjusted


async def quantities(world: World, account: str, meter: str, span: Period) -> list[Any]:
    """The sum, the quantities and the count of a stretch of time, by the dimension d."""
    return list(await world.ledger.pool.fetch(QUANTITIES, account, meter, span.start, span.end))


async def adjustments(world: World, account: str) -> list[Any]:
    """An account's adjustments with what was decided on them."""
    return list(await world.ledger.pool.fetch(ADJUSTMENTS, account))


async def closed_periods(world: World, account: str) -> list[Any]:
    """An account's closed periods with what was settled on them later."""
    return list(await world.ledger.pool.fetch(CLOSED, account))


async def reckoned(world: World, account: str, until: datetime, *, leave_out: Sequence[str] = ()) -> list[Reckoned]:
    """The invoices of the account's periods that begin before a moment, without some of its adjustments."""
    catalogue = world.follower.catalogue
    approved = [
        one
        for one in await adjustments(world, account)
        if one["topic"] == "AdjustmentApproved" and one["key"] not in leave_out
    ]
    found: list[Reckoned] = []
    for contract in catalogue.contracts.get(account, ()):
        found += await _of_contract(world, contract, until, approved)
    return found


async def _of_contract(world: World, contract: Contract, until: datetime, approved: Sequence[Any]) -> list[Reckoned]:
    catalogue, account = world.follower.catalogue, contract.account
    zone = catalogue.accounts[account].zone
    closed = {one["start"]: one for one in await closed_periods(world, account)}
    left = await world.ledger.pool.fetchval(GRANTED, account, contract.started_at)
    billed, found, start = Money(0, "EUR"), list[Reckoned](), contract.started_at
    while start < min(until, contract.ended_at or until):
        period = period_of(contract, catalogue.plans, start, zone)
        used = await _used(world, account, segments(contract, catalogue.plans, period, zone), approved)
        rated = project(contract, catalogue.plans, period, used, zone=zone, as_of=until, spent={}, billed_before=billed)
        adjusted = _adjusted(approved, Period(start, min(period.end, contract.ended_at or period.end)))
        credited = min(left, max(0, rated.subtotal.minor_units + adjusted))
        found.append(Reckoned(start, rated, adjusted, credited))
        if one := closed.get(start):
            left -= one["credited"]
            billed += Money(one["rated"] + one["billed_later"], "EUR")
        else:
            left -= credited
            billed += rated.subtotal
        start = period.end
    return found


def lines(invoice_lines: Sequence[InvoiceLine]) -> list[tuple[Any, ...]]:
    """What lines say that come to something, without those of adjustments in money."""
    told = [
        (line.kind, line.segment, line.key, line.group, line.quantity, line.money)
        for line in invoice_lines
        if line.kind != "adjustment" and (line.quantity or line.money.minor_units)
    ]
    return sorted(told, key=lambda line: repr(line[:4]))


def _adjusted(approved: Sequence[Any], billed: Period) -> int:
    """What adjustments in money come to."""
    return sum(
        one["minor_units"] if one["kind"] == "debit" else -one["minor_units"]
        for one in approved
        if one["minor_units"] is not None and one["at"] in billed
    )


async def _used(world: World, account: str, parts: Sequence[Segment], approved: Sequence[Any]) -> list[Used]:
    """What the segments are rated on: what was told, and what was adjusted of it."""
    found = []
    for segment in parts:
        for charge in segment.terms.charges:
            sums: dict[Group, Decimal] = {}
            events: list[Decimal] = []
            for span in segment.spans:
                for row in await quantities(world, account, charge.meter, span):
                    group = _group(charge, row["d"])
                    sums[group] = sums.get(group, Decimal(0)) + row["quantity"]
                    events += row["quantities"]
            if isinstance(charge.price.model, Percentage):
                found.append(
                    Used(charge.key, Metered(quantity=sum(events, Decimal(0)), events=tuple(events)), segment.index)
                )
                continue
            for one in approved:
                if one["meter"] == charge.meter and any(one["at"] in span for span in segment.spans):
                    group = _group(charge, one["d"])
                    sums[group] = sums.get(group, Decimal(0)) + one["quantity"]
            found += [Used(charge.key, Metered(quantity=one), segment.index, group) for group, one in sums.items()]
    return found


def _group(charge: PlanCharge, d: str | None) -> Group:
    return (("d", d),) if charge.group_by else ()


def amounts(catalogue: Catalogue, account: str) -> dict[datetime, tuple[int, int, int]]:
    """The states that are held against `closed_periods`: rated, total and rated anew, in cents, by start."""
    return {
        start: (one.event.rated.minor_units, one.event.total.minor_units, one.rated.minor_units)
        for start, one in catalogue.closings.get(account, {}).items()
    }
