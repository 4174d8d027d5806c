"""What an aggregation is fed with: usage events as told, cleared of repeats, and what one meter reads from each."""

from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from ledger.domain.metering import MeterDefinition, Unreadable, read
from ledger.domain.values import number_of

Repeats = Literal["none", "id_and_timestamp_last_wins", "source_and_id_first_wins"]
"""Which events tell the same and which of them counts: none do; those of one id and time, the last told (Lago); those
of one source and id, the first told (OpenMeter, and this ledger's log)."""


class Occurrence(NamedTuple):
    """A usage event as told. `position` is its place in the order of telling; without `id` it is nobody's repeat."""

    at: datetime
    position: int
    properties: dict[str, Any]
    id: str | None = None
    source: str = ""
    customer: str | None = None


class Sample(NamedTuple):
    """What one event gives one meter: a number, and for unique counts a text that is added or removed.

    `group` holds the values of the dimensions asked for, in their order.
    """

    at: datetime
    position: int
    number: Decimal
    text: str | None = None
    is_removal: bool = False
    group: tuple[str | None, ...] = ()
    customer: str | None = None


def without_repeats(occurrences: Iterable[Occurrence], repeats: Repeats) -> list[Occurrence]:
    """The events that count, in order of position."""
    kept: dict[Hashable, Occurrence] = {}
    for occurrence in sorted(occurrences, key=lambda one: one.position):
        if occurrence.id is None or repeats == "none":
            kept[occurrence.position] = occurrence
        elif repeats == "id_and_timestamp_last_wins":
            kept[occurrence.id, occurrence.at] = occurrence
        else:
            kept.setdefault((occurrence.source, occurrence.id), occurrence)
    return sorted(kept.values(), key=lambda one: one.position)


def take_samples(
    definition: MeterDefinition,
    occurrences: Sequence[Occurrence],
    *,
    numeric_text: bool = True,
    missing_group: str | None = None,
) -> list[Sample]:
    """What a meter reads from those events that it admits and can read, grouped by its declared dimensions.

    Without `numeric_text` a number told as text is none (Polar). `missing_group` stands for a missing dimension.
    """
    samples = []
    for occurrence in occurrences:
        if not definition.admits(occurrence.properties):
            continue
        reading = read(definition, occurrence.properties)
        if isinstance(reading, Unreadable):
            continue
        if not numeric_text and definition.property is not None and reading.text is None:
            told = occurrence.properties[definition.property]
            if number_of(told, numeric_text=False) is None:
                continue
        group = tuple(missing_group if value is None else value for value in reading.dimensions)
        samples.append(
            Sample(
                at=occurrence.at,
                position=occurrence.position,
                number=reading.value,
                text=reading.text,
                is_removal=reading.is_removal,
                group=group,
                customer=occurrence.customer,
            )
        )
    return samples
