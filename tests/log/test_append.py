"""Appending: all or nothing, once for ever, many to a commit, and nobody left without an answer."""

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from ledger import event_log
from ledger.commands.usage import record_usage
from ledger.domain.catalogue import Catalogue
from ledger.domain.events import UsageConflicted, UsageRecorded
from ledger.domain.refusals import LedgerBusy, LedgerUnavailable, VersionTaken
from ledger.event_log import LOCK, EventLog
from ledger.log_plan import Append
from ledger.log_rows import CHUNK_EVENTS
from tests.log.ledgers import METADATA, NOW, Ledger, open_ledger, owner, row, usage


async def test_positions_count_from_one_in_order_of_arrival(ledger: Ledger) -> None:
    first = await ledger.log.append([row("a"), row("b")])
    second = await ledger.log.append([row("c")])
    assert (list(first.positions), list(second.positions)) == ([1, 2], [3])
    assert (first.position, second.position) == (2, 3)


async def test_an_append_of_nothing_is_at_position_zero(ledger: Ledger) -> None:
    assert (await ledger.log.append([])).position == 0
    assert (await ledger.log.head()).position == 0


async def test_an_append_is_all_or_nothing(ledger: Ledger) -> None:
    await ledger.log.append([row("a")])
    with pytest.raises(VersionTaken):
        await ledger.log.append([row("b"), row("a", state=b'{"other": 1}'), row("c")])
    assert await ledger.count() == 1


async def test_a_stream_takes_each_version_once(ledger: Ledger) -> None:
    """The loser is in a flush of its own, or in the same: both must hear of it, and alone."""
    deciders = [ledger.log.append([row("a", 1, actor=f"person {number}")]) for number in range(10)]
    outcomes = await asyncio.gather(*deciders, return_exceptions=True)
    assert sum(isinstance(outcome, VersionTaken) for outcome in outcomes) == 9
    assert await ledger.count() == 1


async def test_a_stream_longer_than_a_page_is_read_to_its_end(ledger: Ledger) -> None:
    """Read by one page alone, whoever decides on it would take a version that is taken, for ever."""
    count = event_log.STREAM_PAGE + 1
    await ledger.log.append([row("a", version) for version in range(1, count + 1)])
    stream = await ledger.log.stream(row("a").originator_id)
    assert [event.position for event in stream] == list(range(1, count + 1))


async def test_of_two_processes_one_gets_the_version(ledger: Ledger) -> None:
    async with open_ledger(ledger.url) as other:
        outcomes = await asyncio.gather(
            ledger.log.append([row("a", actor="one")]),
            other.log.append([row("a", actor="two")]),
            return_exceptions=True,
        )
    assert sum(isinstance(outcome, VersionTaken) for outcome in outcomes) == 1
    assert await ledger.count() == 1


async def test_without_the_unique_key_both_get_the_version(ledger: Ledger) -> None:
    """The guard of the two tests above is the constraint: dropped, two processes write the same version."""
    await drop_unique_key(ledger.url)
    async with open_ledger(ledger.url) as other:
        await ledger.log.append([row("a", actor="one")])
        await other.log.append([row("a", actor="two")])
    assert await ledger.count() == 2


async def test_an_append_that_repeats_a_key_itself_is_refused_and_harms_no_other(ledger: Ledger) -> None:
    good, bad = await asyncio.gather(
        ledger.log.append([row("good")]), ledger.log.append([row("a"), row("a")]), return_exceptions=True
    )
    assert isinstance(bad, VersionTaken)
    assert not isinstance(good, BaseException)
    assert await ledger.count() == 1


async def tell_from_twenty_processes(ledger: Ledger) -> set[int]:
    """The positions that 100 tellings of one event are answered with."""
    async with AsyncExitStack() as stack:
        ledgers = [await stack.enter_async_context(open_ledger(ledger.url, pool_size=1)) for _ in range(20)]
        answers = await asyncio.gather(*(tell_five_times(one) for one in ledgers))
    return set().union(*answers)


async def tell_five_times(ledger: Ledger) -> set[int]:
    return {position for _ in range(5) for position in await ledger.tell(usage(1))}


async def test_the_same_event_a_hundred_times_from_twenty_connections_is_one_event(ledger: Ledger) -> None:
    assert await tell_from_twenty_processes(ledger) == {1}
    assert await ledger.count() == 1


async def test_without_the_unique_key_it_is_several(ledger: Ledger) -> None:
    """The guard of the test above is the constraint: dropped, processes that did not look first write it again."""
    await drop_unique_key(ledger.url)
    await tell_from_twenty_processes(ledger)
    assert await ledger.count() > 1


