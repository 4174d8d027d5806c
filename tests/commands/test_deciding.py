"""Commands on accounts, meters and keys: they land in the log, once, and answer where."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from ledger.commands import decision
from ledger.commands.accounts import change_account
from ledger.commands.decision import ATTEMPTS_MAX, decide_on, history
from ledger.commands.keys import issue_key, key_parts, revoke_key
from ledger.commands.meters import change_meter
from ledger.domain.access import is_good
from ledger.domain.accounts import AccountCommand, AliasAccount, OpenAccount, RemoveAccountAlias, RenameAccount
from ledger.domain.events import AccountOpened, AccountRenamed, Event, KeyIssued
from ledger.domain.metadata import Metadata
from ledger.domain.metering import MeterDefinition
from ledger.domain.meters import ChangeMeter, DefineMeter, MeterCommand, RetireMeter
from ledger.domain.names import account_stream
from ledger.domain.refusals import AccountUnknown, KeyInvalid, KeyUnknown, MeterExists, NameTaken, VersionTaken
from ledger.event_log import EventLog, StreamEvent
from tests.log.ledgers import METADATA, NOW, Ledger, open_ledger

CALLS = MeterDefinition(name="Calls", event_type="t", aggregation="count")


async def account(ledger: Ledger, command: AccountCommand, actor: str = "test") -> int:
    return await change_account(ledger.log, command, now=NOW, metadata=Metadata(actor=actor))


async def meter(ledger: Ledger, command: MeterCommand) -> int:
    return await change_meter(ledger.log, command, now=NOW, metadata=METADATA)


async def test_a_command_answers_the_position_of_its_effect(ledger: Ledger) -> None:
    assert await account(ledger, OpenAccount("acme", "Acme", "UTC")) == 1
    assert await meter(ledger, DefineMeter("calls", CALLS)) == 2
    assert await account(ledger, RenameAccount("acme", "ACME")) == 3
    assert [type(event).__name__ for _, event in await ledger.events()] == [
        "AccountOpened",
        "MeterDefined",
        "AccountRenamed",
    ]


async def test_a_command_that_changes_nothing_answers_where_the_state_is_from(ledger: Ledger) -> None:
    await account(ledger, OpenAccount("acme", "Acme", "UTC"))
    await meter(ledger, DefineMeter("calls", CALLS))
    assert await account(ledger, RenameAccount("acme", "Acme")) == 1
    assert await meter(ledger, ChangeMeter("calls", CALLS)) == 2
    assert await ledger.count() == 2


async def test_a_decision_is_written_with_its_account_its_time_and_its_actor(ledger: Ledger) -> None:
    await account(ledger, OpenAccount("acme", "Acme", "UTC"), "key:abc")
    await account(ledger, AliasAccount("acme", "cus_1"))
    rows = await ledger.log.page(after=0, before=10, limit=10)
    assert [(row["account"], row["originator_version"], row["occurred_at"]) for row in rows] == [
        ("acme", 1, NOW),
        ("acme", 1, NOW),
    ]
    assert rows[0]["metadata"] == '{"actor":"key:abc"}'


async def test_a_refused_command_leaves_no_trace(ledger: Ledger) -> None:
    with pytest.raises(AccountUnknown):
        await account(ledger, RenameAccount("acme", "Acme"))
    with pytest.raises(AccountUnknown):
        await account(ledger, AliasAccount("acme", "cus_1"))
    assert await ledger.count() == 0


async def test_a_name_is_a_key_or_an_alias_never_both(ledger: Ledger) -> None:
    await account(ledger, OpenAccount("acme", "Acme", "UTC"))
    await account(ledger, OpenAccount("umbrella", "Umbrella", "UTC"))
    await account(ledger, AliasAccount("acme", "cus_1"))
    for command in (
        OpenAccount("cus_1", "X", "UTC"),
        AliasAccount("umbrella", "cus_1"),
        AliasAccount("umbrella", "acme"),
    ):
        with pytest.raises(NameTaken):
            await account(ledger, command)
    await account(ledger, RemoveAccountAlias("acme", "cus_1"))
    await account(ledger, AliasAccount("umbrella", "cus_1"))


async def outcomes(ledgers: Sequence[Ledger], command: AccountCommand) -> list[int | BaseException]:
    deciders = [account(one, command, f"person {number}") for number, one in enumerate(ledgers)]
    return await asyncio.gather(*deciders, return_exceptions=True)


async def test_of_many_who_open_the_same_account_one_does(ledger: Ledger) -> None:
    async with open_ledger(ledger.url) as other:
        opened = await outcomes([ledger, other] * 4, OpenAccount("acme", "Acme", "UTC"))
    assert sum(isinstance(one, int) for one in opened) == 1
    assert sum(isinstance(one, NameTaken) for one in opened) == 7, "who lost the race looked again"
    assert await ledger.count() == 1


async def test_two_accounts_that_want_one_alias_are_told_apart(ledger: Ledger) -> None:
    for key in ("a", "b"):
        await account(ledger, OpenAccount(key, key, "UTC"))
    wanted = [account(ledger, AliasAccount(key, "cus_1"), key) for key in ("a", "b")]
    got = await asyncio.gather(*wanted, return_exceptions=True)
    assert sorted(type(one).__name__ for one in got) == ["NameTaken", "int"]


async def test_a_version_taken_every_time_is_given_up_after_three_attempts(ledger: Ledger) -> None:
    attempts = 0

    async def decide_too_slowly(past: list[Event]) -> Sequence[Event]:
        nonlocal attempts
        attempts += 1
        faster = RenameAccount("acme", f"Acme {attempts}") if past else OpenAccount("acme", "Acme", "UTC")
        await account(ledger, faster)
        return [AccountRenamed(account="acme", name="mine")]

    with pytest.raises(VersionTaken):
        await decide_on(
            ledger.log, account_stream("acme"), decide_too_slowly, account="acme", now=NOW, metadata=METADATA
        )
    assert attempts == ATTEMPTS_MAX
    assert await ledger.count() == ATTEMPTS_MAX


async def test_without_another_attempt_the_loser_is_only_told_of_the_race(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows what the attempts are for: with one alone, who loses a race does not get to look again."""
    monkeypatch.setattr(decision, "ATTEMPTS_MAX", 1)
    everybody, read = asyncio.Barrier(4), EventLog.stream

    async def read_together(log: EventLog, stream: bytes) -> list[StreamEvent]:
        past = await read(log, stream)
        await everybody.wait()  # nobody appends before all have seen that the name is free
        return past

    monkeypatch.setattr(EventLog, "stream", read_together)
    opened = await outcomes([ledger] * 4, OpenAccount("acme", "Acme", "UTC"))
    assert sum(isinstance(one, VersionTaken) for one in opened) == 3


