"""Two sides of a read model held against each other, without a database."""

from decimal import Decimal

import pytest

from ledger.domain.metering import MeterDefinition
from ledger.domain.replaying import (
    AccountDigest,
    Evidence,
    Pair,
    StoredRow,
    Suspect,
    candidate,
    compared,
    definitions,
    differing,
    paired,
    parted_at,
)

OLD = MeterDefinition(name="Calls", event_type="call", aggregation="count")
NEW = MeterDefinition(name="Calls", event_type="call", aggregation="count", dimensions=("region",))
ONE, OTHER = AccountDigest(1, b"one"), AccountDigest(1, b"other")


def row(day: str, count: int, total: str, first: int = 1, last: int = 9) -> StoredRow:
    return StoredRow({"day": day}, {"event_count": str(count), "total": total}, Evidence(first, last))


def test_accounts_differ_by_digest_or_by_being_there() -> None:
    living = {"a": ONE, "b": ONE, "c": ONE}
    replayed = {"a": ONE, "b": OTHER, "d": ONE}
    assert differing(living, replayed) == ["b", "c", "d"]
    told = compared("usage_days", 7, living, replayed)
    assert (told.accounts, told.accounts_differing, told.living_rows, told.replayed_rows) == (4, 3, 3, 3)


def test_the_digest_of_a_table_tells_accounts_apart_whatever_their_order() -> None:
    whole = compared("t", 1, {"a": ONE, "b": OTHER}, {"b": OTHER, "a": ONE})
    swapped = compared("t", 1, {"a": ONE, "b": OTHER}, {"a": OTHER, "b": ONE})
    assert whole.living_digest == whole.replayed_digest == swapped.living_digest != swapped.replayed_digest


def test_rows_are_paired_by_key_in_order_of_their_evidence() -> None:
    living, replayed = [row("2", 1, "1", 5), row("1", 1, "1", 7)], [row("3", 1, "1", 2), row("2", 2, "2", 4, 11)]
    pairs = paired(living, replayed)
    assert [(pair.key["day"], pair.living is None, pair.replayed is None) for pair in pairs] == [
        ("3", True, False),
        ("2", False, False),
        ("1", False, True),
    ]
    assert pairs[1].evidence == Evidence(4, 11)


def test_a_row_parts_at_its_first_suspect_and_without_one_at_its_first_event() -> None:
    [pair] = paired([row("1", 1, "1", 3)], [row("1", 1, "2", 3)])
    assert parted_at(pair, []) == 3
    assert parted_at(pair, [Suspect(8, Decimal(2)), Suspect(6, Decimal(1))]) == 6


@pytest.mark.parametrize(
    ("living", "replayed", "suspects", "named"),
    [
        (row("1", 2, "5"), row("1", 3, "12"), [(4, "7"), (5, "2")], 4),
        (row("1", 2, "5"), row("1", 3, "12"), [(4, "7"), (5, "7")], None),
        (row("1", 2, "5"), row("1", 3, "12"), [(4, "6")], None),
        (None, row("1", 1, "7"), [(4, "7")], 4),
        (row("1", 2, "5"), row("1", 2, "9"), [(4, "4")], 4),
        (row("1", 2, "5"), row("1", 2, "9"), [(4, "4"), (5, "1")], None),
        (row("1", 3, "5"), row("1", 2, "4"), [(4, "4")], None),
        (row("1", 3, "5"), None, [], None),
    ],
)
def test_a_candidate_is_the_one_event_that_explains_the_difference_exactly(
    living: StoredRow | None, replayed: StoredRow | None, suspects: list[tuple[int, str]], named: int | None
) -> None:
    pair = Pair({"day": "1"}, living, replayed)
    assert candidate(pair, [Suspect(position, Decimal(total)) for position, total in suspects]) == named


@pytest.mark.parametrize(
    ("living", "building", "expected"),
    [
        ({"m": OLD}, set[str](), {"m": NEW}),
        ({}, set[str](), {"m": NEW}),
        ({"m": OLD}, {"m"}, {"m": OLD}),
        ({"m": NEW}, {"m"}, {"m": NEW}),
        ({}, {"m"}, {}),
    ],
)
def test_a_meter_under_construction_counts_by_what_queries_see(
    living: dict[str, MeterDefinition], building: set[str], expected: dict[str, MeterDefinition]
) -> None:
    assert definitions({"m": [OLD, NEW]}, living, building) == expected


def test_a_definition_that_was_never_decided_is_not_believed() -> None:
    made_up = MeterDefinition(name="Calls", event_type="other", aggregation="count")
    assert definitions({"m": [OLD, NEW]}, {"m": made_up}, {"m"}) == {"m": OLD}
