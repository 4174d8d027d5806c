"""Accounts: what is decided on a name, given what happened to it."""

import pytest

from ledger.domain.accounts import (
    AccountCommand,
    AccountEvent,
    AliasAccount,
    ChangeAccountZone,
    NameState,
    OpenAccount,
    RemoveAccountAlias,
    RenameAccount,
    decide,
    evolve,
    subject_of,
)
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountRenamed,
    AccountZoneChanged,
)
from ledger.domain.refusals import AccountUnknown, AliasUnknown, NameInvalid, NameTaken, Refusal, ZoneUnknown

OPENED = AccountOpened(account="acme", name="Acme", zone="Europe/Paris")
UMBRELLA = AccountOpened(account="umbrella", name="Umbrella", zone="UTC")
ALIASED = AccountAliased(account="acme", alias="cus_1")
REMOVED = AccountAliasRemoved(account="acme", alias="cus_1")


def state(past: list[AccountEvent]) -> NameState:
    now = NameState()
    for event in past:
        now = evolve(now, event)
    return now


def when(
    past: list[AccountEvent], command: AccountCommand, *, account: list[AccountEvent] | None = None
) -> list[AccountEvent]:
    """What a command makes of the past of its name, and of the account's where that is another stream."""
    return decide(state(past), command, target=state(past if account is None else account))


def test_an_account_is_opened_under_a_free_name() -> None:
    assert when([], OpenAccount("acme", "Acme", "Europe/Paris")) == [OPENED]


@pytest.mark.parametrize(
    ("past", "command", "then"),
    [
        ([OPENED], RenameAccount("acme", "ACME"), [AccountRenamed(account="acme", name="ACME")]),
        ([OPENED], RenameAccount("acme", "Acme"), []),
        ([OPENED, AccountRenamed(account="acme", name="ACME")], RenameAccount("acme", "ACME"), []),
        ([OPENED], ChangeAccountZone("acme", "UTC"), [AccountZoneChanged(account="acme", zone="UTC")]),
        ([OPENED], ChangeAccountZone("acme", "Europe/Paris"), []),
        ([OPENED, AccountZoneChanged(account="acme", zone="UTC")], ChangeAccountZone("acme", "UTC"), []),
    ],
)
def test_an_account_changes_and_the_same_again_changes_nothing(
    past: list[AccountEvent], command: AccountCommand, then: list[AccountEvent]
) -> None:
    assert when(past, command) == then


@pytest.mark.parametrize(
    ("past", "command", "then"),
    [
        ([], AliasAccount("acme", "cus_1"), [ALIASED]),
        ([ALIASED], AliasAccount("acme", "cus_1"), []),
        ([ALIASED, REMOVED], AliasAccount("acme", "cus_1"), [ALIASED]),
        ([ALIASED], RemoveAccountAlias("acme", "cus_1"), [REMOVED]),
    ],
)
def test_an_alias_is_added_and_removed_and_added_again(
    past: list[AccountEvent], command: AccountCommand, then: list[AccountEvent]
) -> None:
    assert when(past, command, account=[OPENED]) == then


@pytest.mark.parametrize(
    ("past", "account", "command", "refusal"),
    [
        ([OPENED], None, OpenAccount("acme", "Other", "UTC"), NameTaken(name="acme", account="acme")),
        ([ALIASED], None, OpenAccount("cus_1", "Other", "UTC"), NameTaken(name="cus_1", account="acme")),
        ([], None, RenameAccount("acme", "Acme"), AccountUnknown(account="acme")),
        ([ALIASED], None, RenameAccount("cus_1", "Acme"), AccountUnknown(account="cus_1")),
        ([], None, ChangeAccountZone("acme", "UTC"), AccountUnknown(account="acme")),
        ([], [], AliasAccount("acme", "cus_1"), AccountUnknown(account="acme")),
        ([], [OPENED], RemoveAccountAlias("acme", "cus_1"), AliasUnknown(alias="cus_1", account="acme")),
        (
            [ALIASED],
            [UMBRELLA],
            RemoveAccountAlias("umbrella", "cus_1"),
            AliasUnknown(alias="cus_1", account="umbrella"),
        ),
        ([OPENED], [OPENED], RemoveAccountAlias("acme", "acme"), AliasUnknown(alias="acme", account="acme")),
        ([ALIASED], [UMBRELLA], AliasAccount("umbrella", "cus_1"), NameTaken(name="cus_1", account="acme")),
        ([UMBRELLA], [OPENED], AliasAccount("acme", "umbrella"), NameTaken(name="umbrella", account="umbrella")),
        ([OPENED], [OPENED], AliasAccount("acme", "acme"), NameTaken(name="acme", account="acme")),
        ([], None, OpenAccount("acme", "Acme", "Mars/Base"), ZoneUnknown(zone="Mars/Base")),
        ([OPENED], None, ChangeAccountZone("acme", "Mars/Base"), ZoneUnknown(zone="Mars/Base")),
        ([], None, OpenAccount("", "Acme", "UTC"), NameInvalid(what="an account's key", name="")),
        ([], None, OpenAccount("acme", " Acme", "UTC"), NameInvalid(what="an account", name=" Acme")),
        ([OPENED], None, RenameAccount("acme", ""), NameInvalid(what="an account", name="")),
        ([], [OPENED], AliasAccount("acme", "a\n"), NameInvalid(what="an alias", name="a\\n")),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_facts(
    past: list[AccountEvent], account: list[AccountEvent] | None, command: AccountCommand, refusal: Refusal
) -> None:
    with pytest.raises(type(refusal)) as refused:
        when(past, command, account=account)
    assert refused.value.facts == refusal.facts


def test_an_alias_that_was_removed_can_become_an_account() -> None:
    assert when([ALIASED, REMOVED], OpenAccount("cus_1", "New", "UTC")) == [
        AccountOpened(account="cus_1", name="New", zone="UTC")
    ]


def test_a_command_is_decided_on_the_stream_of_the_name_it_takes() -> None:
    assert subject_of(OpenAccount("acme", "Acme", "UTC")) == "acme"
    assert subject_of(RenameAccount("acme", "Acme")) == "acme"
    assert subject_of(AliasAccount("acme", "cus_1")) == "cus_1"
    assert subject_of(RemoveAccountAlias("acme", "cus_1")) == "cus_1"
