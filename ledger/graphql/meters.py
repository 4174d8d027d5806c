"""Meters: how usage becomes a quantity."""

from datetime import datetime
from enum import Enum
from typing import Self

import strawberry

from ledger.domain import metering
from ledger.graphql.context import Context
from ledger.graphql.nodes import Node
from ledger.graphql.pages import CountedConnection, Page, edges_of
from ledger.graphql.scalars import BigInt, PropertyValue


@strawberry.enum(description="How the values of events are put together.")
class Aggregation(Enum):
    """As `ledger.domain.metering.Aggregation`."""

    COUNT = "count"
    SUM = "sum"
    UNIQUE_COUNT = "unique_count"
    MAX = "max"
    LATEST = "latest"
    TIME_WEIGHTED_SUM = "time_weighted_sum"
    MIN = "min"
    AVG = "avg"


@strawberry.type(description="A property that must have one of some values; null among them: may be missing.")
class MeterFilter:
    """As `ledger.domain.metering.Filter`."""

    property: str
    values: list[PropertyValue | None]

    @classmethod
    def of(cls, one: metering.Filter) -> Self:
        """The filter as it is defined."""
        return cls(property=one.property, values=list(one.values))


@strawberry.type(description="A meter: which events count, what of them, and by which dimensions.")
class Meter(Node):
    """As `ledger.domain.metering.MeterDefinition`."""

    key: str
    name: str
    event_type: str
    aggregation: Aggregation
    property: str | None
    filters: list[MeterFilter]
    exclusions: list[list[MeterFilter]] = strawberry.field(
        description="Events that match every filter of one of these groups do not count."
    )
    dimensions: list[str]
    unit: str
    operation_property: str
    carries_over: bool
    retired_at: datetime | None

    def node_key(self) -> str:
        """Its key."""
        return self.key

    @classmethod
    def of(cls, key: str, definition: metering.MeterDefinition) -> Self:
        """The meter as it is defined."""
        return cls(
            key=key,
            name=definition.name,
            event_type=definition.event_type,
            aggregation=Aggregation(definition.aggregation),
            property=definition.property,
            filters=[MeterFilter.of(one) for one in definition.filters],
            exclusions=[[MeterFilter.of(one) for one in group] for group in definition.exclusions],
            dimensions=list(definition.dimensions),
            unit=definition.unit,
            operation_property=definition.operation_property,
            carries_over=definition.carries_over,
            retired_at=definition.retired_at,
        )


@strawberry.type
class MeterConnection(CountedConnection[Meter]):
    """Meters in order of key."""


@strawberry.input(description="A property that must have one of some values; null among them: may be missing.")
class MeterFilterInput:
    """As `MeterFilter`."""

    property: str
    values: list[PropertyValue | None]

    def filter(self) -> metering.Filter:
        """The filter as the domain knows it."""
        return metering.Filter(property=self.property, values=tuple(self.values))


@strawberry.input(description="How a meter counts.")
class MeterDefinitionInput:
    """As `ledger.domain.metering.MeterDefinition`, which tells the defaults."""

    name: str
    event_type: str
    aggregation: Aggregation
    property: str | None = None
    filters: list[MeterFilterInput] = strawberry.field(default_factory=list)
    exclusions: list[list[MeterFilterInput]] = strawberry.field(default_factory=list)
    dimensions: list[str] = strawberry.field(default_factory=list)
    unit: str = ""
    operation_property: str = "operation_type"
    carries_over: bool = False

    def definition(self) -> metering.MeterDefinition:
        """The definition as the domain knows it; whether it makes sense, that decides."""
        return metering.MeterDefinition(
            name=self.name,
            event_type=self.event_type,
            aggregation=self.aggregation.value,
            property=self.property,
            filters=tuple(one.filter() for one in self.filters),
            exclusions=tuple(tuple(one.filter() for one in group) for group in self.exclusions),
            dimensions=tuple(self.dimensions),
            unit=self.unit,
            operation_property=self.operation_property,
            carries_over=self.carries_over,
        )


def meter(context: Context, key: str) -> Meter | None:
    """The meter with a key."""
    definition = context.catalogue.meters.get(key)
    return None if definition is None else Meter.of(key, definition)


def meters(context: Context, page: Page) -> MeterConnection:
    """A page of all meters."""
    known = context.catalogue.meters
    keys = sorted(known, reverse=page.is_backwards)
    found = [
        Meter.of(key, known[key])
        for key in keys
        if (page.after is None or key > page.after) and (page.before is None or key < page.before)
    ]
    edges, edge_info = edges_of(page, found[: page.limit + 1], lambda one: one.key)
    return MeterConnection(edges=edges, page_info=edge_info, total_count=BigInt(len(known)))
