"""Cases in the log: runs that are told again, that race and that die in the middle leave one case for each subject."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ledger.commands import cases
from ledger.commands.accounts import change_account
from ledger.commands.cases import change_case, find_case, missing_cases, observe
from ledger.domain.accounts import OpenAccount
from ledger.domain.case_refusals import CaseUnknown
from ledger.domain.cases import Observation, key_of
from ledger.domain.casework import CommentCase
from ledger.domain.catalogue import Catalogue
from ledger.domain.money import Money
from ledger.domain.names import account_stream
from ledger.domain.reconciliation_facts import Difference
from ledger.projections.cases import CaseFilter
from ledger.projections.cases import cases as listed
from ledger.projections.catalogue import catch_up
from ledger.projections.runner import Projector
from tests.domain.case_examples import DIFFERENCE, LEAST
from tests.log.ledgers import METADATA, NOW, Ledger, open_ledger

CASE = key_of(DIFFERENCE)


def of_account(number: int, cents: int = 5) -> Difference:
    """The difference of one of many accounts."""
    return msgspec.structs.replace(DIFFERENCE, account=f"account-{number}", money=Money(cents, "EUR"))


async def observed(ledger: Ledger, *differences: Difference, run: str = "run-1", **how: Any) -> cases.Observed:
    """What an observation by a process that has just caught up comes to."""
    catalogue = Catalogue()
    await catch_up(catalogue, ledger.log)
    at = NOW + how.pop("after", timedelta())
    observation = Observation(run, at, frozenset(how.pop("agreed", ())))
    return await observe(ledger.log, catalogue, differences, observation, metadata=METADATA)


async def topics(ledger: Ledger) -> list[str]:
    return [type(event).__name__ for _, event in await ledger.events()]


async def test_a_run_opens_reassesses_settles_and_reopens(ledger: Ledger) -> None:
    assert await observed(ledger, DIFFERENCE, LEAST) == (2, 0, 0, 0, 0)
    other = msgspec.structs.replace(DIFFERENCE, theirs=Decimal(1))
    assert await observed(ledger, other, agreed=[key_of(LEAST)], run="run-2") == (0, 1, 0, 1, 0)
    assert await observed(ledger, agreed=[CASE, key_of(LEAST)], run="run-3") == (0, 0, 0, 1, 0)
    assert await observed(ledger, DIFFERENCE, run="run-4") == (0, 0, 1, 0, 0)
    found = await find_case(ledger.log, CASE)
    assert found is not None
    assert (found.state, found.run, found.events) == ("open", "run-4", 4)


async def test_a_run_told_twice_changes_nothing(ledger: Ledger) -> None:
    for _ in range(2):
        await observed(ledger, DIFFERENCE, LEAST)
    assert await topics(ledger) == ["CaseOpened", "CaseOpened"]
    await observed(ledger, agreed=[CASE])
    assert await observed(ledger, agreed=[CASE]) == (0, 0, 0, 0, 0)


async def test_what_a_run_did_not_compare_stays_as_it_was(ledger: Ledger) -> None:
    """Guard: settle every case that is not among the differences, and this fails."""
    await observed(ledger, DIFFERENCE, LEAST)
    assert await observed(ledger, run="run-2") == (0, 0, 0, 0, 0)
    assert await observed(ledger, DIFFERENCE, agreed=[CASE], run="run-2") == (0, 0, 0, 0, 0)


async def test_two_processes_with_the_same_run_open_one_case_for_each_subject(database_url: str) -> None:
    many = [of_account(number) for number in range(40)]
    async with open_ledger(database_url) as one, open_ledger(database_url) as other:
        await asyncio.gather(observed(one, *many), observed(other, *reversed(many), run="run-2"))
        assert await topics(one) == ["CaseOpened"] * 40


async def test_a_run_that_died_in_the_middle_is_told_again_as_a_whole(ledger: Ledger) -> None:
    many = [of_account(number) for number in range(100)]
    await observed(ledger, *many[:30])
    assert await observed(ledger, *many) == (70, 0, 0, 0, 0)


async def test_of_too_many_differences_those_about_the_most_money_are_taken(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases, "DIFFERENCES_MAX", 2)
    many = [of_account(1, 10), of_account(2, -30), of_account(3, 20), LEAST]
    assert await observed(ledger, *many) == (2, 0, 0, 0, 2)
    assert await find_case(ledger.log, key_of(many[1])) is not None
    assert await find_case(ledger.log, key_of(many[2])) is not None
    assert await observed(ledger, *many[2:], agreed=[key_of(many[0]), key_of(many[1])]) == (1, 0, 0, 1, 0)


async def test_a_case_belongs_to_its_account_in_the_log(ledger: Ledger) -> None:
    await observed(ledger, DIFFERENCE, LEAST)
    rows = await ledger.log.page(after=0, before=10, limit=10)
    assert {row["account"] for row in rows} == {"acme", None}


async def test_the_stream_of_something_else_is_no_case(ledger: Ledger) -> None:
    """Guard: leave the first event's topic unlooked at, and folding it fails."""
    await change_account(ledger.log, OpenAccount("acme", "Acme", "UTC"), now=NOW, metadata=METADATA)
    key = str(UUID(bytes=account_stream("acme")))
    assert await find_case(ledger.log, key) is None
    with pytest.raises(CaseUnknown):
        await change_case(ledger.log, Catalogue(), CommentCase(key, "c", "olivia"), now=NOW, metadata=METADATA)


