"""The read models of accounts and of held usage, and the catalogue that follows the log in memory."""

import asyncio
from typing import Any

import pytest

from ledger.domain.accounts import AliasAccount, ChangeAccountZone, OpenAccount, RemoveAccountAlias, RenameAccount
from ledger.domain.events import AccountOpened
from ledger.domain.names import account_stream
from ledger.domain.topics import encode
from ledger.log_rows import NewEvent
from ledger.projections import catalogue as catalogue_module
from ledger.projections import decided
from ledger.projections.accounts import AccountRow, accounts
from ledger.projections.catalogue import CatalogueFollower
from ledger.projections.held import held
from tests.log.ledgers import METADATA, NOW, Ledger, open_ledger, usage
from tests.projections.worlds import World


async def found(world: World, **asked: Any) -> tuple[list[AccountRow], int]:
    every: dict[str, Any] = dict.fromkeys(("search", "after", "before", "only"))
    _, rows, total = await accounts(world.ledger.pool, **(every | {"limit": 10, "is_backwards": False} | asked))
    return rows, total


async def keys(world: World, **asked: Any) -> list[str]:
    return [row.key for row in (await found(world, **asked))[0]]


async def test_an_account_is_shown_as_the_last_decision_left_it(world: World) -> None:
    await world.open_account("acme", "UTC", "cus_1", "cus_2")
    await world.account(RenameAccount("acme", "ACME"))
    await world.account(ChangeAccountZone("acme", "Asia/Tokyo"))
    last = await world.account(RemoveAccountAlias("acme", "cus_1"))
    await world.project()
    [row], total = await found(world)
    assert (row.key, row.name, row.zone, row.aliases, row.position) == ("acme", "ACME", "Asia/Tokyo", ("cus_2",), last)
    assert total == 1
    assert row.opened_at == NOW


async def test_an_account_opened_before_events_told_since_when_is_so_from_its_recording(world: World) -> None:
    event = AccountOpened(account="acme", name="Acme", zone="UTC")
    stored = NewEvent(account_stream("acme"), 1, event.TOPIC, "acme", NOW, encode(event), METADATA.encode())
    await world.ledger.log.append([stored])
    await world.project()
    [row], _ = await found(world)
    assert row.opened_at == (await world.ledger.log.since(0))[0]["recorded_at"]


async def test_accounts_are_paged_both_ways_and_searched_everywhere(world: World) -> None:
    for key in ("acme", "beta", "gamma", "delta_100%"):
        await world.open_account(key)
    await world.account(AliasAccount("gamma", "cus_Beta"))
    await world.project()
    assert await keys(world) == ["acme", "beta", "delta_100%", "gamma"]
    assert await keys(world, after="acme", limit=2) == ["beta", "delta_100%"]
    assert await keys(world, before="gamma", limit=2, is_backwards=True) == ["delta_100%", "beta"]
    assert await keys(world, search="BETA") == ["beta", "gamma"]
    assert await keys(world, search="%") == ["delta_100%"]
    assert await keys(world, search="a_1") == ["delta_100%"] or await keys(world, search="_1") == ["delta_100%"]
    assert await keys(world, search="\\") == []
    assert await keys(world, only="beta") == ["beta"]
    assert await keys(world, only="beta", search="acme") == []
    assert (await found(world, limit=1))[1] == 4


async def test_accounts_are_folded_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in "abcde":
        await world.open_account(key)
    whole = world.ledger.log.decisions_since

    async def two_at_a_time(position: int) -> list[Any]:
        return await whole(position, limit=2)

    monkeypatch.setattr(world.ledger.log, "decisions_since", two_at_a_time)
    monkeypatch.setattr(decided, "STEP_EVENTS", 2)
    monkeypatch.setattr(catalogue_module, "PAGE_EVENTS_MAX", 2)
    await world.project()
    assert await keys(world) == list("abcde")
    assert sorted((await refreshed(world.ledger)).catalogue.accounts) == list("abcde")


async def test_held_usage_is_paged_filtered_and_counted(world: World) -> None:
    await world.open_account("acme", "UTC", "cus_1")
    await world.define("n", aggregation="sum", property="n")
    await world.define("m", aggregation="max", property="m")
    await world.tell(
        usage(1), usage(2, subject="cus_1", n=1), usage(3, subject="who"), usage(4, event_type="what", n=1)
    )
    await world.project()

    async def page(**asked: Any) -> tuple[list[tuple[int, str, tuple[str, ...]]], int]:
        every: dict[str, Any] = {"after": 0, "limit": 10, "account_names": None, "code": None}
        _, rows, total = await held(world.ledger.pool, **(every | asked))
        return [(row.position, row.code, row.meters) for row in rows], total

    first, second, third, fourth = range(5, 9)
    assert await page() == (
        [
            (first, "property_missing", ("m", "n")),
            (second, "property_missing", ("m",)),
            (third, "account_unknown", ()),
            (fourth, "type_unknown", ()),
        ],
        4,
    )
    assert await page(after=second, limit=1) == ([(third, "account_unknown", ())], 4)
    assert await page(account_names=["cus_1", "who"]) == (
        [(second, "property_missing", ("m",)), (third, "account_unknown", ())],
        2,
    )
    assert await page(code="type_unknown") == ([(fourth, "type_unknown", ())], 1)


async def refreshed(ledger: Ledger) -> CatalogueFollower:
    follower = CatalogueFollower(ledger.log)
    await follower.refresh()
    return follower


async def test_the_catalogue_sees_every_decision_once(world: World) -> None:
    follower = CatalogueFollower(world.ledger.log)
    await world.open_account("acme", "UTC", "cus_1")
    await follower.refresh()
    await asyncio.gather(*(follower.refresh() for _ in range(5)))
    assert follower.catalogue.accounts["acme"].aliases == ("cus_1",)
    await world.tell(usage(1))
    assert follower.catalogue.position == 2


async def test_the_catalogue_follows_decisions_of_this_process_and_of_others(world: World) -> None:
    follower = CatalogueFollower(world.ledger.log)
    following = asyncio.create_task(follower.follow())
    await world.account(OpenAccount("here", "Here", "UTC"))
    async with open_ledger(world.ledger.url) as other, asyncio.timeout(10):
        elsewhere = World(other, follower, world.projector)
        await elsewhere.account(OpenAccount("there", "There", "UTC"))
        for _ in iter(lambda: len(follower.catalogue.accounts) < 2, False):
            await asyncio.sleep(0.01)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