async def test_an_account_may_have_a_long_history(ledger: Ledger) -> None:
    await account(ledger, OpenAccount("acme", "Acme", "UTC"))
    for number in range(30):
        await account(ledger, RenameAccount("acme", f"Acme {number}"))
    past = await history(ledger.log, account_stream("acme"))
    assert past[0] == AccountOpened(account="acme", name="Acme", zone="UTC", opened_at=NOW)
    assert len(past) == 31


async def test_an_account_may_have_been_open_for_long(ledger: Ledger) -> None:
    since = NOW - timedelta(days=365)
    await account(ledger, OpenAccount("acme", "Acme", "UTC", since))
    [(_, opened)] = await ledger.events()
    assert opened == AccountOpened(account="acme", name="Acme", zone="UTC", opened_at=since)


async def test_a_meter_is_defined_once(ledger: Ledger) -> None:
    await meter(ledger, DefineMeter("calls", CALLS))
    with pytest.raises(MeterExists):
        await meter(ledger, DefineMeter("calls", CALLS))
    await meter(ledger, RetireMeter("calls", NOW))
    assert await ledger.count() == 2


async def test_a_keys_secret_is_shown_once_and_never_stored(ledger: Ledger) -> None:
    fresh = await issue_key(
        ledger.log, name="CI", roles=["ingest"], account=None, expires_at=None, now=NOW, metadata=METADATA
    )
    parts = key_parts(fresh.text)
    assert parts is not None
    key_id, secret = parts
    assert key_id == fresh.key_id
    [(position, issued)] = await ledger.events()
    assert isinstance(issued, KeyIssued)
    assert position == fresh.position
    assert is_good(issued, secret, NOW)
    stored = await ledger.pool.fetchval("select string_agg(e::text, '') from events e")
    assert secret not in stored


async def test_every_key_is_another(ledger: Ledger) -> None:
    fresh = [
        await issue_key(
            ledger.log, name="CI", roles=["viewer"], account="acme", expires_at=None, now=NOW, metadata=METADATA
        )
        for _ in range(5)
    ]
    assert len({one.text for one in fresh}) == len({one.key_id for one in fresh}) == 5


async def test_a_key_is_revoked_once(ledger: Ledger) -> None:
    fresh = await issue_key(
        ledger.log, name="CI", roles=["ingest"], account=None, expires_at=None, now=NOW, metadata=METADATA
    )
    assert await revoke_key(ledger.log, fresh.key_id, now=NOW, metadata=METADATA) == 2
    for key_id in (fresh.key_id, "nobody's"):
        with pytest.raises(KeyUnknown):
            await revoke_key(ledger.log, key_id, now=NOW, metadata=METADATA)


async def test_a_key_that_is_over_before_it_begins_is_refused(ledger: Ledger) -> None:
    with pytest.raises(KeyInvalid):
        await issue_key(
            ledger.log,
            name="CI",
            roles=["ingest"],
            account=None,
            expires_at=NOW - timedelta(days=1),
            now=NOW,
            metadata=METADATA,
        )


@pytest.mark.parametrize("text", ["", "lk", "lk_a", "sk_a_b", "lk-a-b", "Lk_a_b"])
def test_what_does_not_look_like_a_key_is_none(text: str) -> None:
    assert key_parts(text) is None


def test_a_secret_may_hold_the_mark_that_parts_it() -> None:
    assert key_parts("lk_0a1b_se_cr_et") == ("0a1b", "se_cr_et")