async def test_an_account_may_point_to_its_own_cases_and_to_nobodys(ledger: Ledger) -> None:
    await observed(ledger, DIFFERENCE, LEAST)
    told = [CASE, key_of(LEAST), key_of(of_account(1)), "x"]
    assert await missing_cases(ledger.log, told, "acme") == told[2:]
    assert await missing_cases(ledger.log, told, "globex") == [CASE, *told[2:]]


async def test_the_queue_is_by_money_or_by_age_and_by_what_is_asked_for(ledger: Ledger) -> None:
    many = [of_account(1, 10), of_account(2, -30), of_account(3, 20), LEAST]
    await observed(ledger, *many)
    await observed(ledger, agreed=[key_of(many[0])])
    await Projector(ledger.pool, ledger.log).catch_up()

    async def page(order: Any, *, after: int | None = None, limit: int = 10, **asked: Any) -> list[str | None]:
        _, rows, _ = await listed(ledger.pool, CaseFilter(**asked), order=order, after=after, limit=limit)
        return [row.case.difference.account for row in rows]

    assert await page("largest") == ["account-2", "account-3", "account-1", None]
    assert await page("oldest") == [*reversed(await page("newest"))]
    assert await page("largest", states=("open",)) == ["account-2", "account-3", None]
    assert await page("oldest", account="account-3") == ["account-3"]
    assert await page("oldest", cause="unexplained") == [None]
    assert await page("oldest", platform="lago") == []
    _, rows, total = await listed(ledger.pool, CaseFilter(), order="largest", after=None, limit=2)
    assert total == 4
    assert await page("largest", after=rows[-1].opened_position) == ["account-1", None]


async def test_the_read_model_holds_what_the_log_leads_to(ledger: Ledger) -> None:
    projector = Projector(ledger.pool, ledger.log)
    await observed(ledger, DIFFERENCE, LEAST)
    await projector.catch_up()
    await observed(ledger, msgspec.structs.replace(DIFFERENCE, theirs=Decimal("0.1")), agreed=[key_of(LEAST)])
    await projector.catch_up()
    _, rows, _ = await listed(ledger.pool, CaseFilter(), order="oldest", after=None, limit=10)
    assert {row.case.case: row.case for row in rows} == {
        key: await find_case(ledger.log, key) for key in (CASE, key_of(LEAST))
    }
