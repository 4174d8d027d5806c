"""Meters as they are decided on: defined, changed, retired."""

from datetime import datetime
from typing import NamedTuple, assert_never

import msgspec

from ledger.domain.events import MeterChanged, MeterDefined, MeterRetired
from ledger.domain.metering import AGGREGATIONS, Filter, MeterDefinition
from ledger.domain.names import NAME_LENGTH_MAX, require_name
from ledger.domain.refusals import MeterExists, MeterInvalid, MeterRetiredAlready, MeterUnknown

MeterEvent = MeterDefined | MeterChanged | MeterRetired
DIMENSIONS_MAX = 8
FILTERS_MAX = 32
FILTER_VALUES_MAX = 256


class DefineMeter(NamedTuple):
    """Count usage by a new meter, past usage too."""

    meter: str
    definition: MeterDefinition


class ChangeMeter(NamedTuple):
    """Count usage, past usage too, by another definition under the same key."""

    meter: str
    definition: MeterDefinition


class RetireMeter(NamedTuple):
    """Count no usage that occurs at or after `retired_at`."""

    meter: str
    retired_at: datetime


MeterCommand = DefineMeter | ChangeMeter | RetireMeter


def decide(state: MeterDefinition | None, command: MeterCommand) -> list[MeterEvent]:
    """The events that a command on a meter leads to; none where it would change nothing.

    Raises `MeterExists`, `MeterUnknown`, `MeterRetiredAlready`, `MeterInvalid`, `NameInvalid`.
    """
    require_name(command.meter, "a meter's key")
    match command:
        case DefineMeter():
            if state is not None:
                raise MeterExists(meter=command.meter)
            check(command.meter, command.definition)
            return [MeterDefined(meter=command.meter, definition=command.definition)]
        case ChangeMeter():
            _require_living(state, command.meter)
            check(command.meter, command.definition)
            if state == command.definition:
                return []
            return [MeterChanged(meter=command.meter, definition=command.definition)]
        case RetireMeter():
            _require_living(state, command.meter)
            return [MeterRetired(meter=command.meter, retired_at=command.retired_at)]
        case _:
            assert_never(command)


def evolve(state: MeterDefinition | None, event: MeterEvent) -> MeterDefinition | None:
    """The meter's definition after one more event of its stream."""
    match event:
        case MeterDefined() | MeterChanged():
            return event.definition
        case MeterRetired():
            assert state is not None, "only a defined meter retires"
            return msgspec.structs.replace(state, retired_at=event.retired_at)
        case _:
            assert_never(event)


def _require_living(state: MeterDefinition | None, meter: str) -> None:
    if state is None:
        raise MeterUnknown(meter=meter)
    if state.retired_at is not None:
        raise MeterRetiredAlready(meter=meter)


def check(meter: str, definition: MeterDefinition) -> None:
    """Raise `MeterInvalid` with the first thing that makes the definition meaningless."""
    why = _fault(definition)
    if why is not None:
        raise MeterInvalid(meter=meter, why=why)


def _fault(definition: MeterDefinition) -> str | None:
    require_name(definition.name, "a meter")
    require_name(definition.event_type, "an event type")
    if definition.aggregation not in AGGREGATIONS:
        return f'"{definition.aggregation}" is none of the aggregations {", ".join(AGGREGATIONS)}'
    if definition.aggregation == "count" and definition.property is not None:
        return "a count takes no property; filter on it instead"
    if definition.aggregation != "count" and not definition.property:
        return f"the aggregation {definition.aggregation} needs a property to read"
    if definition.retired_at is not None:
        return "a meter is retired by its own command"
    if len(definition.dimensions) > DIMENSIONS_MAX:
        return f"it declares more than {DIMENSIONS_MAX} dimensions"
    if len(set(definition.dimensions)) < len(definition.dimensions):
        return "it declares a dimension twice"
    if len(definition.unit) > NAME_LENGTH_MAX:
        return f"its unit is longer than {NAME_LENGTH_MAX} characters"
    for property_name in (*definition.dimensions, definition.property, definition.operation_property):
        if property_name is not None and not _can_name_property(property_name):
            return f"a property's name has 1 to {NAME_LENGTH_MAX} printable characters"
    return _filter_fault((*definition.filters, *(f for group in definition.exclusions for f in group)))


def _filter_fault(filters: tuple[Filter, ...]) -> str | None:
    if len(filters) > FILTERS_MAX:
        return f"it has more than {FILTERS_MAX} filters"
    for one in filters:
        if not _can_name_property(one.property):
            return f"a filtered property's name has 1 to {NAME_LENGTH_MAX} printable characters"
        if len(one.values) > FILTER_VALUES_MAX:
            return f'the filter on "{one.property}" has more than {FILTER_VALUES_MAX} values'
        if any(isinstance(value, float | list | dict) for value in one.values):
            return f'the filter on "{one.property}" has a value that is no scalar'
    return None


def _can_name_property(name: str) -> bool:
    """Printable, because the name stands in the messages about events that lack it."""
    return 0 < len(name) <= NAME_LENGTH_MAX and name.isprintable()