async def test_repeats_are_told_apart_from_new_events(ledger: Ledger) -> None:
    await ledger.tell(usage(1), usage(2))
    receipt = await record_usage(
        ledger.log,
        Catalogue(),
        [usage(3), usage(2), usage(3), usage(4)],
        now=NOW,
        metadata=METADATA.encode(),
    )
    assert list(receipt.positions) == [3, 2, 3, 4]
    assert receipt.stored == 2
    assert [(fate.index, fate.position) for fate in receipt.exceptions if fate.fate == "duplicate"] == [(1, 2), (2, 3)]


async def test_after_a_repeat_the_log_looks_first_until_nothing_repeats(ledger: Ledger) -> None:
    for _ in range(3):
        assert list(await ledger.tell(usage(1))) == [1]
    assert list(await ledger.tell(usage(2))) == [2]
    assert list(await ledger.tell(usage(3))) == [3]
    assert await ledger.count() == 3


async def test_two_appends_of_one_flush_that_tell_the_same_share_a_position(ledger: Ledger) -> None:
    first, second = await asyncio.gather(ledger.tell(usage(1)), ledger.tell(usage(1), usage(2)))
    assert (list(first), list(second)) == ([1], [1, 2])


async def test_another_content_is_kept_beside_the_first_once(ledger: Ledger) -> None:
    await ledger.tell(usage(1, tokens=1))
    for _ in range(3):
        assert list(await ledger.tell(usage(1, tokens=2), usage(1, tokens=3), usage(1, tokens=2))) == [2, 3, 2]
    kept = [event for _, event in await ledger.events()]
    assert [type(event) for event in kept] == [UsageRecorded, UsageConflicted, UsageConflicted]
    assert [event.data["tokens"] for event in kept if isinstance(event, UsageConflicted)] == [2, 3]
    assert all(event.first_position == 1 for event in kept if isinstance(event, UsageConflicted))


async def test_conflicting_tellings_of_one_flush_are_a_first_and_a_conflict(ledger: Ledger) -> None:
    first, second, again = await asyncio.gather(
        ledger.tell(usage(1, tokens=1)), ledger.tell(usage(1, tokens=2)), ledger.tell(usage(1, tokens=2))
    )
    assert (list(first), list(second), list(again)) == ([1], [2], [2])


async def test_the_same_content_written_otherwise_is_no_conflict(ledger: Ledger) -> None:
    await ledger.tell(usage(1, tokens=1, model="a"))
    assert list(await ledger.tell(usage(1, model="a", tokens=Decimal("1.0")))) == [1]


async def transactions(ledger: Ledger) -> int:
    """In how many transactions the events were written: each leaves its id on its rows."""
    return int(await ledger.pool.fetchval("select count(distinct xmin::text) from events"))


async def test_single_appends_that_wait_share_one_commit(ledger: Ledger) -> None:
    await asyncio.gather(*(ledger.tell(usage(number)) for number in range(64)))
    assert await ledger.count() == 64
    assert await transactions(ledger) == 1


