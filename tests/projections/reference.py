"""What the usage read model must show, told by going through the whole log once with everything known at its end.

Slow and plain on purpose, and written without the catalogue, the folds and the cells that it is held against.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from ledger.domain.aggregation import Group, Query, measure
from ledger.domain.calendar import Window, WindowSize, zone
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountZoneChanged,
    Event,
    MeterChanged,
    MeterDefined,
    MeterRetired,
    UsageConflicted,
    UsageDismissed,
    UsageMended,
    UsageRecorded,
)
from ledger.domain.metering import MeterDefinition
from ledger.domain.samples import Occurrence, Sample, take_samples

Content = UsageRecorded | UsageConflicted | UsageMended


class Row(NamedTuple):
    """One expected row, as `UsageRow` has it."""

    start: datetime
    end: datetime
    dimensions: Group
    quantity: Decimal | None
    event_count: int
    first_position: int | None
    last_position: int | None


@dataclass
class Reference:
    """Everything that the log decided, and the fate of every usage event in it.

    `samples` are by meter and account, `held` are (meter or None, position, code).
    """

    owners: dict[str, str] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)
    meters: dict[str, MeterDefinition] = field(default_factory=dict)
    superseded: set[int] = field(default_factory=set)
    contents: dict[int, tuple[Content, datetime]] = field(default_factory=dict)
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=lambda: defaultdict(list))
    held: set[tuple[str | None, int, str]] = field(default_factory=set)
    filtered: set[int] = field(default_factory=set)

    def take(self, position: int, event: Event, recorded_at: datetime) -> None:
        """One event of the log."""
        match event:
            case AccountOpened():
                self.owners[event.account], self.zones[event.account] = event.account, event.zone
            case AccountZoneChanged():
                self.zones[event.account] = event.zone
            case AccountAliased():
                self.owners[event.alias] = event.account
            case AccountAliasRemoved():
                del self.owners[event.alias]
            case MeterDefined() | MeterChanged():
                self.meters[event.meter] = event.definition
            case MeterRetired():
                self.meters[event.meter] = msgspec.structs.replace(
                    self.meters[event.meter], retired_at=event.retired_at
                )
            case _:
                pass
        if isinstance(event, UsageMended | UsageDismissed):
            self.superseded.update(event.supersedes)
        if isinstance(event, UsageRecorded | UsageConflicted | UsageMended):
            self.contents[position] = event, recorded_at

    def settle(self) -> None:
        """Give every usage event its fate; call it once the whole log was taken."""
        for position, (usage, recorded_at) in self.contents.items():
            if position in self.superseded:
                continue
            account = self.owners.get(usage.subject)
            meters = [(key, meter) for key, meter in self.meters.items() if meter.event_type == usage.type]
            if account is None:
                self.held.add((None, position, "account_unknown"))
            elif isinstance(usage, UsageConflicted):
                self.held.add((None, position, "key_conflict"))
            elif usage.time > recorded_at + timedelta(days=1):
                self.held.add((None, position, "time_too_far_ahead"))
            elif not meters:
                self.held.add((None, position, "type_unknown"))
            elif not self._count(position, usage, account, meters):
                self.filtered.add(position)

    def _count(self, position: int, usage: Content, account: str, meters: list[tuple[str, MeterDefinition]]) -> bool:
        was_read = False
        for key, meter in meters:
            if not meter.admits(usage.data) or (meter.retired_at is not None and usage.time >= meter.retired_at):
                continue
            samples = take_samples(meter, [Occurrence(usage.time, position, usage.data)])
            self.samples[key, account] += samples
            if not samples:
                self.held.add((key, position, _why_unreadable(meter, usage.data)))
            was_read = True
        return was_read

    def rows(
        self, meter: str, account: str, start: date, end: date, window: WindowSize | None, group: Sequence[str]
    ) -> list[Row]:
        """The rows that usage from one local day to another must come to; `window` None for one in all."""
        definition, local = self.meters[meter], zone(self.zones[account])
        indices = [definition.dimensions.index(name) for name in group]
        bounds = Window(local.day_bounds(start).start, local.day_bounds(end).start)
        samples = [
            sample._replace(group=tuple(sample.group[index] for index in indices))
            for sample in self.samples[meter, account]
            if sample.at < bounds.end and (definition.carries_over or sample.at >= bounds.start)
        ]
        rows = []
        for one in [bounds] if window is None else local.windows(*bounds, window):
            for group_values in {sample.group for sample in samples}:
                mine = [sample for sample in samples if sample.group == group_values]
                within = [sample for sample in mine if one.start <= sample.at < one.end]
                if within or definition.carries_over:
                    quantity = _quantity(definition, one, mine)
                    positions = [sample.position for sample in within]
                    first, last = min(positions, default=None), max(positions, default=None)
                    rows.append(Row(one.start, one.end, group_values, quantity, len(within), first, last))
        return rows


def _quantity(definition: MeterDefinition, window: Window, samples: list[Sample]) -> Decimal | None:
    query = Query(
        measure=definition.aggregation, start=window.start, end=window.end, carries_over=definition.carries_over
    )
    [result] = measure(query, [sample._replace(group=()) for sample in samples])
    return result.value


def _why_unreadable(meter: MeterDefinition, properties: dict[str, Any]) -> str:
    """The code of the first thing wrong with properties that a history can have."""
    if "d" in meter.dimensions and isinstance(properties.get("d"), list):
        return "dimension_not_scalar"
    value = properties.get("v")
    if value is None:
        return "property_missing"
    return "property_not_numeric" if value is True or value == "many" else "number_out_of_range"
