"""Sums of meter events. docs.stripe.com/api/billing/meter-event-summary"""

from decimal import Decimal
from hashlib import blake2b
from typing import Final, Literal

from ledger.sandbox.stripe.arguments import PageArguments
from ledger.sandbox.stripe.clock import MINUTE
from ledger.sandbox.stripe.customers import living
from ledger.sandbox.stripe.errors import unacceptable
from ledger.sandbox.stripe.operations import AnyOperation, get
from ledger.sandbox.stripe.shelves import Json, Shelf
from ledger.sandbox.stripe.state import State
from ledger.sandbox.stripe.usage import WINDOWS, aggregated

IS_END_INCLUDED: Final = False
"""Whether usage at the very second of `end_time` counts. The attribute `aggregated_value` is described with an
inclusive end, the parameter `end_time` with an exclusive one; windows that touch would count a second twice
if it were inclusive, so it is not. docs.stripe.com/api/billing/meter-event-summary/list
"""


class SummariesArguments(PageArguments, kw_only=True, frozen=True):
    """Whose usage, of which window, in which steps. docs.stripe.com/api/billing/meter-event-summary/list"""

    customer: str
    start_time: int
    end_time: int
    value_grouping_window: Literal["hour", "day"] | None = None


def page(state: State, arguments: SummariesArguments, meter: str) -> Json:
    """One sum of the window, or one for each hour or day with usage, newest first; nothing where there is no usage.

    Bounds lie on minutes, with a grouping on hours or days of UTC; the start counts, the end does not.
    Sums are eventually consistent. docs.stripe.com/api/billing/meter-event-summary/list
    """
    known = state.meters.get(meter)
    living(state, arguments.customer)
    start, end, grouping = arguments.start_time, arguments.end_time, arguments.value_grouping_window
    step = WINDOWS[grouping] if grouping else MINUTE
    for name, bound in (("start_time", start), ("end_time", end)):
        if bound % step:
            raise unacceptable(f"{name} must be aligned with {grouping or 'minute'} boundaries.", name)
    if start >= end:
        raise unacceptable("start_time must be before end_time.", "start_time")
    found = Shelf("meter event summary")
    windows = [(start, end)]
    if grouping:
        windows = [(at, at + step) for at in _starts(state, meter, arguments.customer, start, end, step)]
    for at, until in windows:
        value = measured(state, known, arguments.customer, at, until, state.behaviour.summary_delay_seconds)
        if value is not None:
            found.add(_summary(meter, arguments.customer, at, until, value))
    return found.page(arguments, f"/v1/billing/meters/{meter}/event_summaries")


def measured(state: State, meter: Json, customer: str, start: int, end: int, delay_seconds: int) -> Decimal | None:
    """The usage of a customer in a window by the meter's formula, of what was received long enough ago."""
    stop = end + 1 if IS_END_INCLUDED else end
    usage = state.usage.between(meter["id"], customer, start, stop, received_by=state.now - delay_seconds)
    return aggregated(usage, meter["default_aggregation"]["formula"], meter["event_time_window"])


def _starts(state: State, meter: str, customer: str, start: int, end: int, step: int) -> list[int]:
    """The hours or days with usage, in order."""
    received_by = state.now - state.behaviour.summary_delay_seconds
    usage = state.usage.between(meter, customer, start, end, received_by=received_by)
    return sorted({used.timestamp - used.timestamp % step for used in usage})


def _summary(meter: str, customer: str, start: int, end: int, value: Decimal) -> Json:
    """One sum. Its identifier follows from what it is of, so that pages fit together."""
    letters = blake2b(f"{meter} {customer} {start} {end}".encode(), digest_size=12).hexdigest()
    return {
        "id": f"mtrusg_test_{letters}",
        "object": "billing.meter_event_summary",
        "aggregated_value": value,
        "end_time": end,
        "livemode": False,
        "meter": meter,
        "start_time": start,
    }


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    get("/v1/billing/meters/{meter}/event_summaries", SummariesArguments, page),
)