async def test_appends_one_at_a_time_need_a_commit_each(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows that the test above counts commits: with no room for two appends in a flush there are 64."""
    monkeypatch.setattr(event_log, "FLUSH_EVENTS_MAX", 1)
    await asyncio.gather(*(ledger.tell(usage(number)) for number in range(64)))
    assert await transactions(ledger) == 64


async def test_who_would_only_wait_is_turned_away(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "WAITING_EVENTS_MAX", 10)
    async with owner(ledger.url) as other, asyncio.TaskGroup() as group:
        await other.execute("select pg_advisory_lock($1)", LOCK)
        group.create_task(ledger.tell(usage(0)))
        await asyncio.sleep(0.05)  # the writer waits for the lock with the first append in its hands
        for number in range(1, 11):
            group.create_task(ledger.tell(usage(number)))
        await asyncio.sleep(0.05)
        with pytest.raises(LedgerBusy):
            await ledger.tell(usage(11))
        with pytest.raises(LedgerBusy):
            ledger.log.require_room()
        await other.execute("select pg_advisory_unlock($1)", LOCK)
    assert await ledger.count() == 11
    ledger.log.require_room()


async def test_more_events_than_a_flush_holds_go_in_one_append(ledger: Ledger) -> None:
    size = event_log.FLUSH_EVENTS_MAX + CHUNK_EVENTS + 1
    positions = await ledger.tell(*(usage(number) for number in range(size)))
    assert list(positions) == list(range(1, size + 1))
    assert await ledger.count() == size
    assert list(await ledger.tell(usage(size - 1), usage(size))) == [size, size + 1]


async def test_an_event_that_cannot_be_written_fails_alone(ledger: Ledger) -> None:
    """All three are in one flush: COPY refuses it, and the two others must not suffer for the one."""
    bad = row("bad")._replace(topic="Nul\0")
    first, failed, last = await asyncio.gather(
        ledger.log.append([row("a")]),
        ledger.log.append([bad]),
        ledger.log.append([row("c")]),
        return_exceptions=True,
    )
    assert isinstance(failed, asyncpg.PostgresError)
    assert not isinstance(first, BaseException)
    assert not isinstance(last, BaseException)
    assert (await ledger.log.append([row("d")])).position == 3


@pytest.mark.parametrize(
    "text",
    ["a" * 256, "é" * 256, "🦊" * 256, 'quote " and \\ slash', "עברית", "a\u200db", "tab\\t", "{}", "\\N", "$1"],
)
async def test_odd_texts_come_back_as_they_were(ledger: Ledger, text: str) -> None:
    properties: dict[str, Any] = {"note": text + "\n\t\0", f"{text} ": [text, {"a": None}]}
    told = usage(1, subject=text, source=text, event_type=text, **properties)
    await ledger.tell(told)
    assert await ledger.events() == [(1, told)]
    page = await ledger.log.page(after=0, before=2, names=[text], limit=10)
    assert [one["account"] for one in page] == [text]


async def test_numbers_come_back_exactly(ledger: Ledger) -> None:
    numbers: dict[str, Any] = {
        "tiny": Decimal("0.000000000000000001"),
        "long": Decimal("99999999999999999999.999999999999999999"),
        "trailing": Decimal("1.50"),
        "huge": Decimal("1E+400"),
        "integer": 10**400,
        "negative_zero": Decimal("-0.0"),
    }
    await ledger.tell(usage(1, **numbers))
    [(_, event)] = await ledger.events()
    assert isinstance(event, UsageRecorded)
    assert {name: str(number) for name, number in event.data.items()} == {k: str(v) for k, v in numbers.items()}


async def test_state_is_kept_to_the_byte(ledger: Ledger) -> None:
    state = b'{"b":1.10,\n  "a" : "\\u00e9", "a": 2}'
    await ledger.log.append([row("a", state=state)])
    [stored] = await ledger.log.stream(row("a").originator_id)
    assert stored.state.encode() == state


async def test_closing_writes_what_waits_and_what_is_being_written(database_url: str) -> None:
    async with owner(database_url) as other:
        await other.execute("select pg_advisory_lock($1)", LOCK)
        async with open_ledger(database_url) as ledger:
            in_flight = asyncio.create_task(ledger.tell(usage(1)))
            await asyncio.sleep(0.05)
            waiting = asyncio.create_task(ledger.tell(usage(2)))
            await asyncio.sleep(0)
            closing = asyncio.create_task(ledger.log.close())
            await asyncio.sleep(0)
            with pytest.raises(LedgerUnavailable, match="shutting down"):
                await ledger.tell(usage(3))
            await other.execute("select pg_advisory_unlock($1)", LOCK)
            await asyncio.wait_for(closing, 10)
            assert (list(await in_flight), list(await waiting)) == ([1], [2])


async def test_who_gives_up_waiting_disturbs_nobody(ledger: Ledger) -> None:
    async with owner(ledger.url) as other:
        await other.execute("select pg_advisory_lock($1)", LOCK)
        impatient = asyncio.create_task(ledger.tell(usage(1)))
        patient = asyncio.create_task(ledger.tell(usage(2)))
        await asyncio.sleep(0.05)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        await other.execute("select pg_advisory_unlock($1)", LOCK)
    assert list(await patient) == [2]
    assert list(await ledger.tell(usage(1))) == [1]


async def drop_unique_key(url: str) -> None:
    async with owner(url) as connection:
        await connection.execute("alter table events drop constraint events_one_per_version")


def test_an_append_that_failed_is_not_an_answer_to_another() -> None:
    """Appends are told apart by identity: two with equal events wait for two answers."""
    loop = asyncio.new_event_loop()
    events = [row("a")]
    assert Append(events, None, loop.create_future()) != Append(events, None, loop.create_future())
    loop.close()


async def test_the_log_tells_its_process_of_every_commit(ledger: Ledger) -> None:
    log: EventLog = ledger.log
    assert not log.appended.is_set()
    await ledger.tell(usage(1))
    assert log.appended.is_set()
