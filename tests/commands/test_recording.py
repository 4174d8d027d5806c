"""Recording usage: every event of a request gets a fate of its own."""

import pytest

from ledger.commands.usage import Receipt, record_usage
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import AccountOpened, MeterDefined, UsageRecorded
from ledger.domain.metering import MeterDefinition
from ledger.domain.refusals import UsageUnreadable
from tests.log.ledgers import METADATA, NOW, Ledger, usage

SUM = MeterDefinition(name="N", event_type="api.request", aggregation="sum", property="n")


@pytest.fixture
def catalogue() -> Catalogue:
    """One account and one meter."""
    known = Catalogue()
    known.apply(AccountOpened(account="acme", name="Acme", zone="UTC"), 1)
    known.apply(MeterDefined(meter="n", definition=SUM), 2)
    return known


async def record(ledger: Ledger, catalogue: Catalogue, *told: UsageRecorded | UsageUnreadable) -> Receipt:
    return await record_usage(ledger.log, catalogue, told, now=NOW, metadata=METADATA.encode())


def fates(receipt: Receipt) -> list[tuple[int, str, int | None, str | None]]:
    return [(fate.index, fate.fate, fate.position, fate.code) for fate in receipt.exceptions]


async def test_what_counts_needs_no_word(ledger: Ledger, catalogue: Catalogue) -> None:
    receipt = await record(ledger, catalogue, usage(1, n=1), usage(2, n=2))
    assert (receipt.position, receipt.stored, receipt.exceptions) == (2, 2, [])
    assert list(receipt.positions) == [1, 2]


async def test_each_event_is_told_its_own_fate_in_order(ledger: Ledger, catalogue: Catalogue) -> None:
    await record(ledger, catalogue, usage(1, n=1), usage(2, n=1))
    receipt = await record(
        ledger,
        catalogue,
        usage(3, n=1),
        UsageUnreadable(why="no id"),
        usage(1, n=1),
        usage(2, n=2),
        usage(4, n="many"),
        UsageUnreadable(why="no time"),
        usage(5, subject="who"),
        usage(6, event_type="what"),
        usage(3, n=1),
        usage(7, n=1),
    )
    assert fates(receipt) == [
        (1, "refused", None, "usage_unreadable"),
        (2, "duplicate", 1, None),
        (3, "held", 4, "key_conflict"),
        (4, "held", 5, "property_not_numeric"),
        (5, "refused", None, "usage_unreadable"),
        (6, "held", 6, "account_unknown"),
        (7, "held", 7, "type_unknown"),
        (8, "duplicate", 3, None),
    ]
    assert receipt.stored == 6
    assert receipt.position == 8
    assert await ledger.count() == 8


async def test_a_request_told_twice_changes_nothing_and_says_so(ledger: Ledger, catalogue: Catalogue) -> None:
    told = [usage(number, n=number) for number in range(50)]
    first = await record(ledger, catalogue, *told)
    again = await record(ledger, catalogue, *told)
    assert (first.stored, again.stored) == (50, 0)
    assert [fate for _, fate, _, _ in fates(again)] == ["duplicate"] * 50
    assert list(first.positions) == list(again.positions)


async def test_nothing_readable_is_nothing_stored(ledger: Ledger, catalogue: Catalogue) -> None:
    receipt = await record(ledger, catalogue, UsageUnreadable(why="no id"))
    assert (receipt.position, receipt.stored, len(receipt.exceptions)) == (0, 0, 1)
    assert await ledger.count() == 0


async def test_a_conflict_told_again_is_held_where_it_was_and_not_stored(ledger: Ledger, catalogue: Catalogue) -> None:
    await record(ledger, catalogue, usage(1, n=1))
    for stored in (1, 0):
        receipt = await record(ledger, catalogue, usage(1, n=2))
        assert fates(receipt) == [(0, "held", 2, "key_conflict")]
        assert receipt.stored == stored


async def test_a_row_keeps_the_subject_and_the_time_as_they_were_told(ledger: Ledger, catalogue: Catalogue) -> None:
    told = usage(1, subject="cus_1", n=1)
    await record(ledger, catalogue, told)
    [row] = await ledger.log.page(after=0, before=2, limit=1)
    assert (row["account"], row["occurred_at"], row["originator_version"]) == ("cus_1", told.time, 1)
    assert row["metadata"] == '{"actor":"test"}'
