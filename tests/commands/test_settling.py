"""Settling held usage: once, by one person, with a governed reason, and only what is held."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger.commands.accounts import change_account
from ledger.commands.mending import dismiss_usage, mend_usage
from ledger.commands.meters import change_meter
from ledger.domain.accounts import OpenAccount
from ledger.domain.events import UsageDismissed, UsageMended
from ledger.domain.mending import SETTLED_BY_MENDING, DismissUsage, MendUsage
from ledger.domain.metadata import Metadata
from ledger.domain.metering import MeterDefinition
from ledger.domain.meters import DefineMeter
from ledger.domain.refusals import (
    NameInvalid,
    ReasonInvalid,
    UsageNotHeld,
    UsageSettledAlready,
    UsageUnknown,
    UsageUnreadable,
    VersionTaken,
)
from ledger.projections.catalogue import CatalogueFollower
from tests.log.ledgers import METADATA, NOW, Ledger, usage

SUM = MeterDefinition(name="N", event_type="api.request", aggregation="sum", property="n")


@pytest.fixture
async def follower(ledger: Ledger) -> CatalogueFollower:
    """The catalogue of a ledger with an account and a meter, at positions 1 and 2."""
    await change_account(ledger.log, OpenAccount("acme", "Acme", "UTC"), now=NOW, metadata=METADATA)
    await change_meter(ledger.log, DefineMeter("n", SUM), now=NOW, metadata=METADATA)
    return CatalogueFollower(ledger.log)


async def mend(
    ledger: Ledger, follower: CatalogueFollower, position: int, reason: str = "other", **changes: Any
) -> int:
    await follower.refresh()
    command = MendUsage(position, reason, **changes)
    return await mend_usage(ledger.log, follower.catalogue, command, now=NOW, metadata=METADATA)


async def dismiss(ledger: Ledger, follower: CatalogueFollower, position: int, actor: str = "test") -> int:
    await follower.refresh()
    command = DismissUsage(position, "sent_twice", "seen")
    return await dismiss_usage(ledger.log, follower.catalogue, command, now=NOW, metadata=Metadata(actor=actor))


async def test_a_held_event_is_mended_in_its_own_stream(ledger: Ledger, follower: CatalogueFollower) -> None:
    [position] = await ledger.tell(usage(1, n="many"))
    mended = await mend(ledger, follower, position, note="typing error", properties={"n": 1})
    _, event = (await ledger.events())[-1]
    assert event == UsageMended(
        supersedes=(position,),
        source="gateway",
        id="e1",
        type="api.request",
        subject="acme",
        time=NOW,
        data={"n": 1},
        reason="other",
        note="typing error",
    )
    [told, settled] = await ledger.log.page(after=position - 1, before=mended + 1, limit=10)
    assert told["originator_id"] == settled["originator_id"]
    assert settled["originator_version"] == 2


async def test_every_part_of_an_event_can_be_put_right(ledger: Ledger, follower: CatalogueFollower) -> None:
    [position] = await ledger.tell(usage(1, subject="who", event_type="what", n="x"))
    earlier = NOW - timedelta(hours=3)
    await mend(
        ledger,
        follower,
        position,
        subject="acme",
        event_type="api.request",
        time=earlier.astimezone(datetime.now(UTC).astimezone().tzinfo),
        properties={"n": 2},
    )
    _, event = (await ledger.events())[-1]
    assert isinstance(event, UsageMended)
    assert (event.subject, event.type, event.time, event.data) == ("acme", "api.request", earlier, {"n": 2})
    assert (await ledger.log.page(after=position, before=99, limit=1))[0]["account"] == "acme"


async def test_what_is_still_held_after_mending_can_be_mended_again(
    ledger: Ledger, follower: CatalogueFollower
) -> None:
    [position] = await ledger.tell(usage(1, n="many"))
    second = await mend(ledger, follower, position, properties={"n": "more"})
    third = await mend(ledger, follower, second, properties={"n": 1})
    _, event = (await ledger.events())[-1]
    assert isinstance(event, UsageMended)
    assert event.supersedes == (second,)
    with pytest.raises(UsageSettledAlready) as refused:
        await mend(ledger, follower, position)
    assert refused.value.settled_by == second
    with pytest.raises(UsageNotHeld):
        await mend(ledger, follower, third)


async def test_a_conflict_takes_the_place_of_the_first_telling(ledger: Ledger, follower: CatalogueFollower) -> None:
    [first] = await ledger.tell(usage(1, n=1))
    [conflict] = await ledger.tell(usage(1, n=2))
    await mend(ledger, follower, conflict, "second_telling_is_right")
    [(_, mended), (_, settled)] = (await ledger.events())[-2:]
    assert isinstance(mended, UsageMended)
    assert (mended.supersedes, mended.data) == ((first,), {"n": 2})
    assert settled == UsageDismissed(supersedes=(conflict,), reason=SETTLED_BY_MENDING)


async def test_a_second_conflict_takes_the_place_of_what_stands_by_then(
    ledger: Ledger, follower: CatalogueFollower
) -> None:
    await ledger.tell(usage(1, n=1))
    [second] = await ledger.tell(usage(1, n=2))
    [third] = await ledger.tell(usage(1, n=3))
    await mend(ledger, follower, second)
    stands = (await ledger.log.head()).position - 1
    await mend(ledger, follower, third)
    _, mended = (await ledger.events())[-2]
    assert isinstance(mended, UsageMended)
    assert mended.supersedes == (stands,)


async def test_a_conflict_with_what_was_dismissed_supersedes_nothing(
    ledger: Ledger, follower: CatalogueFollower
) -> None:
    [first] = await ledger.tell(usage(1, n="many"))
    [conflict] = await ledger.tell(usage(1, n=2))
    await dismiss(ledger, follower, first)
    await mend(ledger, follower, conflict)
    _, mended = (await ledger.events())[-2]
    assert isinstance(mended, UsageMended)
    assert mended.supersedes == ()


async def test_a_dismissed_event_is_settled(ledger: Ledger, follower: CatalogueFollower) -> None:
    [position] = await ledger.tell(usage(1, n="many"))
    await dismiss(ledger, follower, position)
    _, event = (await ledger.events())[-1]
    assert event == UsageDismissed(supersedes=(position,), reason="sent_twice", note="seen")
    with pytest.raises(UsageSettledAlready):
        await dismiss(ledger, follower, position)


async def test_of_two_who_settle_the_same_event_one_does(ledger: Ledger, follower: CatalogueFollower) -> None:
    [position] = await ledger.tell(usage(1, n="many"))
    settled = await asyncio.gather(
        *(dismiss(ledger, follower, position, f"person {number}") for number in range(4)), return_exceptions=True
    )
    assert sum(isinstance(one, int) for one in settled) == 1
    assert all(isinstance(one, int | VersionTaken | UsageSettledAlready) for one in settled)
    assert await ledger.count() == 4


async def test_only_held_usage_is_settled(ledger: Ledger, follower: CatalogueFollower) -> None:
    [counting] = await ledger.tell(usage(1, n=1))
    for settle in (mend, dismiss):
        with pytest.raises(UsageNotHeld):
            await settle(ledger, follower, counting)
        for position in (1, 99, 0, -1):
            with pytest.raises(UsageUnknown):
                await settle(ledger, follower, position)
    assert await ledger.count() == 3


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"reason": "because"}, ReasonInvalid),
        ({"subject": ""}, NameInvalid),
        ({"subject": "a\n"}, NameInvalid),
        ({"event_type": "x" * 257}, NameInvalid),
        ({"time": datetime(1969, 1, 1, tzinfo=UTC)}, UsageUnreadable),
    ],
)
async def test_what_cannot_be_told_cannot_be_mended_to(
    ledger: Ledger, follower: CatalogueFollower, changes: dict[str, Any], refusal: type[Exception]
) -> None:
    [position] = await ledger.tell(usage(1, n="many"))
    with pytest.raises(refusal):
        await mend(ledger, follower, position, **changes)
    assert await ledger.count() == 3


async def test_a_reason_that_is_not_governed_dismisses_nothing(ledger: Ledger, follower: CatalogueFollower) -> None:
    [position] = await ledger.tell(usage(1, n="many"))
    await follower.refresh()
    command = DismissUsage(position, "because")
    with pytest.raises(ReasonInvalid):
        await dismiss_usage(ledger.log, follower.catalogue, command, now=NOW, metadata=METADATA)
