"""What usage adjustments do to an invoice: they change the quantities that charges are rated on, before any price.

A charge takes an adjustment as it takes usage: where its filters allow the adjustment's dimensions, and in the group
that they give it, a missing dimension being null.
"""

from collections.abc import Iterable, Sequence

import msgspec

from ledger.domain.adjustment_events import Adjustment
from ledger.domain.adjustments import Adjustments, approved_in
from ledger.domain.charges import Dynamic, Flat
from ledger.domain.contracts import Contract
from ledger.domain.lines import Used
from ledger.domain.money import add
from ledger.domain.percentage import Percentage
from ledger.domain.periods import Period
from ledger.domain.pricing import PlanCharge
from ledger.domain.rating import Metered
from ledger.domain.segments import Segment
from ledger.domain.steps import Group


def adjustments_of(
    contract: Contract, state: Adjustments, period: Period, tried: Adjustment | None = None
) -> list[Adjustment]:
    """The approved adjustments of a contract's invoice of a period, and one that is tried out beside them."""
    start = max(period.start, contract.started_at)
    end = period.end if contract.ended_at is None else min(period.end, contract.ended_at)
    running = Period(start, max(start, end))
    found = approved_in(state, running)
    if tried is not None and tried.at in running:
        found.append(tried)
    return [one for one in found if one.amount is None or one.amount.currency == contract.terms.currency]


def looks_at_events(charge: PlanCharge) -> bool:
    """Whether the charge prices each event alone, so that no quantity can be added to what they come to."""
    return isinstance(charge.price.model, Percentage | Dynamic)


def takers(adjustment: Adjustment, segments: Iterable[Segment]) -> list[tuple[Segment, PlanCharge]]:
    """The charges that are rated on the meter of a usage adjustment, in the segment that bills its instant."""
    return [
        (segment, charge)
        for segment in segments
        if any(adjustment.at in span for span in segment.spans)
        for charge in segment.terms.charges
        if charge.meter == adjustment.meter
        and not isinstance(charge.price.model, Flat)
        and all(adjustment.dimensions.get(name) in values for name, values in charge.filters.items())
    ]


def adjusted(used: Iterable[Used], segments: Sequence[Segment], adjustments: Iterable[Adjustment]) -> list[Used]:
    """What was metered with what the usage adjustments among `adjustments` add to it or take off."""
    metered = list(used)
    found = {(one.segment, one.charge, one.group): one for one in metered}
    assert len(found) == len(metered), "usage comes once by charge, segment and group"
    for adjustment in adjustments:
        if adjustment.quantity is None:
            continue
        for segment, charge in takers(adjustment, segments):
            if looks_at_events(charge):
                continue  # a later plan's: when it was proposed, the charge had another model
            group: Group = tuple((name, adjustment.dimensions.get(name)) for name in charge.group_by)
            key = (segment.index, charge.key, group)
            before = found.get(key, Used(charge.key, Metered(), segment.index, group))
            quantity = add(before.metered.quantity, adjustment.quantity)
            found[key] = before._replace(
                metered=msgspec.structs.replace(before.metered, quantity=quantity),
                adjusted=add(before.adjusted, adjustment.quantity),
                adjustments=(*before.adjustments, adjustment.adjustment),
            )
    return list(found.values())
